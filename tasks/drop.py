"""DROP: 9,536 questions about paragraphs that need counting, arithmetic and comparing (Dua et al. 2019).

Data: `EleutherAI/drop` at 619386f, CC BY 4.0 (arXiv 1903.00161): 77,409 questions to train, 9,536 for
validation, with the answers of the people who validated them. `ucinlp/drop` merges these into one list and
cannot give the official figures. One `query_id` occurs twice; the second is marked with "#2". Groups are the
types of the first answer, by the official script's names: number, span, spans, date. Intervals resample
passages.

Measure: the report prints "F1". Its team compared the output up to the first newline, with a rule "similar
to" T5's `qa_utils.py` (Gemini 1.5 report, on DROP): SQuAD's F1 over tokens, best over the references. That is
the headline; here several spans are one text, joined by "; ", which the rule's normalisation deletes. Beside
it, of the same answers, DROP's own F1 and exact match (`evalkit.scoring.drop`), for which an answer is split
into its spans at ";". The harness's and simple-evals' figures take an answer of several spans for one.

- `variable-shots`, the report's: three fixed examples, then the passage with its earlier questions and their
  answers. The three examples of Google's prompt are not public as a whole, so evalkit takes the first
  question of each of the first three passages of the training split; the order of the earlier questions is
  the data's, whereas Google's is "standardised" in a way that is not described. So a figure here is not the
  report's to the letter. As long as a prompt does not fit the model's context, it is sent again with one
  fixed example fewer.
- `3-shot`: without the earlier questions, as the report says of GPT-4's and GPT-3.5's figures.
- `0-shot-chat`: evalkit's own, for chat models as they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evalkit.api import (
    Hub,
    Mapped,
    MeanCredit,
    MeanValue,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    task,
    text_of,
    versioned,
)
from evalkit.scoring.drop import drop_scores
from evalkit.scoring.squad import first_line, squad_exact_match, squad_f1

from .kit import credited, strange_sign

NAME, REVISION = "EleutherAI/drop", "619386fc7ffe6dace3cc6d3483c69b164ebf6bf3"
COLUMNS = ("section_id", "query_id", "passage", "question", "answer", "validated_answers")
VARIABLE, ZERO_SHOT = "variable-shots", "0-shot-chat"
FIXED = 3
SEPARATOR = "; "
INSTRUCTION = (
    "Answer the question about the passage with a number, a date, or the shortest span of the passage or the "
    f'question. Separate several spans with "{SEPARATOR.strip()}". Give the answer alone, on one line.'
)


@versioned("drop.with_earlier", 1)
def with_earlier(records: Iterable[Record]) -> Iterator[Record]:
    """Each record with the earlier questions of its passage and their answers, in the order of the data."""
    passages: dict[str, list[list[str]]] = {}
    seen: set[str] = set()
    for record in records:
        earlier = passages.setdefault(record["section_id"], [])
        again = record["query_id"] in seen
        seen.add(record["query_id"])
        query = f"{record['query_id']}#2" if again else record["query_id"]
        yield {**record, "query_id": query, "earlier": list(earlier)}
        earlier.append([record["question"], _text(spans_of(record["answer"])[0])])


@versioned("drop.fixed_examples", 1)
def fixed_examples(records: Iterable[Record]) -> Iterator[Record]:
    """The first record of each of the first `FIXED` passages."""
    passages: set[str] = set()
    for record in records:
        if record["section_id"] not in passages:
            passages.add(record["section_id"])
            yield record
        if len(passages) == FIXED:
            return


def spans_of(answer: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """(the answer's spans, its type): a number, else spans, else a date, as `answer_json_to_strings` does."""
    if answer["number"]:
        return (str(answer["number"]),), "number"
    if answer["spans"]:
        return tuple(answer["spans"]), "span" if len(answer["spans"]) == 1 else "spans"
    date = answer["date"]
    return (" ".join(date[key] or "" for key in ("day", "month", "year")),), "date"


def to_sample(record: Record) -> Sample:
    """A question with all its answers. Raises `ValueError` if every answer is blank."""
    validated = record["validated_answers"]
    columns = [validated[key] or () for key in ("number", "date", "spans")]
    others = [
        {"number": number, "date": date, "spans": spans} for number, date, spans in zip(*columns, strict=True)
    ]
    answers = [spans_of(answer) for answer in (record["answer"], *others)]
    target = tuple(dict.fromkeys(filter(None, (_text(spans) for spans, _ in answers))))
    if not target:
        raise ValueError(f"question {record['query_id']} has no answer")
    return Sample(
        id=record["query_id"],
        input=record["question"],
        target=target,
        group=answers[0][1],
        cluster=record["section_id"],
        meta={
            "passage": text_of(record["passage"], "passage"),
            "earlier": record.get("earlier", []),
            "answers": [list(spans) for spans, _ in answers],
        },
    )


def _text(spans: Sequence[str]) -> str:
    return SEPARATOR.join(" ".join(span.split()) for span in spans)


@versioned("drop.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == ZERO_SHOT:
        text = f"{INSTRUCTION}\n\n{_asked(sample, ())}".removesuffix("\nAnswer:")
    else:
        shown = [f"{_asked(shot, ())} {shot.target[0]}" for shot in sample.shots[: protocol.shots]]
        earlier = sample.meta["earlier"] if protocol.name == VARIABLE else ()
        text = "\n\n".join([*shown, _asked(sample, earlier)])
    return text if protocol.api == "completion" else (Message("user", text),)


def _asked(sample: Sample, earlier: Any) -> str:
    pairs = "".join(f"Question: {question}\nAnswer: {answer}\n" for question, answer in earlier)
    return f"Passage: {sample.meta['passage']}\n{pairs}Question: {sample.input}\nAnswer:"


@versioned("drop.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """T5's F1 as credit."""
    f1 = squad_f1(answer, sample.target)
    exact = squad_exact_match(answer, sample.target)
    return credited(f1, f"F1 {f1:.3f}" + (", exact" if exact else ""))


@versioned("drop.scorer_official", 1, packages=("scipy",))
def score_officially(answer: str, sample: Sample) -> Verdict:
    """DROP's own F1 as credit, and its exact match as the value `EM`."""
    spans = [span.strip() for span in answer.split(";") if span.strip()] or [answer]
    exact, f1 = drop_scores(spans, sample.meta["answers"])  # type: ignore[arg-type]
    return Verdict(f1 >= 0.5, f"F1 {f1:.2f}, EM {exact:.0f}", f1, {"EM": exact})


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0]


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A word of none of the answers, the right answer only below it, and nothing."""
    stranger = 3 * strange_sign((*sample.target, "aehnt"), "b")
    return (stranger, f"{stranger}\n{sample.target[0]}", "")


@task("drop", report="Table 2")
def drop() -> Task:
    """Questions about paragraphs, with counting and arithmetic (Dua et al. 2019)"""
    train, validation = (
        Hub(NAME, "default", split=split, revision=REVISION, columns=COLUMNS)
        for split in ("train", "validation")
    )
    stop = ("\nQuestion:", "\nPassage:")
    return Task(
        data=Mapped(validation, with_earlier, count="same"),
        dev=Mapped(train, fixed_examples),
        shots_by=lambda sample: "",
        sample=to_sample,
        prompt=prompt,
        answer=first_line,
        scorer=score,
        variants=(Variant(name="official", scorer=score_officially),),
        metrics=(
            MeanCredit("F1"),
            MeanCredit("F1", variant="official"),
            MeanValue("EM", unit="%", scale=100.0, best=100.0, variant="official"),
        ),
        size=9536,
        protocols=(
            Protocol(
                name=VARIABLE, shots=FIXED, max_tokens=128, stop=stop, drop_shots=True,
                source="Gemini 1.0 report, table 2; Gemini 1.5 report, on DROP; examples: evalkit's choice",
            ),
            Protocol(
                name="3-shot", shots=FIXED, max_tokens=128, stop=stop, drop_shots=True,
                source="Gemini 1.0 report, table 2 (of GPT-4); examples: evalkit's choice",
            ),
            Protocol(name=ZERO_SHOT, max_tokens=256, source="evalkit"),
        ),
        max_shots=FIXED,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
