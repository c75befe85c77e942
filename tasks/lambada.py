"""LAMBADA: the last word of 5,153 passages, which needs more than their last sentence (Paperno et al. 2016).

The report withholds its results on LAMBADA because of contamination, and counts it among the benchmarks of
reasoning (appendix 10.3). So there is no protocol of the report's; evalkit has those in use, on the version
of the data that OpenAI made for GPT-2, with capitals and punctuation (`EleutherAI/lambada_openai`):

- `0-shot` continues the passage greedily: the first word of the response, without punctuation around it, has
  to be the last word of the passage in every letter.
- `0-shot-likelihood` is the `lambada_openai` of lm-evaluation-harness 0.4.13: an answer is right if every
  token of " " and the last word is the likeliest one (`acc`), and `perplexity` is exp of minus the mean
  log-probability of the word (`perplexity`). The word is what follows the last blank of the passage.
- `0-shot-chat` asks a chat for the word, and finds it in a sentence too (`The word is "lamp".`). It is
  evalkit's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    Hub,
    Message,
    Perplexity,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_reference,
    greedy_reference,
    sample_id,
    task,
    versioned,
)

from .kit import first_reference

CHAT, LIKELIHOOD = "0-shot-chat", "0-shot-likelihood"
INSTRUCTION = "Which word comes last in this passage, in place of the gap? Reply with that word alone."
_WORD = r"(\w+(?:['’-]\w+)*)"
_MARKED = re.compile(rf"(?:\bis|:)\s*[\"“”'‘*_`]+{_WORD}[.,]?[\"“”'’*_`]")
_LAST = re.compile(rf"(?:\bis|:)\s+{_WORD}[.!]*\s*$", re.MULTILINE)
_AROUND = re.compile(r"^[^\w]+|[^\w]+$")


def to_sample(record: Record) -> Sample:
    """Raises `ValueError` for a passage without a blank before its last word."""
    passage, blank, word = record["text"].rpartition(" ")
    if not blank or not word.strip():
        raise ValueError(f"no last word in the passage that ends with {record['text'][-60:]!r}")
    return Sample(id=sample_id(record["text"]), input=passage, target=(word,))


@versioned("lambada.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    text = f"{INSTRUCTION}\n\n{sample.input} ____" if protocol.name == CHAT else sample.input
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("lambada.first_word", 1)
def first_word(text: str, sample: Sample) -> str | None:
    """The first word of a response, without punctuation and stars around it; None if there is none."""
    words = (_AROUND.sub("", word) for word in text.split())
    return next(filter(None, words), None)


@versioned("lambada.chat_word", 1)
def chat_word(text: str, sample: Sample) -> str | None:
    """The word that a sentence of the reply names, in marks or at the end of a line; else its first word."""
    for pattern in (_MARKED, _LAST):
        if named := pattern.findall(text):
            return str(named[-1])
    return first_word(text, sample)


@versioned("lambada.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """Equal in every letter; punctuation around the reference does not count, as none is read."""
    right = answer in (sample.target[0], _AROUND.sub("", sample.target[0]))
    return Verdict(right, f"{answer} {'=' if right else '≠'} {sample.target[0]}")


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A longer word, the right word after another one, and nothing."""
    word = sample.target[0]
    return (f"{word}x", f"perhaps {word}" if word != "perhaps" else "maybe", "")


@task("lambada")
def lambada() -> Task:
    """The last word of a passage (Paperno et al. 2016)"""
    return Task(
        data=Hub(
            "EleutherAI/lambada_openai", "default", split="test", revision="main", columns=("text",)
        ),
        sample=to_sample,
        prompt=prompt,
        answer={"0-shot": first_word, LIKELIHOOD: first_word, CHAT: chat_word},
        scorer=score,
        metrics=(Accuracy(), Perplexity()),
        size=5153,
        protocols=(
            Protocol(name="0-shot", api="completion", max_tokens=16, stop=("\n",), source="evalkit"),
            Protocol(
                name=LIKELIHOOD, solver=ask_reference, reader=greedy_reference, api="completion",
                likelihood="prompt", max_tokens=1, branches=("likelihood",),
                source="lm-evaluation-harness 0.4.13, lambada_openai",
            ),
            Protocol(name=CHAT, max_tokens=64, source="evalkit"),
        ),
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip
