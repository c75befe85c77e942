"""Two run files as data: the same questions with both answers, for example to ask which answer is better."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from evalkit.data.base import DataOptions, Record, Records
from evalkit.errors import DataError, UsageError, counted
from evalkit.runfile.records import FAILED
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.runfile.records import Cell
    from evalkit.runfile.sample_records import SampleRecord, SampleRecords
    from evalkit.runfile.store import Store

_AT_ONCE = 64
"""Number of samples read while the files are open. No connection stays open between records."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The samples of two runs of a benchmark, joined one by one.

    A record has the sample's `id`, `input`, `target`, `choices`, `group`, `tags`, `cluster`, `meta` and
    `media` (keys; the files themselves are not in a run file). Under `a` and `b` it has what each run stored:
    `model`, `answers` (the values that were scored, None for a response without an answer), `texts` (every
    response, in the order of the requests) and `outcome`.

    Both runs must have the same questions, which is checked by their digests: a different text, reference or
    `meta` under the same id is an error. A sample that is missing or failed in one run is an error too,
    unless `partial` is set: then such samples are left out, and the origin says how many (`left out`).

    `task`: the benchmark, as `name` or `name:protocol`, if the files hold several. A relative path is
    relative to the working directory.
    """

    a: Path | str
    b: Path | str
    task: str = ""
    partial: bool = False
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the joined records. Raises `DataError`, which names the file and the sample at fault."""
        from evalkit.runfile.sample_records import SampleRecords

        (options or DataOptions()).without_revision("a run file")
        with _open(self.a) as a, _open(self.b) as b:
            one, other = self._cells(a, b)
            mine, theirs = SampleRecords(a, one), SampleRecords(b, other)
            pairs, left_out = self._joined((a, one, mine), (b, other, theirs))
            models = tuple(str(store.manifest["model"]["name"]) for store in (a, b))
            revision = _digest((a, one), (b, other))
        origin = {
            "kind": "runs",
            "name": f"{models[0]} and {models[1]}",
            "config": " and ".join(dict.fromkeys(cell.spec.label for cell in (one, other))),
            "split": "",
            "revision": revision,
            "where": f"{self.a} and {self.b}",
        }
        if left_out:
            origin["left out"] = str(left_out)

        def read() -> Iterator[Record]:
            waiting = iter(pairs)
            while some := list(islice(waiting, _AT_ONCE)):
                with _open(self.a) as a, _open(self.b) as b:
                    mine, theirs = SampleRecords(a, one), SampleRecords(b, other)
                    found = [_record(mine.read(i), theirs.read(j), models) for i, j in some]
                yield from found

        return Records(origin, len(pairs), read)

    def _cells(self, a: Store, b: Store) -> tuple[Cell, Cell]:
        found = []
        for store in (a, b):
            cells = [cell for cell in store.cells() if not cell.role]
            names = [cell.spec.name for cell in cells]
            fitting = [cell for cell in cells if self.task in ("", cell.task, cell.spec.name)]
            if len(fitting) != 1:
                which = f" for task {self.task!r}" if self.task else ", so task must name one of them"
                raise DataError(
                    f"{store.path} has {len(fitting)} benchmarks{which}; it holds {', '.join(names)}"
                )
            found.append(fitting[0])
        one, other = found
        if one.task != other.task:
            raise DataError(
                f"{a.path} is a run of {one.task} and {b.path} of {other.task}: both must be of one benchmark"
            )
        return one, other

    def _joined(
        self, a: tuple[Store, Cell, SampleRecords], b: tuple[Store, Cell, SampleRecords]
    ) -> tuple[list[tuple[int, int]], int]:
        """Returns (both positions of each sample answered in both runs, the number of other samples)."""
        mine, theirs = _states(*a), _states(*b)
        pairs = []
        for name, (at, question, _) in mine.items():
            if name in theirs and theirs[name][1] != question:
                raise DataError(
                    f"sample {name} of {a[0].path} and {b[0].path}: text, references or further data differ"
                )
            if name in theirs and not (mine[name][2] or theirs[name][2]):
                pairs.append((at, theirs[name][0]))
        left_out = len(mine.keys() | theirs.keys()) - len(pairs)
        if left_out and not self.partial:
            paired = {at for at, _ in pairs}
            name = next((n for n, (at, *_) in mine.items() if at not in paired), "") or next(
                n for n in theirs if n not in mine
            )
            raise DataError(
                f"{counted(left_out, 'sample is', 'samples are')} not answered in both {a[0].path} and "
                f"{b[0].path}, the first one is {name}: finish the runs, or leave these samples out with "
                "Runs(…, partial=True)"
            )
        if not pairs:
            raise DataError(f"{a[0].path} and {b[0].path} have no sample that is answered in both")
        return pairs, left_out


@contextmanager
def _open(path: Path | str) -> Iterator[Store]:
    from evalkit.runfile.store import Store

    try:
        with Store.open(Path(path)) as store:
            store.needs_texts("joining runs")
            yield store
    except DataError:
        raise
    except UsageError as error:
        raise DataError(str(error)) from error
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}): is the run file damaged?") from error


def _states(store: Store, cell: Cell, records: SampleRecords) -> dict[str, tuple[int, bytes, bool]]:
    """Returns sample → (position, digest of the question, whether it failed), in the order of the data."""
    rows = {
        position: (question, outcome == FAILED)
        for position, question, outcome in store.connection.execute(
            "SELECT position, question, outcome FROM sample WHERE cell = ?", (cell.id,)
        )
    }
    return {name: (at, *rows[at]) for name, at in records.positions.items()}


def _digest(*cells: tuple[Store, Cell]) -> str:
    """Returns 12 hex digits of a digest over the questions, requests and answers of both runs."""
    found = hashlib.sha256()
    for store, cell in cells:
        for columns in store.connection.execute(
            "SELECT question, asked, answer FROM sample WHERE cell = ? ORDER BY position", (cell.id,)
        ):
            found.update(repr(columns).encode())
    return f"sha256 {found.hexdigest()[:12]}"


def _record(a: SampleRecord, b: SampleRecord, models: Sequence[str]) -> Record:
    return {
        "id": a.id,
        "input": a.input,
        "target": a.target,
        "choices": a.choices,
        "group": a.group,
        "tags": a.tags,
        "cluster": a.cluster,
        "meta": a.meta,
        "media": a.media,
        "a": _side(a, models[0]),
        "b": _side(b, models[1]),
    }


def _side(asked: SampleRecord, model: str) -> dict[str, JSON]:
    return {
        "model": model,
        "answers": [final["value"] for final in asked.answer.get("finals", [])],
        "texts": [
            drawn.response.text
            for asked_request in asked.requests
            if not asked_request.judge and "tool" not in asked_request.body
            for drawn in asked_request.draws
            if drawn.draw >= 0
        ],
        "outcome": asked.outcome,
    }
