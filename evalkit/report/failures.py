"""Where a program failed its test, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def failure_lines(final: Mapping[str, Any]) -> Iterator[str]:
    """Yields what the verdict's detail knows: the test, its values, the last call, the line of the answer.

    `final`: as in `answer.finals` of the run file. The texts are the program's, and prove nothing.
    """
    detail = final.get("detail") or {}
    values = detail.get("values")
    values = values if isinstance(values, dict) else {}
    facts = {
        "test": detail.get("test"),
        "where": ", ".join(f"{name} = {value}" for name, value in values.items()),
        "last call": detail.get("call"),
        "returned": detail.get("returned"),
        "raised": detail.get("raised"),
        f"line {detail['line']} of the answer" if detail.get("line") else "line": detail.get("code"),
    }
    for name, fact in facts.items():
        if fact:
            first, *others = str(fact).split("\n")
            yield f"  {name}: {first}"
            yield from (f"    {line}" for line in others)
