"""The share of correct answers, in percent, with a missing letter counted as a random guess."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


@versioned("guessing_accuracy", 1)
@dataclass(frozen=True, slots=True)
class GuessingAccuracy(Mean):
    """Accuracy in which a response without a letter counts 1/n, where n is the number of choices.

    MMMU's authors choose a random letter for such a response (MMMU-Benchmark/MMMU at bb0b95a,
    mmmu/utils/eval_utils.py): this is the expected figure of their script, without its randomness. One run of
    the script prints a figure between `Accuracy` (no guess is right) and `Accuracy` plus the share of
    unparsable responses (every guess is right). A sample without choices counts as in `Accuracy`.
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
