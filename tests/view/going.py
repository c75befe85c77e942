"""A run that goes on in another process, as a test wants: `python -m tests.view.going TASK RUN.db`.

Each line of its standard input lets it answer one more request: `wrong`, `fail`, or anything else for right.
"""

from __future__ import annotations

import asyncio
import re
import sys

import evalkit
from evalkit.errors import ProviderError
from evalkit.models.base import Capability, Request, Response
from evalkit.samples import JSON


class Told:
    """A model that answers sums as it is told, line by line."""

    name = "told/model"
    capabilities: frozenset[Capability] = frozenset({"chat"})
    parallel: int | None = 1

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "told"}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        what = (await asyncio.to_thread(sys.stdin.readline)).strip()
        if what == "fail":
            raise ProviderError("the answer is lost <b>as told</b>")
        numbers = [int(text) for text in re.findall(r"\d+", str(request.prompt))]
        return Response("-1" if what == "wrong" else str(sum(numbers)), completion_tokens=1)

    async def aclose(self) -> None:
        """There is nothing to give back."""


if __name__ == "__main__":
    evalkit.run(Told(), sys.argv[1], output=sys.argv[2], retries=0)
