"""Golden files: the outputs of each declared version of evalkit's extractors, scorers, prompts and metrics.

    python -m tools.golden            renews the files in tests/golden/outputs/
    python -m tools.golden --check    only compares; exit code 1 if something changed
    python -m tools.golden NAME…      does so for the identities whose names begin with NAME

A file is for one identity, such as `final_number`. It has the version, the packages that affect the output,
and a line for each case with its output. A changed output is only written if the version that `versioned`
declares has risen. New and removed cases are always written.

The cases come from `tests/conformance/`, from evalkit's small sets for all tasks of the index, and from
inputs written for evalkit (`tests/golden/inputs/`), whose pieces are joined at random with a fixed seed.
"""
