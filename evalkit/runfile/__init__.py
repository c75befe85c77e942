"""The run file: its contents, and the code that writes and reads it."""
