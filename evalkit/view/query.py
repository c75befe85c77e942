"""What the page's list asks for, as SQL over the index.

`source.js` has the same rules for a page in one file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from evalkit.errors import UsageError
from evalkit.view.tables import ORDER

_NUMBERS = ("score", "tokens", "seconds")
_SIGNS = ("<", "<=", ">", ">=", "=")
_OF_RUNS = {"outcome": "outcome", "answer": "value", "error": "error"}
_OF_SAMPLE = {"id": "id", "question": "question"}
_FILTERS = ("benchmark", "group", *_OF_SAMPLE, *_OF_RUNS, "left", "right")
ORDERS = ("", "id", "worst", "best", "left", "right", "long", "short", "slow")
_DISAGREEMENTS = ("", "runs", "left", "right", "readings")
_MOST = 100
"""The most filters of a search."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of the search box. `sign`: ":" for a part of a text. `value`: in small letters."""

    name: str
    sign: str
    value: str | float
    reverse: bool


@dataclass(frozen=True, slots=True)
class Query:
    """The filters of the list; "" for one that is not set. `runs`: the numbers of the runs that are shown."""

    part: str
    group: str
    outcome: str
    disagreement: str
    order: str
    runs: tuple[int, ...]
    filters: tuple[Filter, ...]
    text: str


def parsed(text: str, runs: int) -> Query:
    """The query in a JSON text of the page, for so many runs. Raises `UsageError`."""
    try:
        found = orjson.loads(text)
        filters = tuple(_filter(one) for one in found["filters"])
        shown = tuple(found["runs"])
        names = ("part", "group", "outcome", "disagreement", "order", "text")
        query = Query(runs=shown, filters=filters, **{name: found[name] for name in names})
        good = (
            all(type(found[name]) is str for name in names)
            and all(type(run) is int and 0 <= run < runs for run in shown)
            and 0 < len(shown) <= 2
            and len(filters) <= _MOST
            and query.order in ORDERS
            and query.disagreement in _DISAGREEMENTS
        )
    except (ValueError, TypeError, LookupError):
        good = False
    if not good:
        raise UsageError("the query is not one of the page")
    return query


def _filter(found: Any) -> Filter:
    one = Filter(str(found["name"]), str(found["sign"]), found["value"], bool(found["reverse"]))
    if one.name in _NUMBERS and one.sign in _SIGNS and type(one.value) in (int, float):
        return one
    if one.name in _FILTERS and one.sign == ":" and type(one.value) is str:
        return one
    raise ValueError(one.name)


class Statement:
    """The SQL of a query: `SELECT n, id …` in the wanted order, but for the order of ids.

    `parts`: the names of the benchmarks. The connection must have `lowered`.
    """

    def __init__(self, query: Query, parts: Sequence[str], runs: int) -> None:
        self.parameters: list[object] = []
        self._parts, self._all, self._query = parts, range(runs), query
        left, right = query.runs[0], query.runs[-1]
        gap = f"merit_{left} - merit_{right}"
        conditions = [*self._chosen(), *self._disagreement(left, right, gap)]
        conditions += [self._holds(one) for one in query.filters]
        if query.text:
            pattern = self._put(_glob(query.text))
            conditions.append(f"n IN (SELECT rowid / {runs} FROM texts WHERE text GLOB {pattern})")  # noqa: S608
        where = " AND ".join(conditions) or "1"
        keys = {
            "worst": f"merit_{left}", "best": f"-merit_{left}", "left": f"-({gap})", "right": gap,
            "long": f"-tokens_{left}", "short": f"tokens_{left}", "slow": f"-seconds_{left}",
        }  # fmt: skip
        key = keys.get(query.order, "")
        order = f"({key}) IS NULL, {key}, {ORDER}" if key else ORDER
        self.sql = f"SELECT n, id FROM line WHERE {where} ORDER BY {order}"  # noqa: S608 — made of our names

    def _put(self, value: object) -> str:
        self.parameters.append(value)
        return "?"

    def _chosen(self) -> Iterable[str]:
        """Conditions on the benchmark, the group and the outcome that are chosen."""
        query = self._query
        if query.part:
            yield self._among(part == query.part for part in self._parts)
        if query.group:  # the first condition is fast, the second one exact
            text = self._put(orjson.dumps(query.group).decode())
            yield f"instr(groups, {text})"
            yield _in_groups(f"value = {self._put(query.group)}")
        if query.outcome:
            yield self._any(self._all, lambda run: f"outcome_{run} = {self._put(query.outcome)}")

    def _disagreement(self, left: int, right: int, gap: str) -> Iterable[str]:
        wanted = self._query.disagreement
        if wanted == "readings":
            yield "disputed"
        elif wanted in ("left", "right"):
            yield f"{gap} {'>' if wanted == 'left' else '<'} 0"
        elif wanted == "runs":
            yield f"(outcome_{left} != outcome_{right} OR figure_{left} != figure_{right})"
            yield f"outcome_{left} != '' AND outcome_{right} != ''"

    def _holds(self, one: Filter) -> str:
        found = self._condition(one)
        return f"NOT coalesce({found}, 0)" if one.reverse else found

    def _condition(self, one: Filter) -> str:
        shown = dict.fromkeys(self._query.runs)
        if one.name in _NUMBERS:
            return self._any(shown, lambda run: f"{one.name}_{run} {one.sign} {self._put(one.value)}")
        if one.name == "benchmark":
            return self._among(str(one.value) in part.lower() for part in self._parts)
        if one.name == "group":
            return _in_groups(self._in("value", one))
        if one.name in _OF_SAMPLE:
            return self._in(_OF_SAMPLE[one.name], one)
        if one.name in ("left", "right"):
            return self._in(f"outcome_{self._query.runs[0 if one.name == 'left' else -1]}", one)
        return self._any(shown, lambda run: self._in(f"{_OF_RUNS[one.name]}_{run}", one))

    def _in(self, column: str, one: Filter) -> str:
        return f"instr(lowered({column}), {self._put(one.value)}) > 0"

    def _among(self, chosen: Iterable[bool]) -> str:
        numbers = [str(number) for number, wanted in enumerate(chosen) if wanted]
        return f"part IN ({', '.join(numbers)})"

    def _any(self, runs: Iterable[int], condition: Callable[[int], str]) -> str:
        return f"({' OR '.join(condition(run) for run in runs)})"


def _in_groups(condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM json_each(groups) WHERE {condition})"  # noqa: S608 — made of our names


def _glob(text: str) -> str:
    """The pattern of GLOB for texts that contain `text`."""
    return f"*{''.join(f'[{letter}]' if letter in '*?[' else letter for letter in text)}*"
