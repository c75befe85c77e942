// The samples at the server of `evalkit view`, which answers the questions of source.js, and a page that follows its
// runs while they go on.

const BLOCK = 100;  // lines that are asked for at once
const BLOCKS = 40;  // the highest number of them that is kept
const EVERY = 2000;  // milliseconds between two looks at a run that goes on
const REST = 10;  // the report reads all samples, so making it may take a tenth of the time

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

class Served {
  static async open(address) {
    const source = new Served(address);
    Object.assign(source, await source.ask('state.json'));
    return source;
  }

  constructor(address) {
    this.address = address;
    this.blocks = new Map();  // promises of lines by the number of their block, and then the lines
    this.before = new Map();
    this.kinds = new Map();  // the types of the pictures and clips of samples, by their keys
    this.draw = () => {};
    this.chosen = () => undefined;
    this.fail = () => {};
    view.medium = key => ({kind: this.kinds.get(key), source: `${address}media/${encodeURIComponent(key)}`});
  }

  async ask(what, parameters = {}) {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const response = await fetch(`${this.address}${what}?${new URLSearchParams(given)}`);
    const found = await response.json();
    if (!response.ok) throw new Error(found?.error ?? `the server answered with ${response.status}`);
    return found;
  }

  // As for `Embedded`. While the server makes its index, it is asked again, and what it finds is published later.
  async find(query, current, publish) {
    const again = JSON.stringify(query) === JSON.stringify(this.query);
    this.query = query;
    if (!await this.once(query, current, publish, again)) return false;
    if (!this.settled) this.go_on(query, publish).catch(error => this.fail(error));
    return true;
  }

  async once(query, current, publish, again) {
    const found = await this.ask('find', {query: JSON.stringify(query), current});
    if (this.query !== query) return false;
    this.take(found.result, again ? this.blocks : new Map());
    this.settled = found.settled;
    const {done, of} = found.indexed, share = of ? Math.floor((100 * (done ?? 0)) / of) : 0;
    const note = ` so far; indexing ${query.text ? 'texts ' : ''}${Math.min(share, 99)} %`;
    return publish({...found, unfinished: !found.settled, note});
  }

  async go_on(query, publish) {
    for (let took = 0; !this.settled && this.query === query;) {
      await pause(Math.max(500, 4 * took));
      const begun = performance.now();
      if (this.query !== query || !await this.once(query, this.chosen(), publish, true)) return;
      took = performance.now() - begun;
    }
  }

  // Shows another result. `before`: lines that are shown until its own have come.
  take(result, before) {
    if (result === this.result) return;
    this.result = result;
    this.before = before;
    this.blocks = new Map();
  }

  // A line if it is there; else it is drawn when it has come.
  row(place) {
    const number = Math.floor(place / BLOCK), block = this.blocks.get(number), before = this.before.get(number);
    if (Array.isArray(block)) return block[place % BLOCK] ?? null;
    if (!block) this.fetched(place).then(() => this.draw(), () => {});
    return Array.isArray(before) ? before[place % BLOCK] ?? null : null;
  }

  async fetched(place) {
    const number = Math.floor(place / BLOCK), {blocks, result} = this;
    if (!blocks.has(number)) {
      blocks.set(number, this.ask('lines', {result, from: number * BLOCK, to: (number + 1) * BLOCK}));
      if (blocks.size > BLOCKS) blocks.delete(blocks.keys().next().value);
    }
    const lines = await blocks.get(number);
    if (blocks.has(number)) blocks.set(number, lines);
    return lines[place % BLOCK] ?? null;
  }

  async place(part, id) {
    const current = await this.ask('line', {part, id});
    if (current === null) return -1;
    const {at, result} = await this.ask('find', {query: JSON.stringify(this.query), current});
    this.take(result, this.blocks);
    return at;
  }

  async sample({key}) {
    const found = await this.ask('sample', {key});
    for (const [medium, kind] of Object.entries(found.media)) this.kinds.set(medium, kind);
    return found;
  }

  // Says where its lines are shown, and which is selected.
  serve(samples) {
    this.draw = () => samples.draw();
    this.chosen = () => samples.current;
  }

  // Keeps the page up to date from now on.
  follow(samples, choices) {
    const follower = new Follower(this, samples, choices);
    this.fail = error => follower.say(`The server does not answer: ${error.message}`);
    follower.run();
  }
}

class Follower {
  constructor(source, samples, choices) {
    Object.assign(this, {source, samples, choices});
    this.start = location.hash;
    this.version = source.version;
    this.whole = !document.querySelector('[data-partial]');
    this.next = 0;  // when the report may be made again
  }

  async run() {
    const {source} = this;
    for (let first = true; first || source.going || !source.listed || !this.whole; first = false) {
      if (!first) await pause(EVERY);
      if (document.hidden) {
        await new Promise(resolve => document.addEventListener('visibilitychange', resolve, {once: true}));
      }
      try {
        await this.look();
      } catch (error) {
        this.say(`The server does not answer: ${error.message}`);
      }
    }
  }

  async look() {
    const {source, samples} = this, before = source.going;
    Object.assign(source, await source.ask('state.json'));
    this.choices();
    this.show();
    if (source.version !== this.version && source.settled) await this.refresh();
    if (source.listed && this.start.startsWith('#sample=')) {
      const start = this.start;
      this.start = '';
      if (location.hash === start || location.hash === '') await samples.named_in(start);
    }
    const ended = before && !source.going, changed = source.version !== this.reported;
    if (!this.whole || ended || (source.going && changed && performance.now() > this.next)) await this.report();
  }

  // Finds again, so that what one reads stays where it is.
  async refresh() {
    const {samples, source} = this, was = samples.at, top = samples.top();
    this.version = source.version;
    await samples.filter();
    if (was >= 0 && samples.at >= 0 && samples.at !== was) samples.scroll(top + samples.at - was);
  }

  // Puts the tables and charts of all samples so far into the page.
  async report() {
    const begun = performance.now();
    this.reported = this.source.version;
    const response = await fetch(`${this.source.address}report.html`);
    const text = await response.text();
    if (!response.ok) throw new Error(JSON.parse(text).error);
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    for (const id of ['results', 'charts', 'breakdowns', 'provenance']) this.replace(id, fresh.getElementById(id));
    document.querySelector('.top nav').replaceWith(fresh.querySelector('.top nav'));
    document.querySelector('[data-partial]')?.removeAttribute('data-partial');
    this.whole = true;
    this.next = performance.now() + Math.max(EVERY, REST * (performance.now() - begun));
  }

  replace(id, fresh) {
    const old = document.getElementById(id);
    if (!fresh) return;
    dressed(fresh);
    const open = old ? [...old.querySelectorAll('details[open] > summary')].map(one => one.textContent) : [];
    for (const one of fresh.querySelectorAll('details > summary')) {
      if (open.includes(one.textContent)) one.parentElement.open = true;
    }
    if (old) old.replaceWith(fresh);
    else document.getElementById('samples').before(fresh);
  }

  // How far the runs are, and what failed last.
  show() {
    const {going, counts, failures, figures, runs, fault} = this.source;
    const place = document.getElementById('live');
    place.hidden = !going;
    const several = runs.length > 1, named = Object.values(figures);
    place.replaceChildren(
      make('h2', {}, 'Going on'),
      make('ul', {}, counts.filter(one => one.wanted === null || one.done < one.wanted).map(one => {
        const of = one.wanted === null ? '' : ` of ${one.wanted.toLocaleString('en')}`;
        const outcomes = Object.entries(one.outcomes).map(([name, count]) => `${count.toLocaleString('en')} ${name}`);
        const figure = named[one.run]?.[one.part];
        const texts = [`${one.done.toLocaleString('en')}${of} samples`, ...outcomes, figure && `${figure} so far`];
        return make('li', {}, make('bdi', {}, several ? `${runs[one.run]}, ${one.part}` : one.part), ': ',
          texts.filter(Boolean).join(' · '));
      })),
      ...(failures.length ? [make('h3', {}, 'Failed last'), make('ul', {}, failures.map(one => make('li', {},
        make('a', {href: `#sample=${[one.part, one.id].map(encodeURIComponent).join('/')}`}, line(one.id)), ': ',
        make('bdi', {class: 'error'}, line(one.error)))))] : []));
    this.say(fault && `The samples cannot be read further: ${fault}`);
  }

  say(text) {
    const place = document.getElementById('trouble');
    place.textContent = text;
    place.hidden = !text;
  }
}
