"""`evalkit merge`: makes one run file of the shards of a run, as if the run had had no shards.

Samples, responses and errors are copied, and the figures are computed from all samples. No request is sent.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.convert import to_json
from evalkit.engine.corpus import complete
from evalkit.engine.differences import binding, differences
from evalkit.engine.moved import merged_moves, without_addresses, without_endpoint
from evalkit.engine.repeatability import note_verification
from evalkit.engine.rescore import check_task, rescore_cell
from evalkit.engine.shards import Shard, parse_shard
from evalkit.errors import UsageError, counted
from evalkit.runfile.batches import BATCHES, REQUESTS
from evalkit.runfile.copying import Copy, Unlike
from evalkit.runfile.evidence import IDS, add_signs, stored_signs
from evalkit.runfile.figures import figures_of
from evalkit.runfile.measured import measures
from evalkit.runfile.records import SHARD, Cell
from evalkit.runfile.replica_use import ENTRY, replica_uses, set_replica_uses
from evalkit.runfile.spent import SPENT
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import (
    add_departure,
    departures,
    samples_of_all,
    set_samples_of_all,
    verification,
)
from evalkit.samples import JSON
from evalkit.scratch import replacing

_NAMED = 4
"""The highest number of shards that a message names."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    `samples`: their number by benchmark and protocol. `lacking`: why the run is not whole, "" if it is.
    """

    samples: Mapping[str, int]
    lacking: str


@dataclass(frozen=True, slots=True)
class _Part:
    """An open run file and its shard."""

    store: Store
    shard: Shard

    @property
    def name(self) -> str:
        return f"shard {self.shard} ({self.store.path})"


def merge(
    shards: Sequence[str | Path],
    output: str | Path,
    *,
    partial: bool = False,
    task_files: Sequence[str | Path] = (),
) -> Merged:
    """Writes the run file `output` from the run files of all shards, in any order.

    `partial`: accept that shards or samples are missing; the merged run is then not finished, and
    `evalkit run` with it as output asks for the rest. `task_files`: files with those of the run's metrics
    that are not evalkit's. Raises `UsageError`, and writes nothing, for files that are not shards of one run,
    for missing ones, and if `output` exists.
    """
    output = Path(output)
    if output.exists():
        raise UsageError(f"{output} already exists: remove it, or name another file with -o")
    with contextlib.ExitStack() as opened:
        files = tuple(map(Path, task_files))
        stores = [opened.enter_context(Store.open(path, files)) for path in shards]
        parts = sorted(map(_part, stores), key=lambda part: part.shard.index)
        _check_alike(parts)
        lacking = [*_missing(parts), *_unfinished(parts)]
        if lacking and not partial:
            raise UsageError(f"{'; '.join(lacking)}. Add what is missing, or merge the rest with --partial")
        try:
            with replacing(output) as place:
                found = _write(parts, place, files, lacking)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"cannot write {output}: {error}") from None
    return Merged(found, "; ".join(lacking))


def _part(store: Store) -> _Part:
    store.needs_texts("merging")
    text = store.manifest.get(SHARD)
    if text is None:
        raise UsageError(f"{store.path} is not a shard: only runs with --shard I/N can be merged")
    return _Part(store, parse_shard(text))


def _check_alike(parts: Sequence[_Part]) -> None:
    """Raises `UsageError`, which names each difference, unless the parts are of one run."""
    if not parts:
        raise UsageError("no run file to merge: name those of all shards")
    first, *others = parts
    for other in others:
        if first.shard.of != other.shard.of:
            raise UsageError(
                f"{first.store.path} is shard {first.shard}, and {other.store.path} is shard {other.shard}: "
                "the samples were divided into different numbers of shards"
            )
        unlike = differences("run", _of_run(first.store), _of_run(other.store))
        specs, theirs = _specs(first.store), _specs(other.store)
        for name in dict.fromkeys([*specs, *theirs]):
            unlike += differences(name, specs.get(name), theirs.get(name))
        if unlike:
            said = "; ".join(unlike).replace(" in the file, ", " and ").replace(" now", "")
            raise UsageError(f"{first.name} and {other.name} are not of one run: {said}")


def _of_run(store: Store) -> JSON:
    manifest = store.manifest
    return {
        "model": without_endpoint(manifest["model"]["identity"]),
        "judges": manifest["judges"],
        "seed": manifest["seed"],
        "evalkit": manifest["evalkit"],
    }


def _specs(store: Store) -> dict[str, JSON]:
    """The cells by name; JSON without what a run may differ in, such as addresses and folders."""
    found = {}
    for cell in store.cells():
        spec = without_addresses(binding(cell.spec))
        found[_name(cell)] = spec | {"found": to_json(dict(cell.found))} if isinstance(spec, dict) else spec
    return found


def _name(cell: Cell) -> str:
    return ":".join(filter(None, (cell.task, cell.protocol, cell.role)))


def _missing(parts: Sequence[_Part]) -> Iterator[str]:
    there = {part.shard.index for part in parts}
    of = parts[0].shard.of
    lost = [f"{index}/{of}" for index in range(1, of + 1) if index not in there]
    if len(lost) == 1:
        yield f"shard {lost[0]} is missing"
    elif lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        yield f"shards {', '.join(lost[:_NAMED])}{more} are missing"


def _unfinished(parts: Sequence[_Part]) -> Iterator[str]:
    for part in parts:
        for cell in part.store.cells():
            asked = sum(_counts(part.store, cell).values())
            if cell.finished is None or asked < cell.finished:
                yield f"{part.name} is not finished: {_name(cell)} has {counted(asked, 'sample')} so far"


def _counts(store: Store, cell: Cell) -> Counter[str]:
    rows = store.connection.execute(
        "SELECT outcome, count(*) FROM sample WHERE cell = ? GROUP BY outcome", (cell.id,)
    )
    return Counter(dict(rows.fetchall()))


def _write(
    parts: Sequence[_Part], place: Path, task_files: tuple[Path, ...], lacking: Sequence[str]
) -> dict[str, int]:
    first = parts[0].store
    found = {}
    Store.create(place, _manifest(parts)).close()
    with Store.open(place, task_files, to_write=True) as new:
        cells = {_name(cell): new.add_cell(cell.spec, cell.role) for cell in first.cells()}
        for cell in first.cells():
            if cell.found:
                new.set_found(cells[_name(cell)], dict(cell.found))
        copy = Copy(new)
        for part in parts:
            mine = {cell.id: cells[_name(cell)] for cell in part.store.cells()}
            try:
                copy.add(part.store, mine, str(part.shard))
            except Unlike as error:
                raise UsageError(f"{part.name}: {error}") from None
        for name, cell in cells.items():
            pairs = [
                (part.store, other) for part in parts for other in part.store.cells() if _name(other) == name
            ]
            found[name] = _complete(new, cell, pairs, whole=not lacking)
        routed = [cell for cell in new.cells() if not cell.role and _calibrated(cell)]
        if routed and not lacking:
            _route(new, routed)
        if ENTRY in first.manifest:
            set_replica_uses(new, [use for part in parts for use in replica_uses(part.store)])
        new.read_back()
    return found


def _manifest(parts: Sequence[_Part]) -> dict[str, Any]:
    """The entries of the first shard, without those that concern a shard, or that are written later."""
    own = ("format", SHARD, ENTRY)
    manifest = {
        key: value
        for key, value in parts[0].store.manifest.items()
        if key not in own and " of cell " not in key and not key.startswith(REQUESTS)
    }
    started = [part.store.manifest.get("started") for part in parts]
    if all(started):
        manifest["started"] = min(map(str, started))
    manifest |= merged_moves([part.store for part in parts])
    if notes := [note for part in parts for note in part.store.manifest.get(IDS, ())]:
        manifest[IDS] = [*dict.fromkeys(notes)]
    if batches := [batch for part in parts for batch in part.store.manifest.get(BATCHES, ())]:
        manifest[BATCHES] = batches
    if spent := [cost for part in parts if (cost := part.store.manifest.get(SPENT)) is not None]:
        manifest[SPENT] = sum(spent)
    manifest["merged"] = [{"shard": str(part.shard), "from": part.store.path.name} for part in parts]
    return manifest


def _complete(new: Store, cell: Cell, pairs: Sequence[tuple[Store, Cell]], *, whole: bool) -> int:
    """Adds what concerns all samples of a cell, and its figures if it is `whole`. Returns its samples."""
    for store, other in pairs:
        add_signs(
            new, cell.id, Counter({(kind, value): n for kind, value, n in stored_signs(store, other.id)})
        )
        for parameter, words in departures(store, other).items():
            add_departure(new, cell, parameter, words)
    if any(verification(store, other) for store, other in pairs):
        note_verification(new, cell)
    asked = sum(_counts(new, cell).values())
    totals = {total for store, other in pairs if (total := samples_of_all(store, other)) is not None}
    if whole and totals != {asked}:
        raise UsageError(
            f"{_name(cell)}: the shards have {counted(asked, 'sample')} together, and the benchmark had "
            f"{' and '.join(f'{total:,}' for total in sorted(totals))} when they were asked: the data "
            "changed between them, or differs by machine"
        )
    if not whole:
        if len(totals) == 1:
            set_samples_of_all(new, cell, *totals)
        return asked
    if _calibrated(cell) and not cell.role:
        check_task(*pairs[0])  # its samples are scored again, see `_route`
        new.finish(cell, asked, ())
        return asked
    store, other = pairs[0]
    metrics = [measure.usable(store, other) for measure in measures(store, other)]
    complete(new, cell, metrics)
    new.finish(cell, asked, figures_of(metrics, new.data(cell)))
    return asked


def _calibrated(cell: Cell) -> bool:
    """Whether a threshold is chosen on validation samples, which takes all of them."""
    return bool(cell.spec.protocol.fallback) and cell.spec.protocol.threshold is None


def _route(new: Store, cells: Sequence[Cell]) -> None:
    """Chooses the thresholds of `cells`, and scores their samples under them, from the stored responses."""
    new.commit()
    whole = new.path.with_name(f"{new.path.name}.whole")
    try:
        with contextlib.closing(sqlite3.connect(whole)) as copy:
            new.connection.backup(copy)
        with Store.open(whole, new.task_files) as old:
            for cell in cells:
                rescore_cell(old, new, cell)
    finally:
        for ending in ("", "-wal", "-shm"):
            whole.with_name(f"{whole.name}{ending}").unlink(missing_ok=True)
