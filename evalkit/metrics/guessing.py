"""Share of correct answers where a missing letter counts as a guess, in percent."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


@versioned("guessing_accuracy", 1)
@dataclass(frozen=True, slots=True)
class GuessingAccuracy(Mean):
    """Accuracy with 1/n for a response to n choices in which no letter was found.

    MMMU's authors choose a letter at random there (MMMU-Benchmark/MMMU at bb0b95a,
    mmmu/utils/eval_utils.py): this is their script's figure in expectation, without its chance. One run of
    it prints a figure between `Accuracy`, where no guess is right, and that plus the unparsable share, where
    all are. A sample without choices counts as it does in `Accuracy`.
    """

    variant: str = ""
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple[str, ...] = ("correct or guessed", "samples")
    least_draws: int = 1
    name: str = "accuracy (random guess)"

    def value(self, sample: Sample, scored: Scored) -> float:
        finals = scored.answer.finals
        guessed = 1 / len(sample.choices) if sample.choices else 0.0
        worth = [
            guessed if final.value is None else float(correct)
            for final, correct in zip(finals, scored.correct, strict=True)
        ]
        return sum(worth) / len(worth)
