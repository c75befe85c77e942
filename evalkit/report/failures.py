"""The detail of a verdict as lines of text, such as where a program failed its test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def failure_lines(final: Mapping[str, Any]) -> Iterator[str]:
    """Yields the verdict's detail: the test, its values, the last call, the line of the answer, and all else.

    `final`: as in `answer.finals` of the run file. The texts are the program's, and prove nothing.
    """
    detail = {**(final.get("detail") or {})}
    values = detail.pop("values", None)
    line = detail.pop("line", 0)
    values = values if isinstance(values, dict) else {}
    facts = {
        "test": detail.pop("test", ""),
        "where": ", ".join(f"{name} = {value}" for name, value in values.items()),
        "last call": detail.pop("call", ""),
        "returned": detail.pop("returned", ""),
        "raised": detail.pop("raised", ""),
        f"line {line} of the answer" if line else "line of the program": detail.pop("code", ""),
        **detail,
    }
    for name, fact in facts.items():
        if fact:
            first, *others = str(fact).split("\n")
            yield f"  {name}: {first}"
            yield from (f"    {line}" for line in others)
