r"""Equality of MATH answers for the `evaluate` library (evalkit)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import datasets
import evaluate

from evalkit.api import Sample, Verdict
from evalkit.scoring import symbolic
from evalkit.scoring.latex import boxed_answer
from evalkit.tasks.math import score

DESCRIPTION = r"""
The share of answers that equal their references by the rules of evalkit's MATH: the same text after Minerva's
normalisation, the same value by SymPy, or the same number. Formulas are compared in worker processes with a
limit of time.
"""
INPUTS = r"""
predictions: answers as LaTeX, such as "\\frac{1}{2}". references: likewise.
boxed: whether predictions are whole responses, whose answer is the content of their last \\boxed{…}.
"""


class MathEquality(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {accuracy: between 0 and 1, correct: of each, reasons: the rule that decided}."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Hendrycks et al. 2021, arXiv 2103.03874; Lewkowycz et al. 2022, arXiv 2206.14858",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(self, predictions: list[str], references: list[str], boxed: bool = False) -> dict[str, Any]:
        symbolic.needs()
        pairs = list(zip(predictions, references, strict=True))

        async def judge(prediction: str, reference: str) -> Verdict:
            answer = boxed_answer(prediction) if boxed else prediction
            if answer is None:
                return Verdict(False, "nothing boxed")
            return await score(answer, Sample(id="", input="", target=(reference,)))

        async def judge_all() -> list[Verdict]:
            return await asyncio.gather(*(judge(prediction, reference) for prediction, reference in pairs))

        with ThreadPoolExecutor(1) as thread:  # a notebook has a running event loop in its own thread
            verdicts = thread.submit(asyncio.run, judge_all()).result()
        return {
            "accuracy": sum(one.correct for one in verdicts) / len(verdicts),
            "correct": [one.correct for one in verdicts],
            "reasons": [one.reason for one in verdicts],
        }
