r"""BIG-Bench-Hard: 6,511 questions of 27 tasks that models found hard (Suzgun et al. 2022, arXiv 2210.09261).

The report prints 83.6 % for Ultra and 75.0 % for Pro, 3-shot, "written as CoT problems" (table 2), and says
neither how the answer is read nor how the tasks are averaged. What stands here is the benchmark's authors'
own protocol (suzgunmirac/BIG-Bench-Hard at 9ee07bd), which the report's team names one version later
("So the answer is", Gemini 1.5 report, appendix 12.13):

- Prompt: a task's description, its three solved questions, the question, "A: Let's think step by step.", in
  one user message. The solved questions come from the installed lm-evaluation-harness
  (`bbh/cot_fewshot`), which has a new line where the authors have a blank in sports_understanding; here it
  is a blank. So are 6,510 of the 6,511 prompts that the authors sent to Codex, letter for letter: in one
  question of snarks they have since changed a word.
- Answer: what follows the last "So the answer is " on its line, without one full stop at the end; equal to
  the reference in every letter ("Yes" is not "yes"). On the authors' Codex outputs this gives the accuracy
  that they publish on 27 of 27 tasks, with and without chains of thought. The pattern of
  lm-evaluation-harness takes the first such phrase and drops one character more where no full stop follows.
- Average: the authors' 73.9 (Codex with chains of thought) and 56.6 (without) are means over 23 tasks: the
  three files of logical_deduction are one task, and so are the three of tracking_shuffled_objects. The
  headline is that mean, groups are these 23, tags the six files; beside it stands the figure of all
  questions together.
- Beside it, `accuracy (flexible)`: case, brackets, marks of Markdown, commas and what follows a letter do
  not matter, and "the answer is", a box or the last line will do. It is evalkit's own, for chat models.
- Stop: a new line that begins with "Q:". The authors' outputs end before a blank line too, which would cut
  the paragraphs of a chat model; lm-evaluation-harness stops at any "Q".
- `3-shot-direct` shows the same questions with their answers alone, the paper's "answer-only".
  `0-shot-chat` is evalkit's own, for chat models as they are used; there "**The answer is B**" is "(B)" too.

Questions about one story, puzzle or name are a cluster: date_understanding has 41 stories for 250 questions.
Two questions of causal_judgement are there twice with opposite references, as the authors have them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    PART,
    Accuracy,
    Hub,
    LmEvalFiles,
    Message,
    Parts,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    averages,
    fewshot_description,
    fewshot_samples,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring import same_number

REVISION = "b5306be6f827cfafbb545ff5a51f96916029b0fd"
COT, DIRECT, ZERO_SHOT = "3-shot-cot", "3-shot-direct", "0-shot-chat"
THOUGHT = "Let's think step by step."
PHRASE = "So the answer is "
INSTRUCTION = f'Think step by step. End with "{PHRASE}X." where X is the answer alone.'

FAMILIES = ("logical_deduction", "tracking_shuffled_objects")
"""Tasks of three files each, by the number of objects."""
SIZES = {
    "boolean_expressions": 250,
    "causal_judgement": 187,
    "date_understanding": 250,
    "disambiguation_qa": 250,
    "dyck_languages": 250,
    "formal_fallacies": 250,
    "geometric_shapes": 250,
    "hyperbaton": 250,
    "logical_deduction_five_objects": 250,
    "logical_deduction_seven_objects": 250,
    "logical_deduction_three_objects": 250,
    "movie_recommendation": 250,
    "multistep_arithmetic_two": 250,
    "navigate": 250,
    "object_counting": 250,
    "penguins_in_a_table": 146,
    "reasoning_about_colored_objects": 250,
    "ruin_names": 250,
    "salient_translation_error_detection": 250,
    "snarks": 178,
    "sports_understanding": 250,
    "temporal_sequences": 250,
    "tracking_shuffled_objects_five_objects": 250,
    "tracking_shuffled_objects_seven_objects": 250,
    "tracking_shuffled_objects_three_objects": 250,
    "web_of_lies": 250,
    "word_sorting": 250,
}
"""The files, with how many questions each has (bbh/*.json of the authors' repository, counted)."""
SHARED = {
    "date_understanding": " What is the date",
    "logical_deduction": "\nOptions:",
    "ruin_names": "\nOptions:",
    "tracking_shuffled_objects": " At the end of",
}
"""What follows a story or puzzle that several questions of a task are about."""
_MARKS = " *_`$\"'“”"
_SAID = re.compile(r"\banswer is\b:?", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}*")
_CHOICE = re.compile(r"\(?([A-Za-z])(?:\)|[.:](?=\s)|$)")
_LETTER = re.compile(r"\(?([A-Za-z])(?:\)|[.:,]?(?=\s)|[.:,]?$)")


def to_sample(record: Record) -> Sample:
    name, question = record[PART], record["input"]
    family = family_of(name)
    story, shared, _ = question.partition(SHARED.get(family, "\0"))
    return Sample(
        id=sample_id(name, question),
        input=question,
        target=(record["target"].strip(),),
        group=family,
        cluster=sample_id(name, story) if shared else "",
        tags=(name,) if name != family else (),
    )


def family_of(name: str) -> str:
    """The task, of 23, that a file belongs to."""
    return next((family for family in FAMILIES if name.startswith(family)), name)


@versioned("bbh.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == ZERO_SHOT:
        text = f"{sample.input}\n\n{INSTRUCTION}"
    else:
        (name,) = sample.tags or (sample.group,)
        text = shown(name, sample.input, protocol)
    return text if protocol.api == "completion" else (Message("user", text),)


def shown(name: str, question: str, protocol: Protocol) -> str:
    """The prompt of the file `name`: its description, its solved questions, and the question."""
    path = _exemplars(name)
    blocks = [fewshot_description(path).strip()]
    begins = "A:" if protocol.name == DIRECT else f"A: {THOUGHT}"
    gap = " " if protocol.name == DIRECT or name == "sports_understanding" else "\n"
    for shot in fewshot_samples(path)[: protocol.shots]:
        solved = shot["target"]
        if protocol.name == DIRECT:
            solved = stated_answer(solved) or solved
        blocks.append(f"Q: {shot['input']}\n{begins}{gap}{solved}")
    return "\n\n".join([*blocks, f"Q: {question}\n{begins}"])


def _exemplars(name: str) -> str:
    """The file of lm-eval with a task's description and solved questions."""
    return f"bbh/cot_fewshot/{name}.yaml"


@versioned("bbh.stated_answer", 1)
def stated_answer(text: str, sample: Sample | None = None) -> str | None:
    """What follows the last "So the answer is " on its line, without one final full stop; None without it."""
    _, found, rest = text.rpartition(PHRASE)
    return _line(rest) or None if found else None


@versioned("bbh.direct_answer", 1)
def direct_answer(text: str, sample: Sample | None = None) -> str | None:
    """The first line of the response, without one final full stop; None if there is none."""
    return _line(text.strip()) or None


@versioned("bbh.chat_answer", 1)
def chat_answer(text: str, sample: Sample) -> str | None:
    """The `flexible_answer` without Markdown, box and final stop; "B" for a choice "(B)" gets brackets."""
    found = flexible_answer(text, sample)
    if found is None:
        return None
    answer = _BOXED.sub(r"\1", found).replace("**", "").strip(_MARKS).rstrip(f".{_MARKS}")
    letter = _CHOICE.match(answer)
    if letter and f"\n({letter[1].upper()}) " in sample.input:
        return f"({letter[1].upper()})"
    return answer or None


@versioned("bbh.flexible_answer", 1)
def flexible_answer(text: str, sample: Sample | None = None) -> str | None:
    """What follows the last "answer is" in any case, else what the last box has, else the last line."""
    for pattern in (_SAID, _BOXED):
        for said in reversed(list(pattern.finditer(text))):
            found = said[1] if said.re is _BOXED else text[said.end() :].strip().partition("\n")[0]
            if found.strip(f".:{_MARKS}"):
                return found.strip()
    return text.strip().rpartition("\n")[2].strip() or None


def _line(text: str) -> str:
    return text.partition("\n")[0].strip().removesuffix(".")


@versioned("bbh.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    right = answer == sample.target[0]
    return Verdict(right, f"{answer} {'=' if right else '≠'} {sample.target[0]}")


@versioned("bbh.scorer_flexible", 1)
def score_flexibly(answer: str, sample: Sample) -> Verdict:
    """A letter by what the answer begins with; a number by its value; all else by its signs, without case."""
    target = sample.target[0]
    answer = _BOXED.sub(r"\1", answer).replace("**", "").strip(_MARKS).rstrip(f".{_MARKS}")
    if re.fullmatch(r"\([A-Z]\)", target):
        letter = _LETTER.match(answer)
        right = letter is not None and letter[1].upper() == target[1]
    else:
        right = _bare(answer) == _bare(target) or same_number(answer, target)
    return Verdict(right, f"{answer} {'≈' if right else '≠'} {target}")


def _bare(text: str) -> str:
    return "".join(text.casefold().replace(",", " ").split())


def gold(sample: Sample, protocol: Protocol) -> str:
    right = sample.target[0]
    return right if protocol.name == DIRECT else f"This follows from the question. {PHRASE}{right}."


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """More than the right answer, the right one withdrawn, and none."""
    right = sample.target[0]
    if protocol.name == DIRECT:
        return (f"not {right}", f"{right} or else", "")
    return (
        f"{PHRASE}not {right}.",
        f"{PHRASE}{right}. That is wrong. {PHRASE}something else.",
        f"It is {right}.",
        "",
    )


@task("bbh", report="Table 2")
def bbh() -> Task:
    """27 tasks of reasoning that were hard for models (Suzgun et al. 2022)"""
    columns = ("input", "target")
    files = {
        name: Hub("SaylorTwift/bbh", name, split="test", revision=REVISION, columns=columns) for name in SIZES
    }
    groups: dict[str, int] = {}
    for name, size in SIZES.items():
        groups[family_of(name)] = groups.get(family_of(name), 0) + size
    return Task(
        data=Parts(files, SIZES),
        sample=to_sample,
        prompt=prompt,
        answer={COT: stated_answer, DIRECT: direct_answer, ZERO_SHOT: chat_answer},
        scorer=score,
        variants=(Variant(name="flexible", extract=flexible_answer, scorer=score_flexibly),),
        metrics=averages(Accuracy(), Accuracy(variant="flexible")),
        size=6511,
        group_sizes=groups,
        protocols=(
            Protocol(
                name=COT, shots=3, stop=("\nQ:",),
                source="Gemini 1.0 report, table 2 (3-shot); prompt and rule: Suzgun et al. 2022",
            ),
            Protocol(
                name=DIRECT, shots=3, stop=("\nQ:",), max_tokens=256,
                source="Suzgun et al. 2022, answer-only prompting",
            ),
            Protocol(name=ZERO_SHOT, source="evalkit"),
        ),
        max_shots=3,
        reads=(LmEvalFiles(tuple(map(_exemplars, SIZES))),),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
