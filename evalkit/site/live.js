// Follows the runs that go on: asks the page's server for their state while the page is visible.

const EVERY = 2000, STATE = 3, FIGURES = 4;  // milliseconds; the columns of the table of runs

function progress(run) {
  if (run.state !== 'going on' && run.state !== 'stopped') return run.state;
  const of = run.total === null ? '' : ` of ${run.total.toLocaleString('en')}`;
  return `${run.state}, ${run.done.toLocaleString('en')}${of}`;
}

// Writes a run's state and figures into its row. Texts that stay the same are not touched.
function refresh(row, run) {
  const outcomes = Object.entries(run.outcomes).map(([name, count]) => `${name} ${count.toLocaleString('en')}`);
  const figures = Object.entries(run.headlines).map(([name, text]) => `${name} ${text}`);
  const wanted = [[row.cells[STATE], [progress(run), ...outcomes]], [row.cells[FIGURES], figures]];
  for (const [cell, [first, ...others]] of wanted) {
    const nodes = [make('bdi', {}, line(first ?? '')), ...others.map(text => make('span', {class: 'line'}, line(text)))];
    const text = nodes.map(node => node.textContent).join('\n');
    if (cell.dataset.text === text) continue;
    cell.dataset.text = text;
    cell.replaceChildren(...nodes);
  }
}

async function follow(place) {
  const open = new Map([...document.querySelectorAll('[data-row]')].map(row => [row.dataset.row, row]));
  const followed = new Set();
  for (;;) {
    try {
      if (!document.hidden) {
        const found = await (await fetch('state.json')).json();
        for (const [name, run] of Object.entries(found)) {
          const going = run.state === 'going on';
          if (open.has(name) && (going || followed.has(name))) refresh(open.get(name), run);
          if (going) followed.add(name); else followed.delete(name);
        }
        const fresh = Object.keys(found).filter(name => !open.has(name)).length;
        say(place, fresh, followed.size);
      }
    } catch (error) {
      place.textContent = 'evalkit view has ended: the page shows its last state.';
    }
    await new Promise(resolve => setTimeout(resolve, EVERY));
  }
}

function say(place, fresh, going) {
  const words = [];
  if (going) words.push(`${going === 1 ? 'One run goes' : `${going} runs go`} on.`);
  if (fresh) words.push(`${fresh === 1 ? 'One new run' : `${fresh} new runs`}: load the page again to see ${fresh === 1 ? 'it' : 'them'}.`);
  const text = words.join(' ');
  if (place.textContent !== text) place.textContent = text;
}

const live = document.getElementById('live');
if (live) follow(live);
