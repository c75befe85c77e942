"""Gives the scorers of one sample access to judge models."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from typing import TypeVar

import orjson

from evalkit.engine.context import Call, Channel, draw_seed
from evalkit.errors import JudgeError, ProviderError
from evalkit.models.base import Request, Response, hashed
from evalkit.samples import JSON, JUDGE, Prompt, Sample

_T = TypeVar("_T")


def judge_stored_as(body: bytes, role: str, identity: JSON) -> tuple[bytes, bytes]:
    """Returns the (key, body) that a request to the judge model of `role` is stored under.

    They include its `identity`, because a run may later be scored by another judge.
    """
    asked = {**orjson.loads(body), "judge": identity}
    if role != JUDGE:
        asked["role"] = role
    return hashed(asked)


class Judging:
    """The `evalkit.benchmark.task.JudgeContext` of one sample.

    Replies are stored like all responses, so a resumed run does not request them again. If a reply cannot be
    read, further attempts follow.
    """

    def __init__(self, sample: Sample, channel: Callable[[str], Channel], seed: int = 0) -> None:
        """`channel`: role → the channel to its model."""
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
        """Returns the judge's greedy reply to `prompt`. Raises `JudgeError`."""
        _, reply = await self._reply(Request(prompt, max_tokens), role, 0, ask=True)
        assert reply is not None
        return reply

    async def _reply(
        self, request: Request, role: str, draw: int, *, ask: bool
    ) -> tuple[bool, Response | None]:
        """Returns (whether a request was sent, the reply). Without `ask`, a missing reply is None."""
        channel = self._channel(role)
        key, body = request.encoded()
        if request.temperature:
            request = dataclasses.replace(request, seed=draw_seed(self._seed, draw))
        call = Call(key, body, draw, request)
        async with self._locks.setdefault(
            (role, key), asyncio.Lock()
        ):  # several answers may have the same prompt
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
