// The detail of a verdict. Where a program failed: the test, the values in it, the last call, the line of the program.

function failure(detail) {
  const {test, values, call, returned, raised, line, code, ...others} = detail;
  const known = [
    ...(values && typeof values === 'object' ? Object.entries(values) : []),
    ['last call', call], ['returned', returned], ['raised', raised],
    [line ? `line ${line} of the answer` : 'line of the program', code], ...Object.entries(others),
  ].filter(([, text]) => text);
  if (!test && !known.length) return null;
  return make('div', {class: 'failure'},
    test ? [make('h5', {}, 'the test that failed'), program(words(test))] : null,
    known.length ? facts(known.map(([name, text]) => [name, words(text)])) : null);
}

// Marks a line of a preformatted text, from 1. Signs in place of invisible characters hold no line breaks.
function markLine(element, number) {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), pieces = [];
  let at = 1;
  while (texts.nextNode()) {
    const lines = texts.currentNode.data.split('\n'), wanted = number - at;
    at += lines.length - 1;
    if (wanted >= 0 && wanted < lines.length && lines[wanted]) {
      const start = lines.slice(0, wanted).reduce((sum, one) => sum + one.length + 1, 0);
      pieces.push([texts.currentNode, start, lines[wanted].length]);
    }
  }
  for (const [text, start, length] of pieces) {
    const piece = start ? text.splitText(start) : text;
    piece.splitText(length);
    const mark = make('mark', {class: 'failed', title: 'The exception was raised here'});
    piece.replaceWith(mark);
    mark.append(piece);
  }
}
