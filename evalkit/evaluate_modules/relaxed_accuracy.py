"""Relaxed accuracy for the `evaluate` library (evalkit)."""

from typing import Any

import datasets
import evaluate

from evalkit.scoring.relaxed import TOLERANCE, relaxed_match

DESCRIPTION = """
The share of predictions that are numbers within five per cent of the reference, or the same text, as in
evalkit's ChartQA. Both sides are trimmed.
"""
INPUTS = """
predictions, references: short answers. tolerance: the greatest relative difference of numbers.
"""


class RelaxedAccuracy(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {relaxed_accuracy: between 0 and 1, correct: whether each prediction is right}."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Masry et al. 2022, arXiv 2203.10244, section 5.1",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self, predictions: list[str], references: list[str], tolerance: float = TOLERANCE
    ) -> dict[str, Any]:
        correct = [
            relaxed_match(answer.strip(), reference.strip(), tolerance)
            for answer, reference in zip(predictions, references, strict=True)
        ]
        return {"relaxed_accuracy": sum(correct) / len(correct), "correct": correct}
