"""The runs in folders: found, named, summarised, and followed while they go on."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from evalkit.errors import UsageError, unknown
from evalkit.report.digits import figure_text
from evalkit.runfile.runlock import held
from evalkit.samples import JSON
from evalkit.site.contents import Contents, Found, Headline, contents_of, figures_in
from evalkit.site.kept import Kept, stored
from evalkit.site.names import run_name

ENDING = ".db"
"""The ending of the files that are looked at in a folder."""
_LEAST = 0.02
"""Seconds that reading one run's samples may take at least: small files need no more."""
State = Literal["finished", "going on", "stopped", "damaged"]
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the folder. `name`: for addresses. `file`: its place in the folder, for people."""

    name: str
    path: Path
    file: str
    state: State
    contents: Contents

    @property
    def began(self) -> datetime:
        """When it began; the year 1 if that is not known, which makes it the oldest."""
        started = self.contents.started
        found = datetime.fromisoformat(started) if started else datetime.min  # noqa: DTZ901
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def headlines(self) -> Mapping[tuple[str, str], Headline]:
        """Its headlines by (task, protocol)."""
        return {one.key: one for one in self.contents.headlines}

    @property
    def figures(self) -> dict[str, str]:
        """The figures of its headlines so far, with their units, by benchmark."""
        return {one.name: value_text(one) for one in self.contents.headlines if one.figure}

    @property
    def done(self) -> int:
        return sum(one.done for one in self.contents.headlines)

    @property
    def outcomes(self) -> dict[str, int]:
        """Its samples by outcome, as far as they were counted."""
        found: dict[str, int] = {}
        for one in self.contents.headlines:
            for name, count in one.outcomes.items():
                found[name] = found.get(name, 0) + count
        return found

    def in_folder(self, text: str) -> str:
        """A text about the file, such as an error, with its place in the folder instead of its path."""
        return text.replace(str(self.path), self.file)

    @property
    def total(self) -> int | None:
        """How many samples it will have; None if that is not known."""
        sizes = [one.wanted if one.finished is None else one.finished for one in self.contents.headlines]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


class RunFolder:
    """The run files in `places`: folders, searched with their subfolders for files `*.db`, and run files.

    Files that are no run files are passed over, hidden folders and links to folders too. Threads may share
    it. Raises `UsageError` for a place that is not there, and for a named file that is no run file.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(dict.fromkeys(places))
        for place in self._places:
            if not place.is_dir() and _is_no_run(place):
                raise UsageError(f"{place} is not a run file of evalkit")
        self._lock = threading.Lock()
        self._found = Kept[dict[str, tuple[Path, str]]]()
        self._contents: dict[Path, tuple[Kept[Contents | None], Kept[Found]]] = {}

    @property
    def title(self) -> str:
        """The names of the places, without the folders that they are in."""
        return ", ".join(place.resolve().name for place in self._places)

    def files(self) -> dict[str, Path]:
        """The paths of all files that may be run files, by the names of their runs. No file is read."""
        return {name: path for name, (path, _) in self._files().items()}

    def runs(self, *, within: float = math.inf) -> list[Run]:
        """The runs, the newest first.

        `within`: the seconds for reading samples. The runs whose samples take longer have only what is known
        without them (`figures_in`), and are read on meanwhile; 0: no samples are read.
        """
        until = time.monotonic() + within
        found = []
        for name, (path, file) in self._files().items():
            left = max(_LEAST, until - time.monotonic()) if within else 0.0
            found.append(self._run(name, path, file, left))
        return sorted((run for run in found if run), key=lambda run: (run.began, run.name), reverse=True)

    def run(self, name: str) -> Run:
        """The run of that name. Raises `UsageError` if there is none."""
        files = self._files()
        found = self._run(name, *files[name], math.inf) if name in files else None
        if found is None:
            raise unknown("run", name, files)
        return found

    def state(self) -> dict[str, JSON]:
        """The runs by name, for a page that follows them: state, done, total, outcomes, headlines.

        Samples are only read of runs that are not finished.
        """
        return {run.name: _state(run) for run in self._following()}

    def _following(self) -> Iterator[Run]:
        for run in self.runs(within=0):
            if run.state in ("finished", "damaged"):
                yield run
            else:
                yield self.run(run.name)

    def _files(self) -> dict[str, tuple[Path, str]]:
        return self._found.get(time.monotonic(), functools.partial(_named, self._places))

    def _run(self, name: str, path: Path, file: str, seconds: float) -> Run | None:
        contents = self._read(path, file, seconds)
        if contents is None:
            return None
        state: State = "damaged" if contents.damage else "finished"
        if state == "finished" and not contents.ended:
            state = "going on" if held(path) else "stopped"
        return Run(name, path, file, state, contents)

    def _read(self, path: Path, file: str, seconds: float) -> Contents | None:
        stamp = stamp_of(path)
        with self._lock:
            figures, whole = self._contents.setdefault(path, (Kept(), Kept()))
        if seconds:
            make = functools.partial(_whole_contents, path, file, stamp)
            if math.isinf(seconds):
                return whole.get(stamp, make).contents
            if (found := whole.within(seconds, stamp, make)) is not None:
                return found.contents
        return figures.get(stamp, functools.partial(figures_in, path, file))


def _is_no_run(path: Path) -> bool:
    """Whether the file at `path` is no run file. Raises `UsageError` if there is no file."""
    if not path.is_file():
        raise UsageError(f"no run file and no folder {str(path)!r}")
    return figures_in(path, path.name) is None


def stamp_of(path: Path) -> Stamp:
    """Sizes and times of a run file and of SQLite's log beside it; () for a file that is gone."""
    found: list[int] = []
    for one in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            about = one.stat()
            # SQLite makes and removes an empty log whenever a file is read.
            found += [about.st_size, about.st_mtime_ns] if about.st_size else []
    return tuple(found)


def _named(places: Sequence[Path]) -> dict[str, tuple[Path, str]]:
    """(path, place in its folder) of each file, by the run's name. A file in two places is there once."""
    found: dict[str, tuple[Path, str]] = {}
    seen: set[Path] = set()
    for place in places:
        for path in _within(place) if place.is_dir() else [place]:
            whole = path.resolve()
            if whole in seen:
                continue
            seen.add(whole)
            file = path.relative_to(place).as_posix() if path != place else path.name
            name = run_name(file)
            if name in found:
                name = run_name(file, str(whole))
            found.setdefault(name, (path, file))
    return found


def _within(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(ENDING) and not name.startswith("."):
                yield Path(here, name)


def _whole_contents(path: Path, file: str, stamp: Stamp) -> Found:
    """What a file and its samples tell, from evalkit's cache if possible."""
    key: JSON = [str(path.resolve()), file]
    return stored(Found, key, [*stamp], lambda: Found(contents_of(path, file)), lambda one: one.lasts)


def _state(run: Run) -> JSON:
    return {
        "state": run.state,
        "done": run.done,
        "total": run.total,
        "outcomes": {**run.outcomes},
        "headlines": {**run.figures},
    }


def value_text(one: Headline) -> str:
    """The headline's figure with its unit, `—` if there is none."""
    figure = one.figure
    if figure is None or figure.value is None:
        return "—"
    return f"{figure_text(figure.value, figure.low, figure.high, one.decimals)} {one.unit}".rstrip()
