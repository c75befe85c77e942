"""Two run files → a comparison: what both hold, asked the same way, judged sample by sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.errors import UsageError, unknown
from evalkit.paired import pair
from evalkit.policy import Policy
from evalkit.report.table import TableCell, cells_of
from evalkit.rows import Cell
from evalkit.store import Store
from evalkit.verdicts import Benchmark, Comparison, Flip, Key, verdicts

_SHORT = 80
"""Characters of an answer in a list of flips."""
_SUBSETS = ("n", "questions", "prompts")
"""Parts of a signature that differ where samples are missing; they are compared sample by sample instead."""


def compare(base: Store, head: Store, policy: Policy | None = None, *, flips: int = 10) -> Comparison:
    """Head against base on every benchmark that both hold. `flips`: samples listed of each, worst first.

    Raises `UsageError` where they have no benchmark in common, a benchmark was not asked the same way (unless
    the policy allows it), or the policy names what neither holds.
    """
    policy = policy or Policy()
    before, after = _Run(base), _Run(head)
    notes = _check_names(policy, [*before.cells, *after.cells])
    common = [key for key in before.cells if key in after.cells]
    if not common:
        held = " and ".join(", ".join(map(":".join, run.cells)) or "nothing" for run in (before, after))
        raise UsageError(f"{base.path} and {head.path} have no benchmark in common: {held}")
    gone = [key for key in before.cells if key not in after.cells]
    missed = [":".join(key) for key in gone if policy.gates(*key)]
    notes += [f"{':'.join(key)} is only in base" for key in gone if not policy.gates(*key)]
    notes += [f"{':'.join(key)} is only in head" for key in after.cells if key not in before.cells]
    measured = []
    for key in common:
        one = _measure(before, after, key, policy)
        if one is None:
            notes.append(f"{':'.join(key)}: no sample was judged in both")
        else:
            measured.append(one)
    judged = verdicts(measured, policy.alpha)
    return Comparison(
        base=before.label,
        head=after.label,
        alpha=policy.alpha,
        benchmarks=tuple(
            dataclasses.replace(
                one, flips=_flips(one, before.cells[one.key], base, after.cells[one.key], head, flips)
            )
            for one in judged
        ),
        notes=(*notes, *_subset_notes(before, after, judged), *_chance_notes(before, after, judged)),
        incomplete=(
            *(f"base: {words}" for words in before.incomplete),
            *(f"head: {words}" for words in after.incomplete),
            *(f"head: {name} is missing, which the policy names" for name in missed),
        ),
    )


class _Run:
    """A run's cells and figures by what they answer: (task, protocol without overrides)."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.label = f"{store.manifest['model']['name']} ({store.path.name})"
        self.cells: dict[Key, Cell] = {
            (cell.task, _base(cell.protocol)): cell for cell in store.cells() if not cell.role
        }
        self.figures: dict[Key, list[TableCell]] = {}
        for figure in cells_of(store):
            self.figures.setdefault((figure.task, _base(figure.protocol)), []).append(figure)

    @property
    def incomplete(self) -> list[str]:
        found = []
        for key, (figure, *_) in self.figures.items():
            asked = sum(figure.outcomes.values()) + figure.answered
            expected = min(filter(None, (figure.limit, figure.records)), default=asked)
            if asked < expected:
                found.append(f"{':'.join(key)} is unfinished, {asked} of {expected} samples")
            if failed := figure.outcomes["failed"]:
                found.append(f"{':'.join(key)}: {failed} samples failed")
        return found


def _base(protocol: str) -> str:
    return protocol.partition("[")[0]


def _check_names(policy: Policy, held: Sequence[Key]) -> list[str]:
    """Notes on benchmarks that the policy names and neither run holds; unknown ones are refused."""
    from evalkit.tasks import INDEX

    here = {name for task, protocol in held for name in (task, f"{task}:{protocol}")}
    absent = [name for name in policy.benchmarks if name not in here]
    for name in absent:
        if name.partition(":")[0] not in INDEX:
            raise unknown("benchmark in the policy", name, sorted({*here, *INDEX}))
    return [f"the policy names {name}, which neither run holds" for name in absent]


def _measure(before: _Run, after: _Run, key: Key, policy: Policy) -> Benchmark | None:
    """The benchmark without a verdict."""
    margin, blocking, metric = policy.rule(*key)
    names = [figure.metric for figure in before.figures[key]]
    if metric and metric not in names:
        raise unknown(f"metric of {':'.join(key)} in the policy", metric, names)
    old = before.figures[key][names.index(metric) if metric else 0]
    new = next((figure for figure in after.figures[key] if figure.metric == old.metric), None)
    if new is None:
        raise UsageError(f"{after.store.path}: {':'.join(key)} was not measured by {old.metric!r}")
    cells = before.cells[key], after.cells[key]
    confidence = 1 - policy.alpha
    paired = pair(before.store, cells[0], after.store, cells[1], old.metric, confidence=confidence)
    if paired is None:
        return None
    differences = old.signature.without(_SUBSETS).differences(new.signature.without(_SUBSETS))
    if paired.asked_otherwise:
        differences.append(
            f"{paired.asked_otherwise} of {paired.n} common samples: the question or the prompt"
        )
    if differences and not policy.allow_different:
        raise UsageError(
            f"{':'.join(key)} was not asked the same way in base and head: {'; '.join(differences)} "
            "(--allow-different compares them all the same)"
        )
    target = old.traits.best
    return Benchmark(
        task=key[0],
        protocol=key[1],
        metric=old.metric if target is None else f"{old.metric}, distance from {target:g}",
        unit=old.unit,
        higher_is_better=old.higher_is_better and target is None,
        margin=margin,
        blocking=blocking,
        paired=paired,
        differences=tuple(differences),
    )


def _flips(
    one: Benchmark, before: Cell, base: Store, after: Cell, head: Store, most: int
) -> tuple[Flip, ...]:
    worst = one.paired.flips[:most]
    wanted = {sample for sample, _ in worst}
    told = [
        {row["id"]: row for row in store.samples(cell) if row["id"] in wanted} if wanted else {}
        for store, cell in ((base, before), (head, after))
    ]
    return tuple(
        Flip(
            sample=sample,
            gain=gain,
            outcomes=(told[0][sample]["outcome"], told[1][sample]["outcome"]),
            answers=(_answer(base, told[0][sample]), _answer(head, told[1][sample])),
        )
        for sample, gain in worst
    )


def _answer(store: Store, row: Mapping[str, Any]) -> str | None:
    if store.is_slim:
        return None
    finals = row["finals"]
    return str(finals[0].get("value") or "")[:_SHORT] if finals else ""


def _subset_notes(before: _Run, after: _Run, judged: Sequence[Benchmark]) -> list[str]:
    found = []
    for one in judged:
        sizes = before.figures[one.key][0].n, after.figures[one.key][0].n
        if sizes != (one.paired.n, one.paired.n):
            found.append(
                f"{one.name}: on the {one.paired.n} samples that both judged, of {sizes[0]} and {sizes[1]}"
            )
    return found


def _chance_notes(before: _Run, after: _Run, judged: Sequence[Benchmark]) -> list[str]:
    """What else than another model moves a figure: sampled draws, and a server that is not steady."""
    found = []
    drawn = [one.name for one in judged if before.cells[one.key].spec["protocol"].get("draws", 1) > 1]
    if drawn:
        found.append(f"{', '.join(drawn)}: questions are resampled, the draws of each are held")
    for side, run in (("base", before), ("head", after)):
        for one in judged:
            again = run.figures[one.key][0].verification
            if again and again["changed"]:
                found.append(
                    f"{side}: {one.name}: {again['changed']} of {again['asked']} greedy answers changed when "
                    "asked for again: a difference may be the server's"
                )
    return found
