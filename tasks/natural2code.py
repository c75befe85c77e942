"""Natural2Code: your own Python functions to write, held out, in HumanEval's columns.

    evalkit run -m openai/my-model -t natural2code --set dataset=./held_out

The report prints 74.9 % for Ultra and 69.6 % for Pro, 0-shot (table 2), on a set of its authors that is not
public: "held out" and like HumanEval, made so that no solution was on the web. Any figure here is of another
set. What is the report's is how to ask and to judge, which is as for HumanEval in the Gemini 1.5 report,
appendix 12.14: `evalkit.tasks.humaneval` says how.

`dataset` is a folder in any shape that `datasets` reads, or one file (JSON lines, JSON, CSV, Parquet), with
the columns task_id, prompt (imports, helpers, signature and docstring), entry_point (the function's name) and
test (a function `check` that takes it). canonical_solution, the body behind the prompt, may be missing; then
`fake/gold` cannot show that the tests accept a right program. `config` and `split` are a folder's.
`--data builtin` asks a few problems of evalkit's own.

A set is held out as long as nothing of it gets out. Only the prompt is sent to the model: tests, solutions
and names stay on this machine, and programs run without a network. But whoever runs an endpoint can keep what
it is sent, so what was asked there is held out no longer than its terms say; a run file, and what `export`
and `report` make of it, hold prompts and references. The signature's notes say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evalkit.api import (
    JSON,
    Data,
    DataOptions,
    Hub,
    Local,
    OwnDataError,
    PassAtK,
    Protocol,
    Record,
    Records,
    Sample,
    Task,
    check_sandbox,
    task,
)  # fmt: skip
from evalkit.scoring import completion

from . import humaneval
from .kit import is_in
from .kit_programs import sandbox_notes

COLUMNS = ("task_id", "prompt", "entry_point", "test")
OWN = "evalkit/natural2code"
LEAKAGE = "only prompts are sent; whoever runs the endpoint can keep them"


@dataclass(frozen=True, slots=True)
class OwnSet:
    """evalkit's small set, where `--data` asks for it. Else there is none, and what to do is said."""

    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `OwnDataError` unless `--data` has them."""
        if options is None or not (options.small_sets or is_in(options.folder, OWN)):
            raise OwnDataError(
                "natural2code has no public data: --set dataset=FOLDER reads problems of your own, with the "
                f"columns {', '.join(COLUMNS)} of HumanEval; --data builtin asks a few of evalkit's"
            )
        return Hub(OWN, "default", "test", "main", COLUMNS).open(options)


def to_sample(record: Record) -> Sample:
    """HumanEval's record, whose solution may be missing. Raises `ValueError` for a blank column."""
    for column in COLUMNS:
        if not isinstance(record[column], str) or not record[column].strip():
            raise ValueError(f"{column!r} has to be a text that is not blank, and is {record[column]!r:.40}")
    return humaneval.to_sample({**record, "canonical_solution": record.get("canonical_solution") or ""})


def notes(protocol: Protocol) -> Mapping[str, JSON]:
    return {"leakage": LEAKAGE, **sandbox_notes(protocol)}


def place(dataset: str, config: str, split: str) -> Data:
    """Where the problems are."""
    return Local(Path(dataset).expanduser(), config, split, COLUMNS) if dataset else OwnSet()


@task("natural2code", report="Table 2")
def natural2code(*, dataset: str = "", config: str = "default", split: str = "test") -> Task:
    """Your own held-out Python functions, as HumanEval: --set dataset=FOLDER"""
    return Task(
        data=place(dataset, config, split),
        sample=to_sample,
        prompt=humaneval.prompt,
        answer={"chat": humaneval.read_block, "completion": completion},
        scorer=humaneval.score,
        metrics=(PassAtK(1), PassAtK(10), PassAtK(100)),
        protocols=(
            Protocol(
                name="0-shot",
                source="Gemini 1.0 report, table 2 (0-shot); prompt: Gemini 1.5 report, appendix 12.14",
            ),
            Protocol(
                name="0-shot-completion", api="completion", stop=humaneval.STOP,
                source="Chen et al. 2021; stop sequences: lm-evaluation-harness humaneval",
            ),
        ),
        needs=check_sandbox,
        notes=notes,
        gold=humaneval.gold,
        wrong_responses=humaneval.wrong_responses,
    )  # fmt: skip
