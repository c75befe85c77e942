"""Which judge models a task is scored with, settled before the first request."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from evalkit.benchmark.task import ModelScorer, Scorer, Task, judge_argument, judge_for, judge_roles
from evalkit.errors import UsageError
from evalkit.models.base import Model


@dataclass(frozen=True, slots=True)
class JudgeModels:
    """`required`: whether a task that cannot be scored without them is refused."""

    models: Mapping[str, Model]
    required: bool

    def of(self, task: Task) -> tuple[Task, dict[str, str]]:
        """The task without the variants that there are no judge models for; and the identity in each role.

        Raises `UsageError` where its headline needs one that there is not.
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


def identity_text(model: Model) -> str:
    """A model's identity as one line of canonical JSON."""
    return orjson.dumps(model.identity, option=orjson.OPT_SORT_KEYS).decode()
