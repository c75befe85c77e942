"""The tables of the pages over a folder, in the common form of `evalkit.report.tabular`, with links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from evalkit.report.charts.texts import shown as shortened
from evalkit.report.digits import figure_text, interval_text
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow, cleaned
from evalkit.report.tabulate import outcome_shares
from evalkit.runfile.records import natural
from evalkit.site.compared import Change, Changes
from evalkit.site.contents import Figure, Headline
from evalkit.site.folder import Run, value_text
from evalkit.site.history import Line, Point
from evalkit.site.names import benchmark_name

_LISTED = 6
"""The most figures of a run that the list of runs shows."""
SIDE_BY_SIDE = 8
"""The most runs that stand side by side in a table: the newest ones."""
_NONE = TabularCell("—", "empty")


class _Notes:
    """The notes of a table, each once, and the numbers by which cells refer to them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def marks(self, one: Headline) -> tuple[int, ...]:
        return tuple(self._numbers.setdefault(note, len(self._numbers) + 1) for note in one.notes)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._numbers)


def run_href(run: Run, root: str = "") -> str:
    """The address of a run's page, from a page whose index is at `root`."""
    return f"{root}runs/{run.name}.html"


def samples_href(run: Run, one: Headline, root: str = "") -> str:
    """The address of a benchmark's samples in the page of a run."""
    return f"{run_href(run, root)}#samples={quote(one.name, safe='')}/"


def benchmark_href(task: str, root: str = "") -> str:
    return f"{root}benchmarks/{benchmark_name(task)}.html"


def compare_href(base: Run, head: Run, root: str = "") -> str:
    return f"{root}compare/{base.name}...{head.name}.html"


def shown_name(run: Run) -> str:
    """A run's model and file on one short line, for headings."""
    return f"{shortened(run.contents.model)} ({shortened(run.file)})"


def began_text(run: Run) -> str:
    """When a run began, in UTC to the minute; `—` if that is not known."""
    return f"{run.began:%Y-%m-%d %H:%M}" if run.contents.started else "—"


def runs_table(runs: Sequence[Run], before: Mapping[str, Run]) -> Tabular:
    """The runs with their states and figures. `live.js` renews the columns 3 and 4, counted from 0.

    `before`: by the name of a run, the one that it is compared with.
    """
    headings = ("run", "model", "began (UTC)", "state", "figures", "compared with")
    rows = (
        TabularRow(
            (
                TabularCell(run.file, href="" if run.state == "damaged" else run_href(run)),
                TabularCell(run.contents.model or "—"),
                TabularCell(began_text(run)),
                _state(run),
                _figures(run),
                _before(run, before.get(run.name)),
            ),
            id=run.name,
        )
        for run in runs
    )
    return cleaned(Tabular("Runs", tuple(map(Column, headings)), tuple(rows)))


def _state(run: Run) -> TabularCell:
    if run.state in ("finished", "damaged"):
        return TabularCell(run.state, lines=(run.contents.damage,) if run.contents.damage else ())
    of = "" if run.total is None else f" of {run.total:,}"
    outcomes = tuple(f"{name} {count:,}" for name, count in run.outcomes.items())
    return TabularCell(f"{run.state}, {run.done:,}{of}", lines=outcomes)


def _before(run: Run, base: Run | None) -> TabularCell:
    return _NONE if base is None else TabularCell(base.file, href=compare_href(base, run))


def _figures(run: Run) -> TabularCell:
    texts = [f"{one.name} {value_text(one)}" for one in run.contents.headlines if one.figure]
    if len(texts) > _LISTED:
        texts[_LISTED:] = [f"and {len(texts) - _LISTED} more"]
    return TabularCell(texts[0], lines=tuple(texts[1:])) if texts else _NONE


def matrix_table(runs: Sequence[Run]) -> Tabular | None:
    """The benchmarks of the newest runs, a column each; None without a finished figure.

    If the figures of a row have several signatures, each has its own below it.
    """
    shown = [run for run in runs if any(one.lasts for one in run.contents.headlines)]
    shown = shown[:SIDE_BY_SIDE]
    keys = {key for run in shown for key, one in run.headlines.items() if one.lasts}
    if not keys:
        return None
    rows, notes = [], _Notes()
    for key in sorted(keys, key=lambda key: (natural(key[0]), natural(key[1]))):
        found = [one if (one := run.headlines.get(key)) and one.lasts else None for run in shown]
        several = len({one.signature for one in found if one}) > 1
        first = next(one for one in found if one)
        label = TabularCell(":".join(key), lines=(_metric(first),), href=benchmark_href(key[0]))
        rows.append(
            TabularRow(
                (label, *(_value(run, one, several, notes) for run, one in zip(shown, found, strict=True)))
            )
        )
    return cleaned(
        Tabular(
            "Benchmarks by run",
            (Column("benchmark"), *(Column(shown_name(run), "run") for run in shown)),
            tuple(rows),
            notes=notes.texts,
            remarks=("Figures with different signatures (sig) are not comparable with each other.",)
            if any("sig " in line for row in rows for cell in row.cells for line in cell.lines)
            else (),
        )
    )


def _value(run: Run, one: Headline | None, several: bool, notes: _Notes) -> TabularCell:
    if one is None:
        return _NONE
    lines = (_interval(one.figure, one), *([f"sig {one.signature}"] if several else []))
    return TabularCell(
        value_text(one),
        "run",
        lines=tuple(filter(None, lines)),
        marks=notes.marks(one),
        href=samples_href(run, one),
    )


def _metric(one: Headline) -> str:
    arrow = "" if one.best is not None else " ↑" if one.higher_is_better else " ↓"
    return f"{one.metric}{f', {one.unit}' if one.unit else ''}{arrow}"


def _interval(figure: Figure | None, one: Headline) -> str:
    return interval_text(figure.low, figure.high, one.decimals) if figure else ""


def history_table(lines: Sequence[Line], found: Mapping[tuple[str, str], Changes], root: str = "") -> Tabular:
    """A row for each line: its last figure, and what the gate says of it against the one before.

    `found`: the gate's verdicts by the names of (base, head), where the runs were compared.
    """
    headings = ("benchmark", "runs", "latest", "difference from the run before", "verdict")
    columns = (Column(headings[0]), Column(headings[1], "number"), *map(Column, headings[2:]))
    return cleaned(Tabular("History", columns, tuple(_history_row(line, found, root) for line in lines)))


def _history_row(line: Line, found: Mapping[tuple[str, str], Changes], root: str) -> TabularRow:
    last, run = line.last, line.points[-1].run
    label = TabularCell(
        last.name, lines=(_metric(last), f"sig {last.signature}"), href=benchmark_href(last.task, root)
    )
    interval = _interval(last.figure, last)
    latest = TabularCell(
        value_text(last),
        lines=tuple(filter(None, (interval, shortened(run.contents.model), began_text(run)))),
        href=run_href(run, root),
    )
    return TabularRow((label, TabularCell(str(len(line.points))), latest, *_changed(line, found, root)))


def _changed(
    line: Line, found: Mapping[tuple[str, str], Changes], root: str
) -> tuple[TabularCell, TabularCell]:
    if line.before_last is None:
        return _NONE, _NONE
    base, head = line.before_last
    href, before = compare_href(base, head, root), f"against {shown_name(base)}"
    changes = found.get((base.name, head.name))
    if changes is None:
        return TabularCell("compare", lines=(before,), href=href), _NONE
    change = changes.by_benchmark.get(line.last.name, Change("", "", "", "", ""))
    if not change.verdict:
        return TabularCell("compare", lines=(before,), href=href), TabularCell(changes.error or "—")
    return TabularCell(change.difference, lines=(before,), href=href), TabularCell(change.verdict)


def figures_table(title: str, points: Sequence[Point], root: str) -> Tabular:
    """The figures of one benchmark in several runs, the newest first."""
    headings = ("run", "model", "began (UTC)", "value", "95 % interval", "n", "outcomes")
    kinds = {"value": "run", "n": "number"}
    rows, notes = [], _Notes()
    for point in reversed(points):
        run, one = point.run, point.headline
        changed = one.label.removeprefix(one.protocol).strip()
        rows.append(
            TabularRow(
                (
                    TabularCell(run.file, href=f"{run_href(run, root)}"),
                    TabularCell(run.contents.model),
                    TabularCell(began_text(run)),
                    TabularCell(
                        value_text(one),
                        "run",
                        lines=(changed,) if changed else (),
                        marks=notes.marks(one),
                        href=samples_href(run, one, root),
                    ),
                    TabularCell(_interval(one.figure, one) or "—"),
                    TabularCell(f"{one.figure.n:,}" if one.figure else "—"),
                    TabularCell(outcome_shares(one.outcomes)),
                )
            )
        )
    columns = tuple(Column(text, kinds.get(text, "text")) for text in headings)  # type: ignore[arg-type]
    return cleaned(Tabular(title, columns, tuple(rows), notes=notes.texts))


def groups_table(points: Sequence[Point], root: str) -> Tabular | None:
    """The figures by group of the newest runs, a column each; None if there are no groups."""
    shown = list(reversed(points))[:SIDE_BY_SIDE]
    names = sorted({name for point in shown for name in point.headline.groups}, key=natural)
    if not names:
        return None
    rows = (
        TabularRow((TabularCell(name), *(_group(point.headline, name) for point in shown))) for name in names
    )
    columns = (Column(shown_name(one.run), "run") for one in shown)
    return cleaned(Tabular("Figures by group", (Column("group"), *columns), tuple(rows)))


def _group(one: Headline, name: str) -> TabularCell:
    figure = one.groups.get(name)
    if figure is None:
        return _NONE
    text = figure_text(figure.value, figure.low, figure.high, one.decimals)
    lines = tuple(filter(None, (_interval(figure, one), f"n {figure.n:,}")))
    return TabularCell(f"{text} {one.unit}".rstrip(), "run", lines=lines)
