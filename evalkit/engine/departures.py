"""Notes how a model's requests are sent otherwise than the protocol says."""

from __future__ import annotations

from evalkit.models.base import Model, Request
from evalkit.runfile.store import Cell, Store
from evalkit.runfile.tallies import add_departure


class Departures:
    """Stores each departure once for each cell. `judge`: the role of a judge model, else ""."""

    def __init__(self, model: Model, store: Store, judge: str) -> None:
        self._found = getattr(model, "departures", None)
        self._store, self._by = store, f"{judge}: " if judge else ""
        self._told: set[tuple[int, str]] = set()

    def note(self, request: Request, cell: Cell) -> None:
        """Stores with the response how the request was sent, if it was not sent as the protocol says."""
        if self._found is None:
            return
        for name, words in self._found(request):
            if (cell.id, name) not in self._told:
                self._told.add((cell.id, name))
                add_departure(self._store, cell, f"{self._by}{name}", f"{self._by}{words}")
