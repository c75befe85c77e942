"""Replicas: several endpoints that serve one model, such as one server on each GPU.

The engine sends each request to the least loaded replica that answers (`evalkit.engine.lanes`). The answers
depend on the model and not on the address, so the identity of replicas has no address: a run may be resumed
with other replicas.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from evalkit.errors import UsageError
from evalkit.models.base import Capability, Model, Request, Response
from evalkit.samples import JSON

REPLICAS = "replicas"
"""What the identity of replicas has in place of an endpoint's address."""


class Replica(Model, Protocol):
    """A backend that sends requests to one endpoint."""

    @property
    def base_url(self) -> str: ...

    async def served(self) -> frozenset[str] | None:
        """The names of the models that the endpoint lists; None if it lists none, or does not answer."""
        ...


@runtime_checkable
class _Departing(Protocol):
    """A member that may send a request otherwise than it says."""

    def departures(self, request: Request) -> Iterable[tuple[str, str]]: ...


class Replicas:
    """The model that all `members` serve.

    Its name and identity are those of the first member, without the address.
    """

    parallel: int | None = None

    def __init__(self, members: Sequence[Replica]) -> None:
        self.members = tuple(members)
        self.name = members[0].name
        self.capabilities: frozenset[Capability] = frozenset.intersection(
            *(member.capabilities for member in members)
        )
        self._turns: Iterator[Replica] = itertools.cycle(self.members)
        self._departing = [one.departures for one in members if isinstance(one, _Departing)]

    @property
    def identity(self) -> dict[str, JSON]:
        return {**self.members[0].identity, "endpoint": REPLICAS}

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(member.base_url for member in self.members)

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Sends the request to the next replica in turn. The engine chooses among `members` itself.

        Raises `ProviderError`.
        """
        return await next(self._turns).generate(request, draw=draw)

    async def check(self) -> None:
        """Raises `UsageError` if a replica lists its models, and the model of the others is not among them.

        A server may accept a name that it does not list. If no replica lists the name, the lists are compared
        with that of the first one. A replica that does not answer is not refused: it may come later.
        """
        found = await asyncio.gather(*(member.served() for member in self.members))
        listed = {member.base_url: names for member, names in zip(self.members, found, strict=True) if names}
        name = str(self.members[0].identity.get("model", ""))
        wanted = frozenset({name})
        if not any(_shared(wanted, names) for names in listed.values()):
            wanted = next(iter(listed.values()), wanted)
        for address, names in listed.items():
            if not _shared(wanted, names):
                raise UsageError(
                    f"the replica {address} serves {_told(names)}, and the others serve {_told(wanted)}: "
                    "replicas must serve one model, so leave this --base-url out"
                )

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        """(parameter, description) of each change to a request without which a replica refused it."""
        found: dict[str, str] = {}
        for departures in self._departing:
            for name, words in departures(request):  # hardly ever any
                found.setdefault(name, words)
        return tuple(found.items())

    async def aclose(self) -> None:
        for member in self.members:
            await member.aclose()


def addresses(typed: str | Sequence[str]) -> list[str]:
    """The addresses of `--base-url`: each as typed, or the lines of a file. Empty if there is none.

    A file has one address on each line; empty lines, and what follows a # at the start of a line or after a
    blank, are ignored. Raises `UsageError` for a file without an address.
    """
    found: list[str] = []
    for one in [typed] if isinstance(typed, str) else typed:
        if "://" in one or not Path(one).is_file():
            found += [one] if one else []
            continue
        lines = (f" {line}".partition(" #")[0].strip() for line in Path(one).read_text("utf-8").splitlines())
        listed = [line for line in lines if line]
        if not listed:
            raise UsageError(f"--base-url {one}: the file has no address; it must have one on each line")
        found += listed
    return found


def _shared(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool({*map(_core, one)} & {*map(_core, other)})


def _core(name: str) -> str:
    """The name without folders and without the tag `latest`, by which servers list one model differently."""
    return PurePosixPath(name).name.removesuffix(":latest")


def _told(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
