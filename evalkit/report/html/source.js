// The samples in the page itself: its index has a column for each property of a sample, and its pieces have the rest.
// A server (served.js) answers the same questions.

// The texts of a row that a filter NAME:TEXT looks into. `run`: filters on runs look at those that are shown.
const TEXTS_OF = {
  benchmark: (index, row) => [index.parts[index.part[row]]],
  group: (index, row) => index.group[row].map(group => index.groups[group]),
  id: (index, row) => [index.id[row]],
  question: (index, row) => [index.question[row]],
  outcome: (index, row, runs) => runs.map(run => index.outcomes[index.outcome[row][run]]),
  answer: (index, row, runs) => runs.map(run => index.value[row][run]),
  error: (index, row, runs) => runs.map(run => index.error[row][run]),
  left: (index, row, runs) => [index.outcomes[index.outcome[row][runs[0]]]],
  right: (index, row, runs) => [index.outcomes[index.outcome[row][runs[1] ?? runs[0]]]],
};
const SIGNS_OF = {
  '<': (a, b) => a < b, '<=': (a, b) => a <= b, '>': (a, b) => a > b, '>=': (a, b) => a >= b, '=': (a, b) => a === b,
};
const PAUSE = 80;  // milliseconds between two updates of the list during a search

class Embedded {
  constructor(index) {
    this.index = index;
    this.runs = index.runs;
    this.parts = index.parts;
    this.groups = index.groups;
    this.outcomes = index.outcomes.slice(1);
    this.shown = [];  // the rows of the index that were found
  }

  // Finds the samples of a query. Calls `publish` with {count, total, at, unfinished}: how many there are, of all
  // of them, and the place of the sample `current`, -1 if it is not among them; it ends when `publish` says false.
  async find(query, current, publish) {
    const {index} = this, {part, group, outcome} = query, candidates = [];
    const chosen = [
      part && index.parts.indexOf(part), group && index.groups.indexOf(group), outcome && index.outcomes.indexOf(outcome),
    ];
    const tests = query.filters.map(tested);
    for (let row = 0; row < index.id.length; row++) {
      if (this.passes(row, query, chosen) && tests.every(test => test(index, row, query.runs))) candidates.push(row);
    }
    const show = (rows, unfinished) => {
      this.shown = ordered(rows, query.order, index, query.runs);
      const at = this.shown.indexOf(current);
      return publish({count: rows.length, total: index.id.length, at, unfinished});
    };
    if (!query.text) return show(candidates, false);
    const found = new Set(candidates.filter(row => this.named(row, query.text)));
    if (!await show([...found], true)) return false;
    return this.deepen(query.text, candidates, found, show);
  }

  // Whether a row passes all filters except those of the search box.
  passes(row, {disagreement, runs}, [part, group, outcome]) {
    const {index} = this, [left, right] = runs, outcomes = index.outcome[row];
    if (part !== '' && index.part[row] !== part) return false;
    if (group !== '' && !index.group[row].includes(group)) return false;
    if (outcome !== '' && !outcomes.includes(outcome)) return false;
    if (disagreement === 'readings' && !index.disputed[row]) return false;
    const better = gap(index, row, runs);
    if (disagreement === 'left') return better > 0;
    if (disagreement === 'right') return better !== null && better < 0;
    if (disagreement !== 'runs') return true;
    const differ = [outcomes, index.figure[row]].some(values => values[left] !== values[right ?? left]);
    return differ && Boolean(outcomes[left] && outcomes[right ?? left]);
  }

  named(row, text) {
    const {index} = this;
    return [index.id[row], index.question[row], ...index.value[row]].join('\n').toLowerCase().includes(text);
  }

  // Searches the texts of the candidates that are not found yet, piece by piece.
  async deepen(text, candidates, found, show) {
    const pieces = new Map(), sorted = () => [...found].sort((a, b) => a - b);
    for (const row of candidates) {
      if (found.has(row)) continue;
      const [number, at] = placed(this.index, row);
      if (!pieces.has(number)) pieces.set(number, []);
      pieces.get(number).push([row, at]);
    }
    let shown = performance.now();
    for (const [number, rows] of pieces) {
      const answers = await unpack(`a${number}`);
      for (const [row, at] of rows) {
        if (texts(answers[at]).some(one => one.toLowerCase().includes(text))) found.add(row);
      }
      if (performance.now() - shown > PAUSE) {
        if (!await show(sorted(), true)) return false;
        shown = performance.now();
        await new Promise(resolve => setTimeout(resolve));
      }
    }
    return show(sorted(), false);
  }

  // What the list shows of the sample at a place of what was found; `key` tells it from all others.
  row(place) {
    const {index} = this, key = this.shown[place];
    return {
      key, id: index.id[key], part: index.parts[index.part[key]], question: index.question[key],
      groups: index.group[key].map(group => index.groups[group]),
      outcomes: index.outcome[key].map(outcome => index.outcomes[outcome]),
      values: index.value[key], figures: index.figure[key],
    };
  }

  // The same, when it must be there.
  async fetched(place) {
    return this.row(place);
  }

  // The place of a sample, by its benchmark and id; -1 if it was not found.
  async place(part, id) {
    const {index} = this;
    return this.shown.indexOf(index.id.findIndex((name, i) => name === id && index.parts[index.part[i]] === part));
  }

  // {answers, prompts} of a sample.
  async sample({key}) {
    const [number, at] = placed(this.index, key);
    const [answers, prompts] = await Promise.all([piece(`a${number}`), piece(`p${number}`)]);
    return {answers: answers[at], prompts: prompts[at]};
  }
}

// A filter of the search box as a function of (index, row, runs).
function tested({name, sign, value, reverse}) {
  const test = sign === ':'
    ? (index, row, runs) => TEXTS_OF[name](index, row, runs).some(text => text.toLowerCase().includes(value))
    : (index, row, runs) => runs.some(run => {
      const number = index[name][row][run];
      return number !== null && SIGNS_OF[sign](number, value);
    });
  return reverse ? (...of) => !test(...of) : test;
}

// The texts that a search covers, in all depths: without verdicts, names and the keys of pictures.
const UNSEARCHED = new Set(
  ['media', 'tokens', 'seconds', 'alternatives', 'steps', 'outcome', 'figure', 'name', 'finish']);

function texts(value) {
  if (typeof value === 'string') return [value];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]) => (UNSEARCHED.has(key) ? [] : texts(inner)));
}

// The orders of the list: a number of each row by which it comes earlier, in the shown runs; null comes last.
const ORDERS = {
  worst: (index, row, [left]) => index.merit[row][left],
  best: (index, row, [left]) => negative(index.merit[row][left]),
  left: (index, row, runs) => negative(gap(index, row, runs)),
  right: (index, row, runs) => gap(index, row, runs),
  long: (index, row, [left]) => negative(index.tokens[row][left]),
  short: (index, row, [left]) => index.tokens[row][left],
  slow: (index, row, [left]) => negative(index.seconds[row][left]),
};

function negative(number) {
  return number === null ? null : -number;
}

// By how much the left run is better than the right one; null if one of them has no figure.
function gap(index, row, [left, right]) {
  const [a, b] = [index.merit[row][left], index.merit[row][right ?? left]];
  return a === null || b === null ? null : a - b;
}

// Puts rows, which are in the order of the data, into the order that is wanted.
function ordered(rows, order, index, runs) {
  if (order === 'id') {
    const keys = new Map(rows.map(row => [row, natural(index.id[row])]));
    return rows.sort((a, b) => compared(keys.get(a), keys.get(b)) || a - b);
  }
  if (!Object.hasOwn(ORDERS, order)) return rows;
  const keys = new Map(rows.map(row => [row, ORDERS[order](index, row, runs) ?? Infinity]));
  return rows.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : keys.get(a) - keys.get(b)));
}

// A key for names in natural order: 4096 before 16384, and numbers before other texts. Case only breaks ties.
function natural(name) {
  const parts = name.split(/([0-9]{1,18})/).map((part, i) => [i % 2 ? 0 : 1, part]).filter(([, part]) => part);
  return [...parts.map(([kind, part]) => (kind ? [1, part.toLowerCase()] : [0, BigInt(part)])), [-1, name]];
}

function compared(one, other) {
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    for (const j of [0, 1]) {
      if (one[i][j] !== other[i][j]) return one[i][j] < other[i][j] ? -1 : 1;
    }
  }
  return one.length - other.length;
}
