// Sets up what every page has: the button for the theme, tables that sort, descriptions in Markdown.

function themed() {
  const button = document.getElementById('theme'), root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ?? (dark.matches ? 'dark' : 'light')) === 'dark';
  const label = () => { button.textContent = isDark() ? 'Light' : 'Dark'; };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    label();
  });
  dark.addEventListener('change', label);
  label();
  button.hidden = false;
}

// Lets the tables of a part of the page sort, and sets its descriptions.
function dressed(part) {
  sortable(part);
  for (const about of part.querySelectorAll('.about')) {
    about.replaceChildren(...blocks(lines_of(about.textContent)));
    about.classList.add('set');
  }
}

themed();
dressed(document);
