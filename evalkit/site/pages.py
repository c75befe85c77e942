"""The pages over a folder of runs: the index with the history, a benchmark over runs, and two runs compared.

Each is a whole HTML page that loads nothing (`evalkit.report.html.page`). Links are relative: `index.html`,
`runs/NAME.html`, `benchmarks/NAME.html` and `compare/BASE...HEAD.html`. Texts of run files are only text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.benchmark.described import description
from evalkit.errors import UsageError, counted, unknown
from evalkit.report.charts.texts import several
from evalkit.report.html.page import filled
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow, cleaned, printable
from evalkit.site.charts import history_charts
from evalkit.site.compared import Changes, Flipped, FlippedOf, changes, compared
from evalkit.site.folder import Run, RunFolder
from evalkit.site.history import Line, Point, lines_of, predecessors
from evalkit.site.names import benchmark_name
from evalkit.site.tables import (
    figures_table,
    groups_table,
    history_table,
    matrix_table,
    run_href,
    runs_table,
    shown_name,
)

if TYPE_CHECKING:
    from evalkit.report.charts.canvas import Chart

_SCRIPTS = ("data.js", "markdown.js", "tables.js", "theme.js")
_STYLES = ("page.css", "site.css")
_ROOT = "../"
"""The way from a page in a folder of its own to the index."""
_SECONDS = 2.0
"""Seconds that a live index waits for the samples of runs that it reads for the first time."""
_PAIRED = 200_000
"""The most samples of two runs that the index compares; the pages of comparisons have no such limit."""


def index_page(folder: RunFolder, *, live: bool = False) -> str:
    """The runs, their figures side by side, and their history. `live`: it follows the runs that go on.

    A live page asks its server for `state.json`, which is `RunFolder.state`.
    """
    runs = folder.runs(within=_SECONDS if live else math.inf)
    lines = lines_of(runs)
    unread = [
        run.file for run in runs if any(one.finished and not one.signature for one in run.contents.headlines)
    ]
    history = history_table(lines, _changes(lines)) if lines else None
    matrix = matrix_table(runs)
    sections = [("runs", "Runs"), *([("matrix", "Benchmarks")] if matrix else [])]
    return _page(
        "index.html.j2",
        title=f"Runs in {folder.title}",
        root="",
        sections=[*sections, *([("history", "History")] if history else [])],
        live=live,
        unread=printable(several(unread)),
        runs=runs_table(runs, predecessors(runs)),
        matrix=matrix,
        history=history,
        charts=history_charts(lines),
    )


def benchmark_page(folder: RunFolder, name: str) -> str:
    """A benchmark over all runs: what it measures, and its figures, grouped by protocol and signature.

    `name`: as `benchmark_name` makes it of the task's. Raises `UsageError` if no run has such a benchmark.
    """
    runs = folder.runs()
    tasks = {benchmark_name(one.task): one.task for run in runs for one in run.contents.headlines}
    if name not in tasks:
        raise unknown("benchmark", name, tasks)
    task = tasks[name]
    sources = {one.source for run in runs for one in run.contents.headlines if one.task == task}
    groups = [*_groups(lines_of(runs, task)), *_unfinished(runs, task)]
    return _page(
        "benchmark.html.j2",
        title=task,
        root=_ROOT,
        sections=[(f"group-{number}", group.title) for number, group in enumerate(groups, 1)][:8],
        about=next(filter(None, map(description, sorted(sources))), ""),
        groups=groups,
    )


def compare_page(folder: RunFolder, base: str, head: str, *, live: bool = False) -> str:
    """Two runs, by their names: the verdict of `evalkit compare`, and the samples that changed.

    `live`: it links to both runs side by side, which only a server has. Raises `UsageError` if there is no
    such run.
    """
    before, after = folder.run(base), folder.run(head)
    error, found = "", None
    try:
        found = compared(before, after)
    except UsageError as problem:
        error = after.in_folder(before.in_folder(str(problem)))
    flips = [
        _flipped(one, number, before, after) for number, one in enumerate(found.flips if found else (), 1)
    ]
    return _page(
        "compare.html.j2",
        title=f"{shown_name(after)} against {shown_name(before)}",
        root=_ROOT,
        sections=[("verdict", "Verdict"), *([("flips", "Changed samples")] if flips else [])],
        base=_link(shown_name(before), run_href(before, _ROOT)),
        head=_link(shown_name(after), run_href(after, _ROOT)),
        side_by_side=f"{_ROOT}runs/{base}+{head}.html" if live else "",
        table=cleaned(found.table) if found else None,
        conclusion=printable(found.conclusion) if found else "",
        exit_code=found.exit_code if found else None,
        error=printable(error),
        flips=flips,
    )


def error_page(run: Run, error: str) -> str:
    """The page of a run of which no report can be made, with the reason."""
    return _page("error.html.j2", title=shown_name(run), root=_ROOT, sections=(), error=printable(error))


def _page(template: str, *, title: str, live: bool = False, **values: object) -> str:
    return filled(
        template,
        package=__package__,
        styles=_STYLES,
        scripts=(*_SCRIPTS, *(["live.js"] if live else [])),
        connects=live,
        title=printable(title),
        live=live,
        browser=None,
        **values,
    )


def _link(text: str, href: str) -> TabularCell:
    return TabularCell(printable(text), href=href)


def _changes(lines: Sequence[Line]) -> dict[tuple[str, str], Changes]:
    """What the gate says of the last two runs of each line, by their names, unless they are large."""
    found: dict[tuple[str, str], Changes] = {}
    for line in lines:
        if line.before_last is None:
            continue
        base, head = line.before_last
        if (base.name, head.name) not in found and base.done + head.done <= _PAIRED:
            found[base.name, head.name] = changes(base, head)
    return found


@dataclass(frozen=True, slots=True)
class _Group:
    """The figures of a benchmark that are comparable with each other, or those that are not finished."""

    title: str
    figures: Tabular
    signature: str = ""
    charts: Sequence[Chart] = ()
    parts: Tabular | None = None


def _groups(lines: Sequence[Line]) -> Iterator[_Group]:
    for number, line in enumerate(lines, 1):
        title = printable(f"{line.last.protocol}, {line.last.metric}, sig {line.last.signature}")
        yield _Group(
            title,
            figures_table(title, line.points, _ROOT),
            printable(line.last.line),
            history_charts([line], number),
            groups_table(line.points, _ROOT),
        )


def _unfinished(runs: Sequence[Run], task: str) -> Iterator[_Group]:
    points = [
        Point(run, one)
        for run in reversed(runs)
        for one in run.contents.headlines
        if one.task == task and one.finished is None
    ]
    if points:
        yield _Group("Not finished", figures_table("Not finished", points, _ROOT))


def _flipped(found: FlippedOf, number: int, base: Run, head: Run) -> Mapping[str, object]:
    """What the template shows of the changed samples of a benchmark."""
    kinds = (("worse", found.losses, found.worse), ("better", found.wins, found.better))
    return {
        "title": printable(found.name),
        "id": f"flips-{number}",
        "tables": [_flips(kind, count, listed, base, head) for kind, count, listed in kinds if listed],
    }


def _flips(kind: str, count: int, listed: Sequence[Flipped], base: Run, head: Run) -> Tabular:
    title = f"{counted(count, 'sample')} {kind}"
    if len(listed) < count:
        title += f", the first {len(listed)} of them"
    rows = tuple(
        TabularRow(
            (
                TabularCell(one.sample, lines=(one.question,) if one.question else ()),
                TabularCell(one.text),
                TabularCell("in base", href=f"{run_href(base, _ROOT)}{one.address}"),
                TabularCell("in head", href=f"{run_href(head, _ROOT)}{one.address}"),
            )
        )
        for one in listed
    )
    headings = ("sample", "change", "base", "head")
    return cleaned(Tabular(title, tuple(map(Column, headings)), rows))
