"""Reads the JSON in the columns of a run file, which somebody may have edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from evalkit.errors import UsageError


def table(text: str) -> dict[str, Any]:
    """Returns a JSON object. Raises `ValueError`."""
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{text[:60]!r} is no JSON object")
    return found


def texts(text: str) -> list[str]:
    """Returns a list of texts. Raises `ValueError`."""
    found = orjson.loads(text)
    if not isinstance(found, list) or not all(type(one) is str for one in found):
        raise ValueError(f"{text[:60]!r} is no list of texts")
    return found


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
    return isinstance(final, dict) and "value" in final and isinstance(final.get("reason"), str)


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
