"""Where a program failed its test. These texts decide nothing, because the program can forge them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent

from evalkit.samples import JSON, plain_text

_LONGEST = 500
_MOST_LINES = 12


@dataclass(frozen=True, slots=True)
class Failure:
    """The place at which a check failed. Texts have at most 500 characters a line; "" and 0 are unknown.

    It has no verdict, and no part of a verdict depends on it.
    """

    test: str = ""
    """The lines of the test that failed, at most 12."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The values of the variables in those lines, by name."""
    call: str = ""
    """The last call of the program, with its arguments as they were before it."""
    returned: str = ""
    """What the last call returned."""
    raised: str = ""
    """What the last call raised."""
    line: int = 0
    """The line of the program that raised the exception, from 1."""
    code: str = ""
    """The text of that line."""

    def as_json(self) -> dict[str, JSON]:
        """What is known, by name."""
        found: dict[str, JSON] = {
            "test": self.test, "values": dict(self.values), "call": self.call, "returned": self.returned,
            "raised": self.raised, "line": self.line, "code": self.code,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}


def failure(place: bytes, source: str, test: str) -> Failure | None:
    """The failure at a place that `evalkit.sandbox.place` wrote; None if it has nothing."""
    found = json.loads(place)
    if not found:
        return None
    first, last = found.get("test", (1, 0))
    statement = dedent("\n".join(test.split("\n")[first - 1 : last][:_MOST_LINES]))
    lines, line = source.split("\n"), found.get("line", 0)
    line = line if line <= len(lines) else 0
    return Failure(
        "\n".join(map(shown_line, statement.split("\n"))),
        {shown_line(name): shown_line(value) for name, value in found.get("values", {}).items()},
        shown_line(found.get("call", "")),
        shown_line(found.get("returned", "")),
        shown_line(found.get("raised", "")),
        line,
        shown_line(lines[line - 1].strip()) if line else "",
    )


def shown_line(text: str) -> str:
    """`text` as one line without control characters: it is the program's, and may be shown in a terminal."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text[:_LONGEST])
    return plain_text(shown)
