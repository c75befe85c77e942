"""ChartQA: questions about charts, some with arithmetic (Masry et al. 2022, arXiv 2203.10244).

Data: `lmms-lab/ChartQA` at 9e63b7d, split test, 2,500 questions: 1,250 written by people ("human") and 1,250
generated from people's summaries of charts ("augmented"). The authors' copy is under GPL-3.0; this one names
no licence. Intervals resample charts, which are distinguished by their files.

Measure: relaxed accuracy over all questions, `evalkit.scoring.relaxed` after google-research/pix2struct. That
rule treats years as numbers, so that 1990 is right for 2010. For "accuracy (exact years)", a reference from
1000 to 2100 must be matched exactly; since some of these are quantities, it is a lower bound. Reply and
reference are trimmed first, the reply as in Qwen-VL's `eval_mm/evaluate_vqa.py`. Nothing else is removed: for
"17" the answer "17%" is wrong.

Prompts: the 1.0 report prints none, and says that answers are short. The prompt of the 1.5 report (appendix
12.14.5) asks for reasoning first. It is `0-shot-cot` here, with chart and question in the order of the other
prompts printed there; the answer is what follows the last "Final Answer:". `0-shot`, the headline, keeps the
rules for the answer, which it calls "the answer" instead of "X", and does not ask for reasoning; its first
line is evalkit's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    Hub,
    Image,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring.relaxed import TOLERANCE, is_year, relaxed_match

from .kit import about_picture

REVISION = "9e63b7df1592a1c2158e735cc1725454aef0d6d9"
GROUPS = {"human_test": "human", "augmented_test": "augmented"}
CHAIN = "0-shot-cot"
RULES = """\
* {answer} should contain as few words as possible.
* Don't paraphrase or reformat the text you see in the image.
* If the {name} has two or more items, provide it in the list format like [1, 2].
* When asked to give a ratio, give out the decimal value like 0.25 instead of 1:4.
* When asked to give a percentage, give out the whole value like 17 instead of decimal like 0.17%.
* Don't include any units in the answer.
* Try to include the full label from the graph when asked about an entity.
"""
SHORT = "Give a short answer to the following question about the chart. Follow these instructions:\n" + (
    RULES.format(answer="The answer", name="answer")
)
REASONED = (
    "Think step by step before giving a final answer to this question.Format your final answer as 'Final "
    "Answer: X'. For the final answer X, follow the following instructions:\n"
    + RULES.format(answer="X", name="final answer")
    + "Remember, don't give a final answer before step by step reasoning and always format your final answer "
    "as 'Final Answer: X'.\n"
)
_FINAL = re.compile(r"(?P<opens>[*_]{0,3})final answer(?P<closes>[\s*_]{0,9}):", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![\w*_`])(\*{1,3}|_{1,3}|`)(?!\s)((?:(?!\1(?!\w)).){1,200})(?<!\s)\1(?!\w)")


def to_sample(record: Record) -> Sample:
    chart = Image.of(record["image"])
    return Sample(
        id=sample_id(record["type"], record["question"], chart.key),
        input=record["question"],
        target=(record["answer"].strip(),),
        group=GROUPS[record["type"]],
        cluster=chart.key,
        media=(chart,),
    )


@versioned("chartqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    rules, end = (REASONED, "") if protocol.name == CHAIN else (SHORT, " Answer:")
    return about_picture(rules, sample, f"{sample.input}{end}")


@versioned("chartqa.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("chartqa.final_answer", 3)
def final_answer(text: str, sample: Sample) -> str | None:
    """What follows the last "Final Answer:" on its line or the next, without the marks of Markdown.

    Only paired marks are removed: `**Final Answer:** X`, `**Final Answer: X**` and "Final Answer: **X**" give
    X, and "**X** and **Y**" gives "X and Y", but the stars of "Final Answer: Rabbit**" belong to the answer.
    """
    last = None
    for last in _FINAL.finditer(text):  # noqa: B007 — only the last match counts
        pass
    if last is None:
        return None
    answer, mark = text[last.end() :].strip(), last["opens"]
    if mark and mark not in last["closes"]:
        if answer.startswith(mark):
            answer = answer.removeprefix(mark).strip()
        else:
            answer = answer.partition("\n")[0].strip().removesuffix(mark)
    answer = answer.partition("\n")[0].strip()
    while _EMPHASIS.search(answer):
        answer = _EMPHASIS.sub(r"\2", answer)
    return answer if answer.strip("*_`") else None


@versioned("chartqa.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return _verdict(relaxed_match(answer, sample.target[0]), answer, sample)


@versioned("chartqa.scorer_years", 1)
def score_years(answer: str, sample: Sample) -> Verdict:
    """The same, but a reference that can be a year must be matched exactly."""
    wanted = sample.target[0]
    tolerance = 0 if is_year(wanted) else TOLERANCE
    return _verdict(relaxed_match(answer, wanted, tolerance), answer, sample)


def _verdict(correct: bool, answer: str, sample: Sample) -> Verdict:
    return Verdict(correct, f"{answer} for {sample.target[0]}")


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, the reference with a further word, the reference with a unit, and a number far from it."""
    wanted = sample.target[0]
    return ("", *(_as_response(text, protocol) for text in (f"not {wanted}", f"{wanted} units", "-1e300")))


def _as_response(answer: str, protocol: Protocol) -> str:
    return f"The bars show it.\nFinal Answer: {answer}" if protocol.name == CHAIN else answer


@task("chartqa", report="Table 7")
def chartqa() -> Task:
    """Questions about charts, numbers within five per cent (Masry et al. 2022)"""
    columns = ("type", "question", "answer", "image")
    return Task(
        data=Hub("lmms-lab/ChartQA", "default", split="test", revision=REVISION, columns=columns),
        sample=to_sample,
        prompt=prompt,
        answer={"0-shot": whole_reply, CHAIN: final_answer},
        scorer=score,
        metrics=(Accuracy(), Accuracy(variant="exact years")),
        size=2500,
        group_sizes={"human": 1250, "augmented": 1250},
        variants=(Variant(name="exact years", scorer=score_years),),
        protocols=(
            Protocol(
                name="0-shot", max_tokens=256,
                source="Gemini 1.0 report, table 7; rules of the prompt: Gemini 1.5 report, appendix 12.14.5",
            ),
            Protocol(
                name=CHAIN, max_tokens=2048,
                source="Gemini 1.5 report, appendix 12.14.5",
            ),
        ),
        media=("image",),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
