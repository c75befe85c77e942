"""Golden files: what each declared version of evalkit's extractors, scorers, prompts and metrics gives.

    python -m tools.golden            renew the files in tests/golden/outputs/
    python -m tools.golden --check    compare only; exit code 1 where something changed
    python -m tools.golden NAME…      the same for the identities of these names, or with these beginnings

A file holds one identity, such as `final_number`: its version, the packages that have a say, and a line for
each case with its output. An output that changed is not written unless the version that `versioned` declares
rose. New cases, and cases that are gone, are written freely.

Cases come from `tests/conformance/`, from evalkit's small sets, by walking the index of tasks, and from inputs
written for evalkit (`tools.golden.inputs`), of which some are put together at random from a fixed seed.
"""
