r"""MGSM: 250 problems of GSM8K in eleven languages (Shi et al. 2022, arXiv 2210.03057).

The report prints 79.0 % for Ultra and 63.5 % for Pro, 8-shot, the mean over all languages (table 5). It says
neither which exemplars nor whether the chains of thought are in English; the prompt that its team describes
one version later has eight of the problem's own language (Gemini 1.5 report, appendix 12.13).

- Prompt: the authors' eight exemplars with solutions in the problem's language (`8-shot-cot`, "native CoT"),
  as google-research/url-nlp at 452a21a has them: the question under its label, the solution under its own, in
  one user message. They are the training split of the data; labels that a copy lacks are put before them.
  lm-evaluation-harness's `mgsm_native_cot` writes the label in Russian without its blank.
- Answer: the last number behind the language's word for an answer, in any case, or behind "the answer is",
  which the report's team asks for in every language; the last such word that a number follows. The word is
  simple-evals' (openai/simple-evals at ee3b031, mgsm_eval.py), whose parser stands beside it as
  `accuracy (simple-evals)`: there case matters, so that "The answer is 5" is none, as the word is "Answer";
  digits have to be ASCII, and a minus is lost. Numbers are compared by value, in digits of any script, and in
  German, Spanish, French and Russian "1.250,50" is 1250.5.
- `accuracy (flexible)` is the last number anywhere; `accuracy (lm-eval)` what the harness's `strict-match`
  finds, whose phrase is English in Bengali, and whose comparison ignores points, commas and signs.
- Average: the mean over the languages, each counting the same; beside it the figure of all problems.
- The 250 problems are the same in each language, in the same order: intervals resample problems.
- Stop: a new line that begins with the label of a question, of any of the languages.
- `0-shot-chat` is evalkit's own, for chat models as they are used: the last line begins with the language's
  word, as simple-evals has it, but the instruction is in English.

Data: `juletxara/mgsm`. It was a script until 2026 and has been Parquet since; no commit of that could be
verified, so `main` is read, and the run records the commit that this was.
"""

from __future__ import annotations

import dataclasses
import re
import string
import unicodedata
from collections.abc import Sequence

from evalkit.api import (
    PART,
    Accuracy,
    Data,
    DataOptions,
    Hub,
    Message,
    Parts,
    Prompt,
    Protocol,
    Record,
    Records,
    Sample,
    Task,
    Variant,
    Verdict,
    averages,
    sample_id,
    task,
    unknown,
    versioned,
)
from evalkit.scoring import canonical_number, final_number

from .mgsm_languages import LANGUAGES

FEW_SHOT, ZERO_SHOT = "8-shot-cot", "0-shot-chat"
EACH = 250
"""Problems of a language."""
PROBLEM = "problem"
"""The key of a record under which its place in its language's file is: the same problem in all languages."""
INSTRUCTION = (
    "Solve this problem step by step, in its own language. Then write a last line"
    ' "{}: N", where N is the number asked for.'
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?!\d|\.\d)")
_DECIMALS = re.compile(r"(?<=\d),(?=\d{1,2}(?![\d,]))")


@dataclasses.dataclass(frozen=True, slots=True)
class Numbered:
    """The records of a language, each with its place in the file as `PROBLEM`."""

    data: Data

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` where the data cannot be read."""
        records = self.data.open(options or DataOptions())
        return dataclasses.replace(
            records, read=lambda: ({**record, PROBLEM: at} for at, record in enumerate(records))
        )


def to_sample(record: Record) -> Sample:
    """A problem, or an exemplar, which alone has a solution in words."""
    question, solution, number = record["question"], record["answer"], str(record["answer_number"])
    reference = canonical_number(number)
    if reference is None:
        raise ValueError(f"the answer_number {number!r} of {question[:60]!r} is no number")
    return Sample(
        id=sample_id(record[PART], question),
        input=question,
        target=(reference,),
        group=record[PART],
        cluster=str(record[PROBLEM]) if PROBLEM in record else "",
        meta={"solution": solution} if solution else {},
    )


@versioned("mgsm.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    language = LANGUAGES[sample.group]
    if protocol.name == ZERO_SHOT:
        text = f"{sample.input}\n\n{INSTRUCTION.format(language.answer)}"
    else:
        blocks = [
            f"{_labelled(shot.input, language.question)}\n"
            f"{_labelled(str(shot.meta['solution']), language.solution)}"
            for shot in sample.shots[: protocol.shots]
        ]
        asked = f"{_labelled(sample.input, language.question)}\n{language.solution}"
        text = "\n\n".join([*blocks, asked])
    return text if protocol.api == "completion" else (Message("user", text),)


def _labelled(text: str, label: str) -> str:
    """`text` with the label before it, which the data's exemplars have and its problems lack."""
    if text.startswith(label):
        return text
    return f"{label}{'' if label.endswith('：') else ' '}{text}"


@versioned("mgsm.stated_number", 1)
def stated_number(text: str, sample: Sample) -> str | None:
    """The last number behind the language's word for an answer, or behind "the answer is"; None without.

    The last such word that a number follows counts.
    """
    text = unicodedata.normalize("NFC", text)
    word = re.compile(f"{re.escape(LANGUAGES[sample.group].answer)}|the answer is", re.IGNORECASE)
    end = len(text)
    for said in reversed(list(word.finditer(text))):
        # Behind the next such word there is no number; the word itself ends a number before it.
        found = last_number(text[said.end() : end], sample)
        if found is not None:
            return found
        end = said.end()
    return None


@versioned("mgsm.last_number", 1)
def last_number(text: str, sample: Sample) -> str | None:
    """The last number as `final_number` reads it; "1.250" and "12,50" as German, Spanish, … mean them."""
    if LANGUAGES[sample.group].continental:
        text = _THOUSANDS.sub(lambda match: match[0].replace(".", ""), text)
        text = _DECIMALS.sub(".", text)
    return final_number(text)


@versioned("mgsm.simple_evals_number", 1)
def simple_evals_number(text: str, sample: Sample) -> str | None:
    r"""openai/simple-evals at ee3b031, mgsm_eval.py: `parse_answer`, then the zeros off as in `score_mgsm`.

    Behind the last word for an answer, it is the last `\d+\.?\d*` of the text without its commas.
    """
    _, found, rest = text.rpartition(LANGUAGES[sample.group].answer)
    numbers = re.findall(r"\d+\.?\d*", rest.replace(",", "")) if found else []
    if not numbers:
        return None
    number = str(numbers[-1]).rstrip(".")
    return number.rstrip("0").rstrip(".") if "." in number else number


@versioned("mgsm.harness_number", 1)
def harness_number(text: str, sample: Sample) -> str | None:
    """The first match of lm-evaluation-harness 0.4.13, mgsm/native_cot, filter `strict-match`, or None."""
    match = re.search(LANGUAGES[sample.group].harness, text)
    return match[1].strip() if match else None


@versioned("mgsm.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    right = answer == sample.target[0]
    return Verdict(right, f"{answer} {'=' if right else '≠'} {sample.target[0]}")


@versioned("mgsm.scorer_harness", 1)
def score_as_harness(answer: str, sample: Sample) -> Verdict:
    """lm-evaluation-harness's exact_match with `ignore_punctuation`: the digits, without points and signs."""
    bare = str.maketrans("", "", string.punctuation)
    answer, target = answer.translate(bare), sample.target[0].translate(bare)
    return Verdict(answer == target, f"{answer} {'=' if answer == target else '≠'} {target}")


def gold(sample: Sample, protocol: Protocol) -> str:
    """As the exemplars say it; under `0-shot-chat` as the instruction asks for it."""
    language = LANGUAGES[sample.group]
    stated = language.stated.format(sample.target[0])
    return f"{language.answer}: {sample.target[0]}" if protocol.name == ZERO_SHOT else stated


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Another number, the right one before a wrong one, and none."""
    language, right = LANGUAGES[sample.group], sample.target[0]
    other = str(int(float(right)) + 1)
    return (
        language.stated.format(f"{right}0001"),
        f"{language.stated.format(right)} {language.stated.format(other)}",
        f"{language.answer}: {right}.5",
        "?",
        "",
    )


def chosen(languages: str) -> tuple[str, ...]:
    """The codes that `11`, or codes with commas between them, stand for. Raises `UsageError`."""
    codes = tuple(LANGUAGES) if languages == "11" else tuple(dict.fromkeys(languages.split(",")))
    for code in codes:
        if code not in LANGUAGES:
            raise unknown("language of MGSM", code, ("11", *LANGUAGES))
    return codes


@task("mgsm", report="Table 5")
def mgsm(*, languages: str = "11") -> Task:
    """Grade-school maths in eleven languages (Shi et al. 2022), or --set languages=sw,te"""
    codes = chosen(languages)
    columns = ("question", "answer", "answer_number")
    test, train = (
        {code: Hub("juletxara/mgsm", code, split=split, revision="main", columns=columns) for code in codes}
        for split in ("test", "train")
    )
    sizes = dict.fromkeys(codes, EACH)
    return Task(
        data=Parts({code: Numbered(data) for code, data in test.items()}, sizes),
        dev=Parts(train),
        sample=to_sample,
        prompt=prompt,
        answer=stated_number,
        scorer=score,
        variants=(
            Variant(name="simple-evals", extract=simple_evals_number, takes_gold=False),
            Variant(name="flexible", extract=last_number),
            Variant(name="lm-eval", extract=harness_number, scorer=score_as_harness, takes_gold=False),
        ),
        metrics=(
            *averages(Accuracy()),
            *(averages(Accuracy(variant=name))[0] for name in ("simple-evals", "flexible", "lm-eval")),
        ),
        size=EACH * len(codes),
        group_sizes=sizes,
        protocols=(
            Protocol(
                name=FEW_SHOT, shots=8, max_tokens=2048,
                stop=tuple(f"\n{language.question}" for language in LANGUAGES.values()),
                source="Gemini 1.0 report, table 5 (8-shot); prompt: Shi et al. 2022, native CoT",
            ),
            Protocol(name=ZERO_SHOT, max_tokens=2048, source="evalkit; the word: openai/simple-evals"),
        ),
        max_shots=8,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
