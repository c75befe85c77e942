r"""Negative log-likelihood by position: whether a model uses a long context, on long texts of your own.

    evalkit run -m openai/my-model --base-url http://localhost:8000/v1 -t nll-by-position \
        --set dataset=./books

Figure 4 of the report shows the negative log-likelihood of a token by its index, on held-out documents of
more than 32,000 tokens. It prints no number, and nothing public is surely held out, so the texts are yours:
`dataset` is a folder of .txt files, one text in each, or a file or folder of records (JSON lines, JSON, CSV,
Parquet) or `owner/name` on the Hub, whose texts are in the column `column` of `split`. Each text is a
cluster. The test split of PG-19 (Rae et al. 2019) is a stand-in: a hundred books as .txt files, which many
models have read. On the Hub it was a script, which evalkit does not run. `--data builtin` reads three short
texts of evalkit's.

The endpoint has to return log-probabilities of the prompt's own tokens (completions with `echo`, as vLLM and
SGLang; llama.cpp's server does not). The first requests of a run check that it does. A text is one request.
For texts that do not fit, `window` is the most characters of a request, and `stride` by how many the window
moves (half its size, if it is not set): only tokens in the new part count. These are characters, so that
models with other tokenisers are asked the same. `shortest` leaves shorter texts out, and `longest` cuts
longer ones, both in characters: where only some texts reach a position, the mean there is of other texts.

The headline is bits per byte of UTF-8, which do not depend on the tokeniser; beside it stand nats per token.
Positions are counted from 1 at the beginning of a request, without tokens that the server adds, such as a
BOS. Without a BOS, the first token has no log-probability and does not count. `evalkit report` shows the mean
in each octave of positions (1, 2 to 3, 4 to 7, …): nats per token, as in figure 4, and bits per byte by the
position in bytes, which models with other tokenisers share. It also fits L(x) = αx^β + γ, as the Gemini 1.5
report does (`evalkit.stats.by_position`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from evalkit.api import (
    JSON,
    WINDOWS,
    Data,
    DataOptions,
    Hub,
    Local,
    LogLoss,
    Mapped,
    Protocol,
    Record,
    Records,
    Sample,
    Task,
    TextFolder,
    UsageError,
    Verdict,
    ask_prompt_tokens,
    between_words,
    by_position,
    sample_id,
    task,
    versioned,
    windows,
)

from .kit import is_on_the_hub


@dataclass(frozen=True, slots=True)
class OwnTexts:
    """evalkit's three short texts, if `--data` requests them."""

    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `UsageError` without `--data`."""
        if options is None or not options.elsewhere:
            raise UsageError(
                "nll-by-position has no public data: --set dataset=FOLDER reads long texts of your own, a "
                ".txt file for each; --data builtin reads three short ones of evalkit's"
            )
        return Hub("evalkit/texts", "default", "test", "main", ("text",)).open(options)


def place(dataset: str, column: str, config: str, split: str) -> Data:
    """Where the texts are."""
    path = Path(dataset).expanduser()
    if not dataset:
        return OwnTexts()
    if is_on_the_hub(dataset):
        return Hub(dataset, config, split, "main", (column,))
    return TextFolder(path) if TextFolder.fits(path) else Local(path, config, split, (column,))


@versioned("nll_by_position.long_enough", 1)
def long_enough(records: Iterable[Record], column: str, least: int) -> Iterator[Record]:
    """The records whose text has at least `least` characters."""
    return (record for record in records if len(str(record[column])) >= least)


def sample_of(column: str, longest: int, window: int, stride: int) -> Callable[[Record], Sample]:
    """The function that makes a record a sample; it raises `ValueError` for a text that is blank or none."""

    def to_sample(record: Record) -> Sample:
        text = record[column]
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{column!r} has to be a text that is not blank, and is {text!r:.40}")
        if longest and len(text) > longest:
            text = text[: between_words(text, longest)]
        name = str(record.get("name") or record.get("id") or sample_id(text))
        asked: JSON = [[*one] for one in windows(text, window, stride)]
        return Sample(name, text, (), meta={"name": name, "characters": len(text), WINDOWS: asked})

    return to_sample


@versioned("nll_by_position.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> str:
    return sample.input


@versioned("nll_by_position.read", 1)
def read(text: str, sample: Sample) -> str | None:
    """The text as it is. It does not count, because the answer is made of log-probabilities."""
    return text


@versioned("nll_by_position.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """Every text with log-probabilities is answered; there is no right and wrong."""
    return Verdict(True, answer)


def number(name: str, text: str) -> int:
    """An option that counts characters. Raises `UsageError`."""
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"--set {name}={text}: must be a number of characters, 0 for none")
    return int(text)


def in_words(window: int, stride: int) -> str:
    """How the texts are asked, for the signature and the table."""
    if not window:
        return "one request for each text"
    return f"windows of {window} characters, each moved by {stride or window // 2}"


@task("nll-by-position", report="Figure 4")
def nll_by_position(
    *,
    dataset: str = "",
    column: str = "text",
    config: str = "default",
    split: str = "test",
    window: str = "0",
    stride: str = "0",
    shortest: str = "0",
    longest: str = "0",
) -> Task:
    """Negative log-likelihood by position in long texts of your own: --set dataset=FOLDER"""
    size, step, most = number("window", window), number("stride", stride), number("longest", longest)
    if step and not size:
        raise UsageError(f"--set stride={stride}: only a window moves; add --set window=CHARACTERS")
    windows("", size, step)  # checks them
    data = place(dataset, column, config, split)
    if least := number("shortest", shortest):
        data = Mapped(data, partial(long_enough, column=column, least=least))
    notes: Mapping[str, JSON] = {"asked": in_words(size, step)}
    return Task(
        data=data,
        sample=sample_of(column, most, size, step),
        prompt=prompt,
        answer=read,
        scorer=score,
        metrics=(LogLoss("byte"), LogLoss("token")),
        reference_free=True,
        protocols=(
            Protocol(
                name="prompt-tokens", solver=ask_prompt_tokens, reader=by_position, api="completion",
                max_tokens=1, needs=("echo",), source="evalkit, after figure 4 of the Gemini 1.0 report",
            ),
        ),
        notes=lambda protocol: notes,
        gold=lambda sample, protocol: "",
    )  # fmt: skip
