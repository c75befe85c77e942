"""Answers from an earlier run: the same requests, nothing asked."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import ProviderError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named, capabilities_of
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from evalkit.sandbox.hidden import hide_beside


class ReplayModel:
    """`replay/RUN.db`. Its identity is that of the model which answered then.

    A request that run did not make fails: a replay never answers with something else.
    """

    capabilities: frozenset[Capability] = capabilities_of("replay")
    """`likelihood` too where the run had it, so that a replay is signed as the run was."""
    parallel: int | None = None

    def __init__(self, path: str) -> None:
        self._store = Store.open(Path(path))
        self._store.needs_texts("replay/")
        hide_beside(Path(path))
        self._path = path
        if any(cell.spec.protocol.likelihood == "backend" for cell in self._store.cells()):
            self.capabilities |= {"likelihood"}
        self.name = f"replay/{Path(path).name}"

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "replay", "of": self._store.manifest["model"]["identity"]}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        found = self._store.response(request.encoded()[0], draw)
        if found is None:
            raise ProviderError(f"{self._path} has no answer to this request (draw {draw})")
        return found

    async def aclose(self) -> None:
        self._store.close()


def open_replay(named: Named) -> ReplayModel:
    """Raises `UsageError` for what is no run file, or one without texts."""
    return ReplayModel(named.name)
