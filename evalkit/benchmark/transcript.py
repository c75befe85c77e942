"""Transcripts: the requests for one sample and their responses, from which its answer is read.

A run file stores the whole transcript, so an answer can be read again years later, by the same rules or by
others, without any request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.models.base import Response


@dataclass(frozen=True, slots=True)
class Turn:
    """One response in a draw, from the model or from a tool.

    `tool`: the name of the tool whose result the response's text is; "" for a response of the model.
    """

    response: Response
    draw: int = 0
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was asked for a sample and what was answered.

    `turns`: in the order of the requests; draws may run concurrently, so only the order within a draw has a
    meaning. `branches`: the transcripts under other protocols of the task, by protocol.
    """

    turns: tuple[Turn, ...] = ()
    branches: Mapping[str, Transcript] = field(default_factory=dict)

    @property
    def responses(self) -> tuple[Response, ...]:
        """The last response of the model in each draw, in the order of draws."""
        last = {turn.draw: turn.response for turn in self.turns if not turn.tool}
        return tuple(last[draw] for draw in sorted(last))
