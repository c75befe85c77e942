"""HumanEval: 164 Python functions to write (Chen et al. 2021, arXiv 2107.03374).

It is scored as by openai/human-eval at 6d43fb9: the program is prompt + completion + "\\n" + test + "\\n" +
check(entry_point); pass@k is unbiased. The differences, and their reasons:

- The tests run in another process, which calls the program's function over a wire that carries plain data.
  So a program cannot forge its verdict with an object that is equal to everything, by replacing `check` or
  builtins, or by exiting early. What the tests use besides the function comes from the prompt. Therefore an
  object of the program's own class never passes, even if it is rightly equal.
- The limit is 3 seconds of CPU time, instead of 3.0 seconds of wall time, so that a busy machine gives the
  same score; and 30 seconds of wall time, for programs that wait.
- Programs run in a sandbox. The original instead replaces functions such as `os.fork`, `os.getcwd` and
  `os.remove` by None; here the harmless ones work.
- Random numbers that tests draw are the same for every program.

The protocols:

- `0-shot` is the prompt of the report's team for a chat model (Gemini 1.5 report, appendix 12.14): "Write the
  following function:" and the prompt in a code fence; the response should be a code block. The block runs
  after the original prompt, so it need not repeat the imports and helpers given there.
- `0-shot-completion` is the original: the model continues the bare prompt, with the usual stop sequences
  (lm-evaluation-harness `humaneval.yaml`).

Decoding is greedy for pass@1; the report names no temperature. `--set draws=200 --set temperature=0.8`
gives pass@1, pass@10 and pass@100 as in Chen et al.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from evalkit.api import (
    Hub,
    Limits,
    Message,
    Package,
    PassAtK,
    Program,
    Prompt,
    Protocol,
    Record,
    Sample,
    Sandbox,
    Task,
    Verdict,
    check_sandbox,
    task,
    versioned,
)  # fmt: skip
from evalkit.scoring import code_block, completion

from .kit_programs import WRONG_BODIES, sandbox_notes, verdict_of

LIMITS = Limits(cpu_seconds=3.0)
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def to_sample(record: Record) -> Sample:
    return Sample(
        id=record["task_id"],
        input=record["prompt"],
        target=(record["canonical_solution"],),
        meta={"entry_point": record["entry_point"], "test": record["test"]},
    )


@versioned("humaneval.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.api == "completion":
        return sample.input
    return (Message("user", f"Write the following function:\n```\n{sample.input}\n```"),)


@versioned("humaneval.read_block", 3)
def read_block(text: str, sample: Sample) -> str | None:
    """The code block, preceded by a line break, because it follows the prompt."""
    block = code_block(text, sample)
    return None if block is None else "\n" + block


def program(body: str, sample: Sample) -> Program:
    """`check_program` of openai/human-eval at 6d43fb9, `unsafe_execute`, split before its tests."""
    entry_point = str(sample.meta["entry_point"])
    return Program(
        source=f"{sample.input}{body}\n\n",  # the tests begin with an empty line
        test=f"{sample.meta['test']}\ncheck({entry_point})",
        calls=(entry_point,),
        given=sample.input,
    )


@functools.cache
def sandbox() -> Sandbox:
    """The sandbox of all protocols and event loops of a run, so that its servers start only once."""
    return Sandbox(LIMITS)


@versioned("humaneval.scorer", 1)
async def score(body: str, sample: Sample) -> Verdict:
    return await verdict_of(sandbox(), program(body, sample), body)


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], sample, protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A body that raises, one that does nothing, those that cheat, and no code."""
    return (*(_as_response(body, sample, protocol) for body in WRONG_BODIES), "")


def _as_response(body: str, sample: Sample, protocol: Protocol) -> str:
    return body if protocol.api == "completion" else f"```python\n{sample.input}{body}```"


@task("humaneval", report="Table 2")
def humaneval() -> Task:
    """Python functions from their docstrings (Chen et al. 2021)"""
    return Task(
        data=Hub(
            "openai/openai_humaneval", "openai_humaneval", split="test",
            revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
            columns=("task_id", "prompt", "entry_point", "canonical_solution", "test"),
            package=Package("human-eval", "human_eval/data/HumanEval.jsonl.gz"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer={"chat": read_block, "completion": completion},
        scorer=score,
        metrics=(PassAtK(1), PassAtK(10), PassAtK(100)),
        size=164,
        protocols=(
            Protocol(
                name="0-shot",
                source="Gemini 1.0 report, table 2 (0-shot); prompt: Gemini 1.5 report, appendix 12.14",
            ),
            Protocol(
                name="0-shot-completion", api="completion", stop=STOP,
                source="Chen et al. 2021; stop sequences: lm-evaluation-harness humaneval",
            ),
        ),
        needs=check_sandbox,
        notes=sandbox_notes,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
