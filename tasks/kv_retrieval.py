"""Retrieval over the context: pairs of UUIDs, a long filler, and a question for one value.

The report (section 5.1.5) places "key-value pairs at the beginning of the context", then "long filler text",
and asks for the value of one key. Ultra gives it "with 98% accuracy when queried across the full context
length" of 32,768 tokens; no table prints it. How many pairs, what they and the filler look like, the prompt,
the rule and the number of trials are not said. What stands here:

- Pairs are random UUIDs, as in lost-in-the-middle (Liu et al. 2023, arXiv 2307.03172), 64 by default.
  `evalkit.tasks.kv_retrieval_data` makes them and the filler from `seed`; there are no files.
- Contexts have 1k to 32k tokens by default (`lengths`, up to millions), counted by the tokeniser that
  `tokenizer` names: the model's tokenizer.json, or a server with the route /tokenize. Without one, a token
  counts as four characters; UUIDs have two to three times as many. The signature says which it was.
  256 tokens of each length stay free for the chat template and the answer.
- Where 64 pairs do not fit, as into 1k and 2k tokens, there are fewer, and the signature says how many.
- The question is at the end, and the wanted pair is equally often in each part (`positions`, five by default)
  of the pairs. Groups are the combinations of length and part, which the heat map shows; tags are both.
- Right is a response that contains the value, ignoring case: the rule of lost-in-the-middle
  (scripts/evaluate_kv_responses.py at 29b8a6d). `accuracy (exact)` wants the value alone.
- 26 samples for each of the 30 combinations: 780, so that the interval of 98 % over all lengths is 1 point
  wide to each side, which 753 samples are enough for (1.96² · 0.98 · 0.02 / 0.01²). `samples=151` gives each
  length such an interval. Every sample has pairs of its own, so samples are independent.

`pairs-spread` has the same pairs and the same filler, and a piece of the filler after each pair, so the place
among the pairs is the depth in the context, as in a search for a needle in a haystack.
`kv-retrieval-json` asks as lost-in-the-middle does: one JSON object of 75, 140 or 300 pairs, no filler.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.api import (
    Accuracy,
    HeatMap,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    UsageError,
    Variant,
    Verdict,
    task,
    versioned,
)

from .kv_retrieval_data import (
    Filler,
    Lengths,
    Objects,
    filler_at,
    opening,
    opening_spread,
    pair_lines,
    question,
)

FIRST, SPREAD = "pairs-first", "pairs-spread"
MOST = 1 << 24
"""The longest context that can be made, in tokens."""
AUTHORS = "Liu et al. 2023 (lost-in-the-middle at 29b8a6d)"
HEAT_MAP = HeatMap(rows="length of the context in tokens", columns="place of the wanted pair among the pairs")


def to_sample(record: Record) -> Sample:
    """The sample of a context. `input` is the wanted key, and `meta` has what the prompt is made of."""
    key, value = record["pairs"][record["index"]]
    row, column = record["row"], record["column"]
    shown = {name: record[name] for name in ("pairs", "words", "tokeniser") if name in record}
    return Sample(
        id=record["id"],
        input=key,
        target=(value,),
        group=HEAT_MAP.group(row, column),
        tags=(f"length {row}" if "words" in record else row, f"place {column}"),
        meta=shown,
    )


def pairs_of(sample: Sample) -> list[list[str]]:
    """[key, value] of the pairs of a sample's context."""
    meta: Mapping[str, Any] = sample.meta
    pairs: list[list[str]] = meta["pairs"]
    return pairs


@versioned("kv_retrieval.prompt", 1)
def prompt(filler: Filler, sample: Sample, protocol: Protocol) -> Prompt:
    """The pairs, the filler, and the question for `Sample.input`, as one message.

    Under `SPREAD` each pair is followed by an equal piece of the filler.
    """
    pairs, meta = pairs_of(sample), dict[str, Any](sample.meta)
    if protocol.name == SPREAD:
        pieces = filler.pieces(meta["words"], len(pairs))
        lines = itertools.chain(*zip(map(": ".join, pairs), pieces, strict=True))
        parts = (opening_spread(len(pairs)), "\n".join(filter(None, lines)), question(sample.input))
    else:
        parts = (
            opening(len(pairs)),
            "\n\n".join(filter(None, (pair_lines(pairs), filler.first(meta["words"])))),
            question(sample.input),
        )
    text = "\n\n".join(parts)
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("kv_retrieval.prompt_json", 1)
def prompt_json(sample: Sample, protocol: Protocol) -> Prompt:
    """The prompt of lost-in-the-middle (src/lost_in_the_middle/prompts/kv_retrieval.prompt at 29b8a6d)."""
    lines = ",\n ".join(f'"{key}": "{value}"' for key, value in pairs_of(sample))
    text = (
        "Extract the value corresponding to the specified key in the JSON object below.\n\n"
        f'JSON data:\n{{{lines}}}\n\nKey: "{sample.input}"\nCorresponding value:'
    )
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("kv_retrieval.answer", 1)
def response(text: str, sample: Sample) -> str | None:
    """The whole response without blanks around it; None if there is nothing."""
    return text.strip() or None


@versioned("kv_retrieval.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    """Whether the answer contains the value, both in lower case (lost-in-the-middle)."""
    right = sample.target[0].lower() in answer.lower()
    return Verdict(right, f"{sample.target[0]} is {'' if right else 'not '}in the answer")


@versioned("kv_retrieval.scorer_exact", 1)
def score_exactly(answer: str, sample: Sample) -> Verdict:
    """Whether the answer is the value and nothing else."""
    right = answer.strip() == sample.target[0]
    return Verdict(right, f"the answer is {'' if right else 'not '}{sample.target[0]} alone")


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0]


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The value of another pair, the key, a value that is cut short, and nothing."""
    value = sample.target[0]
    other = next(other for _, other in pairs_of(sample) if other != value)
    return (other, sample.input, value[:-1], "")


def whole_numbers(name: str, text: str, least: int, most: int) -> tuple[int, ...]:
    """The numbers of a setting such as `1k,2k,500`, where `k` is 1,024 and `M` 1,048,576.

    Raises `UsageError` for anything else, for a number outside the limits, and for one that is there twice.
    """
    found: list[int] = []
    for word in text.split(","):
        digits = word.strip().lower()
        unit = {"k": 1 << 10, "m": 1 << 20}.get(digits[-1:], 1)
        digits = digits[:-1] if unit > 1 else digits
        if not (digits.isascii() and digits.isdigit() and least <= int(digits) * unit <= most):
            raise UsageError(f"{name}={text}: {word.strip()!r} must be a number from {least:,} to {most:,}")
        found.append(int(digits) * unit)
    if len(set(found)) < len(found):
        raise UsageError(f"{name}={text}: a number is there twice")
    return tuple(found)


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """The one number of a setting. Raises `UsageError`."""
    found = whole_numbers(name, text, least, most)
    if len(found) > 1:
        raise UsageError(f"{name}={text}: it must be one number")
    return found[0]


@task("kv-retrieval")
def kv_retrieval(
    *,
    lengths: str = "1k,2k,4k,8k,16k,32k",
    pairs: str = "64",
    positions: str = "5",
    samples: str = "26",
    seed: str = "0",
    tokenizer: str = "",
    filler: str = "",
) -> Task:
    """Values of keys at the start of a long context, by length and place: --set tokenizer=FILE"""
    count = whole_number("pairs", pairs, 2, 1 << 20)
    grid = Lengths(
        seed=whole_number("seed", seed, 0, (1 << 63) - 1),
        rows=whole_numbers("lengths", lengths, 1, MOST),
        positions=whole_number("positions", positions, 1, min(count, 100)),
        samples=whole_number("samples", samples, 1, 1 << 20),
        pairs=count,
        filler=filler_at(filler),
        tokenizer=tokenizer,
    )
    return Task(
        data=grid,
        sample=to_sample,
        prompt=functools.partial(prompt, grid.filler),
        answer=response,
        scorer=score,
        variants=(Variant(name="exact", scorer=score_exactly),),
        metrics=(Accuracy(), Accuracy(variant="exact")),
        heat_map=HEAT_MAP,
        protocols=(
            Protocol(
                name=FIRST, max_tokens=128,
                source="Gemini 1.0 report, section 5.1.5: pairs, filler, question; prompt and pairs: evalkit",
            ),
            Protocol(
                name=SPREAD, max_tokens=128,
                source="evalkit: as above, with the pairs over the whole context, as a needle in a haystack",
            ),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip


@task("kv-retrieval-json")
def kv_retrieval_json(
    *, pairs: str = "75,140,300", positions: str = "5", samples: str = "52", seed: str = "0"
) -> Task:
    """Values of keys in a JSON object of UUIDs, by its size and place (Liu et al. 2023)"""
    sizes = whole_numbers("pairs", pairs, 2, 1 << 20)
    grid = Objects(
        seed=whole_number("seed", seed, 0, (1 << 63) - 1),
        rows=sizes,
        positions=whole_number("positions", positions, 1, min(*sizes, 100)),
        samples=whole_number("samples", samples, 1, 1 << 20),
    )
    return Task(
        data=grid,
        sample=to_sample,
        prompt=prompt_json,
        answer=response,
        scorer=score,
        variants=(Variant(name="exact", scorer=score_exactly),),
        metrics=(Accuracy(), Accuracy(variant="exact")),
        heat_map=HeatMap(rows="number of pairs", columns="place of the wanted pair"),
        protocols=(Protocol(name="json", max_tokens=128, source=AUTHORS),),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
