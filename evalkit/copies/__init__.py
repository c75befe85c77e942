"""Copies of a model that runs in a process: several processes on this machine, or actors of a Ray cluster."""
