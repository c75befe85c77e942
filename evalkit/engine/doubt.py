"""Whether a refusal concerns one request, or the key, the address or the model and so every request.

A 403 is the answer to a wrong key, and of a moderator to one prompt. Once something was answered, the key
is right. Before that, a refused request waits until another one is answered, or until enough of them are
refused.
"""

from __future__ import annotations

import asyncio

_ENOUGH = 8
"""That many requests were refused, and none answered: it does not depend on the request."""
_GRACE = 1.0
"""Seconds in which another request may begin, such as one whose picture is still being read."""
_STEP = 0.1


class Doubt:
    """Watches the requests of one model. `answered`: one was answered, now or in an earlier process."""

    def __init__(self, answered: bool) -> None:
        self.answered = answered
        self._open = self._refused = 0

    def __enter__(self) -> None:
        self._open += 1

    def __exit__(self, *exc: object) -> None:
        self._open -= 1

    async def concerns_all(self) -> bool:
        """Whether the refusal of one of the open requests holds for all requests."""
        self._refused += 1
        quiet = 0.0
        while not self.answered and self._refused < _ENOUGH and quiet < _GRACE:
            await asyncio.sleep(_STEP)
            quiet = 0.0 if self._open > self._refused else quiet + _STEP
        return not self.answered
