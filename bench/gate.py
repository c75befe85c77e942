"""Measures how often the gate reports a regression: false alarms without a change, and power with one.

    python -m bench.gate [--quick]

Pairs of simulated runs have n samples. In head, a share of them is drawn again (as by a server's noise or
another seed), and head loses `drop` points. Each pair is judged like in `evalkit compare`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from evalkit.compare.paired import MCNEMAR, Paired
from evalkit.compare.verdicts import Benchmark, Verdict, verdicts
from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.stats import paired_bootstrap, paired_shares
from evalkit.stats.power import power_of, samples_needed

Random = np.random.Generator
ALPHA = 0.05
ANEW = 0.1
"""The share of the samples that are drawn again in head."""


@dataclass(frozen=True)
class Kind:
    name: str
    higher_is_better: bool


KINDS = (Kind("accuracy", True), Kind("ANLS", True), Kind("WER", False))


def made(kind: Kind, n: int, drop: float, random: Random) -> Benchmark:
    """One benchmark of two runs, not yet judged; head is truly `drop` points worse."""
    redrawn = random.random(n) < ANEW
    if kind.name == "WER":
        finish = ErrorRate().finish
        words = 5 + random.poisson(10, n)
        rate = random.beta(1, 8, n)
        edits = random.binomial(words, rate)
        again = np.where(redrawn, random.binomial(words, rate), edits)
        wrong = random.binomial(words - again, drop / 100 / (1 - 1 / 9)) + again
        sides = [np.column_stack([e, 0 * e, 0 * e, words - e]).astype(float) for e in (edits, wrong)]
        difference = paired_bootstrap(
            sides[0], sides[1], finish, draws=1000, seed=int(random.integers(1 << 30))
        )
    else:
        share = 0.8
        first, second = (_credits(kind, n, share, random) for _ in range(2))
        head = np.where(redrawn, second, first)
        head = head * (random.random(n) >= drop / 100 / head_mean(kind, share))
        sides = [np.column_stack([credit, np.ones(n)]) for credit in (first, head)]
        if kind.name == "accuracy":
            difference = paired_shares(sides[0], sides[1], Accuracy().finish)
        else:
            difference = paired_bootstrap(
                sides[0], sides[1], MeanCredit("ANLS").finish, draws=1000, seed=int(random.integers(1 << 30))
            )
    test = MCNEMAR if kind.name == "accuracy" else "bootstrap"
    paired = Paired(n, difference, 0, 0, 0, test, (), (), clusters=n)
    return Benchmark(kind.name, "", kind.name, "%", kind.higher_is_better, 0.0, True, paired)


def _credits(
    kind: Kind, n: int, share: float, random: Random
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    right = random.random(n) < share
    return right.astype(float) if kind.name == "accuracy" else right * random.uniform(0.5, 1, n)


def head_mean(kind: Kind, share: float) -> float:
    return share if kind.name == "accuracy" else 0.75 * share


def said(
    n: int, drop: float, trials: int, *, kinds: Sequence[Kind] = KINDS, margin: float = 0.0, seed: int = 0
) -> Mapping[str, float]:
    """The percentage of comparisons with each verdict on any of `kinds`, which are judged together."""
    random = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for _ in range(trials):
        measured = [dataclasses.replace(made(kind, n, drop, random), margin=margin) for kind in kinds]
        found.update({one.verdict for one in verdicts(measured, ALPHA)})
    return {verdict: 100 * found[verdict] / trials for verdict in get_args(Verdict)}


def spread(drop: float) -> float:
    """The standard deviation of a sample's difference in accuracy, in points, for `evalkit power`."""
    share, wrong = 0.8, drop / 100 / 0.8
    right_anew, wrong_anew = share * (1 - ANEW + ANEW * share), share * ANEW * (1 - share)
    lost = right_anew * wrong + wrong_anew
    won = (1 - share) * ANEW * share * (1 - wrong)
    return 100 * math.sqrt(lost + won - (lost - won) ** 2)


def expected_power(n: int, drop: float) -> float:
    """The power for a drop in accuracy according to `evalkit power`, in percent."""
    return 100 * power_of(drop, spread(drop), n, alpha=ALPHA, exact=True)


def main(quick: bool) -> None:
    trials = 400 if quick else 4000
    print(f"{'reported worse without a change, % (at most 5)':60}{'n':>8}{'%':>8}")
    for n in (30, 100, 1000, 5000):
        _row("three benchmarks together", n, said(n, 0, trials // 4)["worse"])
        _row("accuracy alone", n, said(n, 0, trials, kinds=KINDS[:1])["worse"])
        _row("ANLS alone", n, said(n, 0, trials // 4, kinds=KINDS[1:2])["worse"])
    print("\nhead has lost exactly the margin, 1 point, % (2.5 for either verdict)")
    for n in (1000, 5000):
        for kind, times in zip(KINDS, (trials, trials // 4, trials // 4), strict=True):
            found = said(n, 1, times, kinds=[kind], margin=1.0)
            for verdict in ("worse", "no worse"):
                _row(f"{kind.name}: reported {verdict}", n, found[verdict])
    print(f"\n{'reported worse for a worse model, %':44}{'points':>8}{'n':>8}{'found':>8}{'power':>8}")
    for drop in (1, 1.5, 2, 3, 4):
        enough = samples_needed(drop, spread(drop), alpha=ALPHA, exact=True)
        for n in (enough // 2, enough):
            seen = said(n, drop, trials, kinds=KINDS[:1], seed=1)["worse"]
            print(f"{'accuracy':44}{drop:8}{n:8,}{seen:8.1f}{expected_power(n, drop):8.1f}", flush=True)


def _row(what: str, n: int, percent: float) -> None:
    print(f"{what:60}{n:8,}{percent:8.1f}", flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
