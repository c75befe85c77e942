// What a clip says when: a click on a word plays the clip from there, and the word that is being spoken is marked.

function spokenWords(pieces) {
  return make('div', {class: 'spoken'}, make('h5', {}, 'words by their times'), make('p', {dir: 'auto'},
    pieces.filter(piece => Array.isArray(piece)).flatMap(([text, begin, end]) => [make('button', {
      type: 'button', 'data-begin': Number(begin), 'data-end': Number(end), title: `${Number(begin).toFixed(2)} s`,
    }, plain(text)), ' '])));
}

// Connects the words in `answers` with the player of the question; without one they are texts with times.
function followClip(clip, answers) {
  const words = [...answers.querySelectorAll('.spoken button')];
  if (!clip || !words.length) {
    words.forEach(word => { word.disabled = true; });
    return;
  }
  for (const word of words) {
    word.addEventListener('click', () => {
      clip.currentTime = Number(word.dataset.begin);
      clip.play();
    });
  }
  const mark = () => {
    for (const word of words) {
      const now = clip.currentTime >= Number(word.dataset.begin) && clip.currentTime < Number(word.dataset.end);
      if (now) word.setAttribute('aria-current', 'true');
      else word.removeAttribute('aria-current');
    }
  };
  for (const kind of ['timeupdate', 'seeked']) clip.addEventListener(kind, mark);
}
