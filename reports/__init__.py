"""Report definitions: the tables of a paper, their printed figures and protocols."""
