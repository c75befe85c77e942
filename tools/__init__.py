"""Tools of the repository that make or check committed files. They are not installed."""
