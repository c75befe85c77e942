"""Decides which judge models a task is scored with, before the first request."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import orjson

from evalkit.benchmark.task import ModelScorer, Scorer, Task, judge_argument, judge_for, judge_roles
from evalkit.errors import UsageError
from evalkit.models.base import Model
from evalkit.samples import JUDGE


@dataclass(frozen=True, slots=True)
class JudgeModels:
    """The judge models by role. `required`: refuse a task that cannot be scored without a missing one."""

    models: Mapping[str, Model]
    required: bool

    def of(self, task: Task) -> tuple[Task, dict[str, str]]:
        """Returns the task without the variants whose judge models are missing, and the identities by role.

        Raises `UsageError` if a judge model of the task's own scorer is missing.
        """
        missing = self._missing(task.scorer)
        if missing and self.required:
            typed = (f"--judge {judge_argument(role, 'MODEL')}" for role in missing)
            raise UsageError(f"{task.name} is scored by a judge model: add {' '.join(typed)}")
        variants = tuple(variant for variant in task.variants if not self._missing(variant.scorer))
        if len(variants) < len(task.variants):
            task = dataclasses.replace(task, variants=variants)
        known = ((role, judge_for(role, self.models)) for role in judge_roles(task))
        return task, {role: "" if model is None else identity_text(model) for role, model in known}

    def _missing(self, scorer: Scorer | None) -> list[str]:
        roles = scorer.roles if isinstance(scorer, ModelScorer) else ()
        return [role for role in roles if judge_for(role, self.models) is None]


def check_used(judges: Mapping[str, Model], roles: Set[str], extracts: bool, shown: Sequence[str]) -> None:
    """Raises `UsageError` for a judge model that no task of a run uses.

    `roles`: the roles that the tasks have. `extracts`: whether one of them has a model read answers. `shown`:
    the names of the tasks.
    """
    used = {role if role in judges else JUDGE for role in roles} | ({JUDGE} if extracts else set())
    for role in judges.keys() - used:
        given = judge_argument(role, judges[role].name)
        raise UsageError(f"--judge {given}: none of {', '.join(shown)} uses such a judge")


def identity_text(model: Model) -> str:
    """Returns a model's identity as one line of canonical JSON."""
    return orjson.dumps(model.identity, option=orjson.OPT_SORT_KEYS).decode()
