"""A server of `evalkit view` for tests, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from evalkit.site.folder import RunFolder
from evalkit.view.finding import MOST_ROWS
from evalkit.view.server import Server
from tests.made import sums
from tests.report.pages import Watched

ROOT = Path(__file__).parent.parent.parent


class Served:
    """A running server."""

    def __init__(self, server: Server, folder: RunFolder) -> None:
        self.server = server
        self.folder = folder
        self.address = server.address

    @property
    def names(self) -> dict[str, str]:
        """The names of the runs in addresses, by the names of their files without the ending."""
        return {path.stem: name for name, path in self.folder.files().items()}

    def page(self, *runs: str) -> str:
        """The address of the page of some runs, by the names of their files."""
        return f"{self.address}runs/{'+'.join(self.names[run] for run in runs)}.html"

    def ask(self, runs: Sequence[str], what: str, **parameters: object) -> Any:
        """What the server answers to a page of these runs, from JSON."""
        place = self.page(*runs).removesuffix(".html")
        return json.loads(get(f"{place}/{what}?{urllib.parse.urlencode(parameters)}")[1])

    def find(self, names: Sequence[str], /, **query: object) -> list[str]:
        """The ids that a query finds, once the index is done."""
        whole: dict[str, object] = dict.fromkeys(
            ("part", "group", "outcome", "disagreement", "order", "text"), ""
        )
        whole |= {"filters": [], "runs": [*range(min(2, len(names)))]} | query
        while not (found := self.ask(names, "find", query=json.dumps(whole)))["settled"]:
            pass
        starts = range(0, found["count"], MOST_ROWS)
        between = [{"from": start, "to": start + MOST_ROWS} for start in starts]
        lines = [one for some in between for one in self.ask(names, "lines", result=found["result"], **some)]
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


class Going:
    """A run in another process, which `tests/view/going.py` describes."""

    def __init__(self, run: subprocess.Popen[str]) -> None:
        self._run = run

    def tell(self, *answers: str) -> None:
        """Lets it answer."""
        assert self._run.stdin is not None
        self._run.stdin.write("".join(f"{one}\n" for one in answers))
        self._run.stdin.flush()

    def end(self) -> None:
        """Waits until the run has ended."""
        assert self._run.stdin is not None
        self._run.stdin.close()
        self._run.wait(60)


@contextmanager
def going(folder: Path, count: int) -> Iterator[Going]:
    """A run over so many sums, `going.db` in the folder, once its file is there."""
    path = folder / "going.db"
    command = [sys.executable, "-m", "tests.view.going", sums(folder, count), str(path)]
    with subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL, text=True, cwd=ROOT) as run:
        try:
            while not path.exists():
                assert run.poll() is None
                time.sleep(0.05)
            yield Going(run)
        finally:
            run.kill()


def until(served: Served, runs: Sequence[str], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The state of a page of these runs, as soon as it is as wanted."""
    deadline = time.monotonic() + 60
    while not wanted(state := served.ask(runs, "state.json")):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return dict(state)
