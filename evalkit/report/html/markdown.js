// Renders Markdown on demand: headings, lists, tables, quotes, code, emphasis. Every text becomes a text node; links
// and pictures stay texts. Formulas are left as they are written.

const view = {rendered: false, medium: embedded};  // whether texts are rendered; where media are

// A text of a model or data set: rendered if that is wished, else as it is.
function prose(text) {
  return view.rendered ? make('div', {class: 'rendered', dir: 'auto'}, blocks(lines_of(text))) : written(text);
}

function lines_of(text) {
  return String(text).replaceAll('\r\n', '\n').split('\n');
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/, ITEM = /^( *)([-*+]|\d{1,4}[.)]) +/, HEADING = /^ {0,3}(#{1,6}) +/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/, QUOTE = /^ {0,3}> ?/;

// The elements of some lines. `depth`: in how many lists and quotes they are.
function blocks(lines, depth = 0) {
  const nodes = [];
  let at = 0;
  const run = test => {  // takes the lines from here for which the test holds
    const start = at;
    while (at < lines.length && test(lines[at])) at++;
    return lines.slice(start, at);
  };
  while (at < lines.length) {
    const text = lines[at], fence = text.match(FENCE), heading = text.match(HEADING);
    if (!text.trim()) at++;
    else if (fence) {
      at++;
      const inner = run(one => !(one.trim().startsWith(fence[1]) && !one.trim().slice(fence[1].length).trim()));
      at++;
      nodes.push(program(inner.join('\n')));
    } else if (heading) {
      at++;
      nodes.push(make('p', {class: 'heading'}, inline(text.replace(HEADING, ''))));
    } else if (RULE.test(text)) { at++; nodes.push(make('hr')); }
    else if (depth < 8 && QUOTE.test(text)) {
      nodes.push(make('blockquote', {}, blocks(run(one => QUOTE.test(one)).map(one => one.replace(QUOTE, '')), depth + 1)));
    } else if (depth < 8 && ITEM.test(text)) nodes.push(list(run(one => ITEM.test(one) || /^ +\S/.test(one)), depth));
    else if (text.includes('|') && divides(lines[at + 1] ?? '')) nodes.push(grid(run(one => one.includes('|'))));
    else nodes.push(make('p', {}, inline([text, ...(at++, run(one => plainly(one)))].join('\n'))));
  }
  return nodes;
}

// Whether a line goes on with a paragraph.
function plainly(text) {
  return text.trim() && ![FENCE, HEADING, RULE, QUOTE, ITEM].some(start => start.test(text));
}

// Whether a line stands between the head and the rows of a table.
function divides(text) {
  return /^[ :|-]+$/.test(text) && text.includes('-');
}

// A list. Lines that are indented more than its first item belong to the item above them.
function list(lines, depth) {
  const [, margin, sign] = lines[0].match(ITEM), items = [];
  for (const text of lines) {
    const found = text.match(ITEM);
    if (found && found[1].length <= margin.length) items.push([text.slice(found[0].length)]);
    else items.at(-1).push(text.slice(Math.min(text.search(/\S/), margin.length + 2)));
  }
  const numbered = /\d/.test(sign);
  return make(numbered ? 'ol' : 'ul', numbered ? {start: parseInt(sign, 10)} : {}, items.map(item =>
    make('li', {}, item.length === 1 ? inline(item[0]) : blocks(item, depth + 1))));
}

function grid(lines) {
  const cells = text => text.trim().replace(/^\||\|$/g, '').split('|').map(cell => inline(cell.trim()));
  const [head, , ...rows] = lines;
  return make('div', {class: 'scroll', tabindex: 0}, make('table', {},
    make('thead', {}, make('tr', {}, cells(head).map(cell => make('th', {scope: 'col'}, cell)))),
    make('tbody', {}, rows.map(row => make('tr', {}, cells(row).map(cell => make('td', {}, cell)))))));
}

const INLINE = new RegExp([
  /(`+)([^`]+)\1/,
  /(\$\$(?:[^$\\]|\\[^$])+\$\$|\$(?![\s$])(?:[^$\\\n]|\\.)*[^\s$\\]\$(?!\d)|\\\((?:[^\\]|\\[^()[\]])+\\\)|\\\[(?:[^\\]|\\[^()[\]])+\\\])/,
  /\*\*([^*\n]+)\*\*/,
  /(?<![\w*])\*([^*\s][^*\n]*)\*/,
].map(one => one.source).join('|'), 'g');

// The nodes of a text with code, formulas and emphasis.
function inline(text) {
  const nodes = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(...plain(text.slice(last, found.index)));
    const [whole, , code, formula, strong, emphasis] = found;
    if (code !== undefined) nodes.push(make('code', {}, plain(code)));
    else if (formula !== undefined) nodes.push(make('code', {class: 'formula'}, plain(whole)));
    else nodes.push(make(strong === undefined ? 'em' : 'strong', {}, plain(strong ?? emphasis)));
    last = found.index + whole.length;
  }
  return [...nodes, ...plain(text.slice(last))];
}

const PYTHON = /^\s*(def|class|import|from|return|for|if|while|print|@)\b/m;
const PIECES = /(#[^\n]*)|("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)|\b(False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b/g;
const KINDS = ['comment', 'string', 'keyword'];

// A preformatted program; what looks like Python is coloured.
function program(text, kind = 'text') {
  const element = written(text, kind);
  if (!PYTHON.test(text)) return element;
  const nodes = [];
  let last = 0;
  for (const found of text.matchAll(PIECES)) {
    nodes.push(...plain(text.slice(last, found.index)));
    nodes.push(make('span', {class: `code-${KINDS[found.slice(1).findIndex(piece => piece !== undefined)]}`}, plain(found[0])));
    last = found.index + found[0].length;
  }
  element.replaceChildren(...nodes, ...plain(text.slice(last)));
  return element;
}
