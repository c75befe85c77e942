"""Statistics of figures that are not functions of sums, such as medians: the weights of values are resampled.

A draw gives every cluster a weight, which its samples have in every group, and the figure is computed from
all weighted values (`evalkit.stats.resample` describes how weights are drawn). Percentiles and standard
errors are those of such draws, widened for few clusters as for sums. The degrees of freedom are the number of
clusters minus one. For a mean over groups they follow Welch and Satterthwaite, from the variances of the
groups' figures, and are at most the number of all clusters minus one, because groups may share clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from evalkit.stats.intervals import t_quantile
from evalkit.stats.paired import Difference, difference_of
from evalkit.stats.resample import ERROR_DRAWS, INTERVAL_DRAWS, Floats, cluster_index, weighed

Index = npt.NDArray[np.intp]
Figures = Callable[[Floats], Floats]
"""(draws, samples) weights → (draws,) figures."""
Aggregate = Callable[[Floats], Figures]
"""(samples, columns) values → figures of weights."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The figure of one group as a function of weights.

    `cluster`: (samples,) numbers, from 0 over all groups; None if there is one group and each sample is its
    own cluster. `size`: the number of samples. `varies`: whether any two samples differ.
    """

    figures: Figures
    cluster: Index | None
    size: int
    varies: bool

    @property
    def own(self) -> float:
        return float(self.figures(np.ones((1, self.size)))[0])

    @property
    def units(self) -> Index:
        """The numbers of the group's clusters."""
        return np.arange(self.size) if self.cluster is None else np.unique(self.cluster)

    def drawn(self, weights: Floats) -> Floats:
        """(draws,) figures from (draws, clusters) weights; without any sample in a draw, the group's own."""
        if self.cluster is None:
            return self.figures(weights)
        mine = np.take(weights, self.cluster, axis=1)
        none = mine.sum(axis=1, keepdims=True) == 0
        return self.figures(np.where(none, 1, mine) if none.any() else mine)


def figure(values: Floats, aggregate: Aggregate) -> float:
    """The figure of all samples, each counting once."""
    return float(aggregate(values)(np.ones((1, len(values))))[0])


def interval(
    parts: Sequence[tuple[Floats, Sequence[str]]], aggregate: Aggregate, *, draws: int = INTERVAL_DRAWS
) -> tuple[float, float] | None:
    """The 95 % interval of the mean of the figures of `parts`: the (values, clusters) of one or more groups.

    None if a group is a single cluster, if all its samples are the same, or if no draw has a figure.
    """
    groups = _groups([(values, values) for values, _ in parts], [names for _, names in parts], aggregate)
    if any(len(group.units) == 1 or not group.varies for group in groups):
        return None
    figures = _drawn(groups, draws, 0)
    if np.isnan(figures).all(axis=0).any():  # such as a figure that no draw has
        return None
    wider, degrees = _few(groups, figures)
    outer = NormalDist().cdf(-wider * t_quantile(degrees))
    low, high = np.nanquantile(figures.mean(axis=1), [outer, 1 - outer])
    return float(low), float(high)


def standard_error(
    values: Floats,
    aggregate: Aggregate,
    clusters: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    draws: int = ERROR_DRAWS,
) -> tuple[float, float]:
    """(standard error, degrees of freedom) of a figure or of the mean over groups; infinite if unknown."""
    named = _named_groups(values, values, aggregate, clusters, groups)
    error, degrees = _error(named, draws) if named else (math.inf, 1.0)
    return error or math.inf, degrees


def paired(
    base: Floats,
    head: Floats,
    aggregate: Aggregate,
    clusters: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    turned: Callable[[Floats], Floats] = lambda figures: figures,
    draws: int = ERROR_DRAWS,
    confidence: float = 0.95,
) -> Difference:
    """The difference of two figures, both computed from the same draws of samples, as in `paired_bootstrap`.

    `base`, `head`: (samples, columns), rows aligned. `turned`: a function of figures whose results are
    compared.
    """
    named = _named_groups(base, head, aggregate, clusters, groups, turned)
    sides = [
        turned(np.array([group.own for group in _named_groups(of, of, aggregate, clusters, groups)]))
        for of in (base, head)
    ]
    before, after = (float(side.mean()) if len(side) else math.nan for side in sides)
    error, degrees = _error(named, draws) if named else (math.inf, 1.0)
    units = _units(named) if named else 0
    return difference_of(before, after, error, degrees, units, draws, confidence)


def _error(groups: Sequence[_Group], draws: int) -> tuple[float, float]:
    """(standard error, degrees of freedom): error 0 if no sample differs, inf if a group is one cluster."""
    if any(len(group.units) == 1 for group in groups):
        return math.inf, 1.0
    if not any(group.varies for group in groups):
        return 0.0, float(_units(groups) - 1)
    figures = _drawn(groups, draws, 0)
    if np.isnan(figures).all(axis=0).any():
        return math.inf, 1.0
    wider, degrees = _few(groups, figures)
    return wider * float(np.nanstd(figures.mean(axis=1))), degrees


def _few(groups: Sequence[_Group], figures: Floats) -> tuple[float, float]:
    """(factor by which few clusters widen the draws' spread, degrees of freedom).

    `figures`: (draws, groups).
    """
    variance = np.nanvar(figures, axis=0)
    counts = np.array([len(group.units) for group in groups])
    most = _units(groups) - 1
    if not variance.sum():
        return 1.0, float(max(1, most))
    small = counts / (counts - 1)
    wider = math.sqrt(float((variance * small).sum() / variance.sum()))
    welch = float(variance.sum() ** 2 / (variance**2 / (counts - 1)).sum())
    return wider, max(1.0, min(float(most), round(welch, 6)))


def _units(groups: Sequence[_Group]) -> int:
    """The number of clusters in all groups together."""
    return len(np.unique(np.concatenate([group.units for group in groups])))


def _drawn(groups: Sequence[_Group], draws: int, seed: int) -> Floats:
    """(draws, groups) figures; a cluster has the same weight in every group."""
    units = max(int(group.units[-1]) for group in groups) + 1

    def figures(weights: Floats) -> Floats:
        return np.column_stack([group.drawn(weights) for group in groups])

    return weighed(units, draws, np.random.default_rng(seed), figures)


def _named_groups(
    base: Floats,
    head: Floats,
    aggregate: Aggregate,
    clusters: Sequence[str] | None,
    groups: Sequence[str] | None,
    turned: Callable[[Floats], Floats] = lambda figures: figures,
) -> list[_Group]:
    """The groups that `groups` names, or one of all samples; a group whose figure is NaN is left out."""
    names = clusters or [""] * len(base)
    if groups is None or not any(groups):
        rows = [list(range(len(base)))]
    else:
        named: dict[str, list[int]] = {}
        for row, group in enumerate(groups):
            if group:
                named.setdefault(group, []).append(row)
        rows = list(named.values())
    same = base is head
    parts = [(part, part if same else head[of]) for of in rows for part in (base[of],)]
    all_groups = _groups(parts, [[names[row] for row in of] for of in rows], aggregate, turned)
    return [group for group in all_groups if not math.isnan(group.own)]


def _groups(
    parts: Sequence[tuple[Floats, Floats]],
    names: Sequence[Sequence[str]],
    aggregate: Aggregate,
    turned: Callable[[Floats], Floats] = lambda figures: figures,
) -> list[_Group]:
    sizes = [len(values) for values, _ in parts]
    listed = [
        name for of, size in zip(names, sizes, strict=True) for name in (of if any(of) else [""] * size)
    ]
    alone = len(parts) == 1 and not any(listed)
    index = np.arange(len(listed)) if not any(listed) else cluster_index(listed)
    ends = np.cumsum([0, *sizes])
    groups = []
    for (base, head), start, end in zip(parts, ends, ends[1:], strict=False):
        # An aggregate that sorts its values then reads the weights in order, in a third of the time.
        order = np.argsort(base[:, 0], kind="stable")
        both = base[order] if base is head else np.hstack([base[order], head[order]])
        figures = aggregate(both) if base is head else _apart(aggregate, base[order], head[order], turned)
        cluster = None if alone else index[start:end][order]
        groups.append(_Group(figures, cluster, end - start, bool(np.ptp(both, axis=0).any())))
    return groups


def _apart(aggregate: Aggregate, base: Floats, head: Floats, turned: Callable[[Floats], Floats]) -> Figures:
    before, after = aggregate(base), aggregate(head)

    def figures(weights: Floats) -> Floats:
        difference: Floats = turned(after(weights)) - turned(before(weights))
        return difference

    return figures
