// Reads the page's data, gzipped JSON in script elements, when needed, and makes elements from plain text.

const KEPT = 12;  // the highest number of opened pieces

async function unpack(id) {
  const packed = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

const opened = new Map();

// A promise of a piece of the samples. The least recently used piece is dropped.
function piece(id) {
  const found = opened.get(id) ?? unpack(id);
  opened.delete(id);
  opened.set(id, found);
  if (opened.size > KEPT) opened.delete(opened.keys().next().value);
  return found;
}

// The position of a sample: [number of its piece, position in the piece].
function placed(index, row) {
  let low = 0, high = index.starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (index.starts[middle] <= row) low = middle; else high = middle - 1;
  }
  return [low, row - index.starts[low]];
}

// The {kind: media type, source: address} of a picture or clip in the page; {} if it is not there.
function embedded(key) {
  const element = document.getElementById(`m-${key}`), kind = element?.type.split(';')[0];
  return element ? {kind, source: `data:${kind};base64,${element.textContent}`} : {};
}

// Makes an element. Children are elements or texts; nothing is parsed as HTML.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== false && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}

// Characters that are invisible, or that change the direction of the following text.
const SIGNS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;

// The nodes of a text; these characters are shown as code points.
function plain(text) {
  const nodes = [];
  for (const part of String(text).replaceAll('\r\n', '\n').split(new RegExp(`(${SIGNS.source})`, 'u'))) {
    if (!part) continue;
    const sign = SIGNS.test(part) && [...part].length === 1;
    const code = part.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    nodes.push(sign ? make('span', {class: 'sign'}, `U+${code}`) : part);
  }
  return nodes;
}

// The text on one line, for lists; these characters become dots.
function line(text) {
  return [...String(text)].map(letter => (SIGNS.test(letter) ? '·' : letter)).join('');
}

// A preformatted text. Its direction does not affect the text around it. One that may have to be scrolled can be
// reached with the keyboard.
function written(text, kind) {
  const long = String(text).length > 500 || String(text).split('\n').length > 12;
  return make('pre', {class: kind ?? 'text', dir: 'auto', ...(long ? {tabindex: 0} : {})}, plain(text));
}

function facts(pairs) {
  return make('dl', {class: 'facts'}, pairs.map(([name, value]) =>
    make('div', {}, make('dt', {}, plain(name)), make('dd', {}, make('bdi', {}, plain(value))))));
}

// A JSON value as a text.
function words(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
