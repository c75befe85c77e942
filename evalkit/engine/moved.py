"""Runs whose endpoint moved: the same model at another address, such as a server that was started again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evalkit.models.base import Model
from evalkit.runfile.store import Store
from evalkit.samples import JSON

_ENDPOINT = "endpoint"
_NAMES = (_ENDPOINT, "base_url")
"""What a model's identity calls the address: of a backend, or of a model of the user's with `--base-url`."""
MOVES = "moves"
"""The entry of the manifest that lists the further addresses, each with the time when it was first used."""


def has_moved(store: Store, model: Model) -> bool:
    """Whether `model` differs from the model of `store` only in the address of its endpoint."""
    found: dict[str, JSON] = store.manifest["model"]["identity"]
    old, new = (_address(identity) for identity in (found, model.identity))
    if not (old and new) or old == new:
        return False
    without = dict.fromkeys(_NAMES)
    return {**found, **without} == {**model.identity, **without}


def _address(identity: Mapping[str, JSON]) -> JSON:
    return next((identity[name] for name in _NAMES if identity.get(name)), None)


def is_known(store: Store, model: Model) -> bool:
    """Whether the run was resumed at the address of `model` before."""
    return any(move[_ENDPOINT] == _address(model.identity) for move in moves(store))


def moves(store: Store) -> list[dict[str, Any]]:
    """Returns the further addresses of a run's endpoint, in order."""
    found: list[dict[str, Any]] = store.manifest.get(MOVES, [])
    return found


def note_move(store: Store, model: Model) -> None:
    """Stores the address of `model` if the run was started with another one. The caller commits."""
    if has_moved(store, model) and not is_known(store, model):
        since = datetime.now(UTC).isoformat(timespec="seconds")
        store.set_entry(MOVES, [*moves(store), {_ENDPOINT: _address(model.identity), "since": since}])
