"""BLEURT as the headline of a benchmark, where `--set bleurt=` names a checkpoint.

The metrics that the benchmark has without it stay beside it, with the same signatures. The metric and its
variant have the checkpoint's name, because figures of two checkpoints must not be compared.
"""

from __future__ import annotations

import dataclasses

from evalkit.api import Macro, MeanValue, Task, UsageError, Variant
from evalkit.scoring.bleurt import VALUE, Bleurt

PRECISION = "float32"


def with_bleurt(task: Task, given: str, precision: str) -> Task:
    """`task` with the mean over its groups of BLEURT, times 100; `task` itself if `given` is "".

    An answer that could not be extracted counts 0. Raises `UsageError` as `Bleurt` does, and for a precision
    without a checkpoint.
    """
    if not given:
        if precision != PRECISION:
            raise UsageError("bleurt_precision is BLEURT's: add --set bleurt=FOLDER or bleurt=BLEURT-20")
        return task
    bleurt = Bleurt(given, precision)

    def needs() -> None:
        bleurt.needs()
        task.needs()

    return dataclasses.replace(
        task,
        variants=(*task.variants, Variant(name=bleurt.name, scorer=bleurt)),
        metrics=(Macro(MeanValue(VALUE, "BLEURT", scale=100.0, variant=bleurt.name)), *task.metrics),
        needs=needs,
    )
