r"""MBPP: 500 short Python functions to write, each with its tests (Austin et al. 2021, arXiv 2108.07732).

The report prints 20.0 % for Nano-1 and 27.2 % for Nano-2 (table 3) and says neither how many examples were
shown nor how programs were sampled, so no protocol here is called the report's: its figures stay marked.

- `3-shot` is the authors' prompt with problems 2, 3 and 4 of the split `prompt`, carriage returns included,
  and each problem's own tests, without which nobody could know the function's name; in one user message. A
  reply that has a code block, or repeats the prompt's [BEGIN], is read as that says.
- `3-shot-completion` is the same as a text to continue, up to "[DONE]", and what comes is run as it stands:
  `mbpp` of lm-evaluation-harness 0.4.13. Its few-shot examples are written in its code; these are the data's.
- `0-shot` is evalkit's own, for chat models as they are used: a code block is expected.
- `--set subset=sanitized` asks the 257 problems that the authors' raters went over (`sanitized-mbpp.json`):
  other wordings, other functions, three to seven tests, and the imports that these need. Another figure.

Every test of `test_list` has to pass, as in Austin et al. 2021, section 4.1; `challenge_test_list` is not
used, as in the paper. Where this differs from lm-evaluation-harness (`code_eval` of the Hub's evaluate):

- `test_setup_code` runs before the tests and after the program, whose classes it uses; the harness leaves it
  out, so problem 367 can be solved by nobody there.
- The tests run in a process apart, in a sandbox, as in `evalkit.tasks.humaneval`. Objects of a class that the
  reference program has, such as a tree's nodes, stay with the program.
- 10 seconds of CPU time, for problem 123's own solution takes 4 to 6; 3.0 seconds of wall time there.

Decoding is greedy for pass@1. `--set draws=80 --set temperature=0.5` are the samples of Austin et al. 2021.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    DataError,
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
    Verdict,
    check_sandbox,
    list_of,
    task,
    text_of,
    unknown,
    versioned,
)
from evalkit.scoring import code_block, completion

from .kit_programs import WRONG_BODIES, sandbox_notes, verdict_of

LIMITS = Limits(cpu_seconds=10.0)
SIZES = {"full": 500, "sanitized": 257}
"""Problems of the test split, with ids 11 to 510: the card of `google-research-datasets/mbpp`."""
TEXT = {"full": "text", "sanitized": "prompt"}
"""The column with the problem."""
CODE = {"full": "test_setup_code", "sanitized": "test_imports"}
"""The column with what the tests need beside the program."""
SHOWN = ("2", "3", "4")
"""The problems that Austin et al. 2021 show, section 4.1 and figure 1."""
FEW_SHOT, COMPLETION, ZERO_SHOT = "3-shot", "3-shot-completion", "0-shot"
BEGIN, DONE = "[BEGIN]", "[DONE]"
EXPERT = "You are an expert Python programmer, and here is your task:"


def to_sample(record: Record) -> Sample:
    """A problem of either subset. `meta`: what of the program the tests use, by the reference program."""
    tests = [text_of(test, "a test of test_list") for test in list_of(record["test_list"], "test_list")]
    imports = [str(line) for line in list_of(record.get("test_imports") or [], "test_imports")]
    setup = str(record.get("test_setup_code") or "")
    functions, classes = used(record["code"], "\n".join((*imports, setup, *tests)))
    return Sample(
        id=str(record["task_id"]),
        input=record["text"] if "text" in record else record["prompt"],
        target=(record["code"],),
        meta={
            "entry_point": functions[0] if functions else "",
            "functions": [*functions],
            "classes": [*classes],
            "tests": [*tests],
            "imports": [*imports],
            "setup": setup,
        },
    )


def used(code: str, tests: str) -> tuple[list[str], list[str]]:
    """The functions and the classes of a program that `tests` use, in the order in which they name them.

    `code`: the reference program, which says what is a class, and that a name of Python's is its own, such as
    `sum` in problem 126. Raises `ValueError` where one of the two is no Python.
    """
    try:
        program, checked = ast.parse(code), ast.parse(tests)
    except SyntaxError as error:
        raise ValueError(f"the reference program or its tests are no Python: {error}") from None
    classes = {node.name for node in ast.walk(program) if isinstance(node, ast.ClassDef)}
    defined = {node.name for node in program.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own = {alias.asname or alias.name for node in ast.walk(checked) for alias in _imported(node)}
    names = [node for node in ast.walk(checked) if isinstance(node, ast.Name)]
    own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    own |= set(dir(builtins)) - defined
    found = sorted((name.lineno, name.col_offset, name.id) for name in names if name.id not in own)
    wanted = list(dict.fromkeys(name for _, _, name in found))
    return [name for name in wanted if name not in classes], [name for name in wanted if name in classes]


def _imported(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []


def shown(records: Iterable[Record]) -> Iterator[Record]:
    """The problems of the split `prompt` that are shown, in order. Raises `DataError` if one is missing."""
    found = {str(record["task_id"]): record for record in records}
    for name in SHOWN:
        if name not in found:
            raise DataError(f"mbpp shows problems 2, 3 and 4, and the split 'prompt' has no problem {name}")
        yield found[name]


@versioned("mbpp.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """Austin et al. 2021, section 4.1, as lm-evaluation-harness 0.4.13 lays it out (`mbpp.yaml`)."""
    if protocol.name == ZERO_SHOT:
        text = f"{EXPERT}\n{sample.input}\nYour code should pass these tests:\n{_tests(sample)}"
    else:
        text = few_shot(sample, protocol.shots)
    return text if protocol.api == "completion" else (Message("user", text),)


def few_shot(sample: Sample, count: int) -> str:
    """The solved examples and the problem, whose program is to follow."""
    shots = [f"{_asked(one)}{one.target[0]}\n{DONE}\n\n" for one in sample.shots[:count]]
    return "".join((*shots, _asked(sample)))


def _asked(sample: Sample) -> str:
    return f"{EXPERT} {sample.input} Your code should pass these tests:\n\n{_tests(sample)}\n{BEGIN}\n"


def _tests(sample: Sample) -> str:
    return "\n".join(texts(sample, "tests"))


def texts(sample: Sample, key: str) -> list[str]:
    """The list in `sample.meta[key]`."""
    found = sample.meta[key]
    assert isinstance(found, list)
    return [str(one) for one in found]


@versioned("mbpp.read_program", 1)
def read_program(text: str, sample: Sample) -> str | None:
    """What stands before "[DONE]", and behind "[BEGIN]" where a reply repeats it; a code block of it, if any.

    None where there is nothing. What is no program is one that does not run.
    """
    said = text.partition(DONE)[0].rpartition(BEGIN)[2]
    block = code_block(said, sample)
    found = said if block is None else block
    return found if found.strip() else None


def program(body: str, sample: Sample) -> Program:
    """The program and, apart from it, its tests: all of them, behind what sets them up.

    The program has the imports of the tests too, since the original runs both in one namespace.
    """
    imports = texts(sample, "imports")
    return Program(
        source="\n".join((body, *imports, "")),
        test="\n".join((*imports, str(sample.meta["setup"]), *texts(sample, "tests"))),
        calls=tuple(texts(sample, "functions")),
        classes=tuple(texts(sample, "classes")),
    )


@functools.cache
def sandbox() -> Sandbox:
    """One for all protocols and event loops of a run: its servers start once."""
    return Sandbox(LIMITS)


@versioned("mbpp.scorer", 1)
async def score(body: str, sample: Sample) -> Verdict:
    """Right where every test passes (Austin et al. 2021, section 4.1)."""
    return await verdict_of(sandbox(), program(body, sample), body)


def gold(sample: Sample, protocol: Protocol) -> str:
    return as_response(sample.target[0], protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A function that raises, one that does nothing, those that cheat, and no code."""
    name = sample.meta["entry_point"]
    return (*(as_response(f"def {name}(*_):\n{body}", protocol) for body in WRONG_BODIES), "")


def as_response(code: str, protocol: Protocol) -> str:
    return f"```python\n{code}\n```" if protocol.name == ZERO_SHOT else f"{code}\n"


def split_of(subset: str, split: str) -> Hub:
    """A split of the data."""
    return Hub(
        "google-research-datasets/mbpp", subset, split=split,
        revision="4bb6404fdc6cacfda99d4ac4205087b89d32030c",
        columns=("task_id", TEXT[subset], "code", CODE[subset], "test_list"),
    )  # fmt: skip


@task("mbpp", report="Table 3")
def mbpp(*, subset: str = "full") -> Task:
    """Short Python functions from a sentence and three tests (Austin et al. 2021)"""
    if subset not in SIZES:
        raise unknown("subset of mbpp", subset, SIZES)
    return Task(
        data=split_of(subset, "test"),
        dev=Mapped(split_of(subset, "prompt"), shown),
        sample=to_sample,
        prompt=prompt,
        answer={ZERO_SHOT: code_block, "chat": read_program, "completion": completion},
        scorer=score,
        metrics=(PassAtK(1), PassAtK(10), PassAtK(80)),
        size=SIZES[subset],
        protocols=(
            Protocol(
                name=FEW_SHOT, shots=3, stop=(DONE,),
                source="Austin et al. 2021, section 4.1; the Gemini 1.0 report, table 3, names no protocol",
            ),
            Protocol(
                name=COMPLETION, api="completion", shots=3, stop=(DONE,),
                source="Austin et al. 2021, section 4.1; lm-evaluation-harness mbpp",
            ),
            Protocol(name=ZERO_SHOT, source="evalkit"),
        ),
        max_shots=3,
        needs=check_sandbox,
        notes=sandbox_notes,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
