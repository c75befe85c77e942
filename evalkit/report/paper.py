"""A paper's tables with their printed figures, from TOML files in `reports/` or of the user's own.

A paper is a folder: `paper.toml` has its title, url, version, the names of its tables and its groups of
benchmarks; every table is a file of its own. A table has columns, footnotes by name, notes, and rows; a row
says which task it is about (`task = ""`: evalkit has none yet) and its figures by column:

    figures."Ultra" = { text = "94.4%", protocol = "Maj1@32", match = ["maj1@32"], marks = ["via API"] }

`text` is what is printed, and the value is read from it; `protocol` is what the paper calls it; `match` names
evalkit's protocols that are the same one, so that only a run under one of these stands beside it unmarked.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from evalkit.convert import from_json
from evalkit.errors import UsageError, unknown
from evalkit.samples import JSON

_NUMBER = re.compile(r"([+−-]?)(\d+(?:\.\d+)?)(?:±\d+(?:\.\d+)?)?%?")


@dataclass(frozen=True, slots=True)
class Figure:
    """A printed figure. `low`, `high`: its printed interval. `unit`: where it is not its row's."""

    text: str
    protocol: str = ""
    match: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @property
    def value(self) -> float | None:
        """The number that is printed, in its unit."""
        found = _NUMBER.fullmatch(self.text)
        return None if found is None else float(f"{found[1].replace('−', '-')}{found[2]}")


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A benchmark. `measure`: evalkit's name of the metric, "" for the task's headline; `group`: one of its.

    `options`: the task's options (`split=test`) that the paper's figure is under. `whole_corpus`: a figure
    that cannot be taken apart into samples, such as BLEU. `headline_of`: protocols whose headline it is,
    where `measure` is another protocol's name for it: a plain majority is a leg of a routed run. `referee`:
    in every figure a model read the answers that rules could not, so a run without `--judge` is under another
    protocol.
    """

    name: str
    metric: str
    unit: str
    higher_is_better: bool
    figures: Mapping[str, Figure]
    task: str = ""
    measure: str = ""
    section: str = ""
    group: str = ""
    options: str = ""
    whole_corpus: bool = False
    headline_of: tuple[str, ...] = ()
    referee: bool = False


@dataclass(frozen=True, slots=True)
class PaperTable:
    """`footnotes`: by the marks of figures. `notes`: what a reader has to know, inconsistencies too."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    source: str = ""
    caption: str = ""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, JSON]:
        whole = dataclasses.asdict(self)
        for row, plain in zip(self.rows, whole["rows"], strict=True):
            for name, figure in row.figures.items():
                plain["figures"][name]["value"] = figure.value
        return whole


@dataclass(frozen=True, slots=True)
class Paper:
    """`capabilities`: names of benchmarks by group; those that evalkit has are names of tasks."""

    id: str
    title: str
    url: str
    version: str
    tables: tuple[PaperTable, ...]
    capabilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def papers() -> tuple[str, ...]:
    """Names of the papers that come with evalkit."""
    return tuple(
        sorted(
            place.name
            for place in resources.files("evalkit.reports").iterdir()
            if place.joinpath("paper.toml").is_file()
        )
    )


def load_paper(name: str) -> Paper:
    """A paper by name, or a folder of the user's with a `paper.toml`."""
    place = _place(name)
    document = _read(place.joinpath("paper.toml"))
    where = str(place.joinpath("paper.toml"))
    names = document.pop("tables", None)
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        raise UsageError(f"{where}: tables is a list of names, each of a .toml file beside it")
    tables = tuple(_table(place.joinpath(f"{table}.toml"), table) for table in names)
    return from_json(Paper, {**document, "id": place.name, "tables": tables}, where)


def load_tables(name: str) -> tuple[PaperTable, ...]:
    """`PAPER` for all its tables, `PAPER/TABLE` for one, or the path of a TOML file with one table."""
    if name.endswith(".toml"):
        path = Path(name)
        return (_table(path, path.stem),)
    paper, table = parted(name)
    if not table:
        return load_paper(paper).tables
    tables = {one.id: one for one in load_paper(paper).tables}
    if table not in tables:
        raise unknown(f"table of {paper}", table, tables)
    return (tables[table],)


def parted(name: str) -> tuple[str, str]:
    """(paper, table or "") of what `load_tables` takes; the paper of a TOML file is "": it is in none."""
    if name.endswith(".toml"):
        return "", name
    if (Path(name) / "paper.toml").is_file() or name in papers():
        return name, ""
    paper, _, table = name.rpartition("/")
    if not paper:
        raise unknown("paper", name, papers(), _known())
    return paper, table


def capability_groups(name: str) -> Mapping[str, tuple[str, ...]]:
    """Benchmarks by capability; a task's name where evalkit has it, else the paper's own."""
    return load_paper(name).capabilities


def _known() -> str:
    return f"known are {', '.join(papers())}; one's own is a .toml file, or a folder with a paper.toml"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\w[\w.-]*", value))


def _place(name: str) -> Traversable:
    own = Path(name)
    if (own / "paper.toml").is_file():
        return own
    if name not in papers():
        raise unknown("paper", name, papers(), _known())
    return resources.files("evalkit.reports").joinpath(name)


def _read(place: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(place.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{place} is no TOML: {error}") from None


def _table(place: Traversable, name: str) -> PaperTable:
    document = _read(place)
    rows = []
    for number, entries in enumerate(_list_of(document.pop("rows", []), f"{place}: rows"), 1):
        where = f"{place}, row {number} ({entries.get('name', 'without a name')})"
        figures = entries.pop("figures", {})
        if not isinstance(figures, dict):
            raise UsageError(f"{where}: figures is a table by column")
        made = {
            column: from_json(Figure, figure, f"{where}, {column!r}") for column, figure in figures.items()
        }
        rows.append(from_json(PaperRow, {**entries, "figures": made}, where))
    table = from_json(PaperTable, {**document, "id": name, "rows": tuple(rows)}, str(place))
    if not table.rows or not table.columns or len(set(table.columns)) < len(table.columns):
        raise UsageError(f"{place} needs a row and a column at least, and no two columns of one name")
    for row in table.rows:
        for column, figure in row.figures.items():
            where = f"{place}, {row.name!r}"
            if column not in table.columns:
                raise unknown(f"column in {where}", column, table.columns)
            if figure.value is None:
                raise UsageError(f"{where}, {column!r}: {figure.text!r} begins with no number")
            for mark in figure.marks:
                if mark not in table.footnotes:
                    raise unknown(f"footnote in {where}, {column!r}", mark, table.footnotes)
    return table


def _list_of(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UsageError(f"{where} is a list of tables: [[rows]]")
    return [dict(one) for one in value]
