"""Run files for tests of tables: a model that is wrong where it is told to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from evalkit.data.base import data_options
from evalkit.engine.plan import make_plan
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.paper import PaperTable, load_tables
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.made import sums


def ran(
    folder: Path,
    name: str,
    wrong: Callable[[int], bool] = lambda gold: False,
    *,
    task: str = "",
    protocol: str = "once",
    count: int = 200,
    ask: str = "What is",
    limit: int | None = None,
    settings: Mapping[str, str] | None = None,
    data: str | None = None,
    says: str = "-1",
    file: str = "",
) -> Store:
    """A finished run of the model `fake/NAME`, which says `says` where the reference is `wrong`.

    Of `count` made sums, or of the `task` given (`data`: where from).
    """
    file = file or f"{len(list(folder.glob('*.db')))}"
    task = task or f"{sums(folder, count, name=f'{file}.py', ask=ask)}:sums:{protocol}"

    def say(request: Request, draw: int, hints: Hints) -> str:
        gold = hints.gold()
        return says if gold.lstrip("-").isdigit() and wrong(int(gold)) else gold

    plan = make_plan(
        FakeModel(Hinted(say), name), task.split(","), limit=limit, settings=settings, data=data_options(data)
    )
    asyncio.run(execute_plan(plan, folder / f"{file}.db"))
    return Store.open(folder / f"{file}.db")


PAPER = """
title = "Table 1: sums"
source = "section 1, table 1"
columns = ["Old", "New"]
notes = ["Nobody checked it."]
[footnotes]
"api" = "over the API"
[[rows]]
name = "Sums"
task = "sums"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."Old" = { text = "50.0%", protocol = "0-shot", match = ["once"], marks = ["api"] }
figures."New" = { text = "99.9%", protocol = "Maj1@5", match = ["maj"] }
[[rows]]
name = "Products"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."Old" = { text = "12.5%", protocol = "3-shot" }
"""


def paper(folder: Path, text: str = PAPER, name: str = "own") -> PaperTable:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    (table,) = load_tables(str(path))
    return table


def hostile(folder: Path, name: str) -> tuple[list[Store], str]:
    """Two runs of a model called `name`, and the path of a printed table in which everything is called so."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped)
    text = PAPER.replace("Old", "@@").replace("over the API", "@@").replace("Nobody checked it.", "@@")
    text = text.replace("Table 1: sums", "@@").replace('name = "Sums"', 'name = "@@"\nsection = "@@"')
    text = text.replace("0-shot", "@@").replace('metric = "accuracy"', 'metric = "@@"', 1)
    paper(folder, text.replace("@@", escaped))
    return [ran(folder, name), ran(folder, name, lambda gold: gold % 2 > 0)], str(folder / "own.toml")
