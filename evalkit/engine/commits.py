"""When the run file is committed, and what becomes of a commit that fails."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from evalkit.runfile.store import Store


class Commits:
    """Commits of one run, at most one for each turn of the event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._due: asyncio.Handle | None = None
        self._failed = asyncio.Event()
        self._error: Exception | None = None

    def soon(self) -> None:
        """Commits before the event loop goes round again, once for all that arrived together."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._commit)

    async def failure(self) -> NoReturn:
        """Waits until a commit fails and raises its error, `StorageError` for a disk that is full."""
        await self._failed.wait()
        assert self._error is not None
        raise self._error

    def close(self) -> None:
        """Takes back a commit that is still to come: the caller commits."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _commit(self) -> None:
        self._due = None
        try:
            self.store.commit()
        except Exception as error:  # noqa: BLE001 — nobody but the event loop's log would hear of it here
            self._error = error
            self._failed.set()
