"""From Python: one call evaluates a model and gives the table. The command line calls these too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

from evalkit.data.base import data_options
from evalkit.engine.plan import Plan, make_plan
from evalkit.engine.progress import Progress
from evalkit.engine.run import Options, execute, open_run
from evalkit.models import open_model
from evalkit.models.base import Model
from evalkit.report.table import Table, build_table
from evalkit.samples import JUDGE

Judges: TypeAlias = "str | Model | Mapping[str, str | Model] | None"
"""A judge model, or several by role."""


class Settings(TypedDict, total=False):
    """What `run` passes on; `evaluate` says what each means and its default."""

    output: str | Path | None
    base_url: str
    judge: Judges
    data: str | Path | None
    limit: int | None
    seed: int
    settings: Mapping[str, str] | None
    strict: bool
    options: Options | None
    progress: Progress | None


def run(model: str | Model, tasks: str | Sequence[str], **settings: Unpack[Settings]) -> Table:
    """`evaluate`, for code without an event loop of its own."""
    return asyncio.run(evaluate(model, tasks, **settings))


async def evaluate(
    model: str | Model,
    tasks: str | Sequence[str],
    *,
    output: str | Path | None = None,
    base_url: str = "",
    judge: Judges = None,
    data: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    strict: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Table:
    """Evaluates `model` on `tasks` and returns the table.

    The arguments mean what the options of `evalkit run` mean: `settings` is `--set`, `options` how many
    requests are in flight and how often they are tried; a judge at an address of its own is given as an
    opened model. Raises `UsageError` before anything is asked, `Stopped` when the endpoint is gone (the run
    file keeps what was answered), and `StorageError` when an answer could not be stored.
    """
    opened = open_model(model, base_url=base_url) if isinstance(model, str) else model
    judges = open_judges(judge)
    try:
        plan = make_plan(
            opened,
            [tasks] if isinstance(tasks, str) else tasks,
            settings=settings,
            data=data_options(data),
            limit=limit,
            seed=seed,
            strict=strict,
            judges=judges,
        )
        path = default_output(plan) if output is None else Path(output)
        return await execute_plan(plan, path, options, progress)
    finally:
        for one in (opened, *judges.values()):
            await one.aclose()


def open_judges(judge: Judges) -> dict[str, Model]:
    """The judge models by role. Raises `UsageError`."""
    if judge is None:
        return {}
    named = judge if isinstance(judge, Mapping) else {JUDGE: judge}
    return {role: open_model(one) if isinstance(one, str) else one for role, one in named.items()}


async def execute_plan(
    plan: Plan, path: Path, options: Options | None = None, progress: Progress | None = None
) -> Table:
    """Runs `plan` into the run file at `path`, which may hold a part of it already."""
    with open_run(path, plan) as store:
        await execute(plan, store, options, progress)
        return build_table([store])


def default_output(plan: Plan) -> Path:
    """`runs/MODEL_TASKS_TIME.db` in the current folder."""
    tasks = dict.fromkeys(cell.task.name for cell in plan.cells)
    name = f"{plan.model.name}_{'+'.join(tasks)}"
    slug = re.sub(r"[^\w.+-]+", "-", name)[:80].strip("-")
    return Path("runs", f"{slug}_{datetime.now().astimezone():%Y%m%d-%H%M%S}.db")
