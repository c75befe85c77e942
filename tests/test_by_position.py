"""The course of a log-loss over positions, and its power law: known laws, what determines none, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.metrics.log_loss import OCTAVES, PARTS, LogLoss
from evalkit.stats.by_position import Estimate, PowerLaw, course
from evalkit.stats.resample import Floats


def statistics(nats: Floats) -> Floats:
    """(columns,) what `LogLoss("token")` measures in a document whose tokens have these values."""
    places = np.arange(1, len(nats) + 1)
    logs = np.log(places)
    parts = (nats, np.ones(len(nats)), logs, logs**2)
    octaves = np.frexp(places)[1] - 1
    sums = np.column_stack([np.bincount(octaves, part, minlength=OCTAVES) for part in parts])
    row: Floats = np.concatenate([[len(nats)], sums.ravel()])
    return row


def documents(
    law: tuple[float, float, float], count: int, length: int, seed: int = 0, spread: float = 0.0
) -> Floats:
    """Documents of a law with exponential surprises and levels that differ by `spread`; 0: with neither."""
    alpha, beta, gamma = law
    mean, random = alpha * np.arange(1.0, length + 1) ** beta + gamma, np.random.default_rng(seed)
    if not spread:
        return np.array([statistics(mean)] * count)
    return np.array(
        [
            statistics(random.exponential(mean) + random.normal(0.0, spread))
            for _ in range(count)
        ]
    )  # fmt: skip


def inside(part: Estimate, value: float) -> bool:
    assert part.low is not None
    assert part.high is not None
    return part.low <= value <= part.high


@pytest.mark.parametrize("beta", [-0.1, -0.3, -0.5, -1.0, -2.0])
def test_a_law_without_noise_is_found_again(beta: float) -> None:
    """An octave's mean is not the law at one position, and the last octave may hold only a part."""
    law = course(documents((4.0, beta, 1.5), 5, 6000), draws=20).law
    assert isinstance(law, PowerLaw)
    assert law.alpha.value == pytest.approx(4.0, abs=0.02)
    assert law.beta.value == pytest.approx(beta, rel=0.005)
    assert law.gamma.value == pytest.approx(1.5, abs=0.02)
    assert (law.first, law.last) == (1, 8191)


def test_the_octaves() -> None:
    whole = documents((4.0, -0.5, 1.0), 3, 20)
    short = statistics(np.full(5, 7.0))
    found = course(np.vstack([whole, short]), scale=2.0)
    assert [(one.first, one.last) for one in found.octaves] == [(1, 1), (2, 3), (4, 7), (8, 15), (16, 31)]
    assert [one.documents for one in found.octaves] == [4, 4, 4, 3, 3]
    assert [one.units for one in found.octaves] == [4, 8, 14, 24, 15]
    assert found.octaves[0].mean.value == pytest.approx(2 * (3 * 5.0 + 7.0) / 4)
    last = found.octaves[-1]
    assert last.middle == pytest.approx(math.prod(range(16, 21)) ** (1 / 5))
    assert last.mean.value == pytest.approx(2 * sum(4 * x**-0.5 + 1 for x in range(16, 21)) / 5)
    assert found.law == "4 documents, and it takes 5"


def test_samples_of_one_cluster_are_one_document() -> None:
    rows = documents((4.0, -0.5, 1.0), 8, 100, spread=0.2)
    found = course(rows, ["a", "a", "a", "a", "b", "b", "b", "b"])
    assert found.octaves[0].documents == 2
    assert found.law == "2 documents, and it takes 5"
    (alone, *_) = course(rows[:1]).octaves
    assert (alone.mean.low, alone.mean.high) == (None, None)


def test_what_does_not_vary_has_no_interval() -> None:
    """A mean of one document among others, and one that is the same in all; two documents have a wide one."""
    rows = documents((4.0, -0.5, 1.0), 6, 20, spread=0.2)
    rows[:, 1] = 9.0
    longer = documents((4.0, -0.5, 1.0), 3, 40, seed=1, spread=0.2)
    longer[:, 1] = 9.0
    first, second, *_, last = course(np.vstack([rows, longer[:1]])).octaves
    assert (first.mean.value, first.mean.low) == (9.0, None)
    assert second.mean.low is not None
    assert (last.first, last.documents, last.mean.low) == (32, 1, None)
    *_, two = course(np.vstack([rows, longer[:2]])).octaves
    *_, three = course(np.vstack([rows, longer])).octaves
    assert two.mean.low is not None
    assert two.mean.high is not None
    assert three.mean.low is not None
    means = longer[:, 1 + 4 * 5] / longer[:, 2 + 4 * 5]
    assert (two.mean.low, two.mean.high) == (min(means[:2]), max(means[:2]))


def test_what_determines_no_law() -> None:
    flat = course(documents((0.0, -0.5, 2.0), 12, 500, spread=0.3), draws=200).law
    assert isinstance(flat, str)
    assert "at an end of its range" in flat or "flat within its intervals" in flat
    logarithm = np.array([statistics(5 - 0.3 * np.log(np.arange(1.0, 3000.0)))] * 6)
    assert "at an end of its range" in str(course(logarithm, draws=50).law)
    assert course(documents((4.0, -0.5, 1.0), 6, 15)).law == (
        "documents differ and all have tokens in 4 octaves, and it takes 5"
    )


def test_what_only_some_documents_have_is_in_no_law() -> None:
    """Octaves that a short document does not reach; a first word that is the same in all."""
    long = documents((4.0, -0.5, 1.0), 9, 3000, spread=0.1)
    rows = np.vstack([long, documents((4.0, -0.5, 1.0), 1, 1000, seed=1, spread=0.1)])
    rows[:, 1] = 9.0
    law = course(rows, draws=100).law
    assert isinstance(law, PowerLaw)
    assert (law.first, law.last) == (2, 1023)


def test_the_figures_of_the_metric() -> None:
    rows = documents((4.0, -0.5, 1.0), 2, 10)
    assert LogLoss("token").finish(rows.sum(axis=0)) == pytest.approx(
        sum(4 * x**-0.5 + 1 for x in range(1, 11)) / 10
    )
    assert LogLoss().finish(rows[0]) == pytest.approx(LogLoss("token").finish(rows[0]) / math.log(2))
    assert len(LogLoss().columns) == 1 + OCTAVES * len(PARTS)
    assert np.isnan(LogLoss().finish(np.zeros(len(LogLoss().columns))))


@pytest.mark.slow
def test_the_intervals_cover_what_they_say() -> None:
    """200 simulations of 30 documents that differ in their level, with skewed surprises."""
    law, tries = (4.0, -0.3, 1.5), 200
    covered = np.zeros(3)
    means = np.zeros(12)
    expected = [
        np.mean([law[0] * x ** law[1] + law[2] for x in range(2**k, 2 ** (k + 1))]) for k in range(12)
    ]
    for seed in range(tries):
        found = course(documents(law, 30, 4095, seed, spread=0.3), draws=1000)
        assert isinstance(found.law, PowerLaw)
        parts = (found.law.alpha, found.law.beta, found.law.gamma)
        covered += [inside(part, value) for part, value in zip(parts, law, strict=True)]
        means += [inside(o.mean, value) for o, value in zip(found.octaves, expected, strict=True)]
    assert (covered / tries >= 0.90).all(), covered / tries
    assert (means / tries >= 0.90).all(), means / tries
    assert (means / tries <= 0.99).all(), means / tries
