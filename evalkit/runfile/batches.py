"""The batches of a run (`evalkit run --batch`): what a resumed run needs to join those that go on meanwhile.

They are entries of the manifest. The list of batches stays; a batch's requests are listed until all of them
are in the run file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from evalkit.convert import from_json, to_json
from evalkit.errors import UsageError
from evalkit.models.batch_routes import IDENTIFIER
from evalkit.runfile.records import StoredBatch
from evalkit.runfile.store import Store

CUSTOM_ID = re.compile(r"[0-9a-f]{32}-[0-9]{1,9}")
BATCHES = "batches"
REQUESTS = "requests of batch "
"""The beginning of the keys of the lists of requests."""


def stored_batches(store: Store) -> list[StoredBatch]:
    """All batches of a run, in the order in which they were submitted."""
    return [_of(entry) for entry in store.manifest.get(BATCHES, ())]


def open_batches(store: Store) -> list[tuple[StoredBatch, tuple[str, ...]]]:
    """(batch, custom ids of its requests) of the batches whose results are not all in the run file.

    Raises `UsageError` if one was edited: an id becomes a part of an address.
    """
    manifest = store.manifest
    found = []
    for batch in map(_of, manifest.get(BATCHES, ())):
        if (key := REQUESTS + batch.mark) in manifest:
            custom_ids = tuple(map(str, manifest[key]))
            known = not batch.batch or IDENTIFIER.fullmatch(batch.batch)
            if not known or not all(map(CUSTOM_ID.fullmatch, custom_ids)):
                raise UsageError(f"{store.path}, table run, {key!r}: it was edited")
            found.append((batch, custom_ids))
    return found


def custom_id_of(key: bytes, draw: int) -> str:
    """The id of a request in a batch. `key`: as `Request.encoded` returns it."""
    return f"{key.hex()}-{draw}"


def key_and_draw(custom_id: str) -> tuple[bytes, int]:
    """The (key, draw) of a request."""
    key, _, draw = custom_id.partition("-")
    return bytes.fromhex(key), int(draw)


def set_batch(store: Store, batch: StoredBatch) -> None:
    """Adds a batch, or replaces the one with its mark. The caller commits."""
    known = {one.mark: one for one in stored_batches(store)} | {batch.mark: batch}
    store.set_entry(BATCHES, [to_json(one) for one in known.values()])


def set_requests(store: Store, mark: str, custom_ids: Sequence[str]) -> None:
    """Stores which requests a batch has; none: nothing is expected of it any more. The caller commits."""
    if custom_ids:
        store.set_entry(REQUESTS + mark, [*custom_ids])
    else:
        store.drop_entry(REQUESTS + mark)


def _of(entry: Any) -> StoredBatch:
    return from_json(StoredBatch, entry, "the run file's batches")
