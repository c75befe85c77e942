// Shows one sample: its question and prompts, and for every run its answers and verdicts.

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

// A picture or clip; `name` describes it for readers who cannot see it.
function medium(key, name) {
  const {kind, source} = view.medium(key);
  if (!kind) return make('p', {class: 'remark'}, `${name}: not stored in the run file`);
  if (kind.startsWith('image/')) return picture(source, name);
  return make('audio', {src: source, controls: true, preload: 'metadata', 'aria-label': name});
}

// A picture, which a click shows as large as it is.
function picture(source, name) {
  const button = make('button', {type: 'button', class: 'zoom', 'aria-pressed': 'false', title: 'Larger or smaller'},
    make('img', {src: source, alt: name, class: 'medium'}));
  button.addEventListener('click', () => {
    button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') === 'false'));
  });
  return button;
}

// Numbers by name as bars: [name, number, its text].
function bars(rows) {
  const most = Math.max(...rows.map(([, number]) => number));
  return make('table', {class: 'bars'}, make('tbody', {}, rows.map(([name, number, text]) => {
    const bar = make('div', {class: 'bar'});
    bar.style.width = `${most > 0 ? (100 * number) / most : 0}%`;
    return make('tr', {}, make('th', {scope: 'row'}, make('bdi', {}, plain(name))),
      make('td', {class: 'number'}, text), make('td', {class: 'length'}, bar));
  })));
}

// How often each answer was given in several draws.
function votes(detail) {
  const counts = Object.entries(detail.votes), given = counts.reduce((sum, [, count]) => sum + count, 0);
  const none = detail.draws > given ? [['no answer', detail.draws - given]] : [];
  return make('div', {class: 'votes'}, make('h5', {}, `votes of ${detail.draws} responses`),
    bars([...counts, ...none].map(([answer, count]) => [answer, count, String(count)])));
}

function badge(outcome, figure = '') {
  return make('span', {class: `badge ${outcome}`}, [outcome || 'not run', figure].filter(Boolean).join(' · '));
}

function question(sample, line) {
  const shown = sample.media.map((key, i) => medium(key, `medium ${i + 1} of the question`));
  const references = sample.target.length ? sample.target : ['(not public)'];
  const meta = Object.entries(sample.meta).filter(([, value]) => value !== '' && value !== null);
  return [
    make('header', {},
      make('h3', {}, make('bdi', {}, line.part), ' · ', make('bdi', {title: line.id.slice(0, 2000)}, plain(shortened(line.id, 300)))),
      line.groups.length ? make('p', {class: 'groups'}, plain(line.groups.join(' · '))) : null),
    shown.length ? make('div', {class: 'media'}, shown) : null,
    sample.input ? prose(sample.input) : null,
    sample.choices.length ? make('ol', {class: 'choices'}, sample.choices.map((choice, i) =>
      make('li', {}, make('b', {}, `${LETTERS[i] ?? i + 1} `), make('bdi', {}, view.rendered ? inline(choice) : plain(choice))))) : null,
    make('h4', {}, references.length > 1 ? 'References' : 'Reference'),
    ...references.map(text => brief(text, 'text reference')),
    meta.length ? make('details', {}, make('summary', {}, 'More about the question'),
      meta.map(([name, value]) => make('div', {}, make('h5', {}, plain(name)), program(words(value))))) : null,
  ];
}

// The answers and verdicts of one variant; graded answers are not just right or wrong.
function reading(name, finals, graded) {
  return make('div', {class: 'reading'}, make('h5', {}, plain(name || 'answer')), finals.map(final => {
    const judged = graded ? (final.value === null ? 'not answered' : 'answered') : final.correct ? 'right' : 'wrong';
    const verdict = final.correct === null ? 'not judged' : judged;
    const credit = final.credit === undefined ? '' : ` (credit ${final.credit})`;
    const values = Object.entries(final.values ?? {}).map(([name, number]) => `, ${name} ${number}`).join('');
    const value = final.value === null ? make('i', {}, 'no answer found') : brief(final.value, 'text value');
    if (final.detail?.line) markLine(value, final.detail.line);
    const reason = final.reason ? make('p', {class: 'reason'}, plain(final.reason)) : null;
    return make('div', {class: `final ${verdict.replace(' ', '-')}`},
      make('p', {class: 'verdict'}, plain(verdict + credit + values)), value, reason, final.detail ? failure(final.detail) : null);
  }));
}

// A transcript below its reference, step by step; edits differ by more than their colours.
function alignment(steps) {
  const columns = steps.map(([op, said, heard]) => make('span', {class: `step ${op}`},
    op === 'equal' ? null : make('span', {class: 'unseen'}, `${op}: `),
    make('span', {class: 'said'}, plain(said || '∗')), ' ',
    make('span', {class: 'heard'}, plain(heard || '∗')), ' '));
  return make('div', {class: 'alignment'}, make('h5', {}, 'reference (said), with the transcript (heard) below'),
    make('p', {dir: 'auto'}, columns));
}

function alternatives(what, found) {
  const rows = Object.entries(found).map(([token, logprob]) => {
    const share = Math.exp(logprob);
    return [JSON.stringify(token), share, `${(100 * share).toPrecision(3)} %`];
  });
  return make('details', {}, make('summary', {}, what), bars(rows));
}

function draw(drawn, judge, open) {
  const counted = drawn.tokens[1] === null ? '' : ` · ${drawn.tokens[1]} tokens`;
  const who = judge ? 'the judge' : drawn.name === 'again' ? 'asked again' : `response ${drawn.name}`;
  return make('details', {open},
    make('summary', {}, `${who} · ${drawn.finish}${counted} · ${drawn.seconds.toPrecision(2)} s`),
    drawn.reasoning ? make('details', {}, make('summary', {}, drawn.finish === 'filter' ? 'Text before or instead of the answer' : 'Reasoning'), prose(drawn.reasoning)) : null,
    drawn.text ? prose(drawn.text) : drawn.likelihoods ? null : make('i', {}, 'empty text'),
    drawn.media ? drawn.media.map((key, i) => medium(key, `medium ${i + 1} of the response`)) : null,
    drawn.likelihoods ? alternatives('Likelihoods', drawn.likelihoods) : null,
    drawn.alternatives ? alternatives('First token', drawn.alternatives) : null);
}

function message([role, parts]) {
  return make('div', {class: `message ${role}`}, role ? make('h6', {}, role) : null, parts.map(part => {
    if (typeof part === 'string') return prose(part);
    const [[kind, key]] = Object.entries(part);
    return medium(key, `${kind} in the prompt`);
  }));
}

// How many of a request's messages continue a conversation: those that the request before it had, too.
function known(request, before) {
  if (!before || before.judge !== request.judge || before.messages.length >= request.messages.length) return 0;
  const same = before.messages.every((one, i) => JSON.stringify(one) === JSON.stringify(request.messages[i]));
  return same ? before.messages.length : 0;
}

function prompt(request, before) {
  const settings = Object.entries(request.settings).filter(([, value]) => words(value) !== '[]' && value !== 0);
  const start = known(request, before);
  const who = request.judge ? 'Prompt to the judge' : start ? 'Prompt, continued' : 'Prompt';
  return make('details', {class: 'prompt', open: start > 0},
    make('summary', {}, who),
    facts(settings.map(([name, value]) => [name.replaceAll('_', ' '), words(value)])),
    start ? make('p', {class: 'remark'}, `after the ${start} messages above`) : null,
    request.messages.slice(start).map(message));
}

// The answers of one run, in a column.
function answered(name, answer, requests) {
  if (!answer) return make('section', {class: 'run'}, make('h4', {}, plain(name)), badge(''));
  const {votes: counted, spoken, ...others} = answer.detail;
  const details = Object.entries(others).map(([key, value]) => [key, words(value)]);
  const readings = Object.entries(answer.readings).filter(([, finals]) => finals.length);
  const failure = answer.boundary ? `failed at the ${answer.boundary}: ` : '';
  return make('section', {class: 'run'},
    make('h4', {}, make('bdi', {}, plain(name)), ' ', badge(answer.outcome, answer.figure)),
    answer.error ? make('p', {class: 'error'}, plain(failure + answer.error)) : null,
    readings.map(([reader, finals]) => reading(reader, finals, answer.graded)),
    answer.steps ? alignment(answer.steps) : null,
    Array.isArray(spoken) ? spokenWords(spoken) : null,
    counted ? votes(answer.detail) : null,
    details.length ? facts(details) : null,
    answer.draws.map((draws, i) => [
      prompt(requests[i], requests[i - 1]),
      draws.map((drawn, j) => draw(drawn, requests[i].judge, j === 0)),
    ]).flat(2));
}

// The elements of a sample of the list. `runs`: the numbers of the runs to show side by side.
async function sampleNodes(source, sample, runs) {
  const {answers, prompts} = await source.sample(sample);
  const columns = runs.map(run => answered(source.runs[run], answers.runs[run], prompts[run]));
  const several = columns.length > 2 ? ' many' : columns.length > 1 ? ' two' : '';
  const asked = make('div', {class: 'question'}, question(answers, sample));
  const found = make('div', {class: `runs${several}`}, columns);
  followClip(asked.querySelector('audio'), found);
  return [asked, found];
}
