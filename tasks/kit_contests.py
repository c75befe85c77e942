r"""What the contests `aime` and `math-amc` share: prompts for a boxed integer, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import Message, Prompt, Protocol, Sample, Variant, Verdict, majority_vote, versioned
from evalkit.scoring import canonical_number, final_number
from evalkit.scoring.latex import boxed_answer, plain_formula

INSTRUCTION = r"Reason step by step, then give the final answer, and nothing else, in \boxed{}."
_DIGITS = re.compile(r"\d+")
_MODULUS = re.compile(r"\\p?mod\s*\{?[\d\s]*\}?")


@versioned("contests.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    text = f"{sample.input}\n\n{INSTRUCTION}"
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("contests.boxed_number", 1)
def boxed_number(text: str, sample: Sample | None = None) -> str | None:
    r"""The number in the last \boxed{…} of a response, in canonical form: "073" is "73".

    A box with more than a number counts if it ends with "= 73", or if it has only one number, as in
    `\text{73 cm}` and `73^\circ`. None if there is no box or no such number. The `aime24` of
    lm-evaluation-harness 0.4.13 compares the box with the reference as texts, so that "073" and "73.0" are
    wrong there, and takes a formula between dollar signs, or the whole response, where there is no box.
    """
    box = boxed_answer(text)
    if box is None:
        return None
    formula = _MODULUS.sub("", plain_formula(box)).rpartition("=")[2].strip()
    whole = canonical_number(formula)
    if whole is not None or len(_DIGITS.findall(formula)) != 1:
        return whole
    return final_number(formula)


@versioned("contests.any_number", 1)
def any_number(text: str, sample: Sample | None = None) -> str | None:
    """The boxed number, or the last number of a response without a box."""
    return final_number(text) if boxed_answer(text) is None else boxed_number(text)


@versioned("contests.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    right = answer == sample.target[0]  # both in canonical form
    return Verdict(right, f"{answer} {'=' if right else '≠'} {sample.target[0]}")


FLEXIBLE = Variant(name="flexible", extract=any_number)


def gold(sample: Sample, protocol: Protocol) -> str:
    return rf"The answer is $\boxed{{{sample.target[0]}}}$."


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Another number, the right one before a wrong one, further digits, an empty box, and nothing."""
    right = sample.target[0]
    return (
        rf"\boxed{{{int(right) + 1}}}",
        rf"Is it $\boxed{{{right}}}$? No, $\boxed{{{int(right) + 7}}}$.",
        rf"\boxed{{{right}00}}" if int(right) else r"\boxed{100}",
        r"It is $\boxed{}$.",
        "",
    )


def protocols(draws: int) -> tuple[Protocol, ...]:
    """Greedy decoding, and a majority of `draws`."""
    return (
        Protocol(name="0-shot-boxed", max_tokens=32768, source="evalkit, as MATH's"),
        Protocol(
            name=f"maj1@{draws}", reader=majority_vote, draws=draws, temperature=0.7, max_tokens=32768,
            source="evalkit; temperature: Wang et al. 2022",
        ),
    )  # fmt: skip


def reference(answer: object, problem: str) -> str:
    """The reference in canonical form. Raises `ValueError` unless it is a whole number of at least 0."""
    found = canonical_number(str(answer))
    if found is None or not found.isdigit():
        raise ValueError(f"the answer to {problem[:60]!r} is {answer!r}: it must be a whole number")
    return found
