// Formulas in LaTeX as MathML, which browsers show themselves. A formula is converted as a whole or not at all: what
// is not understood stays as it is written. Elements are made one by one, and no attribute of theirs can load anything.

const MATHML = 'http://www.w3.org/1998/Math/MathML';
const LONGEST_FORMULA = 4000, DEEPEST_FORMULA = 40, APPLIED = '\u2061';
const TEX_TOKEN = /\s*(\\(?:operatorname\*|[A-Za-z]+|[\s\S])|\d+(?:\.\d+)?|\.\d+|\S?)/uy;

function element(tag, attributes, ...children) {
  const made = document.createElementNS(MATHML, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat());
  return made;
}

const operator = (text, attributes = {}) => element('mo', attributes, text);
const tight = text => operator(text, {stretchy: 'false', lspace: '0', rspace: '0'});
const fenced = text => (text === '.' ? [] : [operator(text, {stretchy: 'true', fence: 'true'})]);
const one = nodes => (nodes.length === 1 ? nodes[0] : element('mrow', {}, nodes));

// The math element of a formula with its delimiters, or of one without (`bare`); null if it is not understood.
function formula(written, bare = false) {
  const display = /^(\$\$|\\\[|\\begin)/.test(written) && !bare;
  const start = bare || /^\\(begin|boxed)/.test(written) ? 0 : written.startsWith('$$') || written.startsWith('\\') ? 2 : 1;
  const inner = written.slice(start, written.length - start);
  if (inner.length > LONGEST_FORMULA || SIGNS.test(inner.replace(/[\r\n]/g, ' '))) return null;
  try {
    const nodes = new Formula(inner).whole();
    return element('math', {dir: 'ltr', ...(display ? {display: 'block'} : {})}, nodes);
  } catch (error) {
    if (error instanceof NotUnderstood) return null;
    throw error;
  }
}

class NotUnderstood extends Error {}

class Formula {
  constructor(text, depth = 0) {
    this.text = text;
    this.at = 0;
    this.depth = depth;
    this.font = '';
  }

  whole() {
    const nodes = this.row();
    if (this.text.slice(this.at).trim()) throw new NotUnderstood();
    return nodes;
  }

  // The next token, and moves behind it; '' at the end.
  next() {
    TEX_TOKEN.lastIndex = this.at;
    const found = TEX_TOKEN.exec(this.text);
    this.at = TEX_TOKEN.lastIndex;
    return found[1].replace(/^\\\s$/, '\\ ');
  }

  peek() {
    const start = this.at, token = this.next();
    this.at = start;
    return token;
  }

  expect(token) {
    if (this.next() !== token) throw new NotUnderstood();
  }

  // The nodes up to a token that ends a row, which is left.
  row(ends = []) {
    if (++this.depth > DEEPEST_FORMULA) throw new NotUnderstood();
    let nodes = [];
    const font = this.font;
    for (let token = this.peek(); token && token !== '}' && token !== '&' && !ends.includes(token); token = this.peek()) {
      if (token === '\\\\' || token === '\\cr' || token === '\\right' || token === '\\end' || token === '\\middle') break;
      if (token === '\\over' || token === '\\choose' || token === '\\atop') {
        this.next();
        const parts = [one(nodes), one(this.row(ends))];
        const fraction = element('mfrac', token === '\\over' ? {} : {linethickness: '0'}, parts);
        nodes = token === '\\choose' ? [fenced('('), fraction, fenced(')')].flat() : [fraction];
      } else if (token === '\\displaystyle' || token === '\\textstyle') {
        this.next();
        nodes.push(element('mstyle', {displaystyle: String(token === '\\displaystyle')}, this.row(ends)));
      } else if (token === '\\rm' || token === '\\bf') {
        this.next();
        this.font = token === '\\bf' ? 'mathbf' : 'mathrm';
      } else nodes.push(...this.scripted());
    }
    this.font = font;
    this.depth--;
    return nodes;
  }

  // An atom with what stands above and below it.
  scripted() {
    let base = /^[_^']$/.test(this.peek()) ? [element('mrow', {})] : this.atom();
    let limits = base.length === 1 && base[0].limits, below, above, primes = '';
    for (;;) {
      const token = this.peek();
      if (token === '\\limits' || token === '\\nolimits') limits = token === '\\limits';
      else if (token === "'" || token === '′') primes += '′';
      else if (token === '_' && !below) { this.next(); below = this.argument(); continue; }
      else if (token === '^' && !above) { this.next(); above = this.argument(); continue; }
      else break;
      this.next();
    }
    if (primes) above = above ? element('mrow', {}, operator(primes), above) : operator(primes);
    if (!below && !above) return base;
    const applied = base.length === 2 && base[1].textContent === APPLIED ? [base.pop()] : [];
    base = one(base);
    const [both, lower, upper] = limits ? ['munderover', 'munder', 'mover'] : ['msubsup', 'msub', 'msup'];
    return [element(below && above ? both : below ? lower : upper, {}, [base, below, above].filter(Boolean)), ...applied];
  }

  // One argument: a group or an atom.
  argument() {
    if (this.peek() === '{') return one(this.group());
    const token = this.peek();
    if (/^\d./.test(token)) {  // x^12 is x^{1}2
      this.at += this.text.slice(this.at).search(/\S/) + 1;
      return element('mn', {}, token[0]);
    }
    if (!token || /^[}&_^]$/.test(token)) throw new NotUnderstood();
    return one(this.atom());
  }

  group() {
    this.expect('{');
    const nodes = this.row();
    this.expect('}');
    return nodes;
  }

  // The text of a group, as it is written.
  raw() {
    this.expect('{');
    const start = this.at;
    for (let open = 1; this.at < this.text.length; this.at++) {
      const letter = this.text[this.at];
      if (letter === '\\') this.at++;
      else if (letter === '{') open++;
      else if (letter === '}' && !--open) return this.text.slice(start, this.at++);
    }
    throw new NotUnderstood();
  }

  // What stands in square brackets, as it is written; '' if nothing does.
  option() {
    const found = /^\s*\[([^\]{}]{0,40})\]/.exec(this.text.slice(this.at, this.at + 60));
    this.at += found ? found[0].length : 0;
    return found ? found[1] : '';
  }

  atom() {
    const token = this.next();
    if (token === '{') { this.at--; return [element('mrow', {}, this.group())]; }
    if (token[0] === '\\') return this.command(token.slice(1));
    if (/^[\d.]+$/.test(token) && token !== '.') return [element('mn', {}, this.lettered(token))];
    if (token === '~') return [element('mspace', {width: '.33em'})];
    if (token === '-') return [operator('−')];
    if (/^\p{L}$/u.test(token)) {
      return [element('mi', this.font === 'mathrm' ? {mathvariant: 'normal'} : {}, this.lettered(token))];
    }
    if (/^[|/[\]()]$/.test(token)) return [tight(token)];
    if (/^[=+*<>!?,.:;"%@`]$/.test(token)) return [operator(token)];
    if (token.codePointAt(0) > 160) return [operator(token)];
    throw new NotUnderstood();
  }

  lettered(text) {
    const [upper, lower, digit, others] = TEX_FONTS[this.font] ?? [];
    return [...text].map(letter => {
      const first = /[A-Z]/.test(letter) ? [upper, 65] : /[a-z]/.test(letter) ? [lower, 97] : /\d/.test(letter) ? [digit, 48] : [];
      return others?.get(letter) ?? (first[0] ? String.fromCodePoint(first[0] + letter.charCodeAt(0) - first[1]) : letter);
    }).join('');
  }

  command(name) {
    if (TEX_LETTERS.has(name)) return [element('mi', /^[a-z]/.test(name) ? {} : {mathvariant: 'normal'}, TEX_LETTERS.get(name))];
    if (TEX_OPERATORS.has(name)) return [operator(TEX_OPERATORS.get(name), {stretchy: 'false'})];
    if (TEX_LARGE.has(name)) return [Object.assign(operator(TEX_LARGE.get(name)), {limits: !name.endsWith('int')})];
    if (TEX_FUNCTIONS.has(name)) return [element('mi', {}, name), operator(APPLIED)];
    if (TEX_LIMITS.has(name)) return [Object.assign(operator(name, {movablelimits: 'true', form: 'prefix'}), {limits: true})];
    if (TEX_SPACES.has(name) || name === ' ') return [element('mspace', {width: `${TEX_SPACES.get(name) ?? '.33'}em`})];
    if (TEX_OVER.has(name)) {
      const made = element('mover', {accent: 'true'}, this.argument(), operator(TEX_OVER.get(name), {stretchy: String(/^(over|wide)/.test(name))}));
      return [Object.assign(made, {limits: name === 'overbrace'})];
    }
    if (TEX_UNDER.has(name)) return [Object.assign(element('munder', {}, this.argument(), operator(TEX_UNDER.get(name), {stretchy: 'true'})), {limits: true})];
    if (TEX_TEXTS.has(name) && this.peek() === '{') return this.words(name);
    if (name === 'mathrm' || Object.hasOwn(TEX_FONTS, name)) {
      const font = this.font;
      this.font = name;
      const made = this.argument();
      this.font = font;
      return [made];
    }
    const key = /^[bB]igg?[lrm]?$/.test(name) ? 'big' : name;
    if (!Object.hasOwn(TEX_COMMANDS, key)) throw new NotUnderstood();
    return TEX_COMMANDS[key](this, name);
  }

  // A text in a formula, which may have formulas of its own.
  words(name) {
    const parts = this.raw().split('$');
    if (parts.length % 2 === 0) throw new NotUnderstood();
    const nodes = parts.flatMap((part, i) => {
      if (i % 2) return new Formula(part, this.depth + 1).whole();
      const text = part.replace(/\\([ $%&#_{}])/g, '$1').replace(/~|\s+/g, '\u00a0');
      if (/[\\{}]/.test(text)) throw new NotUnderstood();
      return text ? [element('mtext', name === 'textbf' ? {class: 'bold'} : {}, text)] : [];
    });
    if (name.startsWith('operatorname')) nodes.push(operator(APPLIED));
    return [Object.assign(element('mrow', {}, nodes), {limits: name === 'operatorname*'})];
  }

  delimiter() {
    const token = this.next(), text = token[0] === '\\' ? TEX_OPERATORS.get(token.slice(1)) : token;
    if (!text || !/^[.()[\]{}|/‖⌊⌋⌈⌉⟨⟩<>↑↓∖]$/.test(text)) throw new NotUnderstood();
    return text === '<' ? '⟨' : text === '>' ? '⟩' : text;
  }

  table(name) {
    const kind = name.replace('*', ''), spaced = /@\{(\\[,;: ]|~|\s)*\}/g;
    const columns = kind === 'array' ? [...(this.option(), this.raw().replace(spaced, ''))] : [];
    if (kind === 'alignedat') this.raw();
    if (/[^lcr|\s]/.test(columns.join(''))) throw new NotUnderstood();
    const sides = columns.filter(letter => /[lcr]/.test(letter));
    const lines = new Set(columns.map((letter, i) => (letter === '|' ? columns.slice(0, i).filter(one => /[lcr]/.test(one)).length : -1)));
    const side = i => (/^(align|split|eqn)/.test(kind) ? 'rl'[i % 2] : /cases/.test(kind) ? 'l' : sides[i] ?? 'c');
    const rows = [];
    for (let cells = [], ruled = null; ;) {
      while (/^\\[hc]line$/.test(this.peek())) ruled = this.next() === '\\hline' ? [1, Infinity] : this.raw().split('-').map(Number);
      const filled = this.row(), number = cells.length + 1;
      const rule = ruled && ruled[0] <= number && number <= ruled[1] ? ' ruled' : '';
      cells.push(element('mtd', {class: `side-${side(cells.length)}${lines.has(cells.length) ? ' barred' : ''}${rule}`}, filled));
      const token = this.next();
      if (token === '&') continue;
      if (!(token === '\\end' && !filled.length && cells.length === 1 && rows.length && !ruled)) rows.push(element('mtr', {}, cells));
      [cells, ruled] = [[], null];
      if (token === '\\end') break;
      if (token !== '\\\\' && token !== '\\cr') throw new NotUnderstood();
      this.option();
    }
    if (this.raw() !== name) throw new NotUnderstood();
    const made = element('mtable', /^(align|split|gather|eqn|equation)/.test(kind) ? {displaystyle: 'true'} : {}, rows);
    const [open, close] = TEX_FENCES.get(name) ?? '..';
    return [element('mrow', {}, fenced(open), made, fenced(close))];
  }
}
