"""pass@k of programs for the `evaluate` library (evalkit)."""

from typing import Any

import datasets
import evaluate

from evalkit.evaluate_modules import used
from evalkit.metrics.pass_at_k import estimate
from evalkit.sandbox import Limits, Program, run_programs

DESCRIPTION = """
The unbiased pass@k of programs, which run in evalkit's sandbox. The tests run in a process of their own that
calls the program's functions over a wire with plain data, so a program cannot forge its passing.
"""
INPUTS = """
predictions: the candidates of each problem, a list of programs. references: the tests of each problem, such
as "assert add(2, 3) == 5". Names that the tests use and do not define are functions of the program.
k: the numbers of candidates; those above the least number of candidates are left out.
classes: which of these names are classes of the program.
cpu_seconds: the limit of CPU time for a program.
"""


class PassAtK(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {"pass@1": between 0 and 1, …, correct: of each candidate, outcomes: why}."""

    def _info(self) -> evaluate.MetricInfo:
        programs = datasets.Sequence(datasets.Value("string"))
        features = {"predictions": programs, "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Chen et al. 2021, arXiv 2107.03374",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self,
        predictions: list[list[str]],
        references: list[str],
        k: tuple[int, ...] = (1, 10, 100),
        classes: tuple[str, ...] = (),
        cpu_seconds: float = 3.0,
    ) -> dict[str, Any]:
        programs = []
        for candidates, tests in zip(predictions, references, strict=True):
            if not candidates:
                raise ValueError(f"there is no candidate for the tests {tests[:60]!r}")
            names = used(tests)
            calls = tuple(name for name in names if name not in classes)
            own = tuple(name for name in names if name in classes)
            programs += [Program(one, tests, calls, classes=own) for one in candidates]
        outcomes = iter(run_programs(programs, Limits(cpu_seconds=cpu_seconds)))
        found = [[next(outcomes) for _ in candidates] for candidates in predictions]
        correct = [[one.status == "passed" for one in problem] for problem in found]
        least = min(map(len, correct))
        shares = {
            f"pass@{size}": sum(estimate(len(one), sum(one), size) for one in correct) / len(correct)
            for size in k
            if size <= least
        }
        texts = [[f"{one.status}: {one.detail}".rstrip(": ") for one in problem] for problem in found]
        return {**shares, "correct": correct, "outcomes": texts}
