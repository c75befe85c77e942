"""Streams samples through solver, judge and store."""
