"""Compares two runs of one benchmark: pairing, verdicts, policies, power, and the gate."""
