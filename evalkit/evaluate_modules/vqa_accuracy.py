"""VQA accuracy for the `evaluate` library (evalkit)."""

from typing import Any

import datasets
import evaluate

from evalkit.scoring.vqa import textvqa_accuracy, vqa_accuracy

DESCRIPTION = """
The mean credit of predictions against the answers of ten people, as in evalkit's VQAv2 and TextVQA.
"""
INPUTS = """
predictions: answers. references: the list of people's answers to each question.
rule: "vqav2", the official script of VQAv2, or "textvqa", that of M4C, which normalises more.
"""
RULES = {"vqav2": vqa_accuracy, "textvqa": textvqa_accuracy}


class VqaAccuracy(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {vqa_accuracy, scores: the credit of each prediction}, all between 0 and 1."""

    def _info(self) -> evaluate.MetricInfo:
        references = datasets.Sequence(datasets.Value("string"))
        features = {"predictions": datasets.Value("string"), "references": references}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Antol et al. 2015, arXiv 1505.00468",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], rule: str = "vqav2"
    ) -> dict[str, Any]:
        if rule not in RULES:
            raise ValueError(f"unknown rule {rule!r}: known are {', '.join(RULES)}")
        scores = [RULES[rule](answer, right) for answer, right in zip(predictions, references, strict=True)]
        return {"vqa_accuracy": sum(scores) / len(scores), "scores": scores}
