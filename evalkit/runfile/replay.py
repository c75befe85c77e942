"""A model that returns the stored responses of an earlier run to the same requests."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import ProviderError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named, capabilities_of
from evalkit.runfile.hypotheses import Hypotheses, form_of
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import departures
from evalkit.samples import JSON
from evalkit.sandbox.hidden import hide_beside


class ReplayModel:
    """The model `replay/RUN.db`. Its identity includes that of the run's model.

    A request that the run did not send fails: a replay never returns another request's response.
    """

    capabilities: frozenset[Capability] = capabilities_of("replay")
    """Includes `likelihood` and `lm-eval` if the run had them, so that the replay sends the same requests."""
    parallel: int | None = None

    def __init__(self, path: str) -> None:
        self._store = Store.open(Path(path))
        self._store.needs_texts("replay/")
        hide_beside(Path(path))
        self._path = path
        if any(cell.spec.protocol.likelihood == "backend" for cell in self._store.cells()):
            self.capabilities |= {"likelihood"}
        if self._store.manifest["model"]["identity"].get("backend") == "lm-eval":
            self.capabilities |= {"lm-eval"}
        departed = {cell.id: tuple(departures(self._store, cell).items()) for cell in self._store.cells()}
        self._departed = {cell: found for cell, found in departed.items() if found}
        self.name = f"replay/{Path(path).name}"

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "replay", "of": self._store.manifest["model"]["identity"]}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        found = self._store.response(request.encoded()[0], draw)
        if found is None:
            raise ProviderError(f"{self._path} has no response to this request (draw {draw})")
        return found

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        """How the run sent the request otherwise than it says, so that the replay has the same signature."""
        if not self._departed:
            return ()
        found = self._store.connection.execute(
            "SELECT cell FROM draw JOIN request ON draw.request = request.id WHERE key = ? LIMIT 1",
            (request.encoded()[0],),
        ).fetchone()
        return () if found is None else self._departed.get(found[0], ())

    async def aclose(self) -> None:
        self._store.close()


def open_replay(named: Named) -> ReplayModel | Hypotheses:
    """Opens a replay: a run file, or a file of texts by its ending. Raises `UsageError`."""
    if form_of(Path(named.name)):
        hide_beside(Path(named.name))
        return Hypotheses(Path(named.name))
    return ReplayModel(named.name)
