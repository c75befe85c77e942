// Shows one sample: its question and prompts, and for every run its answers and verdicts.

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

// A picture or clip; `name` describes it for readers who cannot see it.
function medium(key, name) {
  const element = document.getElementById(`m-${key}`);
  if (!element) return make('p', {class: 'remark'}, `${name}: not stored in the run file`);
  const kind = element.type.split(';')[0];
  const source = `data:${kind};base64,${element.textContent}`;
  if (kind.startsWith('image/')) return make('img', {src: source, alt: name, class: 'medium'});
  return make('audio', {src: source, controls: true, preload: 'metadata', 'aria-label': name});
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
      make('h3', {}, make('bdi', {}, line.part), ' · ', make('bdi', {}, plain(line.id))),
      line.groups.length ? make('p', {class: 'groups'}, plain(line.groups.join(' · '))) : null),
    shown.length ? make('div', {class: 'media'}, shown) : null,
    sample.input ? written(sample.input) : null,
    sample.choices.length ? make('ol', {class: 'choices'}, sample.choices.map((choice, i) =>
      make('li', {}, make('b', {}, `${LETTERS[i] ?? i + 1} `), make('bdi', {}, plain(choice))))) : null,
    make('h4', {}, references.length > 1 ? 'References' : 'Reference'),
    ...references.map(text => written(text, 'text reference')),
    meta.length ? make('details', {}, make('summary', {}, 'More about the question'),
      meta.map(([name, value]) => make('div', {}, make('h5', {}, plain(name)), written(words(value))))) : null,
  ];
}

// The answers and verdicts of one variant; graded answers are not just right or wrong.
function reading(name, finals, graded) {
  return make('div', {class: 'reading'}, make('h5', {}, plain(name || 'answer')), finals.map(final => {
    const judged = graded ? (final.value === null ? 'not answered' : 'answered') : final.correct ? 'right' : 'wrong';
    const verdict = final.correct === null ? 'not judged' : judged;
    const credit = final.credit === undefined ? '' : ` (credit ${final.credit})`;
    const values = Object.entries(final.values ?? {}).map(([name, number]) => `, ${name} ${number}`).join('');
    const value = final.value === null ? make('i', {}, 'no answer found') : written(final.value, 'text value');
    const reason = final.reason ? make('p', {class: 'reason'}, plain(final.reason)) : null;
    return make('div', {class: `final ${verdict.replace(' ', '-')}`},
      make('p', {class: 'verdict'}, plain(verdict + credit + values)), value, reason);
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
  const rows = Object.entries(found).map(([token, logprob]) => make('tr', {},
    make('th', {scope: 'row'}, make('code', {}, plain(JSON.stringify(token)))),
    make('td', {class: 'number'}, `${(100 * Math.exp(logprob)).toPrecision(3)} %`)));
  return make('details', {}, make('summary', {}, what), make('table', {}, make('tbody', {}, rows)));
}

function draw(drawn, judge, open) {
  const counted = drawn.tokens[1] === null ? '' : ` · ${drawn.tokens[1]} tokens`;
  const who = judge ? 'the judge' : drawn.name === 'again' ? 'asked again' : `response ${drawn.name}`;
  return make('details', {open},
    make('summary', {}, `${who} · ${drawn.finish}${counted} · ${drawn.seconds.toPrecision(2)} s`),
    drawn.reasoning ? make('details', {}, make('summary', {}, drawn.finish === 'filter' ? 'Text before or instead of the answer' : 'Reasoning'), written(drawn.reasoning)) : null,
    drawn.text ? written(drawn.text) : drawn.likelihoods ? null : make('i', {}, 'empty text'),
    drawn.media ? drawn.media.map((key, i) => medium(key, `medium ${i + 1} of the response`)) : null,
    drawn.likelihoods ? alternatives('Likelihoods', drawn.likelihoods) : null,
    drawn.alternatives ? alternatives('First token', drawn.alternatives) : null);
}

function message([role, parts]) {
  return make('div', {class: 'message'}, role ? make('h6', {}, role) : null, parts.map(part => {
    if (typeof part === 'string') return written(part);
    const [[kind, key]] = Object.entries(part);
    return medium(key, `${kind} in the prompt`);
  }));
}

function prompt(request) {
  const settings = Object.entries(request.settings).filter(([, value]) => words(value) !== '[]' && value !== 0);
  return make('details', {class: 'prompt'},
    make('summary', {}, request.judge ? 'Prompt to the judge' : 'Prompt'),
    facts(settings.map(([name, value]) => [name.replaceAll('_', ' '), words(value)])),
    request.messages.map(message));
}

// The answers of one run, in a column.
function answered(name, answer, requests) {
  if (!answer) return make('section', {class: 'run'}, make('h4', {}, plain(name)), badge(''));
  const details = Object.entries(answer.detail).map(([key, value]) => [key, words(value)]);
  const readings = Object.entries(answer.readings).filter(([, finals]) => finals.length);
  const failure = answer.boundary ? `failed at the ${answer.boundary}: ` : '';
  return make('section', {class: 'run'},
    make('h4', {}, make('bdi', {}, plain(name)), ' ', badge(answer.outcome, answer.figure)),
    answer.error ? make('p', {class: 'error'}, plain(failure + answer.error)) : null,
    readings.map(([reader, finals]) => reading(reader, finals, answer.graded)),
    answer.steps ? alignment(answer.steps) : null,
    details.length ? facts(details) : null,
    answer.draws.map((draws, i) => [
      prompt(requests[i]),
      draws.map((drawn, j) => draw(drawn, requests[i].judge, j === 0)),
    ]).flat(2));
}

// Shows a sample in `place`. `runs`: the numbers of the runs to show side by side.
async function showSample(place, index, row, runs) {
  const [number, at] = placed(index, row);
  const [answers, prompts] = await Promise.all([piece(`a${number}`), piece(`p${number}`)]);
  const sample = answers[at];
  const line = {
    part: index.parts[index.part[row]],
    id: index.id[row],
    groups: index.group[row].map(group => index.groups[group]),
  };
  const columns = runs.map(run => answered(index.runs[run], sample.runs[run], prompts[at][run]));
  place.replaceChildren(
    make('div', {class: 'question'}, question(sample, line)),
    make('div', {class: columns.length > 1 ? 'runs two' : 'runs'}, columns));
  place.scrollTop = 0;
}
