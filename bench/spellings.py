"""Measures the share of right answers that score, by benchmark and spelling; rules should lose none.

`--data FOLDER` uses the references of a folder in the Hub's layout instead of the built-in small sets.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from itertools import islice

from bench.rows import Row, say
from bench.spelled import SPELLINGS, Spell
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Task, load_task
from evalkit.data.base import data_options
from evalkit.samples import Sample

_QUICK = 40
"""The number of references of each benchmark with `--quick`."""
_AT_ONCE = 16


def measure(quick: bool, *, data: str = "builtin") -> list[Row]:
    """One row for each benchmark and spelling: the percentage of references that score full marks.

    Raises `DataError` if `data` lacks a benchmark.
    """
    rows: list[Row] = []
    for name, spellings in SPELLINGS.items():
        task = load_task(name.partition(":")[0])
        protocol = task.protocol(name.partition(":")[2])
        records = islice(task.data.open(data_options(data)), _QUICK if quick else None)
        samples = [task.sample(record) for record in records]
        say(f"spellings: {name}, {len(samples)} references")
        rows += asyncio.run(_shares(task, protocol, samples, spellings))
    return rows


async def _shares(
    task: Task, protocol: Protocol, samples: Sequence[Sample], spellings: Mapping[str, Spell]
) -> list[Row]:
    rows = []
    for name, spell in spellings.items():
        said = [(sample, text) for sample in samples if (text := spell(sample)) is not None]
        if not said:
            continue
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(sample: Sample, text: str, turn: asyncio.Semaphore = turn) -> bool:
            async with turn:
                return await _scores(task, protocol, sample, text)

        right = sum(await asyncio.gather(*(one(sample, text) for sample, text in said)))
        rows.append(Row(f"{task.name}:{protocol.name}, {name}", 100 * right / len(said), f"% of {len(said)}"))
    return rows


async def _scores(task: Task, protocol: Protocol, sample: Sample, text: str) -> bool:
    answer = task.extract(protocol)(text, sample)
    if answer is None:
        return False
    verdict = task.scorer(answer, sample)
    return (await verdict if inspect.isawaitable(verdict) else verdict).correct
