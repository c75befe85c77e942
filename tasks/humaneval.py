"""HumanEval: 164 Python functions to write (Chen et al. 2021, arXiv 2107.03374).

Scored as openai/human-eval does at 6d43fb9: the program is prompt + completion + "\\n" + test + "\\n" +
check(entry_point); pass@k is unbiased. Where this differs: programs run in a sandbox, under 3 seconds of
CPU time where the original takes 3.0 seconds of wall time, and cannot start processes (the original
replaces `os.fork` and `subprocess.Popen` by None).

- `0-shot` is how the report's team asks a chat model (Gemini 1.5 report, appendix 12.14): "Write the
  following function:" and the prompt in a code fence; a code block is expected back. The block runs after
  the original prompt, so that the imports and helpers given there need not be repeated.
- `0-shot-completion` is the original: the bare prompt, continued, with the usual stop sequences
  (lm-evaluation-harness `humaneval.yaml`).

Decoding is greedy for pass@1; the report names no temperature. `--set draws=200 --set temperature=0.8`
gives pass@1, pass@10 and pass@100 as in Chen et al.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from evalkit.answers import code_block, completion
from evalkit.api import (
    Hub,
    Message,
    Package,
    PassAtK,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_once,
    task,
)  # fmt: skip
from evalkit.sandbox import Limits, Sandbox, check_sandbox

LIMITS = Limits(cpu_seconds=3.0)
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def to_sample(record: Record) -> Sample:
    return Sample(
        id=record["task_id"],
        input=record["prompt"],
        target=(record["canonical_solution"],),
        meta={"entry_point": record["entry_point"], "test": record["test"]},
    )


def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.api == "completion":
        return sample.input
    return (Message("user", f"Write the following function:\n```\n{sample.input}\n```"),)


def read_block(text: str, sample: Sample) -> str | None:
    """The code block, on a line of its own behind the prompt."""
    block = code_block(text, sample)
    return None if block is None else "\n" + block


def program(body: str, sample: Sample) -> str:
    """openai/human-eval at 6d43fb9, `unsafe_execute`: `check_program`."""
    return f"{sample.input}{body}\n{sample.meta['test']}\ncheck({sample.meta['entry_point']})"


@functools.cache
def sandbox() -> Sandbox:
    return Sandbox(LIMITS)


async def judge(body: str, sample: Sample) -> Verdict:
    outcome = await sandbox().run(program(body, sample))
    return Verdict(outcome.status == "passed", f"{outcome.status}: {outcome.detail}".rstrip(": "))


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], sample, protocol)


def spoiled(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A body that raises, one that does nothing, two that leave early and claim success, and no code."""
    bodies = (
        "    raise RuntimeError('spoiled')\n",
        "    pass\n",
        "    import sys\n    print('passed')\n    sys.exit(0)\n",
        "    import os\n    os.write(1, b'passed')\n    os._exit(0)\n",
    )
    return (*(_as_response(body, sample, protocol) for body in bodies), "")


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
        judge=judge,
        metrics=(PassAtK(1), PassAtK(10), PassAtK(100)),
        protocols=(
            Protocol(
                name="0-shot", solver=ask_once,
                source="Gemini 1.0 report, table 2 (0-shot); prompt: Gemini 1.5 report, appendix 12.14",
            ),
            Protocol(
                name="0-shot-completion", solver=ask_once, api="completion", stop=STOP,
                source="Chen et al. 2021; stop sequences: lm-evaluation-harness humaneval",
            ),
        ),
        needs=check_sandbox,
        gold=gold,
        spoiled=spoiled,
    )  # fmt: skip
