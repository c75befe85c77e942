"""Counts what an endpoint says of itself and of tokens in each response, which no response column holds."""

from __future__ import annotations

from collections import Counter

from evalkit.models.base import Response
from evalkit.models.usage import TOKENS
from evalkit.runfile.evidence import add_signs
from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store


class Signs:
    """The `Response.signs` and `Response.tokens` of the responses that this run received, by cell."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[int, Counter[tuple[str, str]]] = {}

    def add(self, cell: Cell, response: Response) -> None:
        if response.signs or response.tokens:
            found = self._found.get(cell.id)
            if found is None:
                found = self._found[cell.id] = Counter()
            for sign in response.signs:
                found[sign] += 1
            for kind, tokens in response.tokens:
                found[TOKENS, kind] += tokens

    def write(self) -> None:
        """Adds the counts to those of the run file. The caller commits."""
        for cell, counts in self._found.items():
            add_signs(self._store, cell, counts)
        self._found.clear()
