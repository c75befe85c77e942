"""The pages that are open: which runs are shown together, and the pages over a folder."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict

from evalkit.samples import JSON
from evalkit.site.folder import RunFolder
from evalkit.site.pages import benchmark_page, compare_page, error_page, index_page
from evalkit.view.building import UNREADABLE
from evalkit.view.shown import Shown
from evalkit.view.worker import Worker

_OPEN = 4
"""The most groups of runs whose index is kept; the one that was asked for last stays longest."""


class Library:
    """What is open at a server, until `close`."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self._worker, self._opener = Worker("evalkit-view-folder"), Worker("evalkit-view-runs")
        self._opening = asyncio.Lock()

    async def shown(self, names: str) -> Shown:
        """The runs with these names, joined by plus signs. Raises `UsageError` if there are none."""
        async with self._opening:
            if names not in self._shown:
                self._shown[names] = await self._opener.do(Shown, self._folder, names.split("+"))
            self._shown.move_to_end(names)
            while len(self._shown) > _OPEN:
                _, old = self._shown.popitem(last=False)
                await asyncio.to_thread(old.close)
            return self._shown[names]

    async def page(self, names: str) -> bytes:
        """The page of the runs with these names; of a run file that cannot be read, what is wrong with it.

        Raises `UsageError` if there are no such runs.
        """
        shown = await self.shown(names)
        try:
            return await shown.page()
        except UNREADABLE as error:
            return (await self._opener.do(self._failed, shown.names[0], str(error))).encode()

    def _failed(self, name: str, error: str) -> str:
        run = self._folder.run(name)
        return error_page(run, run.in_folder(error))

    async def first(self) -> str:
        """The address of the first page: the index, or the page of the only run."""
        names = [*await self._opener.do(self._folder.files)]
        return f"runs/{names[0]}.html" if len(names) == 1 else "index.html"

    async def index(self) -> bytes:
        return (await self._worker.do(functools.partial(index_page, self._folder, live=True))).encode()

    async def state(self) -> JSON:
        """The runs that go on, for the index."""
        return {**await self._worker.do(self._folder.state)}

    async def benchmark(self, name: str) -> bytes:
        return (await self._worker.do(benchmark_page, self._folder, name)).encode()

    async def compare(self, base: str, head: str) -> bytes:
        page = functools.partial(compare_page, self._folder, base, head, live=True)
        return (await self._worker.do(page)).encode()

    async def close(self) -> None:
        self._worker.close()
        self._opener.close()
        for shown in self._shown.values():
            await asyncio.to_thread(shown.close)
