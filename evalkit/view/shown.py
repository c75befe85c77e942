"""Runs that a page shows side by side: their index, samples, media, state and report."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from evalkit.convert import to_json
from evalkit.errors import UsageError
from evalkit.report.html.browser import shown_medium, steps_of
from evalkit.report.html.entries import SampleFigure
from evalkit.report.html.records import Steps, browser_record
from evalkit.report.layout import names_of
from evalkit.runfile.records import natural
from evalkit.runfile.sample_records import SampleRecord, SampleRecords
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON
from evalkit.scratch import Scratch
from evalkit.site.folder import RunFolder, stamp_of
from evalkit.view.building import Builder
from evalkit.view.finding import Count, Finder
from evalkit.view.pages import report_page, shell_page
from evalkit.view.query import Query, parsed
from evalkit.view.tables import MOST_RUNS
from evalkit.view.worker import Worker

SMALL = 5_000
"""The most samples of runs whose tables and charts are made before the page is sent."""


class Shown:
    """Some runs of a folder, by their names, until `close`. The methods are called in one event loop."""

    def __init__(self, folder: RunFolder, names: Sequence[str]) -> None:
        """Raises `UsageError` for names that are none."""
        files = folder.files()
        if (
            not names
            or len(names) > MOST_RUNS
            or len(set(names)) < len(names)
            or not files.keys() >= {*names}
        ):
            raise UsageError("no such runs")
        self.names = tuple(names)
        self._folder = folder
        self._paths = [files[name] for name in names]
        with_texts, called = _with_texts(self._paths)
        self._scratch = Scratch()
        place = self._scratch.path / "index.db"
        self.builder = Builder(place, with_texts)
        self.builder.start()
        self._worker = Worker("evalkit-view-list")
        self._reader = _Reader(with_texts, called, place, self.builder)
        self._reporter = Worker("evalkit-view-report")
        self._report: tuple[object, bytes] = ((), b"")

    def close(self) -> None:
        """Ends the threads and removes the index."""
        self.builder.close()
        self._reporter.close()
        self._worker.close(self._reader.close)
        self._scratch.close()

    @property
    def address(self) -> str:
        """Where the page finds its samples, relative to itself."""
        return f"{'+'.join(self.names)}/"

    async def page(self) -> bytes:
        """The page. Of long runs it is sent at once, and takes tables and charts from `report` later."""
        await self._worker.do(self.builder.first.wait)
        if self.builder.progress.expected <= SMALL:
            return await self.report()
        return await self._worker.do(shell_page, self._paths, self.address)

    async def report(self) -> bytes:
        """The page with everything. Raises `UsageError` for a damaged file, all of which is read."""
        return await self._reporter.do(self._made)

    async def file(self) -> bytes:
        """The page as one file with its samples, without places of the machine."""
        return await self._reporter.do(report_page, self._paths)

    async def find(self, text: str, current: int | None) -> JSON:
        query = parsed(text, len(self._reader.names))
        await self._worker.do(self.builder.first.wait)
        return await self._worker.do(self._reader.find, query, current)

    async def lines(self, result: str, first: int, last: int) -> JSON:
        return await self._worker.do(self._reader.lines, result, first, last)

    async def line(self, part: str, name: str) -> JSON:
        return await self._worker.do(self._reader.line, part, name)

    async def sample(self, n: int) -> JSON:
        return await self._worker.do(self._reader.sample, n)

    async def medium(self, key: str) -> tuple[str, bytes] | None:
        return await self._worker.do(self._reader.medium, key)

    async def state(self) -> JSON:
        """What the page shows of runs that go on, and what its list can be filtered by."""
        await self._worker.do(self.builder.first.wait)
        found = await self._worker.do(self._reader.state)
        figures = await self._reporter.do(self._figures) if self.builder.progress.going else {}
        return {**found, "figures": figures}

    def _figures(self) -> dict[str, JSON]:
        """The headlines so far, by run and benchmark."""
        return {name: {**self._folder.run(name).figures} for name in self.names}

    def _made(self) -> bytes:
        stamp = [stamp_of(path) for path in self._paths]
        if self._report[0] != stamp:
            self._report = (stamp, report_page(self._paths, self.address))
        return self._report[1]


class _Reader:
    """What is read for the list. Everything in it is opened and used by one thread."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str], place: Path, builder: Builder) -> None:
        self.names = names
        self._paths, self._place, self._builder = paths, place, builder
        self._opened = ExitStack()
        self._counted: tuple[int, float, list[Count], list[JSON]] = (-1, 0.0, [], [])

    def close(self) -> None:
        self._opened.close()

    @functools.cached_property
    def _finder(self) -> Finder:
        finder = Finder(self._place, self._builder, len(self._paths))
        self._opened.callback(finder.close)
        return finder

    @functools.cached_property
    def _stores(self) -> list[Store]:
        return [self._opened.enter_context(Store.open(path, whole=False)) for path in self._paths]

    def find(self, query: Query, current: int | None) -> JSON:
        return {**self._finder.find(query, current)}

    def lines(self, result: str, first: int, last: int) -> JSON:
        return self._finder.lines(result, first, last)

    def line(self, part: str, name: str) -> JSON:
        return self._finder.line(part, name)

    def medium(self, key: str) -> tuple[str, bytes] | None:
        return next((found for store in self._stores if (found := shown_medium(store, key))), None)

    def sample(self, n: int) -> JSON:
        """The answers, prompts and media of a line. Raises `UsageError` if there is no such line."""
        part, places = self._finder.places(n)
        samples: list[SampleRecord | None] = []
        figures: list[SampleFigure | None] = []
        steps: list[Steps | None] = []
        notes: list[str] = []
        for store, (position, figure) in zip(self._stores, places, strict=True):
            cell = _cell(store, part)
            if cell is None or position is None:
                samples.append(None)
                figures.append(None)
                steps.append(None)
                continue
            samples.append(SampleRecords(store, cell).read(position))
            figures.append(None if cell.spec.metrics[0].traits.right_or_wrong else figure)
            steps.append(steps_of(cell, notes))
        record = browser_record(0, "", samples, steps, figures)
        media = {key: found[0] for key in record.media if (found := self.medium(key))}
        return {"answers": record.answers, "prompts": record.prompts, "media": {**media}}

    def state(self) -> dict[str, JSON]:
        progress = self._builder.progress
        version, before, counts, failures = self._counted
        now = time.monotonic()
        if version != progress.version and now >= before:
            version = progress.version
            counts, failures = self._finder.counts(), self._finder.failures()
            self._counted = (version, now + 4 * (time.monotonic() - now), counts, failures)
        return {
            "runs": [*self.names],
            "parts": [*progress.parts],
            "groups": [*sorted(progress.groups, key=natural)],
            "outcomes": [*dict.fromkeys(name for one in counts for name in one.outcomes)],
            "lines": progress.lines,
            "expected": progress.expected,
            "listed": progress.listed,
            "texts": progress.texts,
            "going": progress.going,
            "version": progress.version,
            "fault": progress.fault,
            "counts": [to_json(one) for one in counts],
            "failures": failures,
        }


def _with_texts(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The run files that are not slim, and the names of their runs."""
    with ExitStack() as opened:
        stores = [opened.enter_context(Store.open(path, whole=False)) for path in paths]
        kept = [
            (store.path, name)
            for store, name in zip(stores, names_of(stores), strict=True)
            if not store.is_slim
        ]
    return [path for path, _ in kept], [name for _, name in kept]


def _cell(store: Store, part: str) -> Cell | None:
    return next((one for one in store.cells() if not one.role and f"{one.task}:{one.protocol}" == part), None)
