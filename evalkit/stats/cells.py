"""Clusters in groups: what both an interval and a comparison of a mean over groups are computed from.

A cluster (a sentence read in eleven languages, a speaker of two) may have samples in several groups. Its
samples come and go together, whatever their groups, so the groups' figures vary together. With f(T(g)) the
figure of group g, T(g) the totals of its n(g) clusters and u(c, g) those of cluster c in it, the cluster's
influence on it is the jackknife's

    h(c, g) = (n(g) - 1) / n(g) · (f(T(g)) - f(T(g) - u(c, g)))          Efron & Tibshirani 1993, chapter 11

and the variance of the mean of G groups' figures, covariances through shared clusters included, is

    V = 1/G² · Σ over c of (Σ over g of √(n(g) / (n(g) - 1)) · h(c, g))²

the one-way cluster-robust variance (Liang & Zeger 1986; Cameron & Miller 2015, equation 11) with each group's
own n / (n - 1). Where no cluster is in two groups it is the sum of the groups' variances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evalkit.stats.resample import EXACT, Floats, Totals, cluster_index, resampled, resampled_together

Index = npt.NDArray[np.intp]
_ROUNDING = 1e-9
"""A figure moves by more if a sample that is not like the others is left out."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Totals of every cluster in every group that it has samples in, by group.

    `totals`: (cells, columns); `cluster`, `group`: (cells,) numbers from 0, of groups none left out. A sample
    without a cluster's name is a cluster of its own.
    """

    totals: Floats
    cluster: Index
    group: Index

    @classmethod
    def of(cls, matrix: Floats, clusters: Sequence[str] | None, groups: Index | None = None) -> Cells:
        """`matrix`: (samples, columns); `groups`: (samples,) numbers from 0, None for a single group."""
        group = np.zeros(len(matrix), np.intp) if groups is None else groups
        if clusters is None or not any(clusters):
            order = np.argsort(group, kind="stable")
            return cls(matrix[order], order, group[order])
        cluster = cluster_index(clusters)
        order = np.lexsort((cluster, group))
        cluster, group = cluster[order], group[order]
        first = np.r_[True, (cluster[1:] != cluster[:-1]) | (group[1:] != group[:-1])]
        return cls(
            np.add.reduceat(matrix[order], np.flatnonzero(first), axis=0), cluster[first], group[first]
        )

    @property
    def groups(self) -> int:
        return int(self.group[-1]) + 1

    @property
    def counts(self) -> Index:
        """(groups,) clusters of each."""
        return np.bincount(self.group)

    @property
    def clusters(self) -> int:
        """How many there are, each counted once however many groups it is in."""
        return len(np.unique(self.cluster))

    def without(self, groups: Index) -> Cells:
        """The others, numbered anew."""
        kept = ~np.isin(self.group, groups)
        numbers = np.unique(self.group[kept], return_inverse=True)[1]
        return Cells(self.totals[kept], self.cluster[kept], numbers)

    def parts(self) -> Iterator[Floats]:
        """(clusters, columns) of each group."""
        yield from np.split(self.totals, np.cumsum(self.counts)[:-1])

    def figures(self, finish: Callable[[Floats], Floats]) -> Floats:
        """(groups,) each one's figure."""
        return np.array([float(finish(part.sum(axis=0))) for part in self.parts()])

    def influences(self, finish: Callable[[Floats], Floats]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """((cells,) h, (groups,) whether no cluster of the group moves its figure more than another)."""
        found, alike = [], []
        for part in self.parts():
            if len(part) == 1:  # without it there is no figure
                alike.append(True)
                found.append(np.zeros(1))
                continue
            # Left out, the only words of a group leave a rate over nothing; it has no influence to tell.
            with np.errstate(invalid="ignore", divide="ignore"):
                left = finish(part.sum(axis=0) - part)
            alike.append(bool(np.ptp(left) < _ROUNDING))
            moved = np.nan_to_num(np.nanmean(left) - left) if not alike[-1] else np.zeros(len(part))
            found.append(moved * (len(part) - 1) / len(part))
        return np.concatenate(found), np.array(alike)

    def spread(self, influences: Floats) -> tuple[float, float]:
        """(variance of the sum over groups, degrees of freedom) from (cells,) influences; not divided by G².

        Degrees of freedom after Satterthwaite (1946): a cluster's part of V has the variance that its groups'
        mean squares and their correlation through shared clusters give it. They are the clusters less one
        where all are in every group, and Welch's where none is in two.
        """
        counts = self.counts
        small = counts / np.maximum(1, counts - 1)
        scaled = influences * np.sqrt(small)[self.group]
        variance = float(np.sum(np.bincount(self.cluster, scaled) ** 2))
        deviation = np.sqrt(np.bincount(self.group, scaled**2) / counts)[self.group]
        apart, together = np.bincount(self.cluster, deviation**2), np.bincount(self.cluster, deviation) ** 2
        between = float(together.sum() - apart.sum())
        correlation = np.clip((variance - apart.sum()) / between, 0, 1) if between > 0 else 0.0
        each = apart + correlation * (together - apart)
        factor = np.zeros(len(each))
        np.maximum.at(factor, self.cluster, small[self.group])
        weighed = float(np.sum(each**2 * factor))
        return variance, max(1.0, round(float(each.sum()) ** 2 / weighed, 6)) if weighed else 1.0

    def correction(self, influences: Floats) -> float:
        """What the bootstrap's variance is short of the sample's: n / (n - 1), weighed over groups."""
        plain = float(np.sum(np.bincount(self.cluster, influences) ** 2))
        return self.spread(influences)[0] / plain if plain else 1.0

    def drawn(self, finish: Callable[[Floats], Floats], draws: int, random: np.random.Generator) -> Floats:
        """(draws,) sums of the groups' figures, clusters resampled with all that they have in any group.

        Groups without a cluster in common are resampled each by itself. In a draw without any cluster of a
        group the group's figure is that of the group itself.
        """
        found = np.zeros(draws)
        for part in self._drawn_together():
            if part.groups == 1:
                found += finish(resampled(part.totals, draws, random))
                continue
            own = np.array([units.sum(axis=0) for units in part.parts()])
            counted = np.column_stack([part.totals, np.ones(len(part.totals))])

            def summed(totals: Floats, own: Floats = own) -> Floats:
                there = totals[..., -1:] > 0.5
                total: Floats = finish(np.where(there, totals[..., :-1], own)).sum(axis=-1)
                return total

            found += resampled_together(Totals(counted, part.cluster, part.group), draws, random, summed)
        return found

    @property
    def components(self) -> int:
        """How many sets of groups there are without a cluster in common."""
        return len(np.unique(self._labels()))

    def _labels(self) -> npt.NDArray[Any]:
        """(groups,) the same number for groups that clusters connect."""
        if self.clusters == len(self.cluster):  # none is in two groups
            return np.arange(self.groups)
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        size = self.groups + int(self.cluster.max()) + 1
        ends = self.group, self.groups + self.cluster
        edges = coo_array((np.ones(len(self.group)), ends), (size, size))
        labels: npt.NDArray[Any] = connected_components(edges, directed=False)[1][: self.groups]
        return labels

    def _drawn_together(self) -> Iterator[Cells]:
        """Sets of groups, their clusters numbered from 0: those with few, and all others at once.

        Few are drawn with replacement, among those of connected groups. Many have independent weights, so
        that it makes no difference which of them are drawn at once.
        """
        labels = self._labels()
        first = np.unique(self.cluster, return_index=True)[1]
        sizes = np.bincount(labels[self.group[first]])
        few = np.flatnonzero((sizes > 0) & (sizes <= EXACT))
        for kept in (*few, np.flatnonzero(sizes > EXACT)):
            rows = np.isin(labels, kept)[self.group]
            if rows.any():
                group, cluster = (
                    np.unique(of[rows], return_inverse=True)[1] for of in (self.group, self.cluster)
                )
                yield Cells(self.totals[rows], cluster, group)
