"""A server of `evalkit view` for tests, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.site.folder import RunFolder
from evalkit.view.library import Library
from evalkit.view.server import Server
from tests.report.pages import Watched


class Served:
    """A running server. `names`: its runs by the names of their files, without the ending."""

    def __init__(self, server: Server, folder: RunFolder) -> None:
        self.server = server
        self.folder = folder
        self.address = server.address
        self.names = {path.stem: name for name, path in folder.files().items()}

    @property
    def library(self) -> Library:
        return self.server.library

    def page(self, *runs: str) -> str:
        """The address of the page of some runs, by the names of their files."""
        return f"{self.address}runs/{'+'.join(self.names[run] for run in runs)}.html"

    def ask(self, runs: Sequence[str], what: str, **parameters: object) -> Any:
        """What the server answers to a page of these runs, from JSON."""
        place = self.page(*runs).removesuffix(".html")
        return json.loads(get(f"{place}/{what}?{urllib.parse.urlencode(parameters)}")[1])

    def find(self, runs: Sequence[str], **query: object) -> list[str]:
        """The ids that a query finds, once the index is done."""
        whole: dict[str, object] = dict.fromkeys(
            ("part", "group", "outcome", "disagreement", "order", "text"), ""
        )
        whole |= {"filters": [], "runs": [*range(min(2, len(runs)))]} | query
        while not (found := self.ask(runs, "find", query=json.dumps(whole)))["settled"]:
            pass
        lines = self.ask(runs, "lines", result=found["result"], **{"from": 0, "to": found["count"]})
        assert len(lines) == found["count"]
        return [line["id"] for line in lines]

    def open(self, watched: Watched, *runs: str, place: str = "") -> None:
        """Opens the page of some runs, and waits until its first samples are there."""
        watched.tab.goto(self.page(*runs) + place)
        watched.tab.wait_for_selector("html[data-ready]", timeout=60_000)


def get(address: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """(status, body, headers) of a GET."""
    request = urllib.request.Request(address, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


@contextmanager
def serving(*places: Path) -> Iterator[Served]:
    """A server of the runs in these places."""
    folder = RunFolder(places)
    server = Server(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
        yield Served(server, folder)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
