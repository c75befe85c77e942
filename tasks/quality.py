"""QuALITY: 2,086 four-choice questions about texts of some 5,000 words (Pang et al. 2022).

The report counts QuALITY, as in SCROLLS, among the benchmarks of long context (appendix 10.3) and prints no
figure, so its prompt, shots and score are unknown. Data: the validation split as `emozilla/quality` has it,
with the authors' hard subset: questions that people under time pressure got wrong more often than right. The
groups are `hard` and `easy`; the usual figures are that of all questions and that of `hard`. The articles'
licences differ and the questions are CC BY 4.0.

- `0-shot` takes the likeliest letter after the article, the question and its choices; `0-shot-chat` generates
  the letter. Both put the article first.
- `0-shot-scrolls` asks as SCROLLS does (tau-nlp/scrolls at bfc0da0): the question, its choices, then the
  article, and the text of a choice as the answer, in SQuAD's normalisation.
- `0-shot-continuation` is the `scrolls_quality` of lm-evaluation-harness 0.4.13: the article, "Question: …",
  "Answer:", and the choices' texts as continuations, divided by their characters (its `acc_norm` and `em`);
  beside it `accuracy (unnormalised)` (`acc`) and, as in `hellaswag`, by bytes.

Intervals resample articles. A model whose context is too short for an article fails on its questions; nothing
is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.api import (
    BY_BYTES,
    WHOLE,
    Accuracy,
    Hub,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_continuations,
    ask_likelihoods,
    choose_continuation,
    choose_letter,
    letters,
    list_of,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring import chat_letter
from evalkit.scoring.squad import squad_normalise

from .kit import wrong_letters

REVISION = "52ff65ed05238d957cfa57cdf500670d18335b29"
CHAT, SCROLLS, CONTINUATION = "0-shot-chat", "0-shot-scrolls", "0-shot-continuation"


def to_sample(record: Record) -> Sample:
    """`answer` counts from 0. Raises `ValueError` for one that no choice has."""
    article, question = record["article"], record["question"]
    choices = tuple(" ".join(option.split()) for option in list_of(record["options"], "options"))
    if not 0 <= record["answer"] < len(choices):
        raise ValueError(f"the answer to {question[:60]!r} is {record['answer']}: there are {len(choices)}")
    return Sample(
        id=sample_id(article, question, *choices),
        input=question,
        target=("ABCD"[record["answer"]],),
        choices=choices,
        group="hard" if record["hard"] else "easy",
        cluster=sample_id(article),
        meta={"article": article.strip()},
    )


@versioned("quality.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    article, question = str(sample.meta["article"]), sample.input.strip()
    marked = zip(letters(sample), sample.choices, strict=True)
    choices = [f"({letter}) {choice}" for letter, choice in marked]
    if protocol.name == SCROLLS:
        text = "\n\n".join([question, " ".join(choices), article])
    elif protocol.name == CONTINUATION:
        text = f"{article}\n\nQuestion: {question}\nAnswer:"
    else:
        text = "\n".join([article, "", f"Question: {question}", *choices, "Answer:"])
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("quality.text_letter", 1)
def text_letter(text: str, sample: Sample) -> str | None:
    """The letter of the choice whose text the response is, in SQuAD's normalisation; else `chat_letter`'s.

    SCROLLS compares texts alone, so a response such as "B" or "(B) a ship" is wrong there.
    """
    bare = squad_normalise(text)
    same = [
        x
        for x, choice in zip(letters(sample), sample.choices, strict=True)
        if squad_normalise(choice) == bare
    ]
    return same[0] if len(same) == 1 else chat_letter(text, sample)


@versioned("quality.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], sample, protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    generated = protocol.reader not in (choose_letter, choose_continuation)
    return wrong_letters(sample, lambda letter: _as_response(letter, sample, protocol), generated=generated)


def _as_response(letter: str, sample: Sample, protocol: Protocol) -> str:
    if protocol.name in (SCROLLS, CONTINUATION):
        return sample.choices[letters(sample).index(letter)]
    return f" {letter}" if protocol.api == "completion" else letter


@task("quality")
def quality() -> Task:
    """Four-choice questions about long articles (Pang et al. 2022)"""
    return Task(
        data=Hub(
            "emozilla/quality", "default", split="validation", revision=REVISION,
            columns=("article", "question", "options", "answer", "hard"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer={SCROLLS: text_letter, "chat": chat_letter, "completion": chat_letter},
        scorer=score,
        metrics=(Accuracy(), Accuracy(variant=BY_BYTES), Accuracy(variant=WHOLE)),
        size=2086,
        protocols=(
            Protocol(
                name="0-shot", solver=ask_likelihoods, reader=choose_letter, api="completion", max_tokens=1,
                logprobs=20, source="evalkit; the letters as in MMLU's",
            ),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
            Protocol(name=SCROLLS, max_tokens=128, source="Shaham et al. 2022; tau-nlp/scrolls at bfc0da0"),
            Protocol(
                name=CONTINUATION, solver=ask_continuations, reader=choose_continuation, api="completion",
                likelihood="prompt", max_tokens=1, branches=(BY_BYTES, WHOLE),
                source="lm-evaluation-harness 0.4.13, scrolls_quality",
            ),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
