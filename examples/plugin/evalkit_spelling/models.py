"""The backend `backwards/`: it spells the last word of a prompt backwards."""

from __future__ import annotations

import random

from evalkit.api import JSON, Backend, Named, Request, Response, UsageError


class Backwards:
    """`backwards/NAME?slips=SHARE`: the share of words in which two letters are swapped."""

    capabilities = frozenset({"chat"})
    parallel = None

    def __init__(self, name: str, slips: float) -> None:
        self.name, self.slips = name, slips

    @property
    def identity(self) -> dict[str, JSON]:
        return {"slips": self.slips}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        assert isinstance(request.prompt, tuple)
        letters = [*request.prompt[-1].text.split()[-1]][::-1]
        if random.Random(f"{letters} {draw}").random() < self.slips:  # noqa: S311 — no secret
            letters[:2] = letters[1::-1]
        return Response("".join(letters))

    async def aclose(self) -> None:
        pass


def opened(named: Named) -> Backwards:
    slips = named.options.get("slips", 0.0)
    if not 0 <= slips <= 1:
        raise UsageError(f"{named.typed}: slips must be from 0 to 1")
    return Backwards(named.typed, slips)


BACKWARDS = Backend(
    "backwards/NAME[?slips=0.1]",
    "spells the last word of the prompt backwards",
    ("chat",),
    "evalkit_spelling.models:opened",
    options={"slips": float},
)
