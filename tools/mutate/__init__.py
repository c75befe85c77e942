"""Mutation runs: whether the golden files see a changed operator, constant or statement.

    python -m tools.mutate                 all mutants; exit code 1 where one survives
    python -m tools.mutate --one-each      one for each identity, as CI does
    python -m tools.mutate --only NAME     those of modules whose name holds NAME

A mutant is evalkit with one change in code that a declared identity reaches in `evalkit.scoring`,
`evalkit.metrics`, the readers and solvers of `evalkit.benchmark`, or `tasks`. It is caught when a case of an
identity that reaches it has another output than its golden file says, or when the module no longer imports or
a case never ends. `tests/golden/equivalent.toml` lists the mutants that cannot change an output, with the
reasons, and those that only a test of another kind sees, such as of a missing package: that test has to fail.
"""
