"""A paper's tables with their printed figures, from TOML files in `reports/` or of the user's own.

A paper is a folder: `paper.toml` has its title, url, version, the names of its tables and its groups of
benchmarks; every table is a file of its own. A table has columns, footnotes by name, notes, and rows; a row
says which task it is about, which figure of it, and what is printed of it by column:

    figures."Ultra" = { text = "94.4%", protocol = "Maj1@32", match = ["maj1@32"], marks = ["via API"] }

`text` is what is printed, and the value is read from it; `protocol` is what the paper calls it; `match` names
evalkit's protocols that are the same one, so that only a run under one of these stands beside it unmarked.

A figure of a task is its headline or another metric (`measure`), of all samples, of one group or tag
(`group`), or the mean of several groups' (`macro`). A column may set figures against another model's:

    [compared]
    "Nano 1 / Pro" = { relative_to = "Pro" }
    "difference" = { minus = "pre-trained" }
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
from typing import Any, Literal, TypeAlias

from evalkit.convert import from_json
from evalkit.errors import UsageError, unknown
from evalkit.samples import JSON

Comparing: TypeAlias = Literal["ratio", "difference"]
ALL_GROUPS = ("*",)
"""As `macro`: the mean over all groups that the benchmark has."""
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
class Compared:
    """A column of ratios to a model's figures (`relative_to`), or of differences from them (`minus`).

    One of the two. The model is called as its column, or else as the paper calls it.
    """

    relative_to: str = ""
    minus: str = ""

    @property
    def kind(self) -> Comparing:
        return "ratio" if self.relative_to else "difference"

    @property
    def base(self) -> str:
        return self.relative_to or self.minus

    def unit(self, of: str) -> str:
        """The unit of the ratio or difference of two figures in the unit `of`."""
        if self.kind == "ratio":
            return "ratio"
        return "points" if of == "%" else "difference"


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A figure of a benchmark. `measure`: evalkit's name of the metric, "" for the task's headline.

    `group`: of the samples of that group or tag alone. `macro`: the mean of these groups' figures, of all
    groups where it is `*`.

    `options`: the task's options (`split=test`) that the paper's figure is under. `whole_corpus`: a figure
    that cannot be taken apart into samples, such as BLEU. `headline_of`: protocols whose headline it is,
    where `measure` is another protocol's name for it: a plain majority is a branch of a routed run. `model_extractor`:
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
    macro: tuple[str, ...] = ()
    options: str = ""
    whole_corpus: bool = False
    headline_of: tuple[str, ...] = ()
    model_extractor: bool = False

    @property
    def figure(self) -> tuple[str, str, tuple[str, ...]]:
        """Which of the task's figures it is."""
        return self.measure, self.group, self.macro


@dataclass(frozen=True, slots=True)
class PaperTable:
    """`footnotes`: by the marks of figures. `notes`: what a reader has to know, inconsistencies too.

    `compared`: by column, what its figures are ratios to or differences from.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    source: str = ""
    caption: str = ""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    compared: Mapping[str, Compared] = field(default_factory=dict)

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
    for column, compared in table.compared.items():
        _check_compared(table, column, compared, f"{place}, compared")
    for row in table.rows:
        _check_row(table, row, f"{place}, {row.name!r}")
    return dataclasses.replace(table, rows=tuple(_with_units(table, row) for row in table.rows))


def _check_compared(table: PaperTable, column: str, compared: Compared, where: str) -> None:
    if column not in table.columns:
        raise unknown(f"column in {where}", column, table.columns)
    where = f"{where}, {column!r}"
    if bool(compared.relative_to) == bool(compared.minus):
        raise UsageError(f"{where} needs relative_to or minus, and not both: the model it is compared with")
    if compared.base in table.compared:
        raise UsageError(f"{where}: {compared.base!r} is a column of comparisons, and not of a model")


def _check_row(table: PaperTable, row: PaperRow, where: str) -> None:
    if row.group and row.macro:
        raise UsageError(
            f"{where}: group is one group's figure and macro the mean of several: give one of them"
        )
    if (row.group or row.macro) and not row.task:
        raise UsageError(
            f"{where}: {'group' if row.group else 'macro'} needs the task that the groups are of"
        )
    named = {*row.macro} - {"", *ALL_GROUPS}
    if row.macro not in ((), ALL_GROUPS) and len(named) < max(2, len(row.macro)):
        raise UsageError(f'{where}: macro is ["*"], or two groups at least by name, each once')
    for column, figure in row.figures.items():
        if column not in table.columns:
            raise unknown(f"column in {where}", column, table.columns)
        if figure.value is None:
            raise UsageError(f"{where}, {column!r}: {figure.text!r} begins with no number")
        for mark in figure.marks:
            if mark not in table.footnotes:
                raise unknown(f"footnote in {where}, {column!r}", mark, table.footnotes)


def _with_units(table: PaperTable, row: PaperRow) -> PaperRow:
    """The row with the units of ratios and differences, where none is given."""
    figures = {
        column: dataclasses.replace(figure, unit=figure.unit or table.compared[column].unit(row.unit))
        if column in table.compared
        else figure
        for column, figure in row.figures.items()
    }
    return dataclasses.replace(row, figures=figures)


def _list_of(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UsageError(f"{where} is a list of tables: [[rows]]")
    return [dict(one) for one in value]
