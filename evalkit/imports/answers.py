"""The answer of an imported sample, in the form in which `engine.score` writes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.imports.results import Scored
from evalkit.samples import JSON, plain_text


def answer_of(ended: Sequence[Scored], headline: str, failed: int) -> dict[str, list[dict[str, JSON]]]:
    """Returns the answer as `engine.score` writes one; the readings after the first are its variants."""
    by_name: dict[str, list[Scored]] = {}
    for reading in ended:
        by_name.setdefault(reading.reading, []).append(reading)
    own = next(name for name, found in by_name.items() if any(headline in one.values for one in found))
    others = {name: [_final(one) for one in found] for name, found in by_name.items() if name != own}
    whole: dict[str, object] = {
        "finals": [_final(one, headline) for one in by_name[own]],
        "variants": others,
        "branches": {},
        "outcomes": {name: outcome_of(finals) for name, finals in others.items()},
        "detail": {"draws that failed": failed} if failed else {},
    }
    return whole  # type: ignore[return-value]


def _final(one: Scored, headline: str = "") -> dict[str, JSON]:
    value = one.values.get(headline, next(iter(one.values.values()), None))
    finish = one.asked[-1].finish if one.asked else "stop"
    final: dict[str, JSON] = {
        "value": None if one.answer is None else plain_text(one.answer),
        "correct": value is not None and value >= 1,
        "values": dict(one.values),
        "truncated": finish == "length",
        "reason": plain_text(one.reason),
    }
    if finish == "filter":
        final["refused"] = True
    if value is not None and 0 < value < 1:
        final["credit"] = value
    return final


def outcome_of(finals: Sequence[Mapping[str, JSON]]) -> str:
    """Returns the outcome by the rule of `engine.score`."""
    if 2 * sum(bool(final["correct"]) for final in finals) >= len(finals):
        return "correct"
    kinds = [
        "refused"
        if final.get("refused")
        else "truncated"
        if final["truncated"]
        else "unparsable"
        if final["value"] is None
        else "wrong"
        for final in finals
        if not final["correct"]
    ]
    return max(("refused", "truncated", "unparsable", "wrong"), key=kinds.count)
