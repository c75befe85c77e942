"""Runs whose endpoint moved: the same model at another address, such as a server that was started again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from evalkit.convert import to_json
from evalkit.models.base import Model
from evalkit.models.replicas import Replicas
from evalkit.runfile.replica_use import replica_uses
from evalkit.runfile.store import Store
from evalkit.samples import JSON

_ENDPOINT = "endpoint"
_NAMES = (_ENDPOINT, "base_url")
"""What a model's identity calls the address: of a backend, or of a model of the user's with `--base-url`."""
_IN_TEXT = re.compile(r'\\*"(?:endpoint|base_url)\\*":\s*\\*"([^"\\]*)\\*"')
"""The address of a judge model in a cell's spec, which has the model's identity as a text of JSON."""
MOVES, JUDGE_MOVES = "moves", "judge moves"
"""The entries of the manifest that list the further addresses, each with the time when it was first used."""


def has_moved(store: Store, model: Model) -> bool:
    """Whether `model` differs from the model of `store` only in the address of its endpoint."""
    found: dict[str, JSON] = store.manifest["model"]["identity"]
    old, new = (_address(identity) for identity in (found, model.identity))
    if not (old and new) or old == new:
        return False
    return without_endpoint(found) == without_endpoint(model.identity)


def without_endpoint(identity: Mapping[str, JSON]) -> dict[str, JSON]:
    """Returns a model's identity without the address of its endpoint."""
    return {key: value for key, value in identity.items() if key not in _NAMES}


def merged_moves(stores: Sequence[Store]) -> dict[str, list[dict[str, Any]]]:
    """Returns the entries of the manifest about the further addresses of one run in several files.

    The run counts as started at the addresses of the first file, and as moved to those of the others.
    """
    found: dict[str, list[dict[str, Any]]] = {MOVES: [], JUDGE_MOVES: []}
    known = {_address(stores[0].manifest["model"]["identity"])}
    for store in stores:
        manifest = store.manifest
        started = _address(manifest["model"]["identity"])
        entries = [{_ENDPOINT: started, "since": manifest.get("started", "")}] if started else []
        for move in (*entries, *moves(store)):
            if move[_ENDPOINT] not in known:
                known.add(move[_ENDPOINT])
                found[MOVES].append(move)
    judges = _judge_addresses(stores[0]) - {
        move[_ENDPOINT] for move in stores[0].manifest.get(JUDGE_MOVES, ())
    }
    for store in stores:
        for role, address in _judges_of(store):
            if address not in judges:
                judges.add(address)
                found[JUDGE_MOVES].append(
                    {_ENDPOINT: address, "since": store.manifest.get("started", ""), "judge": role}
                )
    return {key: entries for key, entries in found.items() if entries}


def _address(identity: Mapping[str, JSON]) -> JSON:
    return next((identity[name] for name in _NAMES if identity.get(name)), None)


def is_known(store: Store, model: Model) -> bool:
    """Whether the run was resumed at the address of `model` before, or one replica is at a known address."""
    known = {_address(store.manifest["model"]["identity"])}
    known |= {move[_ENDPOINT] for move in moves(store)} | {use.address for use in replica_uses(store)}
    mine = model.addresses if isinstance(model, Replicas) else ()
    return not known.isdisjoint((_address(model.identity), *mine))


def moves(store: Store) -> list[dict[str, Any]]:
    """Returns the further addresses of a run's endpoint, in order."""
    found: list[dict[str, Any]] = store.manifest.get(MOVES, [])
    return found


def without_addresses(spec: JSON) -> JSON:
    """Returns a cell's spec without the addresses of its judge models' endpoints."""
    found: JSON = orjson.loads(_IN_TEXT.sub("", orjson.dumps(spec).decode()))
    return found


def _judges_of(store: Store) -> Iterator[tuple[str, JSON]]:
    """Yields (role, address) of the judge models of a run; the role is "" if the file does not say it."""
    yield from ((move["judge"], move[_ENDPOINT]) for move in store.manifest.get(JUDGE_MOVES, ()))
    yield from (("", address) for address in sorted(map(str, _judge_addresses(store))))


def judges_are_known(store: Store, judges: Mapping[str, Model]) -> bool:
    """Whether the run was resumed with the judge models at their addresses before."""
    known = _judge_addresses(store)
    return all(_address(judge.identity) in known for judge in judges.values() if _address(judge.identity))


def _judge_addresses(store: Store) -> set[JSON]:
    """Returns the addresses of judge models in a run file: those of the start, and the further ones."""
    texts = (orjson.dumps(to_json(cell.spec)).decode() for cell in store.cells())
    started = {address for text in texts for address in _IN_TEXT.findall(text)}
    return started | {move[_ENDPOINT] for move in store.manifest.get(JUDGE_MOVES, ())}


def note_move(store: Store, model: Model, judges: Mapping[str, Model]) -> None:
    """Stores the addresses of the models if the run was started with others. The caller commits."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    if has_moved(store, model) and not is_known(store, model):
        store.set_entry(MOVES, [*moves(store), {_ENDPOINT: _address(model.identity), "since": since}])
    known = _judge_addresses(store)
    new: list[JSON] = [
        {_ENDPOINT: address, "since": since, "judge": role}
        for role, judge in judges.items()
        if (address := _address(judge.identity)) and address not in known
    ]
    if known and new:
        store.set_entry(JUDGE_MOVES, [*store.manifest.get(JUDGE_MOVES, ()), *new])
