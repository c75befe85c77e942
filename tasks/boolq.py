r"""BoolQ: 3,270 yes-or-no questions about a paragraph (Clark et al. 2019, arXiv 1905.10044).

Data: `google/boolq` at 35b264d, CC BY-SA 3.0: 9,427 questions to train, 3,270 for validation, which every
paper scores, because the test split has no answers. Questions are in lower case without a question mark,
which the prompt adds. Intervals resample paragraphs, since some have several questions. SuperGLUE's copy
has the same questions with labels of 0 and 1.

Measure: accuracy. Beside it stands `always "yes"`, what this answer alone would reach.

Table 3 of the report prints 71.6 for Nano 1 and 79.3 for Nano 2 as "accuracy", without a prompt, shots or how
an answer is read. So no protocol here is known to be the report's:

- `0-shot`: the prompt of lm-evaluation-harness 0.4.13, "{passage}\nQuestion: {question}?\nAnswer:"; the
  answer is the first word of the response, or that after "the answer is".
- `0-shot-likelihood`: the same prompt, and the likelier of " yes" and " no", as the harness's `boolq` does
  it. It is for base models; a tie goes to " no", which the harness has first.
- `0-shot-chat`: evalkit's own instruction, for chat models as they are used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    Answer,
    Context,
    Final,
    Hub,
    Message,
    Prompt,
    Protocol,
    Reading,
    Record,
    Sample,
    ScorerError,
    ShareOfSamples,
    Task,
    Verdict,
    sample_id,
    task,
    versioned,
)

LIKELIHOOD, CHAT = "0-shot-likelihood", "0-shot-chat"
WORDS = ("no", "yes")
INSTRUCTION = "Answer the question about the passage with yes or no, and nothing else."
_WORD = r"\W{0,100}(?P<word>yes|no|true|false)\b"
_FIRST = re.compile(_WORD, re.IGNORECASE)
_STATED = re.compile(rf"\banswer\b[^.!?\n]{{0,400}}?(?:\bis\b|:){_WORD}", re.IGNORECASE)
_MEANS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


def to_sample(record: Record) -> Sample:
    question, passage, answer = record["question"], record["passage"], record["answer"]
    if not isinstance(answer, bool):
        raise ValueError(f"the answer to {question[:60]!r} is {answer!r}, not true or false")
    return Sample(
        id=sample_id(question, passage),
        input=question,
        target=(WORDS[answer],),
        cluster=sample_id(passage),
        meta={"passage": passage, "yes": answer},
    )


@versioned("boolq.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    text = f"{sample.meta['passage']}\nQuestion: {sample.input}?\nAnswer:"
    if protocol.name == CHAT:
        text = f"{INSTRUCTION}\n\nPassage: " + text.removesuffix("\nAnswer:")
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("boolq.ask_words", 1)
async def ask_words(context: Context) -> None:
    """Asks for the likelihood of " no" and " yes" after the prompt."""
    assert isinstance(context.prompt, str)  # the protocol's api is completion
    await context.continuations(context.prompt, [f" {word}" for word in WORDS])


@versioned("boolq.likelier_word", 1)
def likelier_word(reading: Reading) -> Answer:
    """The answer is the likelier of the two words. Raises `ScorerError` if there are no likelihoods."""
    (response,) = reading.transcript.responses
    if len(response.likelihoods) != len(WORDS):
        raise ScorerError("the response has no likelihoods of yes and no")
    scores = [likelihood.logprob for likelihood in response.likelihoods]
    word = WORDS[scores.index(max(scores))]
    return Answer((Final(word),), {"logprobs": dict(zip(WORDS, scores, strict=True))})


@versioned("boolq.yes_or_no", 2)
def yes_or_no(text: str, sample: Sample) -> str | None:
    """The first word of the response, else that after the last "the answer is"; None if it is neither."""
    first = _FIRST.match(text)
    found = [first] if first else list(_STATED.finditer(text))
    return _MEANS[found[-1]["word"].lower()] if found else None


@versioned("boolq.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0]


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The other word; if it is generated, also before the right one, no word, and nothing."""
    right = sample.target[0]
    (other,) = set(WORDS) - {right}
    if protocol.name == LIKELIHOOD:
        return (other,)
    return (
        other,
        f"{other.title()}. Or {right}?",
        f"Was it {right}? The answer is: **{other}**",
        "Nobody knows",
        "",
    )


@task("boolq", report="Table 3")
def boolq() -> Task:
    """Yes-or-no questions about paragraphs (Clark et al. 2019)"""
    return Task(
        data=Hub(
            "google/boolq", "default", split="validation",
            revision="35b264d03638db9f4ce671b711558bf7ff0f80d5", columns=("question", "answer", "passage"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer=yes_or_no,
        scorer=score,
        metrics=(Accuracy(), ShareOfSamples('always "yes"', "yes")),
        size=3270,
        protocols=(
            Protocol(
                name="0-shot", max_tokens=32, stop=("\nQuestion:",),
                source="lm-evaluation-harness boolq; the Gemini 1.0 report, table 3, gives no protocol",
            ),
            Protocol(
                name=LIKELIHOOD, solver=ask_words, reader=likelier_word, api="completion", max_tokens=1,
                logprobs=1, likelihood="prompt", source="lm-evaluation-harness boolq",
            ),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
