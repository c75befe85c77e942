"""`evalkit run --dry-run`: the table and the document of what a run would take."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.cli.output import write
from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.cli.cost_options import CostOptions
    from evalkit.engine.counted import Counting, Estimate
    from evalkit.engine.plan import Plan
    from evalkit.report.tabular import Tabular, TabularCell
    from evalkit.runfile.store import Store

_SUMMED = ("requests", "answered", "following", "skipped", "input", "output", "most_output")
_COSTS = ("cost", "most_cost")


def dry_run(plan: Plan, output: Path | None, cost: CostOptions, batch: bool, as_json: bool) -> int:
    """Prints what is left to ask, without asking it. `output`: the run file that may have a part.

    `batch`: whether it would be sent by batch routes.
    """
    from evalkit.engine.dry_run import estimate
    from evalkit.report.documents import to_json
    from evalkit.report.terminal import to_terminal

    with contextlib.ExitStack() as stack:
        store = _begun(plan, output, stack)
        counting = _counting(cost, store)

        async def go() -> list[Estimate]:
            try:
                return await estimate(plan, cost.prices, counting, store, batch=batch)
            finally:
                for model in (plan.model, *plan.judges.values()):
                    await model.aclose()

        found = asyncio.run(go())
    if as_json:
        write(None, to_json(_document(found)))
    else:
        write(None, to_terminal([_table(plan, found, cost)], colour=sys.stdout.isatty()), shown=True)
    return 0


def _begun(plan: Plan, output: Path | None, stack: contextlib.ExitStack) -> Store | None:
    """The run file that the run would go on with. Raises `UsageError` if it holds another run."""
    from evalkit.runfile.store import Store

    if output is None or not output.exists():
        return None
    store = stack.enter_context(Store.open(output))
    plan.check_resumes(store)
    return store


def _counting(cost: CostOptions, store: Store | None) -> Counting:
    from evalkit.engine.counted import Counting
    from evalkit.engine.dry_run import lengths
    from evalkit.models.counting import count_at_endpoint, tokenizer_at
    from evalkit.models.text_tokens import estimated_tokens
    from evalkit.runfile.store import Store

    like = {} if store is None else lengths(store)
    for path in cost.like:
        with Store.open(path) as earlier:
            like |= lengths(earlier)
    if cost.count_with == "endpoint":
        return Counting(estimated_tokens, "estimated from the text", count_at_endpoint, like)
    if cost.count_with:
        text = tokenizer_at(Path(cost.count_with))
        return Counting(text, f"counted with {cost.count_with}", None, like)
    return Counting(like=like)


def _document(found: Sequence[Estimate]) -> dict[str, Any]:
    return {"tasks": [dataclasses.asdict(one) for one in found], "total": _total(found)}


def _total(found: Sequence[Estimate]) -> dict[str, Any]:
    """The sums; a cost is None if one of the models has no price."""
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in found) for name in _SUMMED}
    for name in _COSTS:
        costs = [getattr(one, name) for one in found]
        sums[name] = None if None in costs else sum(costs)
    return sums


def _table(plan: Plan, found: Sequence[Estimate], cost: CostOptions) -> Tabular:
    from evalkit.report.tabular import Column, Tabular, TabularRow

    headings = ("requests", "input tokens", "output tokens", "cost")
    rows = [_row(_name(one), {name: getattr(one, name) for name in (*_SUMMED, *_COSTS)}) for one in found]
    if len(found) > 1:
        rows.append(_row("total", _total(found)))
    return Tabular(
        f"what {plan.model.name} would be asked (≤: at most)",
        (Column("task", least=16), *(Column(text, "number", unbroken=True) for text in headings)),
        tuple(map(TabularRow, rows)),
        remarks=tuple(_remarks(plan, found, cost)),
    )


def _row(name: str, sums: Mapping[str, Any]) -> tuple[TabularCell, ...]:
    from evalkit.engine.budget import usd
    from evalkit.report.tabular import TabularCell

    shown = ["—" if sums[one] is None else usd(sums[one]) for one in _COSTS]
    return (
        TabularCell(name),
        TabularCell(f"{sums['requests']:,}"),
        TabularCell(f"{sums['input']:,}"),
        TabularCell(f"{sums['output']:,}", more=(f"≤ {sums['most_output']:,}",)),
        TabularCell(shown[0], more=() if sums["cost"] is None else (f"≤ {shown[1]}",)),
    )


def _name(one: Estimate) -> str:
    return f"{one.task}, {one.judge}" if one.judge else one.task


def _remarks(plan: Plan, found: Sequence[Estimate], cost: CostOptions) -> Iterator[str]:
    """Where the numbers come from, and what they leave out."""
    sources: dict[str, list[str]] = {}
    for one in found:
        sources.setdefault(f"input {one.input_by}; output: {one.output_by}", []).append(_name(one))
    for source, names in sources.items():
        yield source if len(sources) == 1 else f"{', '.join(names)}: {source}"
    for one in found:
        if one.answered:
            answered = counted(one.answered, "request is", "requests are")
            yield f"{_name(one)}: {answered} answered in the run file, and not counted"
        if one.following:
            following = counted(one.following, "request depends", "requests depend")
            yield f"{_name(one)}: {following} on a response, so that the tokens are estimated"
        if one.skipped:
            skipped = counted(
                one.skipped, "sample cannot be asked, and fails", "samples cannot be asked, and fail"
            )
            yield f"{_name(one)}: {skipped} in a run"
    if any(cell.model_extractor for cell in plan.cells):
        yield "answers that a judge model reads because the rules cannot are not counted"
    for model in dict.fromkeys((plan.model, *plan.judges.values())):
        price = cost.prices.of(model)
        if price is None:
            yield f"{model.name}: no price is known; --prices FILE.toml gives one"
        elif price.source:
            yield f"{model.name}: prices of {price.valid or 'an unknown date'}, {price.source}"
