// Sets up the samples: the filters, the list.

function options(select, names, values = names) {
  const known = new Set([...select.options].map(option => option.value));
  const fresh = names.map((name, i) => [String(values[i]), name]).filter(([value]) => !known.has(value));
  select.append(...fresh.map(([value, name]) => make('option', {value}, line(name))));
}

// The keys of the whole page, and the dialog that explains them.
function keys(dialog, button, search) {
  button.addEventListener('click', () => dialog.showModal());
  dialog.querySelector('button').addEventListener('click', () => dialog.close());
  document.addEventListener('keydown', event => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName);
    if (typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/') search.focus();
    else if (event.key === '?') dialog.showModal();
    else return;
    event.preventDefault();
  });
}

// Sets the filters to the samples behind a figure, if the address names one: `#samples=benchmark/run`.
function figured(address, source, field, several) {
  const [part, run] = (address.match(/^#samples=([^/]*)\/(.*)$/) ?? []).slice(1).map(decodeURIComponent);
  const left = source.runs.indexOf(run);
  if (!source.parts.includes(part)) return false;
  for (const name of ['search', 'group', 'outcome', 'disagreement']) field(name).value = '';
  field('part').value = part;
  if (several && left >= 0) {
    if (Number(field('right').value) === left) field('right').value = field('left').value;
    field('left').value = String(left);
  }
  return true;
}

async function browse() {
  const form = document.getElementById('filters');
  if (!form) return;
  const {address} = form.dataset;
  const source = address ? await Served.open(address) : new Embedded(await unpack('index'));
  const field = name => document.getElementById(name);
  const choices = () => {
    for (const name of ['part', 'group', 'outcome']) options(field(name), source[`${name}s`]);
  };
  choices();
  const several = Boolean(field('left'));
  if (several) {
    for (const side of ['left', 'right']) options(field(side), source.runs, [...source.runs.keys()]);
    field('right').value = '1';
    field('every').closest('label').hidden = source.runs.length < 3;
  }
  const filters = {
    get search() { return field('search').value; },
    get part() { return field('part').value; },
    get group() { return field('group').value; },
    get outcome() { return field('outcome').value; },
    get disagreement() { return field('disagreement').value; },
    get order() { return field('order').value; },
    get every() { return several && field('every').checked; },
    get runs() { return several ? [...new Set([Number(field('left').value), Number(field('right').value)])] : [0]; },
  };
  const samples = new Samples(source, filters, field('list'), field('sample'), field('found'));
  source.serve?.(samples);
  form.hidden = false;
  field('list').closest('.browser').hidden = false;
  let due = 0;
  field('search').addEventListener('input', () => {
    clearTimeout(due);
    due = setTimeout(() => samples.filter(), 150);
  });
  for (const name of ['part', 'group', 'outcome', 'disagreement', 'order']) {
    field(name).addEventListener('change', () => samples.filter());
  }
  for (const name of several ? ['left', 'right', 'every'] : []) {
    field(name).addEventListener('change', async () => { await samples.filter(); await samples.look(); });
  }
  field('rendered').addEventListener('change', () => {
    view.rendered = field('rendered').checked;
    samples.look();
  });
  form.addEventListener('submit', event => event.preventDefault());
  keys(field('keys'), field('help'), field('search'));
  const start = location.hash;
  await samples.filter();
  const follow = async where => {
    if (figured(where, source, field, several)) {
      await samples.filter();
      document.getElementById('samples').scrollIntoView();
    } else await samples.named_in(where);
  };
  addEventListener('hashchange', () => follow(location.hash));
  await follow(start);
  source.follow?.(samples, choices);
  document.documentElement.dataset.ready = 'yes';
}

browse().catch(error => {
  const place = document.getElementById('samples');
  place.append(make('p', {class: 'error', role: 'alert'}, `The samples cannot be shown: ${error.message}`));
  throw error;
});
