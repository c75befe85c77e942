// Sorts the rows of tables: each column heading becomes a button. It needs nothing of the page's other scripts.

const NUMBER = /^[<>≤≥≈~]?\s*[$€£]?([+−-]?(?:\d[\d,]*)?\.?\d+(?:e[+−-]?\d+)?)(?![\w-])/i, NEXT = {ascending: 'descending', descending: ''};
const MISSING = new Set(['', '—', '–', '-', '…']);

// Makes the tables in `root` sortable that have a head of one row and no cell over several rows.
function sortable(root) {
  for (const table of root.querySelectorAll('table')) {
    const body = table.tBodies[0];
    if (table.tHead?.rows.length !== 1 || !body || table.querySelector('[rowspan]')) continue;
    const asWritten = [...body.rows];
    for (const heading of table.tHead.rows[0].cells) {
      if (!heading.textContent.trim()) continue;
      const button = document.createElement('button');
      Object.assign(button, {type: 'button', className: 'sort', title: 'Sort by this column'});
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener('click', () => sortBy(heading, body, asWritten));
    }
  }
}

// Sorts by a column: up, at the second click down, at the third as written. Rows stay in their sections.
function sortBy(heading, body, asWritten) {
  const sorted = heading.getAttribute('aria-sort'), order = sorted ? NEXT[sorted] : 'ascending';
  for (const other of heading.parentElement.cells) other.removeAttribute('aria-sort');
  if (order) heading.setAttribute('aria-sort', order);
  const sections = [[]];
  for (const row of asWritten) {
    if (row.cells.length === 1 && row.cells[0].colSpan > 1) sections.push([]);
    sections.at(-1).push(row);
  }
  const upward = order === 'descending' ? -1 : 1;
  body.append(...sections.flatMap(rows => {
    const head = rows.filter(row => row.cells.length === 1), others = rows.filter(row => row.cells.length > 1);
    const keys = new Map(others.map(row => [row, sortKey(row.cells[heading.cellIndex])]));
    const compared = (a, b) => compareKeys(keys.get(a), keys.get(b), upward);
    return order ? [...head, ...others.sort(compared)] : rows;
  }));
}

// What a cell is sorted by: [its kind, its value]. Kinds: 0 for a number, 1 for a text, 2 for nothing.
function sortKey(cell) {
  const copy = cell?.cloneNode(true);
  copy?.querySelectorAll('sup, .line, .unseen').forEach(mark => mark.remove());
  const text = (copy?.dataset.sort ?? copy?.textContent ?? '').trim(), number = text.match(NUMBER);
  if (MISSING.has(text)) return [2, ''];
  return number ? [0, Number(number[1].replaceAll(',', '').replaceAll('−', '-'))] : [1, text];
}

// Numbers come before texts, and these before nothing, in both directions.
function compareKeys([kind, value], [otherKind, otherValue], upward) {
  if (kind !== otherKind) return kind - otherKind;
  return upward * (kind ? value.localeCompare(otherValue, 'en', {numeric: true}) : value - otherValue);
}
