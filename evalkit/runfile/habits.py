"""What nearly every answer of a cell begins or ends with, although its reference does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store

MOST = 2_000
"""Answers that are read: what nearly every answer begins with, nearly every one of these does."""
_LEAST = 4
_SHARE = 0.9
_LONGEST = 8
_WORD = re.compile(r"\w+|[^\w\s]+")


def habits(store: Store, cell: Cell) -> tuple[str, ...]:
    """Returns sentences such as `15 of 16 answers begin with 'Sure, here'`, for answers that are texts.

    Another one counts references that are empty.

    They are words of a model's own around what it was asked for. An answer whose reference begins, or ends,
    with the same words does not count; neither do empty answers. Fewer than four answers show nothing.
    """
    if not any(spec.innermost[0] in ("error_rate", "bleu", "chrf") for spec in cell.spec.metrics):
        return ()
    pairs = list(_pairs(store, cell))
    found = list(_silences(store, cell))
    for verb, step in (("begin", 1), ("end", -1)):
        told, count = _shared([(_parts(one)[::step], _parts(other)[::step]) for one, other in pairs])
        if told:
            shown = _as_written(pairs, told[::step], step)
            found.append(
                f"{count} of {len(pairs)} answers {verb} with {shown!r}, and their references do not"
            )
    return tuple(found)


def _silences(store: Store, cell: Cell) -> Iterator[str]:
    """A sentence if references are empty, which a list of one's own may mean otherwise."""
    (empty, scored) = store.connection.execute(
        "SELECT coalesce(sum(trim(json_extract(target, '$[0]')) = ''), 0), count(*) FROM sample "
        "WHERE cell = ? AND outcome != 'failed' AND json_array_length(target) > 0",
        (cell.id,),
    ).fetchone()
    if empty:
        yield f"{empty} of {scored} references are empty: they count as silence"


def _pairs(store: Store, cell: Cell) -> Iterator[tuple[str, str]]:
    """(answer, reference) of the first scored samples, as far as the file has texts."""
    rows = store.connection.execute(
        "SELECT json_extract(answer, '$.finals[0].value'), json_extract(target, '$[0]') FROM sample "
        "WHERE cell = ? AND outcome != 'failed' ORDER BY position LIMIT ?",
        (cell.id, MOST),
    )
    for answer, reference in rows:
        if isinstance(answer, str) and isinstance(reference, str) and answer.strip():
            yield answer, reference


def _parts(text: str) -> list[str]:
    """The words and marks of a text, without regard to case."""
    return _WORD.findall(text.casefold())


def _shared(pairs: Sequence[tuple[list[str], list[str]]]) -> tuple[list[str], int]:
    """The longest beginning that nearly all answers have and their references have not, and how many do."""
    best: tuple[list[str], int] = ([], 0)
    if len(pairs) < _LEAST:
        return best
    for length in range(1, _LONGEST + 1):
        counts: dict[tuple[str, ...], int] = {}
        for answer, reference in pairs:
            start = answer[:length]
            if len(start) == length and not _same_words(start, reference):
                counts[tuple(start)] = counts.get(tuple(start), 0) + 1
        shared, count = max(counts.items(), key=lambda item: item[1], default=((), 0))
        if count < _SHARE * len(pairs):
            break
        if shared[-1][0].isalnum() or not best[0]:
            best = (list(shared), count)
    return best if any(part[0].isalnum() for part in best[0]) else ([], 0)


def _same_words(start: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether a reference begins with the words of `start`: marks are often missing in references."""
    words = [part for part in start if part[0].isalnum()]
    return bool(words) and [part for part in reference if part[0].isalnum()][: len(words)] == words


def _as_written(pairs: Sequence[tuple[str, str]], parts: Sequence[str], step: int) -> str:
    """The parts as the first answer that has them writes them."""
    pattern = re.compile(r"\s*".join(map(re.escape, parts)), re.IGNORECASE)
    for answer, _ in pairs:
        found = list(pattern.finditer(answer))
        if found:
            return " ".join(found[0 if step == 1 else -1][0].split())
    return " ".join(parts)
