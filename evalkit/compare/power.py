"""Computes how large a comparison must be, from a measured or assumed spread of a benchmark's samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from evalkit.compare.paired import MCNEMAR, pair
from evalkit.errors import DataError, UsageError, counted, unknown
from evalkit.runfile.measured import measure
from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from evalkit.stats.power import Spread, draws_needed, effect_seen, samples_needed
from evalkit.stats.resample import INTERVAL_DRAWS

WIDEST = 50.0
"""Standard deviation of a sample, in points, if half of the samples are right: the largest of an accuracy."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The size of a comparison. `enough`: how many samples are needed to detect `effect`.

    `size`: samples of the benchmark, None if unknown. `spread`: of a sample's difference, in the metric's
    unit; `source` says where it is from. `draws`: draws of the runs that it was measured in. `draws_enough`:
    how many draws of each of the benchmark's samples are needed. `exact`: whether the comparison will use
    McNemar's test, as for zeros and ones without clusters. `benchmarks`: the number of benchmarks in the
    comparison, which share `alpha`.
    """

    task: str
    effect: float
    alpha: float
    power: float
    spread: Spread
    source: str
    draws: int
    size: int | None
    exact: bool
    benchmarks: int = 1

    @property
    def level(self) -> float:
        """The p below which a single benchmark is significant (`evalkit.compare.verdicts`)."""
        return self.alpha / self.benchmarks

    @property
    def sd(self) -> float:
        return self.spread.of(self.draws)

    @property
    def enough(self) -> int:
        return samples_needed(self.effect, self.sd, alpha=self.level, power=self.power, exact=self.exact)

    @property
    def seen(self) -> float | None:
        """The difference that the whole benchmark detects; None if its size is unknown or it detects none."""
        if self.size is None:
            return None
        found = effect_seen(self.size, self.sd, alpha=self.level, power=self.power, exact=self.exact)
        return found if math.isfinite(found) else None

    @property
    def draws_enough(self) -> int | None:
        if self.size is None or not self.spread.within:
            return None
        return draws_needed(self.effect, self.spread, self.size, alpha=self.level, power=self.power)

    def as_json(self) -> dict[str, JSON]:
        return {
            "task": self.task,
            "effect": self.effect,
            "alpha": self.alpha,
            "benchmarks": self.benchmarks,
            "power": self.power,
            "sd": self.sd,
            "source": self.source,
            "samples": self.enough,
            "size": self.size,
            "seen": self.seen,
            "draws": self.draws,
            "draws_needed": self.draws_enough,
        }

    def lines(self) -> list[str]:
        """Returns the result as text, line by line."""
        among = f" among {self.benchmarks} benchmarks" if self.benchmarks > 1 else ""
        enough = counted(self.enough, "sample shows", "samples show")
        lines = [
            f"{self.task}: {enough} a difference of {self.effect:g} points "
            f"{self.power:.0%} of the time, with at most {self.alpha:.0%} false alarms{among}",
            f"  a sample's difference has a standard deviation of {self.sd:.1f} points: {self.source}",
        ]
        if self.size is None:
            lines.append("  how many samples the benchmark has is not known without its data")
        else:
            verb = "enough" if self.size >= self.enough else "too few"
            shown = "no difference" if self.seen is None else f"{self.seen:.2g} points or more"
            lines.append(f"  the benchmark has {self.size:,}, {verb}: they show {shown}")
        if self.size is not None and self.size < self.enough and self.spread.within:
            draws = self.draws_enough
            lines.append(
                f"  with {draws} draws of each sample the whole benchmark would show it"
                if draws
                else "  no number of draws is enough, because the difference varies between samples"
            )
        return lines


def plan_samples(
    task: str,
    effect: float,
    runs: Sequence[Path],
    *,
    alpha: float,
    power: float,
    correlation: float,
    settings: Mapping[str, str],
    data: str | None = None,
    benchmarks: int = 1,
) -> Planned:
    """Computes how many samples of `task` (name or name:protocol) detect `effect` points.

    `runs`: none, one or two. The other parameters are those of `evalkit power`. Raises `UsageError`.
    """
    name, _, protocol = task.partition(":")
    with ExitStack() as stack:
        stores = []
        for path in runs:
            stores.append(Store.open(path))
            stack.callback(stores[-1].close)
        if stores:
            cells = [_cell(store, name, protocol) for store in stores]
            spread, source, draws, exact = _spread(stores, cells, correlation)
            size = cells[0].spec.size or cells[0].spec.records
        else:
            spread = Spread(WIDEST * math.sqrt(2 * (1 - correlation)))
            source = f"assumed, of accuracies of 50 % that agree with a correlation of {correlation:g}"
            draws, size, exact = 1, _size(name, settings, data), True
    return Planned(task, effect, alpha, power, spread, source, draws, size, exact, benchmarks)


def _cell(store: Store, name: str, protocol: str) -> Cell:
    cells = [cell for cell in store.cells() if not cell.role]
    for cell in cells:
        if cell.task == name and protocol in ("", cell.protocol):
            return cell
    wanted = f"{name}:{protocol}" if protocol else name
    raise unknown(f"benchmark in {store.path}", wanted, [cell.spec.name for cell in cells])


def _spread(
    stores: Sequence[Store], cells: Sequence[Cell], correlation: float
) -> tuple[Spread, str, int, bool]:
    metric = cells[0].spec.metrics[0].name
    draws = cells[0].spec.protocol.draws
    if len(stores) == 2:
        found = pair(stores[0], cells[0], stores[1], cells[1], metric)
        if found is None or math.isinf(found.difference.error):
            raise UsageError(f"{stores[0].path} and {stores[1].path} have too few samples in common")
        sd = found.difference.error * math.sqrt(found.n)
        source = f"measured, of {found.n:,} samples of two runs"
        return Spread(sd), source, draws, found.test == MCNEMAR
    single, within, exact = _own_spread(stores[0], cells[0], metric)
    source = f"from one run's own samples, for runs that agree with a correlation of {correlation:g}"
    if within:  # two runs have the samples in common, but independent draws
        between = math.sqrt(max(0.0, single**2 - within**2 / draws))
        spread = Spread(between * math.sqrt(2 * (1 - correlation)), within * math.sqrt(2))
        return spread, source, draws, False
    return Spread(single * math.sqrt(2 * (1 - correlation))), source, draws, exact


def _own_spread(store: Store, cell: Cell, metric: str) -> tuple[float, float, bool]:
    """Returns the standard deviations of a sample's figure and of one draw around it, in the metric's unit.

    The first one is derived from the bootstrap, so that it holds for any metric. The second one is known if
    a sample's figure is the share of its right draws, else it is 0. The third value is whether two such runs
    would be compared by an exact test.
    """
    from evalkit.metrics.base import traits_of
    from evalkit.stats.aggregates import aggregate_of, counted

    data = store.data(cell)
    measured = measure(store, cell, metric)
    figure, matrix = measured.usable(store, cell), measured.of(data.matrix)
    clusters, named = (list(compress(of, data.scored)) for of in (data.clusters, data.groups))
    traits, aggregate = traits_of(figure), aggregate_of(figure)
    inside = [row for row, counts in enumerate(counted(figure, matrix)) if counts]
    matrix, clusters, named = matrix[inside], [clusters[i] for i in inside], [named[i] for i in inside]
    groups = named if traits.average else None
    error, _ = (
        aggregate.standard_error(matrix, clusters, groups, INTERVAL_DRAWS) if inside else (math.inf, 1.0)
    )
    if math.isinf(error):
        raise UsageError(f"{store.path}: {cell.task} has too few samples to measure their spread")
    single = error * math.sqrt(len(matrix))
    exact = aggregate.is_shares(matrix) and not any(clusters) and groups is None
    draws = cell.spec.protocol.draws
    if draws < 2 or not traits.share_of_draws:
        return single, 0.0, exact
    share = matrix[:, 0] / matrix[:, 1]
    within = float((share * (1 - share)).mean()) * draws / (draws - 1)
    return single, 100 * math.sqrt(within), exact


def _size(name: str, settings: Mapping[str, str], data: str | None) -> int | None:
    """Returns how many samples the benchmark has, or None if its data is not available."""
    from evalkit.benchmark.task import load_task
    from evalkit.data.base import data_options

    options = data_options(data)
    task = load_task(name, settings, options)
    try:
        return task.data.open(options).count
    except DataError:
        return None
