"""Measures how often 95 % intervals contain the true figure, by metric and number of samples.

    python -m bench.coverage [--quick]

Simulated models whose true figure is known answer n questions, many times; each time the interval that
evalkit prints is computed. An honest interval contains the true figure 95 times out of 100.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.bleu import Bleu
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.metrics.pass_at_k import PassAtK, estimate
from evalkit.stats import interval, macro_interval
from evalkit.stats.resample import Floats

Random = np.random.Generator
Made = tuple[Floats, list[str]]
"""Statistics, and the clusters of the samples."""
TRIALS = {30: 4_000, 100: 4_000, 1_000: 4_000, 10_000: 2_000}
"""The number of trials by number of samples: 4,000 give a standard error of 0.35 points, 2,000 of 0.5."""
SIZES = tuple(TRIALS)
GROUPS = np.linspace(0.3, 0.95, 10)
LANGUAGES = 11
SENTENCES = (30, 100, 350, 1_000)
"""The numbers of sentences of a language; FLEURS has 350."""
CLIPS = (50, 100, 200, 500, 2_000)
SHARED_TRIALS, RUN_ON_TRIALS = 1_000, 1_000
"""The number of trials, with a standard error of 0.7 points at 95 % and of 1.5 points at 70 %."""


@dataclass(frozen=True)
class Case:
    """A kind of figure. `make(n, random)`: the statistics of n samples. The truth is that of very many."""

    name: str
    make: Callable[[int, Random], Made]
    finish: Callable[[Floats], Floats]

    def truth(self, samples: int = 2_000_000) -> float:
        matrix, _ = self.make(samples, np.random.default_rng(1))
        return float(self.finish(matrix.sum(axis=0)))

    def held(self, n: int, truth: float, random: Random) -> bool:
        matrix, clusters = self.make(n, random)
        found = interval(matrix, self.finish, clusters)
        return found is not None and found[0] <= truth <= found[1]


def accuracy(n: int, random: Random) -> Made:
    return _of_one(random.random(n) < 0.8), [""] * n


def clustered(n: int, random: Random) -> Made:
    """Five questions per picture, with an intraclass correlation of 0.25."""
    shares = np.repeat(random.beta(1.8, 1.2, n // 5), 5)
    return _of_one(random.random(n) < shares), [f"picture {row // 5}" for row in range(n)]


def word_errors(n: int, random: Random) -> Made:
    """10 words per sample on average; some speakers are three times as hard as others."""
    words = 1 + random.poisson(9, n)
    edits = random.binomial(words, random.beta(1, 8, n))
    inserted = random.poisson(0.02 * words)
    return np.column_stack([edits, np.zeros(n), inserted, words - edits]).astype(float), [""] * n


def running_on(share: float) -> Callable[[int, Random], Made]:
    """`word_errors` in which a share of the answers has 30 to 90 words more than the 10 of the reference."""

    def make(n: int, random: Random) -> Made:
        matrix, clusters = word_errors(n, random)
        matrix[:, 2] += np.where(random.random(n) < share, random.integers(30, 91, n), 0)
        return matrix, clusters

    return make


def bleu(n: int, random: Random) -> Made:
    """Good and bad sentences of 5 to 40 words; the columns are those of `Bleu.columns`."""
    words = random.integers(5, 41, n)
    reference = np.maximum(1, words + random.integers(-3, 4, n))
    skill, columns, correct = random.beta(6, 4, n), [], words
    totals = []
    for order in range(4):
        total = np.maximum(0, words - order)
        correct = random.binomial(np.minimum(correct, total), skill)
        columns.append(correct)
        totals.append(total)
    return np.column_stack([words, reference, *columns, *totals]).astype(float), [""] * n


def anls(n: int, random: Random) -> Made:
    kind = random.random(n)
    credit = np.where(kind < 0.3, 0.0, np.where(kind < 0.75, 1.0, random.uniform(0.5, 1, n)))
    return np.column_stack([credit, np.ones(n)]), [""] * n


def pass_at_10(n: int, random: Random) -> Made:
    """20 draws per problem; most problems are solved nearly always or hardly ever."""
    table = np.array([estimate(20, solved, 10) for solved in range(21)])
    solved = random.binomial(20, random.beta(0.4, 0.6, n))
    return np.column_stack([table[solved], np.ones(n)]), [""] * n


def _of_one(right: npt.NDArray[np.bool_]) -> Floats:
    return np.column_stack([right, np.ones(len(right))]).astype(float)


CASES = (
    Case("accuracy", accuracy, Accuracy().finish),
    Case("accuracy, 5 questions a picture", clustered, Accuracy().finish),
    Case("WER", word_errors, ErrorRate().finish),
    Case("BLEU", bleu, Bleu().finish),
    Case("ANLS", anls, MeanCredit("ANLS").finish),
    Case("pass@10 of 20 draws", pass_at_10, PassAtK(10).finish),
)

RUN_ON = (
    Case("WER, 1 answer in 100 runs on", running_on(0.01), ErrorRate().finish),
    Case("WER, 1 answer in 500 runs on", running_on(0.002), ErrorRate().finish),
)


@dataclass(frozen=True)
class Shared:
    """A mean over `LANGUAGES` with the same sentences, or with random `shares` of them.

    Half of a sentence's difficulty is the same in every language. `words`: WER instead of accuracy.
    """

    name: str
    shares: tuple[float, ...] = (1.0,) * LANGUAGES
    words: bool = False

    @property
    def finish(self) -> Callable[[Floats], Floats]:
        return ErrorRate().finish if self.words else Accuracy().finish

    def truth(self) -> float:
        rates = np.linspace(0.05, 0.25, LANGUAGES) if self.words else np.linspace(0.4, 0.9, LANGUAGES)
        return 100 * float(rates.mean())

    def make(self, sentences: int, random: Random) -> list[Made]:
        """By language."""
        from scipy.special import ndtr

        hard = random.normal(size=sentences)
        parts = []
        for at, share in zip(np.linspace(0, 1, LANGUAGES), self.shares, strict=True):
            rows = np.sort(random.permutation(sentences)[: max(2, round(share * sentences))])
            # Uniform over sentences; the same rank correlates languages.
            rank = ndtr((hard[rows] + random.normal(size=len(rows))) / np.sqrt(2))
            if self.words:
                words = 1 + random.poisson(14, len(rows))
                edits = random.binomial(words, np.clip((0.05 + 0.2 * at) * 2 * rank, 0, 1))
                none = np.zeros(len(rows))
                matrix = np.column_stack([edits, none, none, words - edits]).astype(float)
            else:
                matrix = _of_one(rank < 0.4 + 0.5 * at)
            parts.append((matrix, [f"sentence {row}" for row in rows]))
        return parts


SHARED = (
    Shared("accuracy, the same questions"),
    Shared("accuracy, half of them each", (0.5,) * LANGUAGES),
    Shared("accuracy, a tenth to all of them", tuple(np.linspace(0.1, 1, LANGUAGES).tolist())),
    Shared("WER, the same sentences", words=True),
    Shared("WER, half of them each", (0.5,) * LANGUAGES, words=True),
)


def shared_coverage(case: Shared, sentences: int, trials: int, seed: int = 0) -> float:
    """The percentage of `trials` in which the interval of the mean over languages contains the truth."""
    random, truth, held = np.random.default_rng(seed), case.truth(), 0
    for _ in range(trials):
        found = macro_interval(case.make(sentences, random), case.finish)
        held += found is not None and found[0] <= truth <= found[1]
    return 100 * held / trials


def macro_held(n: int, random: Random) -> bool:
    """The mean accuracy of ten subjects of very different difficulty."""
    finish = Accuracy().finish
    parts = [(_of_one(random.random(n // 10) < share), [""] * (n // 10)) for share in GROUPS]
    found = macro_interval(parts, finish)
    truth = 100 * float(GROUPS.mean())
    return found is not None and found[0] <= truth <= found[1]


def coverage(case: Case, n: int, trials: int, truth: float, seed: int = 0) -> float:
    """The percentage of `trials` in which the interval contains the truth."""
    random = np.random.default_rng(seed)
    return 100 * float(np.mean([case.held(n, truth, random) for _ in range(trials)]))


def macro_coverage(n: int, trials: int, seed: int = 0) -> float:
    random = np.random.default_rng(seed)
    return 100 * float(np.mean([macro_held(n, random) for _ in range(trials)]))


def main(quick: bool) -> None:
    share = 10 if quick else 1
    print(f"{'95 % intervals with the truth, %':34}" + "".join(f"{n:>10,}" for n in SIZES))
    for case in CASES:
        truth = case.truth()
        found = [coverage(case, n, TRIALS[n] // share, truth) for n in SIZES]
        print(f"{case.name:34}" + "".join(f"{value:10.1f}" for value in found), flush=True)
    found = [macro_coverage(n, TRIALS[n] // share) for n in SIZES]
    print(f"{'mean accuracy of 10 subjects':34}" + "".join(f"{value:10.1f}" for value in found))
    print(f"\n{'answers that run on; clips:':34}" + "".join(f"{n:>10,}" for n in CLIPS))
    for case in RUN_ON:
        truth = case.truth()
        found = [coverage(case, n, RUN_ON_TRIALS // share, truth) for n in CLIPS]
        print(f"{case.name:34}" + "".join(f"{value:10.1f}" for value in found), flush=True)
    print(f"\n{f'means of {LANGUAGES} languages; sentences:':34}" + "".join(f"{n:>10,}" for n in SENTENCES))
    for shared in SHARED:
        found = [shared_coverage(shared, n, SHARED_TRIALS // share) for n in SENTENCES]
        print(f"{shared.name:34}" + "".join(f"{value:10.1f}" for value in found), flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
