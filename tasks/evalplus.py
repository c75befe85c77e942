"""HumanEval+ and MBPP+: HumanEval and MBPP with many more tests (Liu et al. 2023, arXiv 2305.01210).

The report prints neither. They stand in for Natural2Code, which is not public: more tests, but public ones.

- A program is right if it passes `test`, the column that holds the original inputs and the new ones, as
  evalplus at 26d6d00 writes it (`tools/*/to_original_fmt.py`) from the data of its own evaluator.
- That column is not in all places what the evaluator (`evalplus/eval/__init__.py`, `unsafe_execute`) checks.
  `repaired` says where, and follows the evaluator: HumanEval/32 can be solved by nobody as published, three
  problems of MBPP+ accept every answer, and an empty list passes for any list of floats.
- Of MBPP+ `pass@1 (base)` counts the original tests alone, the column `test_list`. evalplus corrected some
  references and kept these tests, which such a reference does not pass; its own base figure is of the same
  inputs and the corrected results. For HumanEval+ that figure is `humaneval`.
- 30 seconds of CPU time for a program and its tests together, where the evaluator gives each call 4 seconds
  of wall time (or four times the reference's) and all of them 61. The rest is `evalkit.tasks.humaneval`'s.

Prompts: `0-shot-completion` and `3-shot-completion` are `humaneval_plus` and `mbpp_plus` of
lm-evaluation-harness 0.4.13 (MBPP's examples; it shows three tests, and here all of MBPP's are shown).
`0-shot-evalplus`, and `0-shot` of MBPP+, are evalplus's own for chats (`codegen.py`, `make_raw_chat_prompt`),
without the beginning of a reply that it writes for the model. `0-shot` of HumanEval+ is that of `humaneval`.
"""

from __future__ import annotations

import dataclasses
import functools

from evalkit.api import (
    Hub,
    Limits,
    Mapped,
    Message,
    PassAtK,
    Program,
    Prompt,
    Protocol,
    Record,
    Sample,
    Sandbox,
    Task,
    Variant,
    Verdict,
    check_sandbox,
    task,
    versioned,
)  # fmt: skip
from evalkit.scoring import code_block, completion

from . import humaneval, mbpp
from .kit_programs import sandbox_notes, verdict_of

LIMITS = Limits(cpu_seconds=30.0, wall_seconds=120.0)
INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code "
    "block:"
)
ZERO_SHOT, EVALPLUS = "0-shot", "0-shot-evalplus"
HUMANEVAL_COMPLETION, MBPP_COMPLETION = "0-shot-completion", "3-shot-completion"
_ROOT = ("assert _poly(*candidate(*inp), inp) <=", "assert abs(_poly(*inp, candidate(*inp))) <=")
_UNASSERTED = "        exact_match = exp == (out is not None)\n"
_CLOSE = "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
_ALIKE = (
    "        assert type(out) == type(exp)\n"
    "        assert not isinstance(exp, (list, tuple)) or len(out) == len(exp)\n"
)


def repaired(test: str) -> str:
    """`test` with the checks of evalplus's evaluator at 26d6d00, where the column lacks them.

    - HumanEval/32: the root is put into the polynomial, instead of the input; the value's sign is dropped. Of
      inputs whose polynomials are badly conditioned, even the reference's root may not be close enough.
    - MBPP+ 737, 787 and 794 compute whether the answer is right and do not assert it.
    - Floats that are only close are of one type with what is expected, and lists of one length: without,
      `np.allclose` stretches a number, and finds nothing wrong with nothing.

    Not followed: the evaluator takes any answer to MBPP+ 164, and 0 as one to 295; here `test` decides.
    """
    test = test.replace(*_ROOT)
    if _UNASSERTED in test and "assert exact_match" not in test:
        test = test.replace(_UNASSERTED, f"{_UNASSERTED}    assert exact_match\n")
    return test.replace(_CLOSE, f"{_ALIKE}{_CLOSE}")


@functools.cache
def sandbox() -> Sandbox:
    """One for all protocols and event loops of a run: its servers start once."""
    return Sandbox(LIMITS)


async def _verdict(one: Program, body: str) -> Verdict:
    return await verdict_of(sandbox(), dataclasses.replace(one, test=repaired(one.test)), body)


def in_a_fence(text: str) -> str:
    """evalplus at 26d6d00, `make_raw_chat_prompt`."""
    return f"{INSTRUCTION}\n```\n{text.strip()}\n```\n"


@versioned("humanevalplus.prompt", 1)
def humaneval_prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == EVALPLUS:
        text = in_a_fence(sample.input)
        return text if protocol.api == "completion" else (Message("user", text),)
    return humaneval.prompt(sample, protocol)


@versioned("humanevalplus.scorer", 1)
async def humaneval_score(body: str, sample: Sample) -> Verdict:
    return await _verdict(humaneval.program(body, sample), body)


@task("humanevalplus")
def humanevalplus() -> Task:
    """HumanEval with 80 times the tests (Liu et al. 2023)"""
    return Task(
        data=Hub(
            "evalplus/humanevalplus", "default", split="test", revision="main",
            columns=("task_id", "prompt", "entry_point", "canonical_solution", "test"),
        ),
        sample=humaneval.to_sample,
        prompt=humaneval_prompt,
        answer={"chat": humaneval.read_block, "completion": completion},
        scorer=humaneval_score,
        metrics=(PassAtK(1), PassAtK(10), PassAtK(100)),
        size=164,
        protocols=(
            Protocol(name=ZERO_SHOT, source="Gemini 1.5 report, appendix 12.14; tests: Liu et al. 2023"),
            Protocol(
                name=HUMANEVAL_COMPLETION, api="completion", stop=humaneval.STOP,
                source="Chen et al. 2021; lm-evaluation-harness humaneval_plus",
            ),
            Protocol(name=EVALPLUS, source="evalplus at 26d6d00, codegen.py"),
        ),
        needs=check_sandbox,
        notes=sandbox_notes,
        gold=humaneval.gold,
        wrong_responses=humaneval.wrong_responses,
    )  # fmt: skip


def mbpp_sample(record: Record) -> Sample:
    """As MBPP's, and all of `test` is to be passed. The examples that are shown are MBPP's, without it."""
    sample = mbpp.to_sample(record)
    return dataclasses.replace(sample, meta={**sample.meta, "test": record.get("test", "")})


@versioned("mbppplus.prompt", 1)
def mbpp_prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == ZERO_SHOT:
        text = in_a_fence(f'"""\n{sample.input}\n{mbpp.texts(sample, "tests")[0]}\n"""')
    else:
        text = mbpp.few_shot(sample, protocol.shots)
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("mbppplus.scorer", 1)
async def mbpp_score(body: str, sample: Sample) -> Verdict:
    imports = mbpp.texts(sample, "imports")
    test = "\n".join((*imports, str(sample.meta["test"])))
    return await _verdict(dataclasses.replace(mbpp.program(body, sample), test=test), body)


@task("mbppplus")
def mbppplus() -> Task:
    """The sanitized MBPP with 35 times the tests (Liu et al. 2023)"""
    return Task(
        data=Hub(
            "evalplus/mbppplus", "default", split="test", revision="main",
            columns=("task_id", "prompt", "code", "test_imports", "test_list", "test"),
        ),
        dev=Mapped(mbpp.split_of("full", "prompt"), mbpp.shown),
        sample=mbpp_sample,
        prompt=mbpp_prompt,
        answer={"chat": code_block, "completion": completion},
        scorer=mbpp_score,
        variants=(Variant(name="base", scorer=mbpp.score, takes_gold=False),),
        metrics=(PassAtK(1), PassAtK(1, "base"), PassAtK(10), PassAtK(100)),
        size=378,
        protocols=(
            Protocol(name=ZERO_SHOT, source="evalplus at 26d6d00, codegen.py"),
            Protocol(
                name=MBPP_COMPLETION, api="completion", shots=3, stop=(mbpp.DONE,),
                source="Austin et al. 2021, section 4.1; lm-evaluation-harness mbpp_plus",
            ),
        ),
        max_shots=3,
        needs=check_sandbox,
        notes=sandbox_notes,
        gold=mbpp.gold,
        wrong_responses=mbpp.wrong_responses,
    )  # fmt: skip
