"""Measures 10,000 bootstrap draws over 100,000 samples: an interval, and a comparison of two runs."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from bench.coverage import CASES, Random
from bench.rows import Row, in_own_process, say
from evalkit.metrics.quantile import quantile
from evalkit.stats import bootstrap, kept, paired_bootstrap
from evalkit.stats.resample import Floats

SAMPLES, DRAWS, GROUPS = 100_000, 10_000, 57
SECONDS, MEGABYTES = 2.0, 500.0
"""The budgets of the design."""
METRICS = ("ANLS", "WER", "BLEU")
MEDIAN = "median"


def measure(quick: bool) -> list[Row]:
    rows = []
    for name in METRICS:
        say(f"bootstrap: {name}")
        found = in_own_process("bench.bootstrap", name, 1 if quick else 5)
        what = f"{DRAWS // 1000}k draws over {SAMPLES // 1000}k samples, {name}"
        rows += [
            Row(f"{what}: interval", found["interval"], "s", SECONDS),
            Row(f"{what}: comparison", found["comparison"], "s", SECONDS),
            Row(f"{what}: of means over {GROUPS} groups, clusters in two each", found["means"], "s", SECONDS),
            Row(f"{what}: a comparison in CPU time of all cores", found["cpu"], "s"),
            Row(f"{what}: peak memory", found["megabytes"], "MB", MEGABYTES),
        ]
    say("bootstrap: median")
    found = in_own_process("bench.bootstrap", MEDIAN, 1 if quick else 5)
    what = f"{SAMPLES // 1000}k samples, median"
    return [
        *rows,
        Row(f"2k draws over {what}: interval", found["interval"], "s", SECONDS),
        Row(f"4k draws over {what}: comparison", found["comparison"], "s", SECONDS),
        Row(f"4k draws over {what}: a comparison in CPU time of all cores", found["cpu"], "s"),
        Row(f"4k draws over {what}: peak memory", found["megabytes"], "MB", MEGABYTES),
    ]


def _seconds(turns: int, work: Callable[[], object]) -> float:
    took = []
    for _ in range(turns):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return median(took)


def main(name: str, turns: int) -> None:
    """Prints the measurement as JSON; each one has a process of its own."""
    if name == MEDIAN:
        print(json.dumps(_median(turns)))
        return
    random: Random = np.random.default_rng(0)
    (case,) = (case for case in CASES if case.name == name)
    base, head = (case.make(SAMPLES, random)[0] for _ in range(2))
    interval = _seconds(turns, lambda: bootstrap(base, case.finish, draws=DRAWS))
    busy = time.process_time()
    comparison = _seconds(turns, lambda: paired_bootstrap(base, head, case.finish, draws=DRAWS))
    cpu = (time.process_time() - busy) / turns
    groups = [f"group {row % GROUPS}" for row in range(SAMPLES)]
    pairs = [f"cluster {row // 2}" for row in range(SAMPLES)]  # each in two groups

    def over_groups() -> object:
        return paired_bootstrap(base, head, case.finish, pairs, groups=groups, draws=DRAWS)

    means = _seconds(turns, over_groups)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {"interval": interval, "comparison": comparison, "means": means, "cpu": cpu, "megabytes": peak}
        )
    )


def _median(turns: int) -> dict[str, float]:
    """Measures a median, which needs the values of all samples, with its own number of draws."""
    random: Random = np.random.default_rng(0)
    base = random.lognormal(size=(SAMPLES, 1))
    head = base * random.lognormal(sigma=0.1, size=(SAMPLES, 1))

    def medians(values: Floats) -> Callable[[Floats], Floats]:
        return quantile(values[:, 0])

    interval = _seconds(turns, lambda: kept.interval([(base, ())], medians))
    busy = time.process_time()
    comparison = _seconds(turns, lambda: kept.paired(base, head, medians))
    cpu = (time.process_time() - busy) / turns
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"interval": interval, "comparison": comparison, "cpu": cpu, "megabytes": peak}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
