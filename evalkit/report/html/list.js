// The list of samples. It is filtered first by the index, at once, and then by all texts, piece by piece.
// What is selected stays selected while it is in the list; then the first sample of the list is.

const ROW = 54;  // height of a row in pixels, as in page.css
const AIR = 12;  // rows that are drawn above and below the visible ones
const PAUSE = 80;  // milliseconds between two updates of the list during a search

class Samples {
  constructor(index, filters, list, place, found) {
    Object.assign(this, {index, filters, list, place, found});
    this.spacer = document.getElementById('spacer');
    this.rows = document.getElementById('rows');
    this.shown = [];  // the rows of the index that pass the filters
    this.at = -1;  // the position in `shown` of the selected one
    this.search = 0;  // the number of the latest search, so that an older one stops
    this.turn = 0;  // the number of the latest sample that is to be shown, so that an older one is not
    list.addEventListener('scroll', () => this.draw(), {passive: true});
    list.addEventListener('keydown', event => this.key(event));
    list.addEventListener('click', event => {
      const row = event.target.closest('[role=option]');
      if (row) this.select(Number(row.dataset.place), true);
    });
    new ResizeObserver(() => this.draw()).observe(list);
  }

  // Whether a row passes all filters except the search.
  passes(row) {
    const {index, filters} = this, {part, group, outcome, disagreement} = filters;
    if (part !== '' && index.part[row] !== Number(part)) return false;
    if (group !== '' && !index.group[row].includes(Number(group))) return false;
    const outcomes = index.outcome[row];
    if (outcome !== '' && !outcomes.includes(Number(outcome))) return false;
    if (disagreement === 'readings' && !index.disputed[row]) return false;
    const [left, right] = filters.runs;
    const better = gap(index, row, [left, right]);
    if (disagreement === 'left') return better > 0;
    if (disagreement === 'right') return better !== null && better < 0;
    if (disagreement !== 'runs') return true;
    const differ = [outcomes, index.figure[row]].some(values => values[left] !== values[right]);
    return differ && Boolean(outcomes[left] && outcomes[right]);
  }

  named(row, text) {
    const {index} = this;
    return [index.id[row], index.question[row], ...index.value[row]].join('\n').toLowerCase().includes(text);
  }

  async filter() {
    const search = ++this.search, {filters, faults, text} = parsed(this.filters.search);
    const runs = this.filters.runs, candidates = [];
    this.fault = faults.length ? `; not understood: ${faults.join('; ')}` : '';
    for (let row = 0; row < this.index.id.length; row++) {
      if (this.passes(row) && filters.every(filter => filter(this.index, row, runs))) candidates.push(row);
    }
    if (!text) return this.show(candidates);
    const found = new Set(candidates.filter(row => this.named(row, text)));
    this.show([...found], true);
    await this.deepen(search, text, candidates, found);
  }

  // Searches the texts of the candidates that are not found yet.
  async deepen(search, text, candidates, found) {
    const pieces = new Map();
    for (const row of candidates) {
      if (found.has(row)) continue;
      const [number, at] = placed(this.index, row);
      if (!pieces.has(number)) pieces.set(number, []);
      pieces.get(number).push([row, at]);
    }
    let shown = performance.now();
    for (const [number, rows] of pieces) {
      const answers = await unpack(`a${number}`);
      if (search !== this.search) return;
      for (const [row, at] of rows) {
        if (JSON.stringify(answers[at], texts).toLowerCase().includes(text)) found.add(row);
      }
      if (performance.now() - shown > PAUSE) {
        this.show([...found].sort((a, b) => a - b), true);
        shown = performance.now();
        await new Promise(resolve => setTimeout(resolve));
      }
    }
    if (search === this.search) await this.show([...found].sort((a, b) => a - b));
  }

  // Lists rows, which are in the order of the data. `unfinished`: whether the search goes on.
  async show(rows, unfinished = false) {
    const current = this.current = this.shown[this.at] ?? this.current;
    this.shown = ordered(rows, this.filters.order, this.index, this.filters.runs);
    this.at = this.shown.indexOf(current);
    const moved = this.at < 0 && !unfinished;
    if (moved) this.at = this.shown.length ? 0 : -1;
    this.spacer.style.height = `${rows.length * ROW}px`;
    const every = this.index.id.length;
    const count = rows.length.toLocaleString('en'), total = every.toLocaleString('en');
    this.found.textContent = `${count} of ${total} samples${unfinished ? ' so far' : this.fault}`;
    if (moved) this.list.scrollTop = 0;
    this.draw();
    if (moved) await this.look(location.hash.startsWith('#sample='));
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - AIR);
    const last = Math.min(this.shown.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + AIR);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(this.row(place));
    this.rows.style.transform = `translateY(${first * ROW}px)`;
    this.rows.replaceChildren(...rows);
    const active = this.at >= first && this.at < last;
    if (active) this.list.setAttribute('aria-activedescendant', `row-${this.at}`);
    else this.list.removeAttribute('aria-activedescendant');
  }

  row(place) {
    const {index} = this, row = this.shown[place];
    const outcomes = index.outcome[row].map((number, run) => {
      const outcome = index.outcomes[number];
      const verdict = [outcome || 'not run', index.figure[row][run]].filter(Boolean).join(', ');
      return make('span', {class: `dot ${outcome}`, title: `${line(index.runs[run])}: ${verdict}`},
        make('span', {class: 'unseen'}, `${verdict} `));
    });
    const values = index.value[row].filter(Boolean).map(line).join(' · ');
    return make('div', {
      role: 'option', id: `row-${place}`, 'data-place': place, 'aria-selected': String(place === this.at),
      'aria-posinset': place + 1, 'aria-setsize': this.shown.length,
    },
    make('span', {class: 'dots'}, outcomes),
    make('bdi', {class: 'id', title: line(index.id[row])}, shortened(line(index.id[row]))),
    make('bdi', {class: 'answer'}, values),
    make('bdi', {class: 'snippet'}, line(index.question[row] || index.parts[index.part[row]])));
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const moves = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (event.key === 'Enter' && this.at >= 0) this.place.focus();
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.select(Math.min(this.shown.length - 1, Math.max(0, this.at + moves[event.key])));
  }

  // Selects a row of the list and shows its sample. `reveal`: scrolls to the sample on a narrow page, where it
  // is below the list.
  async select(place, reveal = false) {
    if (place < 0 || place >= this.shown.length) return;
    this.at = place;
    const top = place * ROW, bottom = top + ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) {
      this.list.scrollTop = bottom - this.list.clientHeight;
    }
    this.draw();
    await this.look();
    if (reveal && getComputedStyle(this.place.parentElement).display !== 'grid') this.place.scrollIntoView();
  }

  // Shows the selected sample. `named`: the address names it from now on.
  async look(named = true) {
    const turn = ++this.turn, row = this.shown[this.at];
    this.current = row;
    if (row === undefined) {
      this.place.replaceChildren(make('p', {class: 'remark'}, 'No sample passes the filters.'));
      return;
    }
    const nodes = await sampleNodes(this.index, row, this.runs_of(row));
    if (turn !== this.turn) return;
    this.place.replaceChildren(...nodes);
    this.place.scrollTop = 0;
    const name = [this.index.parts[this.index.part[row]], this.index.id[row]];
    if (named) history.replaceState(null, '', `#sample=${name.map(encodeURIComponent).join('/')}`);
  }

  // The runs whose answers are shown: those that are chosen, others in place of those without the sample.
  runs_of(row) {
    const chosen = this.filters.runs, has = run => this.index.outcome[row][run] > 0;
    const others = this.index.runs.map((_, run) => run).filter(run => has(run) && !chosen.includes(run));
    const shown = chosen.map(run => (has(run) ? run : others.shift() ?? run));
    return this.filters.every ? [...shown, ...others] : shown;
  }

  // Selects the sample that the address names, if it names one.
  async named_in(address) {
    const [part, id] = (address.match(/^#sample=([^/]*)\/(.*)$/) ?? []).slice(1).map(decodeURIComponent);
    const row = this.index.id.findIndex((name, i) => name === id && this.index.parts[this.index.part[i]] === part);
    if (id === undefined || row < 0) return;
    const place = this.shown.indexOf(row);
    if (place >= 0) await this.select(place, true);
  }
}

// A long id without its middle, because ids differ at their ends.
function shortened(id) {
  const letters = [...id];
  return letters.length > 28 ? `${letters.slice(0, 10).join('')}…${letters.slice(-17).join('')}` : id;
}

// For JSON.stringify: keeps the texts that a search covers, without numbers and the keys of pictures.
function texts(key, value) {
  return key === 'media' || key === 'tokens' || key === 'seconds' || key === 'alternatives' ? undefined : value;
}
