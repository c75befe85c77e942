// The search box: filters such as outcome:wrong or tokens>500, and a text.

const TEXTS = ['benchmark', 'group', 'id', 'question', 'outcome', 'answer', 'error', 'left', 'right'];
const NUMBERS = ['score', 'tokens', 'seconds'];
const TERM = /(-?)\b([a-z]+)(:|[<>]=?|=)("[^"]*"|\S+)/gi;

// A search as {filters: [{name, sign, value, reverse}], text: what is left to look for, faults: what is not understood}.
function parsed(search) {
  const filters = [], faults = [];
  const text = search.replace(TERM, (term, minus, typed, sign, value) => {
    const name = typed.toLowerCase(), equal = sign === ':' || sign === '=';
    if (equal && TEXTS.includes(name)) {
      filters.push({name, sign: ':', value: value.replace(/^"(.*)"$/, '$1').toLowerCase(), reverse: Boolean(minus)});
    } else if (NUMBERS.includes(name)) {
      const number = Number(value), kind = equal ? '=' : sign;
      if (Number.isNaN(number)) faults.push(`${name}${kind}${value}: ${value} is not a number`);
      else filters.push({name, sign: kind, value: number, reverse: Boolean(minus)});
    } else return term;
    return '';
  });
  return {filters, faults, text: text.trim().replace(/\s+/g, ' ').replace(/^"(.*)"$/, '$1').toLowerCase()};
}
