"""A small local server for looking at runs of any size, also while they go on: `evalkit view`."""
