"""NarrativeQA: 10,557 questions about 355 books and film scripts (Kočiský et al. 2018, arXiv 1712.07040).

The report counts NarrativeQA among the benchmarks of long context (appendix 10.3) and prints no figure; its
prompt, split, score and what was cut are unknown. Data: the test split of `deepmind/narrativeqa`, Apache-2.0
(the texts have their own rights); `--set split=validation` reads 3,461 questions about 115 texts. People read
a summary and asked about it, and two others answered from it, each in their own words. 18 questions come
again with the same answers (8 in validation); they count twice, and the second id ends with "#2". Intervals
resample documents; groups are `gutenberg` (books) and `movie` (scripts).

Measure: F1 over tokens in SQuAD's normalisation, the better of two references, as in SCROLLS. Beside it
ROUGE-L with Porter's stemmer, as in HELM, and `F1 (HELM)`, HELM's measure of that name, which counts a word
once however often it occurs. Both take the better reference.

`narrativeqa` shows the whole story as the data has it, from the words at which the authors let it begin to
those at which they let it end, and without the licence that ends a book of Project Gutenberg. The scripts
keep the markup that they have. Most stories do not fit into a window of 32,768 tokens: of the 355 files of
the test split 324 have more than 100,000 bytes (documents.csv in google-deepmind/narrativeqa at 904246f).
Tokens differ from model to model, so texts are cut by characters: `--set characters=100000`, the default, is
some 25,000 tokens of prose, and more of a script with much markup; `characters=all` cuts nothing, and a
prompt that does not fit then fails. `--set keep=start` keeps the beginning, `end` the end, and `ends` as much
of both, with "[...]" between them. `story cut` is the share of questions whose story was cut; they have the
tag `story cut`.

- `0-shot` is the prompt of lm-evaluation-harness's `scrolls_narrativeqa`: story, "Question: …", "Answer:".
- `0-shot-scrolls` is SCROLLS' form: the question, a blank line, the story.
- `0-shot-chat` is evalkit's own, for chat models as they are used.

`narrativeqa-summaries` shows the summary instead, which has some 600 words and is never cut. `5-shot` is
HELM's prompt (crfm-helm 0.5.16: "Passage: …", "Question: …", "Answer:") with the first questions of the first
five documents of the validation split as examples; HELM draws them from the training split, and asks one
question of each document. `0-shot-chat` is evalkit's own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    Hub,
    Mapped,
    MeanCredit,
    MeanValue,
    Message,
    Metric,
    Prompt,
    Protocol,
    Record,
    Sample,
    ShareOfSamples,
    Task,
    UsageError,
    Verdict,
    list_of,
    sample_id,
    task,
    text_of,
    unknown,
    versioned,
)
from evalkit.scoring.rouge import best_rouge, stemmed
from evalkit.scoring.squad import first_line, helm_f1, squad_exact_match, squad_f1

from .kit import about_document, best_answer, credited, strange_sign

NAME, REVISION = "deepmind/narrativeqa", "2e643e7363944af1c33a652d1c87320d0871c4e4"
SIZES = {"test": 10557, "validation": 3461}
KEPT = {"start": "first", "end": "last", "ends": "first and last"}
CHAT, SCROLLS = "0-shot-chat", "0-shot-scrolls"
SHOTS = 5
CUT, WHOLE = "story cut", "story whole"
GAP = "\n\n[...]\n\n"
BRIEFLY = "Answer the question with a few words or one short sentence, and nothing else."
_LICENCE = re.compile(r"\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG", re.IGNORECASE)


@versioned("narrativeqa.with_story", 1)
def with_story(records: Iterable[Record], characters: int | None, keep: str) -> Iterator[Record]:
    """Each question with its story, cut to `characters`. The same text serves all questions of a document."""
    ids: set[str] = set()
    held: dict[str, tuple[str, bool]] = {}
    for record in records:
        shown = record["document"]
        if shown["id"] not in held:  # only the last document is kept
            text = story_of(shown["text"], shown["start"], shown["end"])
            held = {
                shown["id"]: (cut(text, characters, keep), characters is not None and len(text) > characters)
            }
        story, was_cut = held[shown["id"]]
        yield {**_asked(record, ids), "text": story, "cut": was_cut}


@versioned("narrativeqa.with_summary", 1)
def with_summary(records: Iterable[Record]) -> Iterator[Record]:
    """Each question with the summary of its story."""
    ids: set[str] = set()
    for record in records:
        yield {**_asked(record, ids), "text": record["document"]["summary"]["text"].strip()}


@versioned("narrativeqa.first_questions", 1)
def first_questions(records: Iterable[Record]) -> Iterator[Record]:
    """The first question of each of the first `SHOTS` documents, with its summary."""
    seen: set[str] = set()
    for record in with_summary(records):
        if record["document"] not in seen:
            seen.add(record["document"])
            yield record
        if len(seen) == SHOTS:
            return


def _asked(record: Record, ids: set[str]) -> Record:
    """What is read of a record. Of a question that comes again, the id gets a number."""
    document, question = record["document"], record["question"]["text"].strip()
    answers = [answer["text"].strip() for answer in record["answers"]]
    name = number = sample_id(document["id"], question, *answers)
    times = 1
    while number in ids:
        times += 1
        number = f"{name}#{times}"
    ids.add(number)
    return {
        "id": number,
        "document": document["id"],
        "kind": document["kind"],
        "question": question,
        "answers": [answer for answer in answers if answer],
    }


def story_of(text: str, start: str, end: str) -> str:
    """The text from the words `start` to the words `end`, without a licence of Project Gutenberg after it.

    documents.csv has the first and the last three tokens of each story. Words that do not occur are ignored.
    """
    begin = next(_places(text, start), (0, 0))[0]
    licence = _LICENCE.search(text, begin)
    stop = licence.start() if licence else max((last for _, last in _places(text, end)), default=len(text))
    return text[begin : stop if stop > begin else len(text)].strip("\ufeff \t\r\n")


def _places(text: str, words: str) -> Iterator[tuple[int, int]]:
    """Where the words stand in the text, with any white space between their tokens, or none."""
    tokens = words.split()
    if tokens:
        yield from (found.span() for found in re.finditer(r"\s*".join(map(re.escape, tokens)), text))


def cut(text: str, characters: int | None, keep: str) -> str:
    """At most `characters` of the text, without a part of a word at the cut; `GAP` does not count."""
    if characters is None or len(text) <= characters:
        return text
    if keep == "start":
        return _head(text, characters)
    if keep == "end":
        return _tail(text, characters)
    return _head(text, characters - characters // 2) + GAP + _tail(text, characters // 2)


def _head(text: str, characters: int) -> str:
    kept = text[:characters]
    if not (kept[-1].isspace() or text[characters].isspace()):
        kept = kept.rsplit(None, 1)[0]  # a text without white space stays as it is
    return kept.rstrip()


def _tail(text: str, characters: int) -> str:
    kept = text[-characters:]
    if not (kept[0].isspace() or text[-characters - 1].isspace()):
        kept = kept.split(None, 1)[-1]
    return kept.lstrip()


def to_sample(record: Record) -> Sample:
    """A question and both answers. Raises `ValueError` if both are blank."""
    if not record["answers"]:
        raise ValueError(f"the question {record['question'][:60]!r} has no answer")
    was_cut = record.get("cut")
    return Sample(
        id=record["id"],
        input=record["question"],
        target=tuple(list_of(record["answers"], "answers")),
        group=record["kind"],
        cluster=record["document"],
        tags=() if was_cut is None else (CUT if was_cut else WHOLE,),
        meta={} if was_cut is None else {"cut": was_cut},
        document=text_of(record["text"], "text"),
    )


@versioned("narrativeqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return about_document(sample, protocol, BRIEFLY, "Story")


@versioned("narrativeqa.prompt_summaries", 1)
def prompt_summaries(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == CHAT:
        text = f"{BRIEFLY}\n\nSummary:\n{sample.document}\n\nQuestion: {sample.input}"
    else:
        shown = [f"{_passage(shot)} {shot.target[0]}" for shot in sample.shots[: protocol.shots]]
        text = "\n\n".join([*shown, _passage(sample)])
    return text if protocol.api == "completion" else (Message("user", text),)


def _passage(sample: Sample) -> str:
    question = sample.input if sample.input.endswith("?") else f"{sample.input}?"
    return f"Passage: {sample.document}\nQuestion: {question}\nAnswer:"


@versioned("narrativeqa.scorer", 1, packages=("rapidfuzz",))
def score(answer: str, sample: Sample) -> Verdict:
    """SQuAD's F1 as credit; ROUGE-L and HELM's F1, 0 to 1, as values."""
    f1 = squad_f1(answer, sample.target)
    exact = squad_exact_match(answer, sample.target)
    longest = best_rouge(answer, sample.target, tokens=stemmed).rougeL
    verdict = credited(f1, f"F1 {f1:.3f}, ROUGE-L {longest:.3f}" + (", exact" if exact else ""))
    values = {"rougeL": longest, "helm": helm_f1(answer, sample.target)}
    return Verdict(verdict.correct, verdict.reason, verdict.credit, values)


def gold(sample: Sample, protocol: Protocol) -> str:
    """A reference that has tokens, if one has, on one line."""
    return " ".join(best_answer(sample, squad_f1).split())


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A word of no answer, the right answer only below it, and nothing."""
    stranger = 3 * strange_sign((*sample.target, "aehnt"), "b")
    return (stranger, f"{stranger}\n{sample.target[0]}", "")


def _metrics() -> tuple[Metric, ...]:
    return (
        MeanCredit("F1"),
        MeanValue("rougeL", unit="%", scale=100.0, best=100.0),
        MeanValue("helm", "F1 (HELM)", unit="%", scale=100.0, best=100.0),
    )


def _hub(split: str) -> Hub:
    return Hub(NAME, "default", split, REVISION, ("document", "question", "answers"))


def _needs() -> None:
    stemmed("stories")  # the packages of ROUGE


@task("narrativeqa")
def narrativeqa(*, split: str = "test", characters: str = "100000", keep: str = "start") -> Task:
    """Questions about whole books and film scripts (Kočiský et al. 2018)"""
    if split not in SIZES:
        raise unknown("split of NarrativeQA", split, SIZES)
    if keep not in KEPT:
        raise unknown("part of a story to keep", keep, KEPT)
    most = None if characters == "all" else int(characters) if re.fullmatch("[0-9]{1,9}", characters) else 0
    if most is not None and most < 2:
        raise UsageError(f"characters={characters}: must be a whole number, at least 2, or all")
    shown = "all of it" if most is None else f"its {KEPT[keep]} {most:,} characters"
    made = functools.partial(with_story, characters=most, keep=keep)
    return Task(
        data=Mapped(_hub(split), made, count="same"),
        sample=to_sample,
        prompt=prompt,
        answer=first_line,
        scorer=score,
        metrics=(*_metrics(), ShareOfSamples(CUT, "cut", higher_is_better=False)),
        size=SIZES[split],
        notes=lambda protocol: {"story": shown},
        needs=_needs,
        protocols=(
            Protocol(
                name="0-shot", api="completion", max_tokens=100, stop=("\n",),
                source="lm-evaluation-harness 0.4.13, scrolls_narrativeqa; 100 tokens: HELM",
            ),
            Protocol(name=SCROLLS, max_tokens=128, source="Shaham et al. 2022; tau-nlp/scrolls at bfc0da0"),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip


@task("narrativeqa-summaries")
def narrativeqa_summaries() -> Task:
    """Questions about the summaries of books and film scripts (Kočiský et al. 2018)"""
    return Task(
        data=Mapped(_hub("test"), with_summary, count="same"),
        dev=Mapped(_hub("validation"), first_questions),
        shots_by=lambda sample: "",
        sample=to_sample,
        prompt=prompt_summaries,
        answer=first_line,
        scorer=score,
        metrics=_metrics(),
        size=SIZES["test"],
        needs=_needs,
        protocols=(
            Protocol(
                name="5-shot", shots=SHOTS, api="completion", max_tokens=100, stop=("\n",), drop_shots=True,
                source="HELM, narrative_qa (crfm-helm 0.5.16); examples: evalkit's choice",
            ),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
        ),
        max_shots=SHOTS,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
