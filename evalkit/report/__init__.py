"""Tables from run files, and their renderers."""
