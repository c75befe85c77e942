r"""MATH: 5,000 competition problems of five levels and seven subjects (Hendrycks et al. 2021, 2103.03874).

The report prints 53.2 % for Ultra and 32.6 % for Pro, 4-shot (table 2). The prompt and the scoring are
described one version later (Gemini 1.5 report, appendix 12.13):

- `4-shot`: the four problems of Minerva's prompt (Lewkowycz et al. 2022, appendix D), from
  lm-evaluation-harness (`minerva_math`), in one user message; decoding is greedy, since the report says
  nothing about it. lm-evaluation-harness continues the line of "Solution:", while Minerva begins a new one,
  and it stops at "Problem:" anywhere, while here a new line has to begin with it.
- `0-shot-boxed` is evalkit's own, for chat models as they are used: the answer is the last \boxed{…}.
- An answer is right by the first of these rules that holds: it is the same after Minerva's normalisation
  ("exact"); SymPy simplifies the difference to zero ("sympy"); both are numbers within 1e-4 of each other
  ("numeric"). The latter two run in worker processes, each with 0.65 s of CPU time, which is four times what
  any two references take. If that is used up, they are not equal, as in lm-evaluation-harness, which has 5 s
  of wall time and no third rule. Before these rules, `plain_formula` unifies the spelling of both answers,
  so that `\left`, thin spaces, "−" and "°" do not matter.

The other figures are `accuracy (hendrycks)`, the authors' own comparison of spellings, and
`accuracy (math-verify)`, which lm-evaluation-harness reports too (there it reads whole responses, here
the extracted answer). By all three, each of the 5,000 references is equal to itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from evalkit.api import (
    JSON,
    Accuracy,
    Hub,
    LmEvalFiles,
    Message,
    OverLimit,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    Workers,
    returned_samples,
    sample_id,
    task,
    versioned,
)  # fmt: skip
from evalkit.scoring import hendrycks, minerva, symbolic
from evalkit.scoring.latex import boxed_answer, plain_formula
from evalkit.scoring.minerva import stated_answer

EXEMPLARS = ("minerva_math/utils.py", "list_fewshot_samples")
SUBJECTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
    "precalculus",
)  # fmt: skip
SIZES = {
    "Algebra": 1187, "Counting & Probability": 474, "Geometry": 479, "Intermediate Algebra": 903,
    "Number Theory": 540, "Prealgebra": 871, "Precalculus": 546,
}  # fmt: skip
"""The number of test problems by subject (`type` of a record): the card of `EleutherAI/hendrycks_math`."""
FOUR_SHOT, ZERO_SHOT = "4-shot", "0-shot-boxed"
INSTRUCTION = r"Reason step by step, then give the final answer, and nothing else, in \boxed{}."
SECONDS = 0.65
"""The CPU time of one rule for one answer: under 2 s for the three rules that need SymPy."""
LONGEST = 5000
"""The most characters of an answer; a longer one is wrong. The longest reference has 81."""


def to_sample(record: Record) -> Sample:
    r"""The reference is the content of the solution's last \boxed{…}."""
    problem, subject = record["problem"], record["type"]
    reference = boxed_answer(record["solution"])
    if reference is None:
        raise ValueError(f"nothing boxed in the solution of {problem[:60]!r}")
    return Sample(
        id=sample_id(subject, problem),
        input=problem,
        target=(reference,),
        group=subject,
        tags=(record["level"],),
        meta={"solution": record["solution"]},
    )


@versioned("math.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == ZERO_SHOT:
        text = f"{sample.input}\n\n{INSTRUCTION}"
    else:
        shots = returned_samples(*EXEMPLARS)[: protocol.shots]
        blocks = [f"Problem:\n{shot['problem']}\n\nSolution:\n{shot['solution']}" for shot in shots]
        text = "\n\n".join([*blocks, f"Problem:\n{sample.input}\n\nSolution:"])
    return text if protocol.api == "completion" else (Message("user", text),)


@functools.cache
def workers() -> Workers:
    packages = ("sympy", "antlr4-python3-runtime", "math-verify")
    return Workers(symbolic.prepare, cpu_seconds=SECONDS, packages=packages)


@versioned("math.scorer", 4, packages=("sympy", "antlr4-python3-runtime"))
async def score(answer: str, sample: Sample) -> Verdict:
    """Applies the rules of the report's team in order; `reason` is the rule that decided."""
    if len(answer) > LONGEST:
        return _too_long()
    given, reference = (minerva.normalize(plain_formula(one)) for one in (answer, sample.target[0]))
    if given == reference != "":
        return Verdict(True, "exact")
    over = ""
    try:
        found = await workers().call(symbolic.same_by_sympy, given, reference)
        if found == "same":
            return Verdict(True, "sympy")
        if found == "unparsed":
            return Verdict(False, "different")
    except OverLimit as limit:
        over = str(limit)
    try:
        if await workers().call(symbolic.same_number, given, reference):
            return Verdict(True, "numeric")
    except OverLimit as limit:
        over = str(limit)
    return Verdict(False, over or "different")


@versioned("math.scorer_hendrycks", 1)
def score_by_hendrycks(answer: str, sample: Sample) -> Verdict:
    if len(answer) > LONGEST:
        return _too_long()
    right = hendrycks.same_spelling(answer, sample.target[0])
    return Verdict(right, "spelled alike" if right else "spelled differently")


@versioned("math.scorer_math_verify", 2, packages=("sympy", "math-verify"))
async def score_by_math_verify(answer: str, sample: Sample) -> Verdict:
    if len(answer) > LONGEST:
        return _too_long()
    try:
        right = await workers().call(symbolic.same_by_math_verify, answer, sample.target[0])
    except OverLimit as limit:
        return Verdict(False, str(limit))
    return Verdict(right, "verified" if right else "different")


def _too_long() -> Verdict:
    return Verdict(False, f"over {LONGEST} characters")


def notes(protocol: Protocol) -> Mapping[str, JSON]:
    return dict(symbolic.versions())


def gold(sample: Sample, protocol: Protocol) -> str:
    solution = str(sample.meta["solution"])
    return solution if protocol.name == ZERO_SHOT else f"{solution}\n{_stated(sample.target[0], protocol)}"


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Another value, the right answer before a wrong one, an unclosed box, and nothing."""
    right = sample.target[0]
    return (
        _stated(rf"7 \cdot ({right}) + 1001", protocol),
        rf"Is it $\boxed{{{right}}}$? No. " + _stated(r"\text{none of these}", protocol),
        rf"The answer is $\boxed{{{right}",
        "",
    )


def _stated(answer: str, protocol: Protocol) -> str:
    if protocol.name == ZERO_SHOT:
        return rf"The answer is $\boxed{{{answer}}}$."
    return f"Final Answer: The final answer is ${answer}$. I hope it is correct."


@task("math", report="Table 2")
def math() -> Task:
    """Competition mathematics (Hendrycks et al. 2021)"""
    return Task(
        data=Hub(
            "EleutherAI/hendrycks_math", SUBJECTS, split="test",
            revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
            columns=("problem", "level", "type", "solution"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer={FOUR_SHOT: stated_answer, ZERO_SHOT: boxed_answer},
        scorer=score,
        variants=(
            Variant(name="hendrycks", scorer=score_by_hendrycks),
            Variant(name="math-verify", scorer=score_by_math_verify),
        ),
        metrics=(Accuracy(), Accuracy(variant="hendrycks"), Accuracy(variant="math-verify")),
        size=5000,
        group_sizes=SIZES,
        protocols=(
            Protocol(
                name=FOUR_SHOT, shots=4, stop=("\nProblem:",),
                source="Gemini 1.0 report, table 2; prompt: Lewkowycz et al. 2022, appendix D",
            ),
            Protocol(name=ZERO_SHOT, max_tokens=2048, source="evalkit"),
        ),
        max_shots=4,
        reads=(LmEvalFiles(EXEMPLARS[:1]),),
        needs=symbolic.needs,
        notes=notes,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
