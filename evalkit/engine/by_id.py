"""Compares the ids of a model that answers by the sample's id with those of the samples, before a run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from evalkit.engine.cell import CellPlan
from evalkit.errors import UsageError, counted
from evalkit.models.base import Model, answers_by_id
from evalkit.samples import Sample

_SHOWN = 5
"""Ids that a message lists."""
_ENDINGS = re.compile(r"\.(?:wav|flac|mp3|ogg|opus|m4a|webm|sph|txt|json|png|jpe?g)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ids:
    """What the comparison found, each in order. `near`: of the missing ids, a similar one that is not used.

    `missing`: samples without an answer. `unused`: answers without a sample, as far as all samples are asked.
    `shared`: ids of several samples, each of which gets the same answer.
    """

    missing: Sequence[str]
    unused: Sequence[str]
    shared: Sequence[str]
    near: Mapping[str, str]

    def notes(self) -> list[str]:
        """One line for each of the three, with the first ids."""
        found = []
        if self.missing:
            hint = "".join(f"; {mine!r} may be {other!r}" for mine, other in [*self.near.items()][:1])
            found.append(
                f"{counted(len(self.missing), 'sample')} without an answer: {_listed(self.missing)}{hint}"
            )
        if self.unused:
            found.append(f"{counted(len(self.unused), 'answer')} without a sample: {_listed(self.unused)}")
        if self.shared:
            found.append(
                f"{counted(len(self.shared), 'id')} of several samples, which get the same answer: "
                f"{_listed(self.shared)}"
            )
        return found


def compare_ids(model: Model, cells: Iterable[CellPlan]) -> Ids | None:
    """The comparison for a `ByIdModel`, None for any other model. Reads all samples.

    Raises `UsageError` if no sample has an answer.
    """
    if not answers_by_id(model):
        return None
    cells = list(cells)
    asked = Counter(name for cell in cells for name in _ids_of(cell))
    known = dict.fromkeys(model.ids)
    missing = [name for name in asked if name not in known]
    # With a limit most answers are of samples that are not asked.
    whole = all(cell.limit is None for cell in cells)
    unused = [name for name in known if name not in asked]
    near = _near(missing, unused)
    if asked and len(missing) == len(asked):
        hint = "".join(f": {mine!r} may be {other!r}" for mine, other in [*near.items()][:1])
        raise UsageError(
            f"{model.name} has no answer to any of {counted(len(missing), 'sample')} ({_listed(missing)}): "
            f"its ids are others ({_listed(unused)}){hint}"
        )
    shared = [name for name, count in asked.items() if count > 1 and name in known]
    return Ids(missing, unused if whole else (), shared, near)


def _ids_of(cell: CellPlan) -> Iterator[str]:
    return (found.id for _, found in cell.tried() if isinstance(found, Sample))


def _near(missing: Collection[str], unused: Collection[str]) -> dict[str, str]:
    """Of the missing ids, the unused one that differs in case, in folders before it, or in its ending."""
    by_core: dict[str, list[str]] = {}
    for name in unused:
        by_core.setdefault(_core(name), []).append(name)
    found = {name: by_core.get(_core(name), []) for name in missing}
    return {name: others[0] for name, others in found.items() if len(others) == 1}


def _core(name: str) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name
    return _ENDINGS.sub("", last.strip()).casefold()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
