"""Clusters in groups, from which intervals and comparisons of a mean over groups are computed.

A cluster (a sentence read in eleven languages, a speaker of two) may have samples in several groups. Its
samples are resampled together, whatever their groups, so the groups' figures are correlated. Let f(T(g)) be
the figure of group g, T(g) the totals of its n(g) clusters, and u(c, g) those of cluster c in group g. The
influence of the cluster on the figure is that of the jackknife,

    h(c, g) = (n(g) - 1) / n(g) · (f(T(g)) - f(T(g) - u(c, g)))          Efron & Tibshirani 1993, chapter 11

and the variance of the mean of the figures of G groups, with the covariances through shared clusters, is

    V = 1/G² · Σ over c of (Σ over g of √(n(g) / (n(g) - 1)) · h(c, g))²

the one-way cluster-robust variance (Liang & Zeger 1986; Cameron & Miller 2015, equation 11) with the factor
n / (n - 1) of each group. If no cluster is in two groups, V is 1/G² times the sum of the groups' variances.
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
"""Smaller changes of a figure are rounding errors: leaving out a sample that differs changes it by more."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells, each of which holds the totals of one cluster in one group; sorted by group.

    There is a cell for each group in which a cluster has samples. `totals`: (cells, columns); `cluster`,
    `group`: (cells,) numbers from 0; every group number occurs. A sample without a cluster name is its own
    cluster.
    """

    totals: Floats
    cluster: Index
    group: Index

    @classmethod
    def of(cls, matrix: Floats, clusters: Sequence[str] | None, groups: Index | None = None) -> Cells:
        """The cells of `matrix`: (samples, columns); `groups`: (samples,) numbers from 0, None for one."""
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
        """(groups,) the number of clusters in each group."""
        return np.bincount(self.group)

    @property
    def clusters(self) -> int:
        """The number of clusters; one that is in several groups counts once."""
        return len(np.unique(self.cluster))

    def without(self, groups: Index) -> Cells:
        """The cells of all other groups, with the groups renumbered from 0."""
        kept = ~np.isin(self.group, groups)
        numbers = np.unique(self.group[kept], return_inverse=True)[1]
        return Cells(self.totals[kept], self.cluster[kept], numbers)

    def parts(self) -> Iterator[Floats]:
        """The (clusters, columns) totals of each group in turn."""
        yield from np.split(self.totals, np.cumsum(self.counts)[:-1])

    def figures(self, finish: Callable[[Floats], Floats]) -> Floats:
        """(groups,) the figure of each group."""
        return np.array([float(finish(part.sum(axis=0))) for part in self.parts()])

    def influences(self, finish: Callable[[Floats], Floats]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """((cells,) influences h, (groups,) whether all clusters of the group have the same influence)."""
        influences, alike = [], []
        for part in self.parts():
            if len(part) == 1:  # without this cluster there is no figure
                alike.append(True)
                influences.append(np.zeros(1))
                continue
            # Without the only cluster that has words, a rate is 0 over 0 and the influence is unknown: 0.
            with np.errstate(invalid="ignore", divide="ignore"):
                left = finish(part.sum(axis=0) - part)
            alike.append(bool(np.ptp(left) < _ROUNDING))
            moved = np.nan_to_num(np.nanmean(left) - left) if not alike[-1] else np.zeros(len(part))
            influences.append(moved * (len(part) - 1) / len(part))
        return np.concatenate(influences), np.array(alike)

    def spread(self, influences: Floats) -> tuple[float, float]:
        """(variance of the sum over groups, degrees of freedom) from (cells,) influences; not divided by G².

        The degrees of freedom follow Satterthwaite (1946): the variance of a cluster's part of V is computed
        from the mean squares of its groups and their correlation through shared clusters. If every cluster is
        in every group, they are the number of clusters minus one; if no cluster is in two groups, they are
        Welch's.
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
        """The sample's variance over the bootstrap's: n / (n - 1), as a weighted mean over groups."""
        plain = float(np.sum(np.bincount(self.cluster, influences) ** 2))
        return self.spread(influences)[0] / plain if plain else 1.0

    def drawn(self, finish: Callable[[Floats], Floats], draws: int, random: np.random.Generator) -> Floats:
        """(draws,) sums of the groups' figures; a cluster is resampled with its samples in all groups.

        Groups without common clusters are resampled independently. In a draw that has no cluster of a group,
        the group's figure is that of the original group.
        """
        sums = np.zeros(draws)
        for part in self._drawn_together():
            if part.groups == 1:
                sums += finish(resampled(part.totals, draws, random))
                continue
            own = np.array([units.sum(axis=0) for units in part.parts()])
            counted = np.column_stack([part.totals, np.ones(len(part.totals))])

            def summed(totals: Floats, own: Floats = own) -> Floats:
                present = totals[..., -1:] > 0.5
                total: Floats = finish(np.where(present, totals[..., :-1], own)).sum(axis=-1)
                return total

            sums += resampled_together(Totals(counted, part.cluster, part.group), draws, random, summed)
        return sums

    @property
    def components(self) -> int:
        """The number of sets of groups such that no cluster is in two sets."""
        return len(np.unique(self._labels()))

    def _labels(self) -> npt.NDArray[Any]:
        """(groups,) numbers, the same for groups that are connected through clusters."""
        if self.clusters == len(self.cluster):  # no cluster is in two groups
            return np.arange(self.groups)
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        size = self.groups + int(self.cluster.max()) + 1
        ends = self.group, self.groups + self.cluster
        edges = coo_array((np.ones(len(self.group)), ends), (size, size))
        labels: npt.NDArray[Any] = connected_components(edges, directed=False)[1][: self.groups]
        return labels

    def _drawn_together(self) -> Iterator[Cells]:
        """Sets of groups to resample together, their clusters numbered from 0.

        Connected groups with few clusters form a set of their own, because few clusters are drawn with
        replacement. All other groups form one set: many clusters have independent weights, so it makes no
        difference which of them are drawn together.
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
