"""Average normalised Levenshtein similarity for the `evaluate` library (evalkit)."""

from typing import Any

import datasets
import evaluate

from evalkit.scoring.anls import anls, anls_by_the_paper

DESCRIPTION = """
The mean similarity of predictions to their nearest references, as in evalkit's DocVQA and InfographicVQA: by
the competition's script (anls) and by the paper's equation (anls_paper).
"""
INPUTS = """
predictions: answers. references: the list of right answers of each question.
"""


class Anls(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {anls, anls_paper, scores: the first of each prediction}, all between 0 and 1."""

    def _info(self) -> evaluate.MetricInfo:
        references = datasets.Sequence(datasets.Value("string"))
        features = {"predictions": datasets.Value("string"), "references": references}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Biten et al. 2019, arXiv 1905.13648",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, Any]:
        pairs = list(zip(predictions, references, strict=True))
        scores = [anls(answer, right) for answer, right in pairs]
        by_the_paper = [anls_by_the_paper(answer, right) for answer, right in pairs]
        return {
            "anls": sum(scores) / len(scores),
            "anls_paper": sum(by_the_paper) / len(by_the_paper),
            "scores": scores,
        }
