"""The run file: what it holds, who writes it, and what reads it."""
