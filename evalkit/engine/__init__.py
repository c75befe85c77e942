"""Runs the samples through solver, scorer and store."""
