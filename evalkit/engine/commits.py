"""Decides when the run file is committed, and reports a commit that fails."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from evalkit.runfile.store import Store


class Commits:
    """The commits of one run: at most one per turn of the event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._due: asyncio.Handle | None = None
        self._failed = asyncio.Event()
        self._error: Exception | None = None

    def soon(self) -> None:
        """Commits in the next turn of the event loop, once for everything that arrives until then."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._commit)

    def now(self) -> bool:
        """Commits before something that must not happen without it. False: `failure` raises why not."""
        self.close()
        self._commit()
        return not self._failed.is_set()

    async def failure(self) -> NoReturn:
        """Waits until a commit fails and raises its error, such as `StorageError` if the disk is full."""
        await self._failed.wait()
        assert self._error is not None
        raise self._error

    def close(self) -> None:
        """Cancels a pending commit: the caller commits."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _commit(self) -> None:
        self._due = None
        try:
            self.store.commit()
        except Exception as error:  # noqa: BLE001 — raised here, it would only reach the event loop's log
            self._error = error
            self._failed.set()
