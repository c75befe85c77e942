"""Two runs of a folder compared as `evalkit compare` does: the verdicts, and the samples that changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from evalkit.compare.policy import policy_of
from evalkit.compare.runs import compare, flips_of
from evalkit.compare.verdicts import Benchmark, Flip
from evalkit.errors import UsageError
from evalkit.exports.shared import opened
from evalkit.report.comparison import comparison_table, conclusion, flip_text, rows, texts
from evalkit.report.tabular import Tabular
from evalkit.runfile.records import Cell, Occurrence, occurrences
from evalkit.runfile.store import Store
from evalkit.site.folder import Run, stamp_of
from evalkit.site.kept import stored

_LISTED = 100
"""The most samples that became worse, and the most that became better, that are listed of a benchmark."""
_BEGINNING = 160
"""The longest beginning of a question, in characters."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the gate says of one benchmark, in the texts of its table. `samples`: how many were paired."""

    verdict: str
    figures: str
    difference: str
    samples: str
    won_lost: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The gate's verdicts by benchmark. `error`: why the runs cannot be compared at all, else ""."""

    by_benchmark: Mapping[str, Change]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Flipped:
    """A sample that changed. `text`: what changed in it. `address`: its place in the page of a run."""

    sample: str
    text: str
    question: str
    address: str


@dataclass(frozen=True, slots=True)
class FlippedOf:
    """The samples of a benchmark that changed, the worst and the best first, and how many there are."""

    name: str
    worse: tuple[Flipped, ...]
    better: tuple[Flipped, ...]
    losses: int
    wins: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The gate's table of two runs, its last sentence, its exit code, and the samples that changed."""

    table: Tabular
    conclusion: str
    exit_code: int
    flips: tuple[FlippedOf, ...]


def changes(base: Run, head: Run) -> Changes:
    """The gate's verdicts on two runs; they are kept while the files and the policy stay as they are."""
    policy = policy_of(None)

    def made() -> Changes:
        try:
            with opened(base.path, report=True) as before, opened(head.path, report=True) as after:
                comparison = compare(before, after, policy, flips=0)
                return Changes({one.name: Change(*texts(one)[1:]) for one in rows(comparison)})
        except UsageError as error:
            return Changes({}, head.in_folder(base.in_folder(str(error))))

    places = [str(run.path.resolve()) for run in (base, head)]
    stamp = [*stamp_of(base.path), 0, *stamp_of(head.path)]
    return stored(Changes, [*places, repr(policy)], [*stamp], made, lambda found: not found.error)


def compared(base: Run, head: Run) -> Compared:
    """All that the page of a comparison shows. Raises `UsageError` if a file cannot be read."""
    with opened(base.path, report=True) as before, opened(head.path, report=True) as after:
        comparison = compare(before, after, policy_of(None), flips=0)
        sides = [
            {(cell.task, cell.protocol): cell for cell in store.cells() if not cell.role}
            for store in (before, after)
        ]
        return Compared(
            dataclasses.replace(comparison_table(comparison), conclusion=None),
            conclusion(comparison),
            comparison.exit_code,
            tuple(
                _flipped(one, (before, sides[0][one.key]), (after, sides[1][one.key]))
                for one in comparison.benchmarks
                if one.paired.flips
            ),
        )


def _flipped(one: Benchmark, base: tuple[Store, Cell], head: tuple[Store, Cell]) -> FlippedOf:
    moved = one.paired.flips  # the worst first
    worse = [found for found in moved if found.gain < 0][:_LISTED]
    better = [found for found in reversed(moved) if found.gain > 0][:_LISTED]
    questions = {} if head[0].is_slim else _questions(*head)
    shown = [
        tuple(_shown(one, flip, questions) for flip in flips_of(one, some, base, head))
        for some in (worse, better)
    ]
    return FlippedOf(one.name, shown[0], shown[1], one.paired.losses, one.paired.wins)


def _shown(one: Benchmark, flip: Flip, questions: Mapping[Occurrence, str]) -> Flipped:
    name = f"{flip.sample} ({flip.occurrence + 1})" if flip.occurrence else flip.sample
    address = f"#sample={quote(one.name, safe='')}/{quote(name, safe='')}"
    text = flip_text(flip).removeprefix(f"{flip.name}  ")
    return Flipped(flip.name, text, questions.get((flip.sample, flip.occurrence), ""), address)


def _questions(store: Store, cell: Cell) -> dict[Occurrence, str]:
    found = store.connection.execute(
        f"SELECT id, substr(input, 1, {_BEGINNING}) FROM sample WHERE cell = ? ORDER BY position",  # noqa: S608
        (cell.id,),
    ).fetchall()
    return dict(zip(occurrences(name for name, _ in found), (text for _, text in found), strict=True))
