"""Word or character error rate for the `evaluate` library (evalkit)."""

import datasets
import evaluate

from evalkit.scoring.speech import edits, normaliser_for, unit_for

DESCRIPTION = """
The edits of all predictions over the units of all references, after Whisper's normalisation, as in evalkit's
benchmarks of speech recognition. 1.0 means as many edits as units; insertions can make it more.
"""
INPUTS = """
predictions, references: transcripts, not normalised.
language: the code of the language of the clips, such as "en". It decides about the normaliser and the unit.
normaliser: "auto" (by the language), "whisper-english", "whisper-basic" or "none".
units: "report" (characters for the languages whose figures the Gemini 1.0 report gives so), "word" or
"character".
"""


class Wer(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """compute() → {wer, substitutions, deletions, insertions, hits}; wer is NaN if there are no units."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Radford et al. 2022, arXiv 2212.04356, appendix C",
            inputs_description=INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        language: str = "en",
        normaliser: str = "auto",
        units: str = "report",
    ) -> dict[str, float]:
        rule, unit = normaliser_for(language, normaliser), unit_for(language, units)
        found = [
            edits(prediction, reference, rule, unit)
            for prediction, reference in zip(predictions, references, strict=True)
        ]
        of = sum(one.units for one in found)
        return {
            "wer": sum(one.total for one in found) / of if of else float("nan"),
            "substitutions": sum(one.substitutions for one in found),
            "deletions": sum(one.deletions for one in found),
            "insertions": sum(one.insertions for one in found),
            "hits": sum(one.hits for one in found),
        }
