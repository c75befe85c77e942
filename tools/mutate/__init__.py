"""Mutation tests: whether the golden files detect a changed operator, constant or statement.

    python -m tools.mutate                 tries all mutants; exit code 1 if one survives
    python -m tools.mutate --one-each      tries one for each identity, as CI does
    python -m tools.mutate --only NAME     tries those of modules whose name contains NAME

A mutant is evalkit with one change in code that a declared identity reaches in `evalkit.scoring`,
`evalkit.metrics`, the readers and solvers of `evalkit.benchmark`, or `tasks`. It is caught if a case of such
an identity has another output than in its golden file, if the module cannot be imported, or if a case never
ends. `tests/golden/equivalent.toml` lists the mutants that cannot change an output, with the reasons, and
those that only another test detects, such as one of a missing package: that test must fail.
"""
