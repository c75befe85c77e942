// The list of samples: those of a source that pass the filters. It is virtual: it has elements for the visible rows.
// What is selected stays selected while it is in the list; then the first sample of the list is.

const ROW = 54;  // height of a row in pixels, as in page.css
const AIR = 12;  // rows that are drawn above and below the visible ones
const TALLEST = 15_000_000;  // pixels; browsers draw nothing in an element that is taller than about 16 million

class Samples {
  constructor(source, filters, list, place, found) {
    Object.assign(this, {source, filters, list, place, found});
    this.spacer = document.getElementById('spacer');
    this.rows = document.getElementById('rows');
    this.count = 0;  // how many samples pass the filters
    this.at = -1;  // the place of the selected one among them
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

  async filter() {
    const search = ++this.search, {faults, ...words} = parsed(this.filters.search);
    const {part, group, outcome, disagreement, order, runs} = this.filters;
    this.fault = faults.length ? `; not understood: ${faults.join('; ')}` : '';
    await this.source.find({part, group, outcome, disagreement, order, runs, ...words}, this.current, async found => {
      if (search === this.search) await this.show(found);
      return search === this.search;
    });
  }

  // Lists what was found. `unfinished`: whether the search goes on; `note`: how far it is.
  async show({count, total, at, unfinished, note = ' so far'}) {
    this.count = count;
    const moved = at < 0 && (!unfinished || (this.current === undefined && count > 0));
    this.at = moved && count ? 0 : at;
    this.spacer.style.height = `${Math.min(count * ROW, TALLEST)}px`;
    const [some, all] = [count, total].map(number => number.toLocaleString('en'));
    this.found.textContent = `${some} of ${all} samples${unfinished ? note : this.fault}`;
    if (moved) this.list.scrollTop = 0;
    this.draw();
    if (moved) await this.look(location.hash.startsWith('#sample='));
  }

  // The place of the row at the top of what is visible. In a list that is too tall for a browser, a pixel of the
  // scroll bar is more than a pixel of the list.
  top() {
    const room = this.spacer.clientHeight - this.list.clientHeight;
    const all = this.count * ROW - this.list.clientHeight;
    return room > 0 ? (this.list.scrollTop * Math.max(1, all / room)) / ROW : 0;
  }

  // Scrolls so that the row at a place is at the top of what is visible.
  scroll(place) {
    const room = this.spacer.clientHeight - this.list.clientHeight;
    const all = this.count * ROW - this.list.clientHeight;
    this.list.scrollTop = all > 0 ? place * ROW * Math.min(1, room / all) : 0;
  }

  draw() {
    const top = this.top(), first = Math.max(0, Math.floor(top) - AIR);
    const last = Math.min(this.count, Math.ceil(top + this.list.clientHeight / ROW) + AIR);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(this.row(place));
    this.rows.style.transform = `translateY(${this.list.scrollTop - (top - first) * ROW}px)`;
    this.rows.replaceChildren(...rows);
    const active = this.at >= first && this.at < last;
    if (active) this.list.setAttribute('aria-activedescendant', `row-${this.at}`);
    else this.list.removeAttribute('aria-activedescendant');
  }

  row(place) {
    const {runs} = this.source, sample = this.source.row(place);
    const row = make('div', {
      role: 'option', id: `row-${place}`, 'data-place': place, 'aria-selected': String(place === this.at),
      'aria-posinset': place + 1, 'aria-setsize': this.count, 'aria-busy': !sample && 'true',
    });
    if (!sample) return row;  // a server has not sent it yet
    const outcomes = sample.outcomes.map((outcome, run) => {
      const verdict = [outcome || 'not run', sample.figures[run]].filter(Boolean).join(', ');
      return make('span', {class: `dot ${outcome}`, title: `${line(runs[run])}: ${verdict}`},
        make('span', {class: 'unseen'}, `${verdict} `));
    });
    const values = sample.values.filter(Boolean).map(line).join(' · ');
    row.append(
      make('span', {class: 'dots'}, outcomes),
      make('bdi', {class: 'id', title: line(sample.id)}, shortened(line(sample.id))),
      make('bdi', {class: 'answer'}, values),
      make('bdi', {class: 'snippet'}, line(sample.question || sample.part)));
    return row;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const moves = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (event.key === 'Enter' && this.at >= 0) this.place.focus();
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.select(Math.min(this.count - 1, Math.max(0, this.at + moves[event.key])));
  }

  // Selects a row of the list and shows its sample. `reveal`: scrolls to the sample on a narrow page, where it
  // is below the list.
  async select(place, reveal = false) {
    if (place < 0 || place >= this.count) return;
    this.at = place;
    const top = this.top(), fitting = this.list.clientHeight / ROW;
    if (place < top) this.scroll(place);
    else if (place + 1 > top + fitting) this.scroll(place + 1 - fitting);
    this.draw();
    await this.look();
    if (reveal && getComputedStyle(this.place.parentElement).display !== 'grid') this.place.scrollIntoView();
  }

  // Shows the selected sample. `named`: the address names it from now on. Until it is there, the one before is shown
  // as busy, so that nobody takes it for the selected one.
  async look(named = true) {
    const turn = ++this.turn;
    this.place.setAttribute('aria-busy', 'true');
    try {
      await this.fill(turn, named);
    } finally {
      if (turn === this.turn) this.place.removeAttribute('aria-busy');
    }
  }

  async fill(turn, named) {
    if (this.at < 0) {
      this.current = undefined;
      this.place.replaceChildren(make('p', {class: 'remark'}, 'No sample passes the filters.'));
      return;
    }
    const sample = await this.source.fetched(this.at);
    if (turn !== this.turn || !sample) return;
    this.current = sample.key;
    const nodes = await sampleNodes(this.source, sample, this.runs_of(sample));
    if (turn !== this.turn) return;
    this.place.replaceChildren(...nodes);
    this.place.scrollTop = 0;
    const name = [sample.part, sample.id];
    if (named) history.replaceState(null, '', `#sample=${name.map(encodeURIComponent).join('/')}`);
  }

  // The runs whose answers are shown: those that are chosen, others in place of those without the sample.
  runs_of(sample) {
    const chosen = this.filters.runs, has = run => sample.outcomes[run] !== '';
    const others = sample.outcomes.map((_, run) => run).filter(run => has(run) && !chosen.includes(run));
    const shown = chosen.map(run => (has(run) ? run : others.shift() ?? run));
    return this.filters.every ? [...shown, ...others] : shown;
  }

  // Selects the sample that the address names; returns whether it names one that is in the list.
  async named_in(address) {
    const [part, id] = (address.match(/^#sample=([^/]*)\/(.*)$/) ?? []).slice(1).map(decodeURIComponent);
    const place = id === undefined ? -1 : await this.source.place(part, id);
    if (place >= 0) await this.select(place, true);
    return place >= 0;
  }
}

// A long id without its middle, because ids differ at their ends.
function shortened(id, most = 28) {
  const letters = [...id], first = Math.floor(most / 3) + 1;
  if (letters.length <= most) return id;
  return `${letters.slice(0, first).join('')}…${letters.slice(first + 1 - most).join('')}`;
}
