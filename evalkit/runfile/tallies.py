"""Counts over a cell of a run file: tokens, seconds, samples by group, answers by their details."""

from __future__ import annotations

from collections.abc import Iterable

from evalkit.models.base import MOST_TOKENS
from evalkit.runfile.records import AGAIN, Cell
from evalkit.runfile.store import Store


def counted_tokens(what: str) -> str:
    """An SQL expression: the `prompt` or `completion` tokens of a draw, NULL for an impossible number.

    Some servers report an overflow, and the sum of several of those is not a number of SQLite.
    """
    return f"iif({what}_tokens <= {MOST_TOKENS}, {what}_tokens, NULL)"


def usage(store: Store, cell: Cell) -> tuple[int, int, int]:
    """Returns (draws, prompt tokens, completion tokens) of a cell by the endpoint's count, without judges."""
    prompt, completion = counted_tokens("prompt"), counted_tokens("completion")
    row = store.connection.execute(
        f"SELECT count(*), coalesce(sum({prompt}), 0), coalesce(sum({completion}), 0) "  # noqa: S608 — fixed
        "FROM draw WHERE cell = ? AND NOT judge AND draw != ?",
        (cell.id, AGAIN),
    ).fetchone()
    return (row[0], row[1], row[2])


def has_answer(store: Store, of: int) -> bool:
    """Whether the run file holds a response of that source: `OF_MODEL` or `OF_JUDGE`."""
    (found,) = store.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM draw WHERE judge = ?)", (of,)
    ).fetchone()
    return bool(found)


def waited(store: Store, cell: Cell) -> float:
    """Returns the sum of the seconds from each request of a cell to its response, without judges."""
    (found,) = store.connection.execute(
        "SELECT coalesce(sum(seconds), 0.0) FROM draw WHERE cell = ? AND NOT judge AND draw != ?",
        (cell.id, AGAIN),
    ).fetchone()
    return float(found)


def count_again(store: Store, cell: Cell) -> tuple[int, int]:
    """Returns (greedy requests of a cell that were sent a second time, those whose text changed)."""
    row = store.connection.execute(
        "SELECT count(*), coalesce(sum(a.text != b.text), 0) FROM draw AS a JOIN draw AS b "
        "ON a.request = b.request AND a.draw = 0 WHERE b.draw = ? AND b.cell = ?",
        (AGAIN, cell.id),
    ).fetchone()
    return (row[0], row[1])


def verification(store: Store, cell: Cell) -> dict[str, int] | None:
    """Returns what `count_again` found when the cell was done; None if nothing was to be verified."""
    found: dict[str, int] | None = store.manifest.get(f"verification of cell {cell.id}")
    return found


def set_verification(store: Store, cell: Cell, found: dict[str, int]) -> None:
    store.set_entry(f"verification of cell {cell.id}", dict(found))


def departures(store: Store, cell: Cell) -> dict[str, str]:
    """Returns by parameter, in words, how a cell's requests were sent otherwise than its protocol says.

    A judge's parameters have its role before them, such as `judge: temperature`.
    """
    found: dict[str, str] = store.manifest.get(f"departures of cell {cell.id}", {})
    return found


def add_departure(store: Store, cell: Cell, parameter: str, words: str) -> None:
    """Stores a departure of `cell`. The caller commits."""
    store.set_entry(f"departures of cell {cell.id}", {**departures(store, cell), parameter: words})


def samples_of_all(store: Store, cell: Cell) -> int | None:
    """Returns how many samples all shards of a cell have together; None if this one does not know it yet."""
    found: int | None = store.manifest.get(f"samples of cell {cell.id}")
    return found


def set_samples_of_all(store: Store, cell: Cell, samples: int) -> None:
    """Stores how many samples all shards of `cell` have together. The caller commits."""
    store.set_entry(f"samples of cell {cell.id}", samples)


def clip_seconds(store: Store, cell: Cell) -> float:
    """Returns the seconds of audio over a cell's samples, without failed samples."""
    (found,) = store.connection.execute(
        "SELECT coalesce(sum(seconds), 0.0) FROM sample, json_each(sample.media) "
        "JOIN media ON media.key = json_each.value WHERE cell = ? AND outcome != 'failed' "
        "AND mime NOT LIKE 'video/%'",
        (cell.id,),
    ).fetchone()
    return float(found)


def prompt_tokens(store: Store, cell: Cell) -> dict[int, int]:
    """Returns the tokens of each sample's first prompt as the endpoint counted them, by its position.

    A sample whose prompt was not counted is left out.
    """
    rows = store.connection.execute(
        f"SELECT position, max({counted_tokens('prompt')}) AS n "  # noqa: S608 — fixed
        "FROM asked JOIN draw USING (request, draw) "
        "WHERE asked.cell = ? AND turn = 0 AND NOT judge GROUP BY position HAVING n > 0",
        (cell.id,),
    )
    return dict(rows.fetchall())


def question_characters(store: Store, cell: Cell) -> dict[int, int]:
    """Returns the characters of each sample's question, by its position; empty questions are left out."""
    rows = store.connection.execute(
        "SELECT position, length(input) FROM sample WHERE cell = ? AND input != ''", (cell.id,)
    )
    return dict(rows.fetchall())


def group_counts(store: Store, cell: Cell) -> dict[str, int]:
    """Returns how many samples of each group the file has, including failed ones."""
    rows = store.connection.execute(
        "SELECT grp, count(*) FROM sample WHERE cell = ? GROUP BY grp", (cell.id,)
    )
    return dict(rows.fetchall())


def count_details(store: Store, cell: Cell, keys: Iterable[str]) -> dict[str, int]:
    """Returns how many samples have each of `keys` in their answer's detail."""
    wanted = list(keys)
    columns = ", ".join(["count(json_extract(answer, '$.detail.' || ?))"] * len(wanted))
    counts = store.connection.execute(
        f"SELECT {columns} FROM sample WHERE cell = ?",  # noqa: S608 — made of question marks
        (*wanted, cell.id),
    ).fetchone()
    return dict(zip(wanted, counts, strict=True))


def asker(store: Store, key: bytes) -> str:
    """Returns the id of the sample that a stored response to the request was for; "" if there is none."""
    found = store.connection.execute(
        "SELECT sample FROM request JOIN draw ON draw.request = request.id WHERE key = ? LIMIT 1", (key,)
    ).fetchone()
    return str(found[0]) if found else ""
