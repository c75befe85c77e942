"""How often the gate speaks: false alarms where nothing changed, and power where something did.

    python -m bench.gate [--quick]

Pairs of made-up runs over n samples: a share of them is decided anew in head (a server's noise, another
seed), and head loses `drop` points. Each pair is judged as `evalkit compare` judges it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.paired import Paired
from evalkit.statistics import paired_bootstrap, paired_shares
from evalkit.statistics.power import power_of
from evalkit.verdicts import Benchmark, verdicts

Random = np.random.Generator
ALPHA = 0.05
ANEW = 0.1
"""Share of the samples that head decides anew."""


@dataclass(frozen=True)
class Kind:
    name: str
    higher_is_better: bool


KINDS = (Kind("accuracy", True), Kind("ANLS", True), Kind("WER", False))


def made(kind: Kind, n: int, drop: float, random: Random) -> Benchmark:
    """One benchmark of two runs, not yet judged; head is `drop` points worse in truth."""
    anew = random.random(n) < ANEW
    if kind.name == "WER":
        finish = ErrorRate().finish
        words = 5 + random.poisson(10, n)
        rate = random.beta(1, 8, n)
        edits = random.binomial(words, rate)
        again = np.where(anew, random.binomial(words, rate), edits)
        spoiled = random.binomial(words - again, drop / 100 / (1 - 1 / 9)) + again
        sides = [np.column_stack([e, 0 * e, 0 * e, words - e]).astype(float) for e in (edits, spoiled)]
        difference = paired_bootstrap(
            sides[0], sides[1], finish, draws=1000, seed=int(random.integers(1 << 30))
        )
    else:
        share = 0.8
        first, second = (_credits(kind, n, share, random) for _ in range(2))
        head = np.where(anew, second, first)
        head = head * (random.random(n) >= drop / 100 / head_mean(kind, share))
        sides = [np.column_stack([credit, np.ones(n)]) for credit in (first, head)]
        if kind.name == "accuracy":
            difference = paired_shares(sides[0], sides[1], Accuracy().finish)
        else:
            difference = paired_bootstrap(
                sides[0], sides[1], MeanCredit("ANLS").finish, draws=1000, seed=int(random.integers(1 << 30))
            )
    paired = Paired(n, difference, 0, 0, 0, "", (), 0)
    return Benchmark(kind.name, "", kind.name, "%", kind.higher_is_better, 0.0, True, paired, ())


def _credits(
    kind: Kind, n: int, share: float, random: Random
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    right = random.random(n) < share
    return right.astype(float) if kind.name == "accuracy" else right * random.uniform(0.5, 1, n)


def head_mean(kind: Kind, share: float) -> float:
    return share if kind.name == "accuracy" else 0.75 * share


def alarms(n: int, drop: float, trials: int, *, together: bool = True, seed: int = 0) -> float:
    """Share of comparisons that say "worse" of anything: of all kinds together, or of accuracy alone."""
    random, kinds = np.random.default_rng(seed), KINDS if together else KINDS[:1]
    said = 0
    for _ in range(trials):
        judged = verdicts([made(kind, n, drop, random) for kind in kinds], ALPHA)
        said += any(one.verdict == "worse" for one in judged)
    return said / trials


def expected_power(n: int, drop: float) -> float:
    """What `evalkit power` says for accuracy, from the spread of a sample's difference."""
    share, spoiled = 0.8, drop / 100 / 0.8
    right = np.array(
        [share * (1 - ANEW + ANEW * share), share * ANEW * (1 - share)]
    )  # right anew, wrong anew
    lost = right[0] * spoiled + right[1]
    won = (1 - share) * ANEW * share * (1 - spoiled)
    sd = 100 * math.sqrt(lost + won - (lost - won) ** 2)
    return power_of(drop, sd, n, alpha=ALPHA)


def main(quick: bool) -> None:
    trials = 400 if quick else 4000
    print(f"{'false alarms where nothing changed (at most 5 %)':60}{'n':>8}{'%':>8}")
    for n in (100, 1000, 5000):
        print(f"{'three benchmarks together':60}{n:8,}{100 * alarms(n, 0, trials // 4):8.1f}", flush=True)
        print(f"{'accuracy alone':60}{n:8,}{100 * alarms(n, 0, trials, together=False):8.1f}", flush=True)
    print(f"{'said worse of a model that is, %':44}{'points':>8}{'n':>8}{'found':>8}{'said':>8}")
    for n, drop in ((500, 4), (1319, 2), (1319, 3), (5000, 1), (5000, 1.5)):
        found, said = alarms(n, drop, trials, together=False, seed=1), expected_power(n, drop)
        print(f"{'accuracy':44}{drop:8}{n:8,}{100 * found:8.1f}{100 * said:8.1f}", flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
