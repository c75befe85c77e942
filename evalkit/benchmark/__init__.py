"""Benchmarks: tasks, protocols, solvers, readers and signatures."""
