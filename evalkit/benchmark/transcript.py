"""What was asked for one sample and what came back: all that an answer may be read from.

A run file holds it whole, so an answer can be read again years later, by the same rules or by others, and
nothing is asked for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.models.base import Response


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that was asked in a draw, and what came back.

    `tool`: the name of the tool that gave it, "" where the model did; a tool's result is the response's text.
    """

    response: Response
    draw: int = 0
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """`turns`: in the order of asking. Draws may run side by side, so the order holds within each draw.

    `branches`: what was asked under other protocols of the task, by protocol.
    """

    turns: tuple[Turn, ...] = ()
    branches: Mapping[str, Transcript] = field(default_factory=dict)

    @property
    def responses(self) -> tuple[Response, ...]:
        """The last response of the model in each draw, in the order of draws."""
        last = {turn.draw: turn.response for turn in self.turns if not turn.tool}
        return tuple(last[draw] for draw in sorted(last))
