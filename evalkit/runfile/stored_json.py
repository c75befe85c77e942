"""Reads the JSON in the columns of a run file, which somebody may have edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from evalkit.errors import UsageError


def table(text: str) -> dict[str, Any]:
    """Returns a JSON object. Raises `ValueError`."""
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{text[:60]!r} is no JSON object")
    return found


def texts(text: str | bytes) -> list[str]:
    """Returns a list of texts. Raises `ValueError`."""
    found = orjson.loads(text)
    if not isinstance(found, list) or not all(type(one) is str for one in found):
        raise ValueError(f"{text[:60]!r} is no list of texts")
    return found


def determined(text: str) -> dict[str, Any]:
    """Returns what the run determined for a cell: a threshold with its curve, notes. Raises `ValueError`."""
    entries = table(text)
    chosen = [entries.get(name) for name in ("threshold", "validation_samples", "validation_curve")]
    threshold, samples, curve = chosen
    whole = _is_threshold(threshold) and type(samples) is int and isinstance(curve, list) and curve
    if any(one is not None for one in chosen) and not (whole and all(map(_is_point, curve or ()))):
        raise ValueError(f"{text[:60]!r} has a threshold that is not as evalkit writes it")
    texts(orjson.dumps(entries.get("notes", [])))
    return entries


def _is_threshold(threshold: object) -> bool:
    return threshold == "never" or (type(threshold) in (int, float) and 0 <= cast(float, threshold) <= 1)


def _is_point(point: object) -> bool:
    return (
        isinstance(point, dict)
        and point.keys() == {"threshold", "accuracy"}
        and _is_threshold(point["threshold"])
        and type(point["accuracy"]) in (int, float)
    )


def answer(text: str) -> dict[str, Any]:
    """Returns an answer as `evalkit.engine.score` wrote it, {} if there is none. Raises `ValueError`."""
    if text == "null":
        return {}
    found = table(text)
    for key in ("variants", "branches", "detail", "outcomes"):
        if not isinstance(found.get(key, {}), dict):
            raise ValueError(f"{key} of {text[:60]!r} is no JSON object")
    readings = [found.get("finals", []), *found.get("variants", {}).values()]
    for finals in (*readings, *found.get("branches", {}).values()):
        if not isinstance(finals, list) or not all(map(_is_final, finals)):
            raise ValueError(f"{text[:60]!r} has a reading that is not as evalkit writes it")
    return found


def _is_final(final: object) -> bool:
    return (
        isinstance(final, dict)
        and final.keys() >= {"value", "correct", "reason"}
        and all(isinstance(final[name], kind) for name, kind in _FINAL.items() if name in final)
    )


_FINAL = {
    "value": str | None,
    "correct": bool | None,
    "credit": int | float | None,
    "values": dict,
    "detail": dict,
    "truncated": bool,
    "refused": bool,
    "reason": str,
}
"""The types of the entries of a final; the first two and `reason` are always there."""


def request(text: str) -> dict[str, Any]:
    """Returns the body of a request. Raises `ValueError`."""
    found = table(text)
    prompt = found.get("prompt")
    messages = prompt if isinstance(prompt, list) else ()
    clip = isinstance(prompt, dict) and isinstance(prompt.get("audio"), str)
    if not (isinstance(prompt, str | list) or clip or "tool" in found) or not all(map(_is_message, messages)):
        raise ValueError(f"{text[:60]!r} is no request")
    return found


def _is_message(message: object) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return isinstance(content, str | list) and all(isinstance(part, dict) for part in parts)


class Columns(NamedTuple):
    """The columns of a sample that are JSON."""

    target: list[str]
    choices: list[str]
    tags: list[str]
    meta: dict[str, Any]
    media: list[str]
    answer: dict[str, Any]


def columns(path: Path, sample: str, *found: str) -> Columns:
    """Parses target, choices, tags, meta, media and answer. Raises `UsageError`."""
    target, choices, tags, meta, media, result = found
    try:
        return Columns(texts(target), texts(choices), texts(tags), table(meta), texts(media), answer(result))
    except ValueError as error:
        raise UsageError(f"{path}, sample {sample!r}: {error}: it was edited") from None
