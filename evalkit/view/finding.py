"""Answers the page's list from the index: how many samples pass the filters, and their lines."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import orjson

from evalkit.errors import UsageError
from evalkit.report.html.entries import SampleFigure
from evalkit.runfile.records import natural
from evalkit.samples import JSON
from evalkit.view.building import Builder
from evalkit.view.query import Query, Statement
from evalkit.view.tables import connect

_KEPT = 8
"""The most results that are kept, for the pages that show them: 8 bytes for each sample found."""
_FAILURES = 5
"""The most failed samples that the page shows while a run goes on."""
MOST_ROWS = 500
"""The most lines of an answer."""
_LINE = ("n", "part", "id", "groups", "question", "disputed")


@dataclass(frozen=True, slots=True)
class Count:
    """The samples of a benchmark in a run: `done` of `wanted` (None if that is not known), by outcome."""

    part: str
    run: int
    done: int
    wanted: int | None
    outcomes: dict[str, int]


class Finder:
    """Searches the index. Used by one thread."""

    def __init__(self, place: Path, builder: Builder, runs: int) -> None:
        self._db = connect(place)
        self._db.create_function("lowered", 1, str.lower, deterministic=True)
        self._builder, self._runs = builder, runs
        self._results: OrderedDict[str, array[int]] = OrderedDict()
        self._numbered = 0
        self._same: dict[tuple[Query, int], str] = {}
        self.rows_read = 0
        """How many lines were read from the index so far."""

    def close(self) -> None:
        self._db.close()

    def find(self, query: Query, current: int | None) -> dict[str, JSON]:
        """The number of samples found so far, and the name of the result for `lines`.

        `current`: the number of a line, whose place in the result is `at`, -1 if it is not in it.
        """
        if query.text:
            self._builder.index_texts()
        progress = self._builder.progress
        listed, texts = progress.listed, progress.texts  # before the version, as `Progress` says
        version, lines = progress.version, progress.lines
        texts = texts if query.text else lines
        settled = listed and texts == lines
        name = self._same.get((query, version), "")
        if name not in self._results:
            name = self._keep(self._found(query))
            self._same = {**dict(list(self._same.items())[-_KEPT:]), (query, version): name}
        result = self._results[name]
        at = -1 if current is None else _place(result, current)
        indexed: JSON = {"done": texts, "of": progress.expected}
        return {"result": name, "count": len(result), "at": at, "total": lines,
                "settled": settled, "indexed": indexed}  # fmt: skip

    def lines(self, name: str, first: int, last: int) -> list[JSON]:
        """The lines of a result from place `first` to before `last`.

        Raises `UsageError` if the result is not kept.
        """
        if name not in self._results:
            raise UsageError("this result is no longer kept")
        self._results.move_to_end(name)
        wanted = list(self._results[name][first : min(last, first + MOST_ROWS)])
        columns = [f"{column}_{run}" for column in _SHOWN for run in range(self._runs)]
        rows = self._db.execute(
            f"SELECT {', '.join((*_LINE, *columns))} FROM line "  # noqa: S608 — made of our names
            "WHERE n IN (SELECT value FROM json_each(?))",
            (orjson.dumps(wanted).decode(),),
        ).fetchall()
        self.rows_read += len(rows)
        found = {row[0]: self._line(row) for row in rows}
        return [found[n] for n in wanted if n in found]

    def line(self, part: str, name: str) -> int | None:
        """The number of the line of a benchmark's sample; None if there is none."""
        parts = self._builder.progress.parts
        if part not in parts:
            return None
        row = self._db.execute(
            "SELECT n FROM line WHERE part = ? AND id = ?", (parts.index(part), name)
        ).fetchone()
        return None if row is None else int(row[0])

    def places(self, n: int) -> tuple[str, list[tuple[int | None, SampleFigure]]]:
        """(benchmark, (position, figure) in each run) of a line. Raises `UsageError` if there is none."""
        columns = [
            f"{name}_{run}" for run in range(self._runs) for name in ("at", "figure", "score", "merit")
        ]
        row = self._db.execute(f"SELECT part, {', '.join(columns)} FROM line WHERE n = ?", (n,)).fetchone()  # noqa: S608
        if row is None:
            raise UsageError("no such sample")
        part, *found = row
        by_run = zip(*[iter(found)] * 4, strict=True)
        return self._builder.progress.parts[part], [(at, SampleFigure(*figure)) for at, *figure in by_run]

    def counts(self) -> list[Count]:
        """The outcomes of each benchmark in each run."""
        found = []
        for run in range(self._runs):
            outcomes: dict[int, dict[str, int]] = {}
            rows = self._db.execute(
                f"SELECT part, outcome_{run}, count(*) FROM line WHERE at_{run} IS NOT NULL GROUP BY 1, 2"  # noqa: S608 — ours
            )
            for part, outcome, count in rows:
                outcomes.setdefault(part, {})[outcome] = count
            for part, name in enumerate(self._builder.progress.parts):
                if (part, run) in self._builder.progress.wanted:
                    of = outcomes.get(part, {})
                    wanted = self._builder.progress.wanted[part, run]
                    found.append(Count(name, run, sum(of.values()), wanted, of))
        return found

    def failures(self) -> list[JSON]:
        """The latest failed samples: {part, run, id, error}."""
        found: list[tuple[int, JSON]] = []
        for run in range(self._runs):
            rows = self._db.execute(
                f"SELECT n, part, id, error_{run} FROM line WHERE outcome_{run} = 'failed' "  # noqa: S608
                f"ORDER BY n DESC LIMIT {_FAILURES}"
            )
            found += [
                (n, {"part": self._builder.progress.parts[part], "run": run, "id": name, "error": error})
                for n, part, name, error in rows
            ]
        return [one for _, one in sorted(found, key=lambda pair: -pair[0])[:_FAILURES]]

    def _line(self, row: tuple[object, ...]) -> JSON:
        n, part, name, groups, question, _ = row[: len(_LINE)]
        assert isinstance(part, int)
        assert isinstance(groups, str)
        by_run = row[len(_LINE) :]
        return {
            "key": n,
            "part": self._builder.progress.parts[part],
            "id": name,
            "groups": orjson.loads(groups),
            "question": question,
            **{
                f"{column}s": list(by_run[i * self._runs : (i + 1) * self._runs])
                for i, column in enumerate(_SHOWN)
            },
        }

    def _found(self, query: Query) -> array[int]:
        statement = Statement(query, self._builder.progress.parts, self._runs)
        rows = self._db.execute(statement.sql, statement.parameters)
        if query.order == "id":
            return array("q", [n for n, _ in sorted(rows, key=lambda row: natural(row[1]))])
        return array("q", (n for n, _ in rows))

    def _keep(self, result: array[int]) -> str:
        self._numbered += 1
        name = f"r{self._numbered}"
        self._results[name] = result
        while len(self._results) > _KEPT:
            self._results.popitem(last=False)
        return name


_SHOWN = ("outcome", "value", "figure")
"""The columns of each run that the list shows."""


def _place(result: array[int], wanted: int) -> int:
    try:
        return result.index(wanted)
    except ValueError:
        return -1
