"""MMMLU: MMLU's 14,042 questions as people translated them into fourteen languages (openai/MMMLU).

    evalkit run -m openai/my-model -t mmmlu
    evalkit run -m openai/my-model -t mmmlu --set locales=JA_JP,SW_KE

The report prints by how much MMLU improved with a newer recipe of post-training in five locales (table 16),
ja-JP, pt-BR, de-DE, es-419 and it-IT, which are `JA_JP`, `PT_BR`, `DE_DE`, `ES_LA` and `IT_IT` here. It used
translations of its own, which are not public, and says nothing about prompt and shots, so its figures are not
those of this data set. `locales` is `report` for these five, `all`, or names separated by commas. Groups are
the locales and tags MMLU's four fields; the headline is the mean over the locales, and beside it stands the
figure of all questions together.

- Prompts are those of `mmlu`, in English around the translated question. Letters are read as in `mmlu`, and
  after the word for "answer" in the language too (`evalkit.tasks.mmmlu_letters`). The data has no solved
  examples, so the five shots are MMLU's own, in English, of the same subject (`cais/mmlu`, dev).
  lm-evaluation-harness 0.4.13 (`openai-mmmlu`) adds the language in brackets to the header, and takes shots
  from the scored questions.
- `5-shot-chat` comes first since the table is about chat models; `0-shot-chat` shows no English examples;
  `5-shot` takes the likeliest letter.
- Two questions of FR_FR and two of IT_IT became the same text in translation, with different answers; each
  counts. Intervals resample a question in all its
  languages together. That the n-th question of a subject is the same one in every locale is how the data was
  made, and is not checked.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    PART,
    Accuracy,
    Hub,
    Mapped,
    Message,
    Parts,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_likelihoods,
    averages,
    choose_letter,
    sample_id,
    task,
    unknown,
    versioned,
)

from . import mmlu
from .kit import wrong_letters
from .mmlu_fields import field_of
from .mmmlu_letters import local_letter

REVISION = "325a01dc3e173cac1578df94120499aaca2e2504"
REPORT = ("JA_JP", "PT_BR", "DE_DE", "ES_LA", "IT_IT")
ALL = (
    "AR_XY", "BN_BD", "DE_DE", "ES_LA", "FR_FR", "HI_IN", "ID_ID", "IT_IT", "JA_JP", "KO_KR", "PT_BR",
    "SW_KE", "YO_NG", "ZH_CN",
)  # fmt: skip
SETS = {"report": REPORT, "all": ALL}
QUESTIONS = 14042
COLUMNS = ("Question", "A", "B", "C", "D", "Answer", "Subject")
GENERATED, SCORED, ZERO_SHOT = "5-shot-chat", "5-shot", "0-shot-chat"
_NTH = "nth"


def numbered(records: Iterable[Record]) -> Iterator[Record]:
    """Each record with its place among those of its subject, from 0."""
    seen: Counter[str] = Counter()
    for record in records:
        yield {**record, _NTH: seen[record["Subject"]]}
        seen[record["Subject"]] += 1


def as_translated(records: Iterable[Record]) -> Iterator[Record]:
    """MMLU's own records in the columns of its translations."""
    for record in records:
        choices = dict(zip("ABCD", record["choices"], strict=True))
        told = {"Question": record["question"], "Answer": "ABCD"[record["answer"]]}
        yield {**told, **choices, "Subject": record["subject"], PART: "EN_US", _NTH: 0}


def to_sample(record: Record) -> Sample:
    """Raises `ValueError` for an answer that is not a letter from A to D, and for a subject not of MMLU's."""
    subject, question, answer = record["Subject"], record["Question"], record["Answer"].strip()
    choices = tuple(record[letter] for letter in "ABCD")
    if answer not in tuple("ABCD"):
        raise ValueError(f"the answer to {question[:60]!r} is {answer!r}: it must be A, B, C or D")
    return Sample(
        id=sample_id(record[PART], subject, question, *choices, answer),
        input=question,
        target=(answer,),
        choices=choices,
        group=record[PART],
        cluster=f"{subject}/{record[_NTH]}",
        tags=(field_of(subject),),
        meta={"subject": subject},
    )


@versioned("mmmlu.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The prompt of `mmlu`: that of hendrycks/test for `5-shot`, else that of the Gemini 1.5 report."""
    asked = dataclasses.replace(sample, group=subject_of(sample))
    build = mmlu.original if protocol.name == SCORED else mmlu.continued
    text = build(asked, protocol.shots)
    return text if protocol.api == "completion" else (Message("user", text),)


def subject_of(sample: Sample) -> str:
    return str(sample.meta["subject"])


@versioned("mmmlu.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    generated = protocol.reader is not choose_letter
    return wrong_letters(sample, lambda letter: _as_response(letter, protocol), generated=generated)


def _as_response(letter: str, protocol: Protocol) -> str:
    return f" {letter}" if protocol.api == "completion" else letter


def chosen(locales: str) -> tuple[str, ...]:
    """The locales that `locales` names, each once. Raises `UsageError` for an unknown one."""
    names = SETS.get(locales) or tuple(dict.fromkeys(name.strip() for name in locales.split(",")))
    for name in names:
        if name not in ALL:
            raise unknown("locale", name, ALL, "or report, or all")
    return names


@task("mmmlu", report="Table 16")
def mmmlu(*, locales: str = "report") -> Task:
    """MMLU in up to fourteen languages (OpenAI 2024)"""
    sizes = dict.fromkeys(chosen(locales), QUESTIONS)
    parts = {
        name: Hub("openai/MMMLU", name, split="test", revision=REVISION, columns=COLUMNS) for name in sizes
    }
    return Task(
        data=Mapped(Parts(parts, sizes=sizes), numbered, count="same"),
        dev=Mapped(
            Hub(
                "cais/mmlu", "all", split="dev", revision=mmlu.REVISION,
                columns=("question", "subject", "choices", "answer"),
            ),
            as_translated,
        ),
        shots_by=subject_of,
        sample=to_sample,
        prompt=prompt,
        answer=local_letter,
        scorer=score,
        metrics=averages(Accuracy()),
        size=QUESTIONS * len(sizes),
        group_sizes=sizes,
        protocols=(
            Protocol(
                name=GENERATED, shots=5, max_tokens=256, drop_shots=True,
                source="prompt: Gemini 1.5 report, appendix 12.13; shots: MMLU's, in English",
            ),
            Protocol(
                name=SCORED, solver=ask_likelihoods, reader=choose_letter, api="completion", shots=5,
                max_tokens=1, logprobs=20, drop_shots=True, source="Hendrycks et al. 2021",
            ),
            Protocol(
                name=ZERO_SHOT, max_tokens=256, source="prompt: Gemini 1.5 report, appendix 12.13, no shots"
            ),
        ),
        max_shots=5,
        unavailable={"report": "the report's translations, prompt and shots are not public"},
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
