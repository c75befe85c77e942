"""Qasper: questions about papers on language processing, asked from title and abstract (Dasigi et al. 2021).

The report counts Qasper, as in SCROLLS, among the benchmarks of long context (appendix 10.3) and prints no
figure, so its prompt, shots and score are unknown. Data: `qasper.zip` of `tau/scrolls` at fd1aa83, validation
split, CC BY 4.0 (arXiv 2105.03011); SCROLLS keeps the answers of its test split. The data set's script is not
run: the JSON lines in the zip file are read. Each line is one person's answer, and lines with the same id are
the references of one question; the data has some 1,700 lines, and how many questions these are could not be
verified, so a run is not marked for its size. A line has the question, a blank line, and the paper, which
SCROLLS does not name: papers are told apart by their text. Intervals resample papers.

Measure: F1 over tokens in SQuAD's normalisation, the best over the references, as in SCROLLS and in Qasper's
own script. A question without an answer in the paper has the reference "Unanswerable", a question to be
confirmed or denied "Yes" or "No", and several spans are one text, joined by ", ". Groups are these types of
the first reference: `unanswerable`, `yes or no`, and `text`.

- `0-shot` is the prompt of lm-evaluation-harness's `scrolls_qasper`: the paper, "Question: …", "Answer:". The
  harness differs in two ways that are not copied. If all references are "Yes" or "No", which only the
  references tell, it compares the likelihoods of these two words instead of asking; and it reads an empty
  response as "Unanswerable". Here an empty response is no answer.
- `0-shot-scrolls` is SCROLLS' form: the question, a blank line, the paper.
- `0-shot-chat` is evalkit's own: it says how to answer what the paper does not, and for chat models.

A model whose context is too short for a paper fails on its questions; nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    HubZip,
    Mapped,
    MeanCredit,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    list_of,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring.squad import first_line, squad_exact_match, squad_f1, squad_normalise

from .kit import about_document, best_answer, credited, strange_sign

NAME, REVISION = "tau/scrolls", "fd1aa83070c138b7b7f381388d3b59f1f70a0fa7"
CHAT, SCROLLS = "0-shot-chat", "0-shot-scrolls"
TYPES = {"unanswerable": "unanswerable", "yes": "yes or no", "no": "yes or no"}
"""Groups by the first reference in SQuAD's normalisation; any other is a `text`."""
INSTRUCTION = (
    "Answer the question about the paper as briefly as you can, with words of the paper where possible, and "
    'nothing else. If the question can be confirmed or denied, answer "Yes" or "No". If the paper does not '
    'answer it, answer "Unanswerable".'
)


@versioned("qasper.with_references", 1)
def with_references(records: Iterable[Record]) -> Iterator[Record]:
    """One record for each id, in the order of the data, with the `outputs` of all lines that have it."""
    found: dict[str, Record] = {}
    for record in records:
        first = found.setdefault(record["id"], {**record, "outputs": []})
        first["outputs"].append(record["output"])
    yield from found.values()


def to_sample(record: Record) -> Sample:
    """A question about a paper. Raises `ValueError` without a blank line after it, and without an answer."""
    question, _, paper = record["input"].partition("\n\n")
    target = tuple(
        dict.fromkeys(text.strip() for text in list_of(record["outputs"], "outputs") if text and text.strip())
    )
    if not paper.strip() or not target:
        raise ValueError(f"question {record['id']} has no {'answer' if paper.strip() else 'paper'}")
    return Sample(
        id=record["id"],
        input=question.strip(),
        target=target,
        group=TYPES.get(squad_normalise(target[0]), "text"),
        cluster=sample_id(paper.strip()),
        document=paper.strip(),
    )


@versioned("qasper.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return about_document(sample, protocol, INSTRUCTION, "Paper")


@versioned("qasper.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """SQuAD's F1 as credit."""
    f1 = squad_f1(answer, sample.target)
    return credited(f1, f"F1 {f1:.3f}" + (", exact" if squad_exact_match(answer, sample.target) else ""))


def gold(sample: Sample, protocol: Protocol) -> str:
    """A reference that has tokens, if one has, on one line."""
    return " ".join(best_answer(sample, squad_f1).split())


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A word of no answer, the right answer only below it, and nothing."""
    stranger = 3 * strange_sign((*sample.target, "aehnt"), "b")
    return (stranger, f"{stranger}\n{sample.target[0]}", "")


@task("qasper")
def qasper() -> Task:
    """Questions about papers on language processing (Dasigi et al. 2021)"""
    return Task(
        data=Mapped(
            HubZip(NAME, "qasper.zip", "validation", REVISION, ("id", "input", "output")), with_references
        ),
        sample=to_sample,
        prompt=prompt,
        answer=first_line,
        scorer=score,
        metrics=(MeanCredit("F1"),),
        protocols=(
            Protocol(
                name="0-shot", api="completion", max_tokens=128, stop=("\n",),
                source="lm-evaluation-harness 0.4.13, scrolls_qasper",
            ),
            Protocol(name=SCROLLS, max_tokens=128, source="Shaham et al. 2022; tau-nlp/scrolls at bfc0da0"),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
