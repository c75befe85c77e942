"""Answers and references in the formats of NIST's sclite: trn, stm and ctm.

The formats are those of SCTK 2.4.10 (doc/infmts.htm). sclite reads trn against trn (`-i rm`), and ctm, the
answers, against stm, the references. Texts are written as they were scored, not normalised. Samples that
failed are left out of all of them, and so are samples without a reference, which sclite does not accept,
unless no sample has one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from evalkit.errors import UsageError
from evalkit.runfile.hypotheses import NO_WORDS
from evalkit.runfile.store import Cell, Store

_SEPARATES = re.compile(r"[\s%;]")
"""What an id in stm and ctm cannot have; it is written as in an address, `%20`."""
_SPREAD = (
    "Times are not measured: the words of each answer are spread evenly over its clip, so that sclite can "
    "assign them to it. Never score with -T."
)


def to_trn(stores: Sequence[Store]) -> bytes:
    """The answers, a line each as `text (id)`."""
    return _trn(stores, _answer)


def to_trn_references(stores: Sequence[Store]) -> bytes:
    """The references of the same samples, likewise."""
    return _trn(stores, _reference)


def to_stm(stores: Sequence[Store]) -> bytes:
    """The references, a line each as `id 1 speaker 0 seconds <o> text`, in the order of their ids.

    The speaker is the sample's cluster, or its id. Raises `UsageError` as `to_ctm` does.
    """
    cell, rows = _timed(stores, "stm")
    lines = [f";; references of {cell.task}:{cell.spec.protocol.label}, not normalised"]
    for name, row, seconds in rows:
        text = _reference(row)
        if text is not None:
            known = row["cluster"] and row["cluster"] not in row["media"]  # a clip's own key is no speaker
            speaker = _plain(row["cluster"]) if known else name
            lines.append(f"{name} 1 {speaker} 0.000 {seconds:.3f} <o> {' '.join(text.split())}".rstrip())
    return "\n".join([*lines, ""]).encode()


def to_ctm(stores: Sequence[Store]) -> bytes:
    """The answers, a line for each word as `id 1 begin seconds word`, in the order of their ids.

    No response has times of words, so that these are spread evenly, which a comment says. An answer without
    a word is a comment. Raises `UsageError` where clips have no length, or an id occurs twice.
    """
    cell, rows = _timed(stores, "ctm")
    lines = [f";; answers to {cell.task}:{cell.spec.protocol.label}, not normalised", f";; {_SPREAD}"]
    for name, row, seconds in rows:
        words = (_answer(row) or "").split()
        if not words:
            lines.append(f"{NO_WORDS}{name}")
        each = seconds / max(1, len(words))
        lines += [f"{name} 1 {each * place:.6f} {each:.6f} {word}" for place, word in enumerate(words)]
    return "\n".join([*lines, ""]).encode()


def _answer(row: dict[str, Any]) -> str | None:
    return row["finals"][0]["value"] or "" if row["finals"] else None


def _reference(row: dict[str, Any]) -> str | None:
    return row["target"][0] if row["finals"] and row["target"] else None


def _trn(stores: Sequence[Store], text_of: Callable[[dict[str, Any]], str | None]) -> bytes:
    store, cell = _only(stores, "trn")
    texts = ((text_of(row), row["id"]) for row in _rows(store, cell))
    lines = (f"{' '.join(text.split())} ({name})\n".lstrip() for text, name in texts if text is not None)
    return "".join(lines).encode()


def _rows(store: Store, cell: Cell) -> Iterator[dict[str, Any]]:
    """The samples that did not fail, and have a reference if any has one."""
    scored = any(row["target"] for row in store.samples(cell))
    return (row for row in store.samples(cell) if row["finals"] and (row["target"] or not scored))


def _only(stores: Sequence[Store], form: str) -> tuple[Store, Cell]:
    cells = [(store, cell) for store in stores for cell in store.cells() if not cell.role]
    if len(cells) != 1:
        raise UsageError(f"--format {form} is of one benchmark, and these runs hold {len(cells)}")
    ((store, cell),) = cells
    store.needs_texts(f"--format {form}")
    return store, cell


def _timed(stores: Sequence[Store], form: str) -> tuple[Cell, list[tuple[str, dict[str, Any], float]]]:
    """(cell, rows as (id as it is written, sample, seconds of its clip) in the order that sclite needs)."""
    store, cell = _only(stores, form)
    known: dict[str, float] = dict(store.connection.execute("SELECT key, seconds FROM media").fetchall())
    timed = [
        (_plain(row["id"]), row, sum(known.get(key, 0.0) for key in row["media"]))
        for row in _rows(store, cell)
    ]
    if silent := [row["id"] for _, row, seconds in timed if not seconds]:
        raise UsageError(
            f"{store.path}: --format {form} needs the length of each clip, and {silent[0]!r} has none: "
            "--format trn needs no times"
        )
    ordered = sorted(timed, key=lambda one: one[0].encode())
    for (name, *_), (other, *_) in itertools.pairwise(ordered):
        if name == other:
            raise UsageError(f"{store.path}: several samples have the id {name!r}, which sclite needs once")
    return cell, ordered


def _plain(name: str) -> str:
    return _SEPARATES.sub(lambda found: quote(found[0]), name)
