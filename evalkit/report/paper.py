"""Reads a paper's tables with their printed figures from TOML files, in `reports/` or the user's own.

A paper is a folder. Its `paper.toml` has the title, url, version, the names of the tables and the groups of
benchmarks; each table is a file of its own. A table has columns, footnotes by name, notes, and rows. A row
names the task, which of its figures the row is about, and the printed figure of each column:

    figures."Ultra" = { text = "94.4%", protocol = "Maj1@32", match = ["maj1@32"], marks = ["via API"] }

`text` is the printed text, from which the value is read. `protocol` is the paper's name of the protocol.
`match` names the protocols of evalkit that are the same; a run under any other is marked as not comparable.

A row is about the task's headline or another metric (`measure`), over all samples, over one group or tag
(`group`), or as the mean over several groups (`macro`). A column may be relative to another model's figures:

    [compared]
    "Nano 1 / Pro" = { relative_to = "Pro" }
    "difference" = { minus = "pre-trained" }
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from evalkit.convert import from_json, read_toml
from evalkit.errors import UsageError, unknown
from evalkit.plugins import find_plugin, paper_folder, plugin_names
from evalkit.samples import JSON

Comparing: TypeAlias = Literal["ratio", "difference"]
ALL_GROUPS = ("*",)
"""The value of `macro` for the mean over all groups of the benchmark."""
_NUMBER = re.compile(r"([+−-]?)(\d+(?:\.\d+)?)(?:±\d+(?:\.\d+)?)?%?")


@dataclass(frozen=True, slots=True)
class Figure:
    """A printed figure. `low`, `high`: its printed interval. `unit`: its unit, if it is not the row's."""

    text: str
    protocol: str = ""
    match: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @property
    def value(self) -> float | None:
        """The printed number, in the figure's unit."""
        found = _NUMBER.fullmatch(self.text)
        return None if found is None else float(f"{found[1].replace('−', '-')}{found[2]}")


@dataclass(frozen=True, slots=True)
class Compared:
    """A column of ratios to a model's figures (`relative_to`), or of differences from them (`minus`).

    Exactly one of the two is given. It names the model's column, or the model as the paper calls it.
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
    """A row of a printed table. `measure`: evalkit's name of the metric; "" for the task's headline.

    `group`: the group or tag whose samples alone the figure covers. `macro`: the groups whose figures are
    averaged; `*` for all groups.

    `options`: the options of the task (`split=test`) that the paper used, or `*` for any value.
    `whole_corpus`: whether the figure is not made of samples, such as BLEU. `headline_of`: the protocols
    whose headline is this figure, if `measure` is the name that another protocol has for it: a plain majority
    is a branch of a routed run.
    `model_extractor`: whether a model read the answers that rules could not read, so that a run without
    `--judge` has another protocol. `stand_ins`: evalkit's metrics that take the place of the printed metric,
    such as chrF2 for BLEURT; every printed figure beside them is marked. `*` stands for any letters.
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
    stand_ins: tuple[str, ...] = ()

    def states(self, protocol: str) -> bool:
        """Whether a printed figure of the row has this protocol of evalkit's."""
        return any(protocol in figure.match for figure in self.figures.values())

    @property
    def figure(self) -> tuple[str, str, tuple[str, ...]]:
        """What identifies the figure among those of its task."""
        return self.measure, self.group, self.macro


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A printed table. `footnotes`: texts by the marks of figures.

    `notes`: what a reader must know, including inconsistencies of the paper. `asides`: notes about the paper
    and not about a row. `compared`: by column, the model that its ratios or differences are relative to.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    source: str = ""
    caption: str = ""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    compared: Mapping[str, Compared] = field(default_factory=dict)

    def as_json(self) -> dict[str, JSON]:
        whole = dataclasses.asdict(self)
        for row, plain in zip(self.rows, whole["rows"], strict=True):
            for name, figure in row.figures.items():
                plain["figures"][name]["value"] = figure.value
        return whole


@dataclass(frozen=True, slots=True)
class Member:
    """A benchmark of a capability. `name`: its name in tables; left out: that of its task.

    `task`: the name of evalkit's task, or a reserved one; "" if there is none. `protocols`: left out: any
    that both runs have. `measure`: evalkit's name of the metric; left out: the headline. `group`, `macro`: as
    in `PaperRow`. `missing`: why there is no such benchmark. `note`: how the task differs from it.
    """

    name: str = ""
    task: str = ""
    protocols: tuple[str, ...] = ()
    measure: str = ""
    group: str = ""
    macro: tuple[str, ...] = ()
    missing: str = ""
    note: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is the headline of a task over all its samples."""
        return bool(self.task) and not (self.measure or self.group or self.macro)

    @property
    def row(self) -> PaperRow:
        """The row that says which samples count; its printed figures are empty."""
        return PaperRow(self.name, "", "", True, {}, self.task, self.measure, "", self.group, self.macro)


Capabilities: TypeAlias = Mapping[str, tuple[Member, ...]]
"""Benchmarks by the name of the capability."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper and its tables, and its groups of benchmarks."""

    id: str
    title: str
    url: str
    version: str
    tables: tuple[PaperTable, ...]
    capabilities: Capabilities = field(default_factory=dict)


def papers() -> tuple[str, ...]:
    """The names of the papers that come with evalkit."""
    return tuple(
        sorted(
            place.name
            for place in resources.files("evalkit.reports").iterdir()
            if place.joinpath("paper.toml").is_file()
        )
    )


def load_paper(name: str) -> Paper:
    """Reads a paper of evalkit or of an installed package by its name, or the user's own by its folder.

    The folder has a `paper.toml`. Raises `UsageError`.
    """
    called, place = _place(name)
    document = read_toml(place.joinpath("paper.toml"))
    where = str(place.joinpath("paper.toml"))
    names = document.pop("tables", None)
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        raise UsageError(f"{where}: tables must be a list of names of .toml files in the same folder")
    tables = tuple(_table(place.joinpath(f"{table}.toml"), table) for table in names)
    document["capabilities"] = _members(document.get("capabilities", {}), where)
    return from_json(Paper, {**document, "id": called, "tables": tables}, where)


def load_tables(name: str) -> tuple[PaperTable, ...]:
    """Reads all tables of `PAPER`, one table as `PAPER/TABLE`, or the table in a TOML file by its path."""
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
    """Splits what `load_tables` takes into (paper, table or ""). The paper of a TOML file is ""."""
    if name.endswith(".toml"):
        return "", name
    if (Path(name) / "paper.toml").is_file() or name in papers():
        return name, ""
    paper, _, table = name.rpartition("/")
    if paper:
        return paper, table
    if find_plugin("papers", name) is None:
        raise unknown("paper", name, papers(), _known())
    return name, ""


def capability_groups(name: str) -> Mapping[str, tuple[str, ...]]:
    """The tasks whose headline is a member, by capability."""
    groups = load_paper(name).capabilities.items()
    return {
        group: tuple(dict.fromkeys(one.task for one in members if one.whole)) for group, members in groups
    }


def load_capabilities(name: str) -> Capabilities:
    """The capabilities of a paper of evalkit, of the user's own folder, or of a TOML file with only them.

    Raises `UsageError` if there are none.
    """
    if name.endswith(".toml"):
        document = read_toml(Path(name))
        found: Capabilities = _members(document.pop("capabilities", {}), name)
        if document:
            raise unknown(f"key of {name}", next(iter(document)), ["capabilities"])
    else:
        found = load_paper(parted(name)[0]).capabilities
    if not found:
        raise UsageError(f"{name} has no [capabilities]: groups of benchmarks, as in docs/tables.md")
    return found


def _known() -> str:
    known = ", ".join((*papers(), *plugin_names("papers")))
    return f"known are {known}; your own can be a .toml file, or a folder with a paper.toml"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\w[\w.-]*", value))


def _place(name: str) -> tuple[str, Traversable]:
    """(the paper's name, its folder). Raises `UsageError`."""
    own = Path(name)
    if (own / "paper.toml").is_file():
        return own.name, own
    if name in papers():
        return name, resources.files("evalkit.reports").joinpath(name)
    plugin = find_plugin("papers", name)
    if plugin is None:
        raise unknown("paper", name, papers(), _known())
    return name, paper_folder(plugin)


def _table(place: Traversable, name: str) -> PaperTable:
    document = read_toml(place)
    rows = []
    for number, entries in enumerate(_list_of(document.pop("rows", []), f"{place}: rows"), 1):
        where = f"{place}, row {number} ({entries.get('name', 'without a name')})"
        figures = entries.pop("figures", {})
        if not isinstance(figures, dict):
            raise UsageError(f"{where}: figures must be a TOML table with one entry per column")
        figures_by_column = {
            column: from_json(Figure, figure, f"{where}, {column!r}") for column, figure in figures.items()
        }
        rows.append(from_json(PaperRow, {**entries, "figures": figures_by_column}, where))
    table = from_json(PaperTable, {**document, "id": name, "rows": tuple(rows)}, str(place))
    if not table.rows or not table.columns or len(set(table.columns)) < len(table.columns):
        raise UsageError(f"{place} must have at least one row and one column, and each column name only once")
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
        raise UsageError(
            f"{where} needs the model that it is compared with: give either relative_to or minus"
        )
    if compared.base in table.compared:
        raise UsageError(f"{where}: {compared.base!r} must be a model's column, not a column of comparisons")


def _check_row(table: PaperTable, row: PaperRow, where: str) -> None:
    if row.group and row.macro:
        raise UsageError(
            f"{where}: group is for one group and macro for the mean of several: give only one of them"
        )
    if (row.group or row.macro) and not row.task:
        raise UsageError(f"{where}: {'group' if row.group else 'macro'} needs the task that has these groups")
    named = {*row.macro} - {"", *ALL_GROUPS}
    if row.macro not in ((), ALL_GROUPS) and len(named) < max(2, len(row.macro)):
        raise UsageError(f'{where}: macro must be ["*"], or at least two names of groups, each only once')
    for column, figure in row.figures.items():
        if column not in table.columns:
            raise unknown(f"column in {where}", column, table.columns)
        if figure.value is None:
            raise UsageError(f"{where}, {column!r}: the text must begin with a number, not {figure.text!r}")
        for mark in figure.marks:
            if mark not in table.footnotes:
                raise unknown(f"footnote in {where}, {column!r}", mark, table.footnotes)


def _with_units(table: PaperTable, row: PaperRow) -> PaperRow:
    """The row, with the units of ratios and differences filled in if none is given."""
    figures = {
        column: dataclasses.replace(figure, unit=figure.unit or table.compared[column].unit(row.unit))
        if column in table.compared
        else figure
        for column, figure in row.figures.items()
    }
    return dataclasses.replace(row, figures=figures)


def _members(groups: object, where: str) -> dict[str, tuple[Member, ...]]:
    """Reads `[capabilities]`: lists of names of tasks, or of tables with the fields of `Member`."""
    if not isinstance(groups, dict) or not all(isinstance(one, list) for one in groups.values()):
        raise UsageError(f"{where}: [capabilities] must have lists of benchmarks by the capability's name")
    return {
        group: tuple(_member(entry, f"{where}, capability {group!r}, entry {number}")
                     for number, entry in enumerate(members, 1))
        for group, members in groups.items()
    }  # fmt: skip


def _member(entry: object, where: str) -> Member:
    member = from_json(Member, {"task": entry} if isinstance(entry, str) else entry, where)
    if bool(member.task) == bool(member.missing) or not (member.name or member.task):
        raise UsageError(f"{where} needs either a task, or a name and why it is missing")
    if member.group and member.macro:
        raise UsageError(f"{where}: group is for one group and macro for the mean of several: give only one")
    return dataclasses.replace(member, name=member.name or member.task)


def _list_of(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UsageError(f"{where} must be a list of TOML tables: [[rows]]")
    return [dict(entry) for entry in value]
