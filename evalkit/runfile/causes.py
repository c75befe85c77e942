"""Why samples failed: their messages, grouped by shape, and how often each came."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.samples import JSON

SHOWN = 3
"""How many causes are told; the others are counted."""
_LONGEST = 160
"""Characters of a message that are shown."""
_ENDPOINT = re.compile(r"^(HTTP \d+) from \S+?(:?)(?=\s|$)")
"""The address in an HTTP error: the same for all samples, so it only makes the message longer."""
_HEAD = re.compile(r"^HTTP \d+")
_QUOTED = re.compile(
    r"(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|“[^”\n]*”|«[^»\n]*»)(?!\w)|(?<!\w)['\"`“«][^'\"`”»\n]*$"
)
"""A quotation, also one that the end of the message cuts off."""
_PLACE = re.compile(r"\S*/\S+|\b[\w-]+\.[a-z]\w{2,3}\b", re.I)
"""An address, a path or the name of a file."""
_COUNTED = re.compile(r"\b[\w.,:-]*\d[\w.,:%-]*")
"""A number, or a name with one in it, such as a request's."""
_PASSING = frozenset({"provider", "judge", "tool", "sandbox", "worker"})
"""Where a failure may pass."""
_LASTING = {"media": "the files that cannot be decoded", "data": "the records", "scorer": "the scorers"}
"""Where the same sample fails in the same way every time, and what has to be fixed."""
BOUNDARIES = _PASSING | _LASTING.keys()
"""Where samples fail: the boundaries of `evalkit.errors`."""


@dataclass(frozen=True, slots=True)
class Cause:
    """`count` samples that failed at `boundary` with messages of one shape.

    `message`: the commonest of them. `alike`: not all of them are the same.
    """

    count: int
    boundary: str
    message: str
    alike: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether running the same sample again may help, with nothing fixed."""
        return self.boundary in _PASSING

    @property
    def text(self) -> str:
        """Such as `12 × HTTP 400: Unsupported parameter 'max_tokens'`."""
        said = _ENDPOINT.sub(r"\1\2", self.message)
        said = said if len(said) <= _LONGEST else said[: _LONGEST - 1].rstrip() + "…"
        where = "" if self.boundary == "provider" and said else self.boundary
        words = ": ".join(filter(None, (where, said)))
        return f"{self.count:,} × {words}" + (" (and alike)" if self.alike else "")

    def as_json(self) -> dict[str, JSON]:
        return {
            "count": self.count,
            "boundary": self.boundary,
            "message": self.message,
            "alike": self.alike,
        }


def shape(message: str) -> str:
    """`message` without what differs from sample to sample: quotations, places, numbers and identifiers."""
    text = " ".join(_ENDPOINT.sub(r"\1\2", message).split())
    head = _HEAD.match(text)
    start = head.end() if head else 0
    rest = _PLACE.sub("<place>", _QUOTED.sub("<quoted>", text[start:]))
    return text[:start] + _COUNTED.sub("#", rest)


def causes(failures: Iterable[tuple[str, str]]) -> tuple[Cause, ...]:
    """Groups (boundary, message) of failed samples by shape, the commonest first."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for boundary, message in failures:
        groups.setdefault((boundary, shape(message)), Counter())[message] += 1
    found = [
        Cause(said.total(), boundary, said.most_common(1)[0][0], len(said) > 1)
        for (boundary, _), said in groups.items()
    ]
    return tuple(sorted(found, key=lambda cause: -cause.count))


def merged(several: Iterable[Sequence[Cause]]) -> tuple[Cause, ...]:
    """The causes of several runs as one list."""
    groups: dict[tuple[str, str], list[Cause]] = {}
    for one in several:
        for cause in one:
            groups.setdefault((cause.boundary, shape(cause.message)), []).append(cause)
    found = [
        Cause(
            sum(cause.count for cause in alike),
            boundary,
            max(alike, key=lambda cause: cause.count).message,
            any(cause.alike or cause.message != alike[0].message for cause in alike),
        )
        for (boundary, _), alike in groups.items()
    ]
    return tuple(sorted(found, key=lambda cause: -cause.count))


def told(found: Sequence[Cause]) -> list[str]:
    """The commonest causes in words, and how many samples failed for others."""
    rest = sum(cause.count for cause in found[SHOWN:])
    return [cause.text for cause in found[:SHOWN]] + ([f"{rest:,} × other causes"] if rest else [])


def advice(found: Sequence[Cause], again: str) -> str:
    """What to do about failed samples. `again`: the command that runs them again."""
    lasting = sum(cause.count for cause in found if not cause.may_pass)
    if not lasting:
        return f"to retry them: {again}"
    what = [_LASTING[cause.boundary] for cause in found if cause.boundary in _LASTING]
    words = " and ".join(dict.fromkeys(what)) or "what is named"
    if lasting == sum(cause.count for cause in found):
        return f"they fail every time until {words} are fixed, then: {again}"
    return f"{lasting:,} of them fail every time until {words} are fixed; to retry the others: {again}"
