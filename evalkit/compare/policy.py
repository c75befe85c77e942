"""`evalkit.toml`: which benchmarks a comparison gates on, and how strictly.

    [compare]
    alpha = 0.05              # how often "worse" may be said of a change that is none, over all benchmarks
    margin = 0.0              # points that head may lose, where a benchmark does not say
    blocking = true           # whether a benchmark that is not named below fails the job
    allow_different = false   # compare also what was not asked the same way
    allow_missing = false     # head may lack benchmarks that base has, or that are named below
    allow_subset = false      # head may have been asked a part of base's samples (--limit)

    [benchmarks.gsm8k]        # a task, or "gsm8k:maj1@32" for one of its protocols
    margin = 1.0              # in the unit of its metric
    blocking = true           # false: it is compared and shown, and never fails the job
    metric = "accuracy"       # the task's first one, where it is left out
    allow_subset = true       # as above, for this benchmark; so are allow_different and allow_missing

Every key may be left out; what is not known is refused. What base has, and what is named here, has to be in
head, whole and asked the same way, unless it is allowed not to be or does not block.
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
    """What holds for one benchmark; None: as in `[compare]`."""

    margin: float | None = None
    blocking: bool | None = None
    metric: str = ""
    allow_different: bool | None = None
    allow_missing: bool | None = None
    allow_subset: bool | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one benchmark, everything taken into account. `metric`: "" for the task's first one.

    `named`: whether the policy names it.
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
    """`benchmarks`: rules by task, or by task:protocol, which goes first."""

    alpha: float = 0.05
    margin: float = 0.0
    blocking: bool = True
    allow_different: bool = False
    allow_missing: bool = False
    allow_subset: bool = False
    benchmarks: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha {self.alpha:g} is no probability between 0 and 1: 0.05 is usual")
        for name, margin in (("", self.margin), *((n, r.margin) for n, r in self.benchmarks.items())):
            if margin is not None and not 0 <= margin < math.inf:
                place = f"the margin of {name}" if name else "the margin"
                raise UsageError(f"{place} is {margin:g}: it is the points that may be lost, 0 or more")

    def terms(self, task: str, protocol: str) -> Terms:
        """What holds for a benchmark; `protocol` "": for a task that is in no run."""
        named = self.benchmarks.get(f"{task}:{protocol}") or self.benchmarks.get(task)
        rule = named or Rule()

        def settled(key: str) -> Any:
            own = getattr(rule, key)
            return getattr(self, key) if own is None else own

        return Terms(
            margin=settled("margin"),
            blocking=settled("blocking"),
            metric=rule.metric,
            allow_different=settled("allow_different"),
            allow_missing=settled("allow_missing"),
            allow_subset=settled("allow_subset"),
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
    """The policy in `path`, else in `DEFAULT_FILE` where there is one, with what is given here on top."""
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
    """The policy in a TOML file. Raises `UsageError` for what is not known, naming file and place."""
    document = read_toml(path)
    for key in document:
        if key not in ("compare", "benchmarks"):
            raise unknown(f"table in {path}", key, ("compare", "benchmarks"))
    general = document.get("compare", {})
    if isinstance(general, dict) and "benchmarks" in general:
        raise UsageError(f"{path}: benchmarks stands beside [compare], not in it: [benchmarks.gsm8k]")
    named = document.get("benchmarks", {})
    if not isinstance(named, dict):
        raise UsageError(f"{path}: benchmarks is a table: [benchmarks.gsm8k]")
    rules = {name: from_json(Rule, rule, f"{path}, [benchmarks.{name}]") for name, rule in named.items()}
    return dataclasses.replace(from_json(Policy, general, f"{path}, [compare]"), benchmarks=rules)
