"""The quick start: evaluates a real model on real problems, in a few minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import Progress
from evalkit.engine.run import execute, open_run
from evalkit.models import open_model

MODEL = "llama-cpp/SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True)
class DemoTask:
    """A part of a benchmark that takes about a minute."""

    task: str
    limit: int
    max_tokens: int
    small_sets: bool = False


PARTS = (
    DemoTask("humaneval:0-shot", limit=32, max_tokens=320),
    DemoTask("gsm8k:8-shot-cot", limit=8, max_tokens=160, small_sets=True),
)


async def demo(folder: Path, progress: Progress | None = None) -> list[Path]:
    """Evaluates `MODEL` on `PARTS` into new run files in `folder`, one for each part. Returns their paths."""
    model = open_model(MODEL)
    paths: list[Path] = []
    try:
        for part in PARTS:
            plan = make_plan(
                model,
                [part.task],
                settings={"max_tokens": str(part.max_tokens)},
                data=DataOptions(small_sets=part.small_sets),
                limit=part.limit,
            )
            paths.append(folder / f"demo-{plan.cells[0].task.name}.db")
            with open_run(paths[-1], plan, afresh=True) as store:
                await execute(plan, store, progress=progress)
        return paths
    finally:
        await model.aclose()
