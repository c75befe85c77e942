"""What the stored responses say against a figure: notes that are shown beside it.

An endpoint that answers with a 200 may still have answered something else: as another model, to a prompt that
it cut, from a cache, or nothing at all. Each is one note of a cell. They are computed from the responses, and
from what the endpoint said of itself, which is counted while the run goes on (`add_signs`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import orjson

from evalkit.errors import counted
from evalkit.models.alternatives import ALTERNATIVES
from evalkit.models.batch_routes import BATCHED
from evalkit.models.reading import ENDS, FINGERPRINT, LENIENT, REPEATED, SERVED
from evalkit.models.usage import TOKENS
from evalkit.runfile.media_tables import CANCELS
from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store

THIN, THIN_SHARE = 0.1, 0.05
"""Letters with less than `THIN` of the next token's probability are no answer to speak of; more than
`THIN_SHARE` of such samples are noted."""
_FEW, _REQUESTS = 4, 8
"""The fewest requests from which something is concluded: of draws, and of prompts' lengths."""
_SAID = 20
"""The mean number of characters from which equal draws are no coincidence."""
_DENSEST = 12
"""Characters of a prompt per token that no tokenizer reaches in ordinary text (English has about 4)."""
_LONG = 400
_ON_PURPOSE = 64
"""A protocol with fewer tokens cuts answers on purpose."""
IDS = "ids"
"""The entry of the manifest with notes about the ids of a model that answers by them."""
_VERSION = re.compile(r"[-@:.]?(v?\d[\d.-]*|latest)")
_COUNTS = """
SELECT coalesce(sum(trim(text) = '' AND reasoning != '' AND tool_calls IS NULL
        AND finish NOT IN ('length', 'filter')), 0),
    coalesce(sum(trim(text) = '' AND reasoning = '' AND finish NOT IN ('length', 'filter')
        AND coalesce(logprobs, prompt_logprobs, likelihoods, tool_calls) IS NULL
        AND request NOT IN (SELECT request FROM generated)), 0),
    coalesce(sum(completion_tokens = 0 AND text != '' AND prompt_logprobs IS NULL), 0),
    coalesce(sum(trim(text) = '' AND tool_calls IS NOT NULL AND (SELECT json_extract(body, '$.tools')
        FROM request WHERE request.id = draw.request) IS NULL), 0)
FROM draw WHERE cell = ? AND judge = 0 AND draw >= 0
"""
"""(empty responses with reasoning, empty ones without, responses with a text of 0 tokens, calls of tools
that no request offered)."""
_LENGTHS = """
SELECT length(body), max(prompt_tokens) FROM draw JOIN request ON request.id = draw.request
WHERE cell = ? AND judge = 0 AND draw >= 0 AND prompt_tokens > 0 GROUP BY draw.request
"""
_ALIKE = """
SELECT count(DISTINCT text), max(length(text)) FROM draw
WHERE cell = ? AND judge = 0 AND draw >= 0 GROUP BY request HAVING count(*) > 1
"""
_CANCELLING = """
SELECT count(DISTINCT position) FROM sample, json_each(sample.media)
JOIN run ON run.key = ? || json_each.value WHERE cell = ? AND outcome != 'failed'
"""


def add_signs(store: Store, cell: int, counts: Mapping[tuple[str, str], int]) -> None:
    """Adds `Response.signs` and their numbers to those of the cell with the id `cell`. The caller commits."""
    known = Counter({(kind, value): n for kind, value, n in stored_signs(store, cell)})
    known.update(counts)
    store.set_entry(_key(cell), [[*sign, n] for sign, n in sorted(known.items())])


def evidence(store: Store, cell: Cell) -> tuple[str, ...]:
    """Returns the notes of a cell: on its clips, and on responses from an endpoint or by the sample's id."""
    manifest = store.manifest
    if store.is_slim:  # it has no responses
        return tuple(map(str, manifest.get(_kept(cell), ())))
    identity = manifest["model"]["identity"]
    clips = _of_clips(store, cell)
    if "endpoint" not in identity:
        return (*clips, *map(str, manifest.get(IDS, ())))
    return (*clips, *_of_signs(store, cell, str(identity.get("model", ""))), *_of_responses(store, cell))


def _of_clips(store: Store, cell: Cell) -> tuple[str, ...]:
    (found,) = store.connection.execute(_CANCELLING, (CANCELS, cell.id)).fetchone()
    if not found:
        return ()
    return (
        f"the channels of {counted(found, 'clip')} cancel out when they are mixed to one, so that next to "
        "nothing is heard: one is the other upside down; keep one channel, such as with sox "
        "IN.wav OUT.wav remix 1",
    )


def entries(store: Store) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the notes of each cell as entries of the manifest, for a run file without responses."""
    for cell in store.cells():
        if notes := evidence(store, cell):
            yield _kept(cell), notes


def _key(cell: int) -> str:
    return f"signs of cell {cell}"


def _kept(cell: Cell) -> str:
    return f"evidence of cell {cell.id}"


def stored_signs(store: Store, cell: int) -> list[tuple[str, str, int]]:
    """Returns (kind, value, number) of each sign of the cell with the id `cell`."""
    row = store.connection.execute("SELECT value FROM run WHERE key = ?", (_key(cell),)).fetchone()
    return [(kind, value, n) for kind, value, n in orjson.loads(row[0])] if row else []


def _of_signs(store: Store, cell: Cell, asked: str) -> Iterator[str]:
    counts = stored_signs(store, cell.id)
    served = {value: n for kind, value, n in counts if kind == SERVED}
    if len(served) > 1:
        yield f"the endpoint answered as several models: {_listed(served)}"
    elif other := [name for name in served if not same_model(asked, name)]:
        yield f"the endpoint answered as {other[0]}, and {asked} was asked for"
    prints = {value: n for kind, value, n in counts if kind == FINGERPRINT}
    if len(prints) > 1:
        yield f"the endpoint's system_fingerprint changed during the run: {_listed(prints)}"
    if lenient := sum(n for kind, _, n in counts if kind == LENIENT):
        yield (
            f"{counted(lenient, 'response was', 'responses were')} not valid JSON (broken UTF-8, half a "
            "surrogate pair, NaN, or a byte order mark), and U+FFFD stands for what is broken"
        )
    if ends := {value: n for kind, value, n in counts if kind == ENDS}:
        marked = counted(
            sum(ends.values()),
            "response had marks of the chat template in its text",
            "responses had marks of the chat template in their text",
        )
        yield f"{marked}, which are left out with what follows them: {_listed(ends)}"
    if repeated := sum(n for kind, _, n in counts if kind == REPEATED):
        yield f"{counted(repeated, 'response')} began with the whole prompt, which is left out"
    if tokens := [f"{n:,} {value}" for kind, value, n in counts if kind == TOKENS]:
        yield f"the endpoint counted among its tokens: {', '.join(tokens)}"
    if batched := sum(n for kind, _, n in counts if kind == BATCHED):
        yield f"{counted(batched, 'response')} came by the provider's batch routes"
    if limits := [int(value) for kind, value, _ in counts if kind == ALTERNATIVES]:
        yield f"the endpoint returns at most {min(limits)} alternatives of a token, not {_wanted(cell)}"


def _wanted(cell: Cell) -> int:
    return cell.spec.protocol.logprobs


def same_model(asked: str, served: str) -> bool:
    """Whether `served` may be how an endpoint names the model `asked`: a path, a version or a tag beside it.

    OpenAI answers `gpt-4o` as `gpt-4o-2024-08-06`, OpenRouter `openai/gpt-4o` as `gpt-4o`, Ollama adds
    `:latest`.
    """
    one, other = (
        name.casefold().rstrip("/").rpartition("/")[2].removesuffix(".gguf") for name in (asked, served)
    )
    shorter, longer = sorted((one, other), key=len)
    rest = longer[len(shorter) :] if longer.startswith(shorter) else None
    return rest is not None and (not rest or rest == ":free" or _VERSION.fullmatch(rest) is not None)


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(most) - 3} more" if len(most) > 3 else ""
    return ", ".join(f"{name} ({n})" for name, n in most[:3]) + more


def _of_responses(store: Store, cell: Cell) -> Iterator[str]:
    thought, empty, uncounted, called = store.connection.execute(_COUNTS, (cell.id,)).fetchone()
    if thought:
        silent = counted(thought, "response is empty, its text", "responses are empty, their text")
        yield f"{silent} is in the reasoning: the server's reasoning parser may not fit the model"
    if empty:
        yield f"{counted(empty, 'response is', 'responses are')} empty"
    if called:
        calling = counted(called, "response calls", "responses call")
        yield f"{calling} tools that were not offered, in place of a text"
    if uncounted:
        yield f"the endpoint counted 0 tokens for {counted(uncounted, 'response')} with a text"
    yield from _prompts(store, cell)
    yield from _draws(store, cell)
    yield from _cut_answers(store, cell)
    yield from _letters(store, cell)


def _prompts(store: Store, cell: Cell) -> Iterator[str]:
    """What the endpoint's count of prompt tokens says: texts that it cut, or a count that is none."""
    rows: list[tuple[int, int]] = store.connection.execute(_LENGTHS, (cell.id,)).fetchall()
    if len(rows) < _REQUESTS:
        return
    most = max(tokens for _, tokens in rows)
    full = [chars for chars, tokens in rows if tokens == most]
    if len(full) == len(rows):
        if max(full) >= 1.2 * min(full):
            yield (
                f"the endpoint counted {most:,} tokens for each of {len(rows):,} prompts of different "
                "lengths: its counts mean nothing, or it cut the prompts"
            )
        return
    dense = median(chars / tokens for chars, tokens in rows if tokens < most)
    short = sum(chars > _LONG and chars / tokens > _DENSEST for chars, tokens in rows)
    if len(full) >= _FEW and max(full) >= 1.1 * min(full) and _mean(full) / most >= 1.15 * dense:
        short = max(short, len(full))
    if short:
        yield (
            f"the endpoint counted fewer tokens than {counted(short, 'prompt has', 'prompts have')} (at most "
            f"{most:,}): it may have cut them without a word"
        )


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _draws(store: Store, cell: Cell) -> Iterator[str]:
    if cell.spec.protocol.temperature <= 0:
        return
    rows: list[tuple[int, int]] = store.connection.execute(_ALIKE, (cell.id,)).fetchall()
    if len(rows) < _FEW or any(texts > 1 for texts, _ in rows):
        return
    if _mean([chars for _, chars in rows]) >= _SAID:
        yield (
            f"all draws of each of {len(rows):,} sampled requests have the same text: the endpoint ignores "
            "the temperature, or answers from a cache"
        )


def _cut_answers(store: Store, cell: Cell) -> Iterator[str]:
    if cell.spec.protocol.max_tokens <= _ON_PURPOSE:
        return
    (cut,) = store.connection.execute(
        "SELECT count(*) FROM sample WHERE cell = ? AND outcome = 'correct' AND EXISTS (SELECT 1 FROM "
        "json_each(answer, '$.finals') WHERE json_extract(value, '$.truncated') "
        "AND json_extract(value, '$.correct'))",
        (cell.id,),
    ).fetchone()
    if cut:
        yield counted(
            cut,
            "answer is counted as correct although its response was cut off",
            "answers are counted as correct although their responses were cut off",
        )


def _letters(store: Store, cell: Cell) -> Iterator[str]:
    """Letters that have almost none of the next token's probability, because something else comes first."""
    if not _wanted(cell):
        return
    rows = store.connection.execute(
        "SELECT json_extract(answer, '$.detail.logprobs') FROM sample WHERE cell = ? AND outcome != 'failed'",
        (cell.id,),
    )
    masses = [_mass(orjson.loads(text)) for (text,) in rows if text]
    thin = sum(mass < THIN for mass in masses)
    if thin and thin > THIN_SHARE * len(masses):
        yield (
            f"in {thin} of {len(masses)} samples the letters have less than {100 * THIN:.0f} % of the next "
            "token's probability: something else, such as a blank or <think>, comes first"
        )


def _mass(scores: Any) -> float:
    known = (score for score in scores.values() if isinstance(score, int | float)) if scores else ()
    return math.fsum(math.exp(min(score, 0.0)) for score in known)
