"""TyDi QA: 5,077 questions in nine languages, with the passage that answers them, or without it.

Data: `google-research-datasets/tydiqa`, config `secondary_task` (GoldP; Clark et al. 2020, arXiv 2003.05002),
Apache-2.0: 49,881 questions to train, 5,077 for validation, which every paper scores. No Japanese and no
Thai. No commit of the copy could be verified, so it is read at `main`, and a run records the commit that it
got. The language is the beginning of the id; groups are the languages. Intervals resample articles.

Measure: table 3 of the report prints "accuracy" of "TydiQA (GoldP)", which is read here as exact match. The
headline is its mean over the languages; beside it F1. Both are SQuAD v1.1's, for every language, as the
authors say (google-research-datasets/tydiqa at 43cde6d, `gold_passage_baseline/README.md`), who average all
languages but English: `--set languages=authors`; the default includes it. The variant `harness` has
the normalisation of lm-evaluation-harness 0.4.13 (`evalkit.scoring.squad`), which deletes more punctuation
and other articles.

The report gives no shots and no prompt, so no protocol is known to be the report's:

- `goldp`: one example, the language's first in the training split, then "Context: … Question: … Answer:", in
  English for all languages; the harness translates these three words.
- `no-context`: the same without the passages, closed-book; appendix 10.3 of the report names it.
- `goldp-chat`, `no-context-chat`: evalkit's own, for chat models as they are used.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    Accuracy,
    Data,
    Hub,
    Macro,
    Mapped,
    MeanValue,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    averages,
    sample_id,
    task,
    text_of,
    unknown,
    versioned,
)
from evalkit.scoring.squad import first_line, squad_exact_match, squad_f1, tydiqa_exact_match, tydiqa_f1

from .kit import strange_sign

SIZES = {
    "arabic": 921, "bengali": 113, "english": 440, "finnish": 782, "indonesian": 565, "korean": 276,
    "russian": 812, "swahili": 499, "telugu": 669,
}  # fmt: skip
"""The number of validation questions by language, 5,077 in all."""
CODES = {"english": "en", "arabic": "ar"}
"""The languages in which the harness deletes articles."""
SETS = {"all": tuple(SIZES), "authors": tuple(language for language in SIZES if language != "english")}
GOLDP, NO_CONTEXT = "goldp", "no-context"
BRIEFLY = "Answer in the language of the question, with a name, a number or a few words and nothing else."


def to_sample(record: Record) -> Sample:
    """A question with its passage. Raises `ValueError` for another language and without an answer."""
    language = str(record["id"]).partition("-")[0]
    if language not in SIZES:
        raise ValueError(f"the id {record['id']!r} does not begin with one of {', '.join(SIZES)}")
    target = tuple(text for text in record["answers"]["text"] if text.strip())
    if not target:
        raise ValueError(f"question {record['id']} has no answer")
    return Sample(
        id=record["id"],
        input=record["question"],
        target=target,
        group=language,
        cluster=sample_id(language, record["title"]),
        meta={"context": text_of(record["context"], "context")},
    )


@versioned("tydiqa.first_of_each", 1)
def first_of_each(records: Iterable[Record]) -> Iterator[Record]:
    """The first record of each language."""
    left = set(SIZES)
    for record in records:
        language = str(record["id"]).partition("-")[0]
        if language in left:
            left.remove(language)
            yield record
        if not left:
            return


@versioned("tydiqa.in_languages", 1)
def in_languages(records: Iterable[Record], languages: tuple[str, ...]) -> Iterator[Record]:
    return (record for record in records if str(record["id"]).partition("-")[0] in languages)


@versioned("tydiqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    with_context = protocol.name.startswith(GOLDP)
    blocks = [f"{_asked(shot, with_context)} {shot.target[0]}" for shot in sample.shots[: protocol.shots]]
    text = "\n\n".join([*blocks, _asked(sample, with_context)])
    if protocol.name.endswith("chat"):
        text = f"{BRIEFLY}\n\n{text}".removesuffix("\nAnswer:")
    return text if protocol.api == "completion" else (Message("user", text),)


def _asked(sample: Sample, with_context: bool) -> str:
    context = f"Context: {sample.meta['context']}\n" if with_context else ""
    return f"{context}Question: {sample.input}\nAnswer:"


@versioned("tydiqa.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """SQuAD's exact match, and its F1 as a value."""
    f1 = squad_f1(answer, sample.target)
    return Verdict(squad_exact_match(answer, sample.target), f"F1 {f1:.3f}", values={"F1": f1})


@versioned("tydiqa.scorer_harness", 1)
def score_as_harness(answer: str, sample: Sample) -> Verdict:
    """lm-evaluation-harness's exact match, and its F1 as a value."""
    code = CODES.get(sample.group, "")
    f1 = tydiqa_f1(answer, sample.target, code)
    return Verdict(tydiqa_exact_match(answer, sample.target, code), f"F1 {f1:.3f}", values={"F1": f1})


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0]


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Another word, an answer with one, an answer only on the second line, and nothing."""
    stranger = 3 * strange_sign((*sample.target, "aehnt"), "b")
    right = sample.target[0]
    return (stranger, f"{right} {stranger}", f"{stranger}\n{right}", "")


def _protocol(name: str, source: str) -> Protocol:
    if name.endswith("chat"):
        return Protocol(name=name, max_tokens=256, source="evalkit")
    return Protocol(name=name, shots=1, max_tokens=64, stop=("\nQuestion:", "\nContext:"), source=source)


@task("tydiqa", report="Table 3")
def tydiqa(*, languages: str = "all") -> Task:
    """Questions in nine languages, with or without their passage (Clark et al. 2020)"""
    chosen = SETS.get(languages) or tuple(languages.split(","))
    for language in chosen:
        if language not in SIZES:
            raise unknown("language of TyDi QA", language, (*SIZES, *SETS))
    columns = ("id", "title", "context", "question", "answers")
    train, validation = (
        Hub(
            "google-research-datasets/tydiqa", "secondary_task", split=split, revision="main", columns=columns
        )
        for split in ("train", "validation")
    )
    data: Data = validation
    if languages != "all":
        data = Mapped(validation, functools.partial(in_languages, languages=chosen))
    f1 = MeanValue("F1", unit="%", scale=100.0, best=100.0)
    f1_harness = MeanValue("F1", unit="%", scale=100.0, best=100.0, variant="harness")
    sizes = {language: SIZES[language] for language in chosen}
    return Task(
        data=data,
        dev=Mapped(train, first_of_each),
        sample=to_sample,
        prompt=prompt,
        answer=first_line,
        scorer=score,
        variants=(Variant(name="harness", scorer=score_as_harness),),
        metrics=(*averages(Accuracy(), f1), Macro(Accuracy(variant="harness")), Macro(f1_harness)),
        size=sum(sizes.values()),
        group_sizes=sizes,
        protocols=(
            _protocol(GOLDP, "evalkit (one shot); the Gemini 1.0 report, table 3, gives no shots"),
            _protocol(NO_CONTEXT, "Gemini 1.0 report, appendix 10.3; one shot: evalkit's choice"),
            _protocol(f"{GOLDP}-chat", ""),
            _protocol(f"{NO_CONTEXT}-chat", ""),
        ),
        max_shots=1,
        gold=gold,
        wrong_responses=wrong_responses,
    )
