// The search box: filters such as outcome:wrong or tokens>500, and a text.

// The texts of a row that a filter NAME:TEXT looks into. `run`: filters on runs look at those that are shown.
const TEXTS = {
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
const NUMBERS = ['score', 'tokens', 'seconds'];
const SIGNS_OF = {
  '<': (a, b) => a < b, '<=': (a, b) => a <= b, '>': (a, b) => a > b, '>=': (a, b) => a >= b, '=': (a, b) => a === b,
};
const TERM = /(-?)\b([a-z]+)(:|[<>]=?|=)("[^"]*"|\S+)/gi;

// A search as {filters: functions of (index, row, runs), text: what is left to look for, faults: what is not understood}.
function parsed(search) {
  const filters = [], faults = [];
  const text = search.replace(TERM, (term, minus, typed, sign, value) => {
    const name = typed.toLowerCase();
    const equal = sign === ':' || sign === '=';
    const filter = (equal && text_filter(name, value)) || number_filter(name, equal ? '=' : sign, value);
    if (!filter) return term;
    if (typeof filter === 'string') faults.push(filter);
    else filters.push(minus ? (...of) => !filter(...of) : filter);
    return '';
  });
  return {filters, faults, text: text.trim().replace(/\s+/g, ' ').replace(/^"(.*)"$/, '$1').toLowerCase()};
}

function text_filter(name, value) {
  if (!Object.hasOwn(TEXTS, name)) return null;
  const wanted = value.replace(/^"(.*)"$/, '$1').toLowerCase();
  return (index, row, runs) => TEXTS[name](index, row, runs).some(text => text.toLowerCase().includes(wanted));
}

function number_filter(name, sign, value) {
  if (!NUMBERS.includes(name)) return null;
  const bound = Number(value);
  if (value === '' || Number.isNaN(bound)) return `${name}${sign}${value}: ${value} is not a number`;
  return (index, row, runs) => runs.some(run => {
    const number = index[name][row][run];
    return number !== null && SIGNS_OF[sign](number, bound);
  });
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
    const compare = new Intl.Collator('en', {numeric: true}).compare;
    return rows.sort((a, b) => compare(index.id[a], index.id[b]) || a - b);
  }
  if (!Object.hasOwn(ORDERS, order)) return rows;
  const keys = new Map(rows.map(row => [row, ORDERS[order](index, row, runs) ?? Infinity]));
  return rows.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : keys.get(a) - keys.get(b)));
}
