"""What a module of `evaluate` takes for one sample: answers and references, by its declared features."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from evalkit.errors import ScorerError
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

Item = Mapping[str, Any]
"""The module's columns, such as `predictions` and `references`, of one answer."""
Features = Mapping[str, Any]
"""A module's columns, such as `predictions` and `references`, with their types in `datasets`."""
ANSWERS = ("predictions", "data")
"""The columns that hold answers: of a metric, and of a measurement of texts."""
_FIX = "give HubMetric a function inputs=(answer, sample) that returns them"


def chosen(features: Features | Sequence[Features]) -> Features:
    """Of several choices of features, the first one whose references are lists: any sample fits into it."""
    if isinstance(features, Mapping):
        return features
    return next((one for one in features if inner(one.get("references")) is not None), features[0])


def items_of(features: Features, texts: Sequence[str], sample: Sample) -> list[dict[str, Any]]:
    """One item for each of a sample's answers, or one for all of them if the module takes lists of answers.

    Raises `ScorerError` if an answer, or the sample's references, do not fit into `features`.
    """
    known = next((name for name in ANSWERS if name in features), "")
    if not known or set(features) - {known, "references"}:
        columns = ", ".join(features)
        raise ScorerError(f"the metric takes {columns}, not only answers and references: {_FIX}")
    of = features[known]
    together = inner(of) is not None
    groups = [tuple(texts)] if together else [(text,) for text in texts]
    found = []
    for group in groups:
        item = {known: value(of, group, f"the answer {group[0] if group else ''!r:.60}")}
        if "references" in features:
            item["references"] = value(
                features["references"], tuple(sample.target), f"the references of {sample.id}"
            )
        found.append(item)
    return found


def inner(feature: Any) -> Any:
    """The type of a list's items; None for a type that is not a list."""
    if isinstance(feature, list):
        return feature[0]
    return getattr(feature, "feature", None)


def value(feature: Any, texts: Sequence[str], what: str) -> Any:
    """`texts` as a value of `feature`. Raises `ScorerError` if they do not fit."""
    if (of := inner(feature)) is not None:
        return [value(of, (text,), what) for text in texts]
    kind = getattr(feature, "dtype", "")
    if not isinstance(kind, str) or isinstance(feature, dict) or kind in ("", "dict"):
        raise ScorerError(f"the metric takes {feature!r:.120} for {what}: {_FIX}")
    if len(texts) != 1:
        raise ScorerError(f"the metric takes one text, and {what} are {len(texts)}: {_FIX}")
    (text,) = texts
    names = getattr(feature, "names", None)  # of a ClassLabel
    if names is not None and text in names:
        return names.index(text)
    found = _plain(kind, text)
    if found is None:
        raise ScorerError(
            f"the metric takes {kind}, and {what} is {text!r:.60}: let the task's answer return None for "
            f"what is no such value, or {_FIX}"
        )
    return found


def _plain(kind: str, text: str) -> str | int | float | bool | None:
    if kind in ("string", "large_string"):
        return text
    try:
        if kind == "bool":
            return {"true": True, "false": False}.get(text.strip().casefold())
        if kind.startswith(("int", "uint")):
            return int(text)
        if kind.startswith("float"):
            return number if math.isfinite(number := float(text)) else None
    except ValueError:
        pass
    return None


def weighted(kept: Sequence[tuple[str, Sequence[Item]]], weights: Floats) -> tuple[list[Item], list[str]]:
    """(items, the names of their samples), each as often as its weight says."""
    import numpy as np

    counts = np.rint(weights).astype(int)
    found, names = list[Item](), list[str]()
    for (name, items), count in zip(kept, counts, strict=True):
        found += [*items] * count
        names += [name] * (len(items) * count)
    return found, names


def digest_of(items: Sequence[Item], where: str) -> float:
    """48 bits of the items' SHA-256, which a float holds exactly.

    `where`: the metric in the error. Raises `ScorerError` for items that are not plain data.
    """
    try:
        text = orjson.dumps(list(items), option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise ScorerError(f"{where}: inputs returned what is no plain data ({error})") from error
    return float(int.from_bytes(hashlib.sha256(text).digest()[:6]))
