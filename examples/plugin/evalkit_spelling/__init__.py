"""Words spelt backwards: a backend, a task, a metric and a table of printed figures for evalkit."""
