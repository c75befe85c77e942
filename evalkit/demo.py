"""The quick start: a real model on real problems, small enough for two cores and a few minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import Progress
from evalkit.engine.run import execute, open_run
from evalkit.models import open_model
from evalkit.report.table import Table, build_table
from evalkit.store import Store

MODEL = "llama-cpp/SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True)
class Part:
    """A slice that takes about a minute."""

    task: str
    limit: int
    max_tokens: int
    small_sets: bool = False


PARTS = (
    Part("humaneval:0-shot", limit=32, max_tokens=320),
    Part("gsm8k:8-shot-cot", limit=8, max_tokens=160, small_sets=True),
)


async def demo(folder: Path, progress: Progress | None = None) -> Table:
    """Evaluates `MODEL` on `PARTS`, afresh, into a run file each in `folder`; one table of them all."""
    model = open_model(MODEL)
    stores: list[Store] = []
    try:
        for part in PARTS:
            plan = make_plan(
                model,
                [part.task],
                settings={"max_tokens": str(part.max_tokens)},
                data=DataOptions(small_sets=part.small_sets),
                limit=part.limit,
            )
            stores.append(open_run(_fresh(folder / f"demo-{plan.cells[0].task.name}.db"), plan))
            await execute(plan, stores[-1], progress=progress)
        return build_table(stores)
    finally:
        for store in stores:
            store.close()
        await model.aclose()


def _fresh(path: Path) -> Path:
    """`path`, with an earlier run file there (and SQLite's two beside it) removed."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return path
