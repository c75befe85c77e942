"""Compares two run files: every benchmark of either run, sample by sample."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any

from evalkit.compare.comparability import Check, Side, check, prompts_differ
from evalkit.compare.paired import Moved, pair
from evalkit.compare.policy import Policy, Terms
from evalkit.compare.verdicts import (
    DIFFERENT,
    INCOMPLETE,
    Benchmark,
    Comparison,
    Flip,
    Key,
    Problem,
    Unmeasured,
    verdicts,
)
from evalkit.errors import UsageError, counted, unknown
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.records import (
    REFUSED,
    VALIDATION,
    Cell,
    CellData,
    Occurrence,
    occurrences,
    told_outcomes,
)
from evalkit.runfile.store import Store

_SHORT = 80
"""Maximum number of characters of an answer in a list of flips."""


def compare(base: Store, head: Store, policy: Policy | None = None, *, flips: int = 10) -> Comparison:
    """Compares head with base on every benchmark that base, head or the policy has.

    A benchmark that cannot be compared gets a problem and does not hide the others; `Comparison.exit_code`
    takes it into account. `flips`: maximum number of samples listed per benchmark, worst first.
    """
    policy = policy or Policy()
    before, after = _Run("base", base), _Run("head", head)
    measured, unmeasured = [], []
    for key in dict.fromkeys((*before.cells, *after.cells)):
        one = _measure(before, after, key, policy.terms(*key))
        if isinstance(one, Benchmark):
            measured.append(one)
        else:
            unmeasured.append(one)
    unmeasured += _in_neither(policy, [*before.cells, *after.cells])
    decided = verdicts(measured, policy.alpha)
    return Comparison(
        base=before.label,
        head=after.label,
        alpha=policy.alpha,
        benchmarks=tuple(
            dataclasses.replace(
                one,
                flips=flips_of(
                    one, one.paired.flips[:flips], (base, before.cells[one.key]), (head, after.cells[one.key])
                ),
            )
            for one in decided
        ),
        unmeasured=tuple(unmeasured),
        notes=(
            *_sample_notes(decided, policy.alpha),
            *_subset_notes(before, after, decided),
            *_chance_notes(before, after, decided),
            *_lock_notes(before, after, decided),
        ),
    )


class _Run:
    """A run's cells and figures by (task, protocol without overrides)."""

    def __init__(self, name: str, store: Store) -> None:
        self.name, self.store = name, store
        self.label = f"{store.manifest['model']['name']} ({store.path.name})"
        cells = store.cells()
        self.cells: dict[Key, Cell] = {_key(cell): cell for cell in cells if not cell.role}
        self._validations = {_key(cell): cell for cell in cells if cell.role == VALIDATION}
        self.figures: dict[Key, list[TableCell]] = {}
        for figure in cells_of(store):
            self.figures.setdefault(_key(figure), []).append(figure)

    def side(self, key: Key, figure: TableCell) -> Side:
        return Side(self.name, figure, self.store.data(self.cells[key]), self._validation(key))

    def _validation(self, key: Key) -> CellData | None:
        cell = self._validations.get(key)
        return None if cell is None else self.store.data(cell)


def _key(of: Cell | TableCell) -> Key:
    return of.task, of.spec.protocol.name


def _in_neither(policy: Policy, held: Sequence[Key]) -> Iterable[Unmeasured]:
    """Yields the benchmarks that the policy names and neither run has."""
    from evalkit.benchmark.task import index

    here = {name for task, protocol in held for name in (task, f"{task}:{protocol}")}
    for name in policy.benchmarks:
        task, _, protocol = name.partition(":")
        if name in here:
            continue
        known = sorted({*here, *index()})
        close = [] if task in known else get_close_matches(name, known, n=1)
        words = "the policy names it, and neither run has it"
        if close:
            words += f": did you mean {close[0]}?"
        yield _missing((task, protocol), policy.terms(task, protocol), words)


def _missing(key: Key, terms: Terms, words: str) -> Unmeasured:
    """Returns a benchmark that head lacks, or that the policy names although base lacks it."""
    fix = "Run it, or compare with --allow-missing"
    problem = Problem(INCOMPLETE, words, fix)
    problems = () if terms.allow_missing else (problem,)
    return Unmeasured(*key, "missing", terms.blocking, problems, words)


def _measure(before: _Run, after: _Run, key: Key, terms: Terms) -> Benchmark | Unmeasured:
    """Returns the benchmark, still without a verdict, or why it cannot be compared."""
    if key not in after.cells:
        return _missing(key, terms, "head does not have it")
    if key not in before.cells:
        if terms.named:
            return _missing(key, terms, "the policy names it, and base does not have it")
        return Unmeasured(*key, "only in head", terms.blocking, words="base does not have it")
    try:
        return _compared(before, after, key, terms)
    except UsageError as error:
        return Unmeasured(*key, "not asked alike", terms.blocking, (Problem(DIFFERENT, str(error)),))


def _compared(before: _Run, after: _Run, key: Key, terms: Terms) -> Benchmark | Unmeasured:
    names = [figure.metric for figure in before.figures[key]]
    if terms.metric and terms.metric not in names:
        raise unknown(f"metric of {':'.join(key)} in the policy", terms.metric, names)
    old = before.figures[key][names.index(terms.metric) if terms.metric else 0]
    new = next((figure for figure in after.figures[key] if figure.metric == old.metric), None)
    if new is None:
        raise UsageError(f"{after.store.path} was not measured by {old.metric!r}, which base was")
    sides = before.side(key, old), after.side(key, new)
    found = check(*sides, terms)
    try:
        paired = pair(before.store, before.cells[key], after.store, after.cells[key], old.metric)
    except UsageError as error:  # measured by code that differs from the current code
        if not found.differences:
            raise
        paired, found.differences = None, [*found.differences, str(error)]
    if paired is not None:
        found.differences += prompts_differ(paired.other_prompts, paired.n)
    if found.differences and not terms.allow_different:
        words = f"not asked the same way in base and head: {'; '.join(found.differences)}"
        problem = Problem(DIFFERENT, words, "Use --allow-different to compare the common samples anyway")
        return Unmeasured(*key, "not asked alike", terms.blocking, (problem, *found.problems))
    if paired is None:
        return _nothing(key, terms, sides, found)
    target = old.traits.best
    return Benchmark(
        task=key[0],
        protocol=key[1],
        metric=old.metric if target is None else f"{old.metric}, distance from {target:g}",
        unit=old.unit,
        higher_is_better=old.higher_is_better and target is None,
        margin=terms.margin,
        blocking=terms.blocking,
        paired=paired,
        differences=tuple(found.differences),
        problems=tuple(found.problems),
        decimals=max(1, old.measured.decimals),
    )


def _nothing(key: Key, terms: Terms, sides: tuple[Side, Side], found: Check) -> Unmeasured:
    """Returns a benchmark without a sample that could be compared."""
    words = "no sample was scored in both"
    if any(side.figure.answered for side in sides):
        words += ": references are not public"
    code = DIFFERENT if found.differences else INCOMPLETE
    problems = (Problem(code, words), *found.problems)
    return Unmeasured(*key, "nothing scored", terms.blocking, problems)


def flips_of(
    one: Benchmark, moved: Sequence[Moved], base: tuple[Store, Cell], head: tuple[Store, Cell]
) -> tuple[Flip, ...]:
    """Returns those of the `paired.flips` that are in `moved`, with what both runs answered."""
    wanted = {found.sample for found in moved}
    sides = (base, head)
    rows = [_rows(store, cell, wanted) if wanted else {} for store, cell in sides]

    def outcome(row: Mapping[str, Any]) -> str:
        return next(iter(told_outcomes({row["outcome"]: 1}, right_or_wrong=not one.paired.graded)))

    return tuple(
        Flip(
            sample=found.sample[0],
            gain=found.gain,
            outcomes=(outcome(rows[0][found.sample]), outcome(rows[1][found.sample])),
            answers=(_answer(base[0], rows[0][found.sample]), _answer(head[0], rows[1][found.sample])),
            figures=found.figures,
            unit=one.unit,
            occurrence=found.sample[1],
        )
        for found in moved
    )


def _rows(store: Store, cell: Cell, wanted: Set[Occurrence]) -> dict[Occurrence, dict[str, Any]]:
    """Returns the `wanted` samples of a run file."""
    rows, named = itertools.tee(store.samples(cell))
    keys = occurrences(row["id"] for row in named)
    return {key: row for key, row in zip(keys, rows, strict=True) if key in wanted}


def _answer(store: Store, row: Mapping[str, Any]) -> str | None:
    if store.is_slim:
        return None
    finals = row["finals"]
    return str(finals[0].get("value") or "")[:_SHORT] if finals else ""


def _subset_notes(before: _Run, after: _Run, decided: Sequence[Benchmark]) -> list[str]:
    found = []
    for one in decided:
        sizes = [int(run.store.data(run.cells[one.key]).scored.sum()) for run in (before, after)]
        both = one.paired.scored
        if sizes != [both, both]:
            found.append(
                f"{one.name}: on the {counted(both, 'sample')} scored in both, of {sizes[0]} and {sizes[1]}"
            )
    return found


def _lock_notes(before: _Run, after: _Run, decided: Sequence[Benchmark]) -> list[str]:
    """Returns whether two runs that both had a lock file read the same files."""
    found = []
    for one in decided:
        old, new = (str(run.cells[one.key].spec.data.get("lock", "")) for run in (before, after))
        if old and old == new:
            found.append(f"{one.name}: both runs had a lock, and read the same files ({old[:12]})")
        elif old and new:
            found.append(f"{one.name}: the locks of the runs differ ({old[:12]} and {new[:12]})")
    return found


def _sample_notes(decided: Sequence[Benchmark], alpha: float) -> list[str]:
    """Returns `Benchmark.samples_say` of the benchmarks, unless it is already one of their problems."""
    texts = [(one, one.samples_say(alpha, len(decided))) for one in decided]
    return [
        f"{one.name}: {words}"
        for one, words in texts
        if words and words not in [problem.words for problem in one.problems]
    ]


def _chance_notes(before: _Run, after: _Run, decided: Sequence[Benchmark]) -> list[str]:
    """Returns what can change a figure besides the model: sampled draws, and a server that is not stable."""
    found = []
    drawn = [one.name for one in decided if before.cells[one.key].spec.protocol.draws > 1]
    if drawn:
        found.append(f"{', '.join(drawn)}: questions are resampled, the draws of each are held fixed")
    for run in (before, after):
        for one in decided:
            figure = run.figures[one.key][0]
            if refused := figure.outcomes[REFUSED]:
                share = 100 * refused / sum(figure.outcomes.values())
                count = counted(refused, "sample was", "samples were")
                found.append(f"{run.name}: {one.name}: {count} refused ({share:.2g} %)")
            found += [f"{run.name}: {one.name}: {words}" for words in figure.evidence]
            again = figure.verification
            if again and again["changed"]:
                found.append(
                    f"{run.name}: {one.name}: {again['changed']} of {again['asked']} greedy answers changed "
                    "when asked for again: a difference may be the server's"
                )
    return found
