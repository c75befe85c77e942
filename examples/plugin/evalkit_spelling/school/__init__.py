"""Figures of a spelling school, made up: the tables beside this file."""
