"""Costs in reports: what runs have spent, of each benchmark, over figures, in charts, tables and JSON."""

from __future__ import annotations

import html
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import evalkit
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.build import render_report
from evalkit.report.charts.costs import cost_charts
from evalkit.report.costs import Costs, cost_tables, costs
from evalkit.report.table import build_table
from evalkit.runfile.spent import SPENT
from evalkit.runfile.store import Store
from tests.charted import SVG, texts
from tests.edited import edited
from tests.made import sums

COUNT = 40
RATES = {"cheap": (0.5, 1.5), "dear": (10.0, 30.0), "openai/gpt-4o": (2.5, 10.0)}
"""US dollars for a million tokens of prompts and of responses; GPT-4o's are those of evalkit's table."""


def run_of(folder: Path, name: str, *, priced: bool = True, tasks: tuple[str, ...] = ("sums",)) -> Store:
    """A run whose prompts have 1,000 tokens, or 3,000 of products, and whose responses have 100."""

    def answer(request: Request, draw: int, hints: Hints) -> Response:
        wrong = name == "cheap" and int(hints.gold()) % 3 == 0
        prompt = 3000 if "Multiply" in str(request.prompt) else 1000
        return Response("-1" if wrong else hints.gold(), prompt_tokens=prompt, completion_tokens=100)

    table = folder / "prices.toml"
    table.write_text(
        "".join(
            f'[[price]]\nmodels = ["{model}"]\ninput = {prompt}\noutput = {output}\n'
            for model, (prompt, output) in RATES.items()
            if priced
        )
        or "price = []\n",
        "utf-8",
    )
    path = folder / f"{name.replace('/', '-')}-{len(tasks)}.db"
    named = ",".join(
        sums(
            folder, COUNT, name=f"{task}.py", called=task, ask="Multiply" if task == "products" else "What is"
        )
        for task in tasks
    )
    evalkit.run(FakeModel(Hinted(answer), name), named, output=path, prices=table)
    return Store.open(path)


def price(name: str, prompt: int, samples: int = COUNT) -> float:
    rates = RATES[name]
    return samples * (rates[0] * prompt + rates[1] * 100) / 1e6


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    folder = tmp_path_factory.mktemp("costs")
    found = {name: run_of(folder, name) for name in ("cheap", "dear")}
    found["local <b>"] = run_of(folder, "local <b>", priced=False)
    for name in ("cheap", "openai/gpt-4o"):
        found[f"{name}, two"] = run_of(folder, name, tasks=("sums", "products"))
    yield found
    for store in found.values():
        store.close()


def of(found: Costs) -> dict[tuple[str, str], float]:
    return {(one.run.name, one.run.cell.task): one.cost for one in found.figures}


def test_a_run_with_one_benchmark_costs_what_it_has_spent(stores: dict[str, Store]) -> None:
    some = [stores["cheap"], stores["dear"], stores["local <b>"]]
    found = costs(some, build_table(some))
    assert found.whole == pytest.approx({name: price(name, 1000) for name in ("cheap", "dear")})
    assert found.whole["cheap"] == stores["cheap"].manifest[SPENT]  # type: ignore[index]
    assert of(found) == pytest.approx({(name, "sums"): price(name, 1000) for name in ("cheap", "dear")})
    assert [one.each for one in found.figures] == pytest.approx(
        [price(name, 1000, 1000) for name in ("cheap", "dear")]
    )


def test_several_benchmarks_share_by_tokens_where_the_rates_are_known(stores: dict[str, Store]) -> None:
    known = stores["openai/gpt-4o, two"]
    found = costs([known], build_table([known]))
    parts = {
        ("openai/gpt-4o", task): price("openai/gpt-4o", n) for task, n in (("sums", 1000), ("products", 3000))
    }
    assert of(found) == pytest.approx(parts)
    assert found.whole == pytest.approx({"openai/gpt-4o": sum(parts.values())})
    unknown = stores["cheap, two"]
    found = costs([unknown], build_table([unknown]))
    assert of(found) == {}, "evalkit's table does not have it"
    assert found.whole == pytest.approx({"cheap": price("cheap", 1000) + price("cheap", 3000)})


@pytest.mark.parametrize("spent", [-1.0, 1e308, 0.0])
def test_an_edited_amount_is_not_drawn(stores: dict[str, Store], tmp_path: Path, spent: float) -> None:
    path = tmp_path / "edited.db"
    shutil.copy(stores["dear"].path, path)
    with edited(path) as db:
        db.execute("UPDATE run SET value = ? WHERE key = ?", (json.dumps(spent), SPENT))
    with Store.open(path) as store:
        assert not costs([store], build_table([store])).whole


def test_given_prices_count_alone(stores: dict[str, Store]) -> None:
    some = [stores["cheap"], stores["dear"], stores["local <b>"]]
    found = costs(some, build_table(some), prices={"local <b>": (1.0, 2.0)})
    assert of(found) == pytest.approx({("local <b>", "sums"): COUNT * (1000 + 200) / 1e6})
    assert found.currency == "the currency of the prices"
    assert "local <b> 1 and 2 (prompt and completion)" in found.source


def test_the_chart_has_the_figures_and_costs_of_the_table(stores: dict[str, Store]) -> None:
    some = [stores["cheap"], stores["dear"], stores["local <b>"]]
    table = build_table(some)
    found = costs(some, table)
    bars, chart = cost_charts(found, ["cheap", "dear", "local <b>"])
    assert bars.title == "Cost per run"
    assert "cost, in US dollars" in texts(bars)
    assert chart.title == "sums:once, accuracy and cost"
    assert "cost of 1,000 samples, in US dollars" in texts(chart)
    assert "of unknown cost: local <b>." in chart.caption
    (rows,) = cost_tables(found)
    svg = ElementTree.fromstring(chart.svg)
    marks = [mark for mark in svg.iter() if mark.find(f"{SVG}title") is not None]
    for row, mark in zip(rows.rows, [m for m in marks if m is not svg], strict=True):
        name, value, interval, each, _, samples = (cell.text for cell in row.cells)
        assert mark.findtext(f"{SVG}title") == f"{name}: {value.removesuffix(' %')} ({interval}) for {each}"
        assert samples == str(COUNT)
    # The axis is logarithmic: the runs are as far apart as the logarithms of their costs.
    lines = [
        float(line.attrib["x1"]) for line in svg.iter(f"{SVG}line") if line.attrib["stroke-width"] == "2"
    ]
    ticks = {
        float(text.text or ""): float(text.attrib["x"])
        for text in svg.iter(f"{SVG}text")
        if text.text in ("1", "10")
    }
    decade = ticks[10] - ticks[1]
    cheap, dear = (one.each for one in found.figures)
    assert lines[1] - lines[0] == pytest.approx(decade * math.log10(dear / cheap), abs=0.1)
    assert lines[0] == pytest.approx(ticks[1] + decade * math.log10(cheap), abs=0.1)


@pytest.mark.slow
def test_the_page_and_json_have_costs_without_prices_given(stores: dict[str, Store]) -> None:
    some = [stores["cheap"], stores["dear"]]
    page = render_report(some, "html")
    assert "sums:once, accuracy and cost" in page
    (table,) = cost_tables(costs(some, build_table(some)))
    assert html.escape(table.title) in page
    assert all(html.escape(cell.text) in page for row in table.rows for cell in row.cells)
    document = json.loads(render_report(some, "json"))["costs"]
    assert document["currency"] == "US dollars"
    assert document["runs"] == pytest.approx({name: price(name, 1000) for name in ("cheap", "dear")})
    assert [one["samples"] for one in document["benchmarks"]] == [COUNT, COUNT]
    free = [stores["local <b>"]]
    assert "costs" not in json.loads(render_report(free, "json"))
    assert "chart-cost" not in render_report(free, "html")
