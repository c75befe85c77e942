"""`evalkit.toml`: which benchmarks can fail a comparison, and how strict it is.

    [compare]
    alpha = 0.05              # false-alarm rate over all benchmarks together
    margin = 0.0              # points that head may lose, unless a benchmark sets its own margin
    blocking = true           # whether a benchmark that is not named below can fail the job
    allow_different = false   # also compare benchmarks whose signatures differ
    allow_missing = false     # head may lack benchmarks that base has, or that are named below
    allow_subset = false      # head may have only a part of base's samples (--limit)

    [benchmarks.gsm8k]        # a task, or "gsm8k:maj1@32" for one of its protocols
    margin = 1.0              # in the unit of its metric
    blocking = true           # false: it is compared and shown, and never fails the job
    metric = "accuracy"       # by default the task's first metric
    allow_subset = true       # as above, for this benchmark; so are allow_different and allow_missing

Every key may be left out, and unknown keys are refused. Every blocking benchmark that base has, or that is
named here, must be in head, with all samples and the same signature, unless an allow_ key permits otherwise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.convert import from_json, read_toml
from evalkit.errors import UsageError, unknown

DEFAULT_FILE = Path("evalkit.toml")


@dataclass(frozen=True, slots=True)
class Rule:
    """The settings of one benchmark; None means the setting of `[compare]`."""

    margin: float | None = None
    blocking: bool | None = None
    metric: str = ""
    allow_different: bool | None = None
    allow_missing: bool | None = None
    allow_subset: bool | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The resolved settings of one benchmark. `metric`: "" for the task's first metric.

    `named`: whether the policy names the benchmark.
    """

    margin: float
    blocking: bool
    metric: str
    allow_different: bool
    allow_missing: bool
    allow_subset: bool
    named: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a comparison. `benchmarks`: rules by task, or by task:protocol, which has priority."""

    alpha: float = 0.05
    margin: float = 0.0
    blocking: bool = True
    allow_different: bool = False
    allow_missing: bool = False
    allow_subset: bool = False
    benchmarks: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha must be between 0 and 1, not {self.alpha:g}; 0.05 is usual")
        for name, margin in (("", self.margin), *((n, r.margin) for n, r in self.benchmarks.items())):
            if margin is not None and not 0 <= margin < math.inf:
                place = f"the margin of {name}" if name else "the margin"
                raise UsageError(f"{place} must be a number of at least 0, not {margin:g}")

    def terms(self, task: str, protocol: str) -> Terms:
        """Returns the settings of a benchmark. `protocol`: "" for a task that is in neither run."""
        named = self.benchmarks.get(f"{task}:{protocol}") or self.benchmarks.get(task)
        rule = named or Rule()

        def resolved(key: str) -> Any:
            own = getattr(rule, key)
            return getattr(self, key) if own is None else own

        return Terms(
            margin=resolved("margin"),
            blocking=resolved("blocking"),
            metric=rule.metric,
            allow_different=resolved("allow_different"),
            allow_missing=resolved("allow_missing"),
            allow_subset=resolved("allow_subset"),
            named=named is not None,
        )


def policy_of(
    path: Path | None,
    *,
    margin: float | None = None,
    alpha: float | None = None,
    allow_different: bool = False,
    allow_missing: bool = False,
    allow_subset: bool = False,
) -> Policy:
    """Returns the policy in `path`, or in `DEFAULT_FILE` if it exists, overridden by the other arguments."""
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    policy = read_policy(path) if path else Policy()
    return dataclasses.replace(
        policy,
        margin=policy.margin if margin is None else margin,
        alpha=policy.alpha if alpha is None else alpha,
        allow_different=allow_different or policy.allow_different,
        allow_missing=allow_missing or policy.allow_missing,
        allow_subset=allow_subset or policy.allow_subset,
    )


def read_policy(path: Path) -> Policy:
    """Reads the policy in a TOML file. Raises `UsageError`, which names file and place."""
    document = read_toml(path)
    for key in document:
        if key not in ("compare", "benchmarks"):
            raise unknown(f"table in {path}", key, ("compare", "benchmarks"))
    general = document.get("compare", {})
    if isinstance(general, dict) and "benchmarks" in general:
        raise UsageError(
            f"{path}: benchmarks must be outside of [compare], in tables such as [benchmarks.gsm8k]"
        )
    named = document.get("benchmarks", {})
    if not isinstance(named, dict):
        raise UsageError(f"{path}: benchmarks must be tables such as [benchmarks.gsm8k]")
    rules = {name: from_json(Rule, rule, f"{path}, [benchmarks.{name}]") for name, rule in named.items()}
    return dataclasses.replace(from_json(Policy, general, f"{path}, [compare]"), benchmarks=rules)
