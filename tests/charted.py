"""Charts of two made models on made benchmarks, beside a made paper, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from evalkit.engine.plan import make_plan
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.charts import Chart, charts, waited
from evalkit.report.costs import costs
from evalkit.report.grid import Grid
from evalkit.report.grids import build_grids
from evalkit.report.lengths import lengths
from evalkit.report.paper import load_tables
from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.engine.test_routed import chance, question, student
from tests.made import sums
from tests.quiz import quiz

SVG = "{http://www.w3.org/2000/svg}"
GOOD, LAZY = "openai/a-model-with-quite-a-long-name-2026-11", "fake/lazy"


def counting(script: Hinted, name: str) -> FakeModel:
    """A model that says how many tokens it took and how long."""

    def counted(request: Request, draw: int, hints: Hints) -> Response:
        said = script.script(request, draw, hints)
        assert isinstance(said, str)
        return Response(said, prompt_tokens=100, completion_tokens=7, seconds=0.5)

    return FakeModel(Hinted(counted), name)


def doze(request: Request, draw: int, hints: Hints) -> str:
    asked = question(request)
    if chance("silent", asked, draw) < 0.2:
        return "no idea"
    return hints.gold() if chance("right", asked, draw) < 0.5 else hints.wrong()


lazy = Hinted(doze)


def evaluated(path: Path, model: FakeModel, tasks: Sequence[str]) -> Store:
    asyncio.run(execute_plan(make_plan(model, tasks), path))
    return Store.open(path)


COLUMNS = {"ultra": "Gemini Ultra", "pro": "Gemini Pro", "gpt": "GPT-4", "ratio": "Ultra / Pro"}


def row(name: str, task: str, measure: str = "", **figures: str) -> str:
    """`figures`: text and protocol by column, and a unit where it is not the row's."""
    lines = [f'[[rows]]\nname = "{name}"\ntask = "{task}"\nmetric = "accuracy"\nmeasure = "{measure}"']
    lines.append('unit = "%"\nhigher_is_better = true')
    for column, words in figures.items():
        text, protocol, *unit = words.split()
        figure = f'text = "{text}", protocol = "as here", match = ["{protocol}"]'
        figure += f', unit = "{unit[0]}"' if unit else ""
        lines.append(f'figures."{COLUMNS[column]}" = {{ {figure} }}')
    return "\n".join(lines) + "\n"


PAPER = {
    "paper": """
title = "A paper"
url = ""
version = "1"
tables = ["table-1", "figure-9"]

[capabilities]
"Letters" = ["quiz"]
"All" = ["quiz", "sums"]
"Video" = ["VATEX"]
""",
    "table-1": 'title = "Table 1"\ncolumns = ["Gemini Ultra", "Gemini Pro", "Ultra / Pro"]\n'
    + row("Quiz", "quiz", ultra="90.0 routed", pro="72.5 routed")
    + row("Sums", "sums", ultra="94.4 once", pro="86.5 other", ratio="1.09 once ratio"),
    "figure-9": 'title = "Figure 9"\ncolumns = ["GPT-4", "Gemini Ultra"]\n'
    + row("greedy letter", "quiz", "accuracy (greedy)", gpt="84.21 routed", ultra="83.96 routed")
    + row("majority", "quiz", "accuracy (majority)", gpt="87.29 routed", ultra="84.99 routed")
    + row("routed", "quiz", "accuracy", gpt="87.29 routed", ultra="90.04 routed"),
}


@dataclasses.dataclass(frozen=True)
class Report:
    stores: Sequence[Store]
    paper: str
    table: Table
    grids: Sequence[Grid]

    def charts(self, **more: Any) -> dict[str, Chart]:
        """By their ids. `prices`: as in `costs`; the others as in `charts`."""
        everything: dict[str, Any] = {
            "papers": (self.paper,),
            "seconds": waited(self.stores, self.table),
            "costs": costs(self.stores, self.table, self.grids, more.pop("prices", None)),
            "lengths": lengths(self.stores, self.table, self.grids),
        }
        return {chart.id: chart for chart in charts(self.table, self.grids, **(everything | more))}


@contextlib.contextmanager
def made_report(folder: Path) -> Iterator[Report]:
    """Two models on a routed quiz and on sums, beside a paper's printed figures."""
    tasks = [f"{quiz(folder, test=120, validation=60)}:quiz:routed", f"{sums(folder, 40)}:sums:once"]
    scripts: dict[str, Hinted] = {GOOD: student, LAZY: lazy}
    stores = [
        evaluated(folder / f"{i}.db", counting(script, name), tasks)
        for i, (name, script) in enumerate(scripts.items())
    ]
    paper = folder / "paper"
    paper.mkdir()
    for name, text in PAPER.items():
        (paper / f"{name}.toml").write_text(text, encoding="utf-8")
    table = build_table(stores)
    yield Report(stores, str(paper), table, build_grids(stores, table, load_tables(str(paper))))
    for store in stores:
        store.close()


def texts(chart: Chart) -> list[str]:
    root = ElementTree.fromstring(chart.svg)
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
