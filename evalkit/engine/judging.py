"""The way to judge models for one sample: what a scorer that asks models works with."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from typing import TypeVar

from evalkit.engine.context import Call, Channel, draw_seed
from evalkit.errors import JudgeError, ProviderError
from evalkit.models.base import Request, Response
from evalkit.samples import JUDGE, Prompt, Sample

_T = TypeVar("_T")


class Judging:
    """`evalkit.benchmark.task.JudgeContext`: asks judge models about one sample.

    Replies are stored as every response is: a resumed run asks for none of them again, and one that could
    not be read is followed by further attempts.
    """

    def __init__(self, sample: Sample, channel: Callable[[str], Channel], seed: int = 0) -> None:
        """`channel`: role → the way to its model."""
        self.sample = sample
        self._channel, self._seed = channel, seed
        self._locks: dict[tuple[str, bytes], asyncio.Lock] = {}
        self._replies: dict[tuple[str, bytes, int], Response] = {}

    async def ask(
        self,
        prompt: Prompt,
        read: Callable[[str], _T | None],
        *,
        role: str = JUDGE,
        attempts: int = 3,
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> _T:
        request = Request(prompt, max_tokens, temperature)
        tried = 0
        for draw in itertools.count():
            new, reply = await self._reply(request, role, draw, ask=tried < attempts)
            if reply is None:
                raise JudgeError(f"{role}: {attempts} replies in a row could not be read")
            tried += new
            found = read(reply.text)
            if found is not None:
                return found
        raise AssertionError("unreachable")

    async def reply(self, prompt: Prompt, *, role: str = JUDGE, max_tokens: int) -> Response:
        """What the judge says to `prompt`, greedily. Raises `JudgeError`."""
        _, reply = await self._reply(Request(prompt, max_tokens), role, 0, ask=True)
        assert reply is not None
        return reply

    async def _reply(
        self, request: Request, role: str, draw: int, *, ask: bool
    ) -> tuple[bool, Response | None]:
        """(whether it was asked for just now, the reply); None where none is stored and `ask` is not set."""
        channel = self._channel(role)
        key, body = request.encoded()
        if request.temperature:
            request = dataclasses.replace(request, seed=draw_seed(self._seed, draw))
        call = Call(key, body, draw, request)
        async with self._locks.setdefault((role, key), asyncio.Lock()):  # several answers may be alike
            known = self._replies.get((role, key, draw)) or channel.stored(call)
            if known is None and not ask:
                return False, None
            new = known is None
            if known is None:
                try:
                    known = await channel.send(call)
                except ProviderError as error:
                    if error.fatal:
                        raise
                    raise JudgeError(f"{role}: {error}") from error
            self._replies[role, key, draw] = known
            return new, known
