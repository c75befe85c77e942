"""`evalkit.toml`: which benchmarks a comparison gates on, and how strictly.

    [compare]
    alpha = 0.05              # how often "worse" may be said of a change that is none, over all benchmarks
    margin = 0.0              # points that head may lose, where a benchmark does not say
    blocking = true           # whether a benchmark that is not named below fails the job
    allow_different = false   # compare also what was not asked the same way

    [benchmarks.gsm8k]        # a task, or "gsm8k:maj1@32" for one of its protocols
    margin = 1.0              # in the unit of its metric
    blocking = true           # false: it is compared and shown, and never fails the job
    metric = "accuracy"       # the task's first one, where it is left out

Every key may be left out; what is not known is refused. A head is incomplete that lacks what base has and
what is named here and blocking.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError, unknown

DEFAULT_FILE = Path("evalkit.toml")


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one benchmark; None: as in `[compare]`."""

    margin: float | None = None
    blocking: bool | None = None
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """`benchmarks`: rules by task, or by task:protocol, which goes first."""

    alpha: float = 0.05
    margin: float = 0.0
    blocking: bool = True
    allow_different: bool = False
    benchmarks: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha {self.alpha:g} is no probability between 0 and 1: 0.05 is usual")
        for name, margin in (("", self.margin), *((n, r.margin) for n, r in self.benchmarks.items())):
            if margin is not None and not 0 <= margin < math.inf:
                place = f"the margin of {name}" if name else "the margin"
                raise UsageError(f"{place} is {margin:g}: it is the points that may be lost, 0 or more")

    def gates(self, task: str, protocol: str) -> bool:
        """Whether the policy names this benchmark as one that blocks: a run without it is incomplete."""
        return self._named(task, protocol) is not None and self.rule(task, protocol)[1]

    def _named(self, task: str, protocol: str) -> Rule | None:
        return self.benchmarks.get(f"{task}:{protocol}") or self.benchmarks.get(task)

    def rule(self, task: str, protocol: str) -> tuple[float, bool, str]:
        """(margin, blocking, metric; "" the first) of a benchmark."""
        found = self._named(task, protocol) or Rule()
        margin = self.margin if found.margin is None else found.margin
        return margin, self.blocking if found.blocking is None else found.blocking, found.metric


_COMPARE = {"alpha": float, "margin": float, "blocking": bool, "allow_different": bool}
_BENCHMARK = {"margin": float, "blocking": bool, "metric": str}
_WORDS = {float: "a number", bool: "true or false", str: "a text in quotes"}


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file. Raises `UsageError` for what is not known, naming file and place."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    for key in document:
        if key not in ("compare", "benchmarks"):
            raise unknown(f"table in {path}", key, ("compare", "benchmarks"))
    general = _typed(document.get("compare", {}), _COMPARE, f"{path}, [compare]")
    named = document.get("benchmarks", {})
    if not isinstance(named, dict):
        raise UsageError(f"{path}: benchmarks is a table: [benchmarks.gsm8k]")
    rules = {
        name: Rule(**_typed(entries, _BENCHMARK, f"{path}, [benchmarks.{name}]"))
        for name, entries in named.items()
    }
    return Policy(**general, benchmarks=rules)


def _typed(entries: Any, known: Mapping[str, type], place: str) -> dict[str, Any]:
    if not isinstance(entries, dict):
        raise UsageError(f"{place} is a table of {', '.join(known)}")
    found = {}
    for key, value in entries.items():
        if key not in known:
            raise unknown(f"key in {place}", key, known)
        kind = known[key]
        number = kind is float and isinstance(value, int | float) and not isinstance(value, bool)
        if not number and type(value) is not kind:
            raise UsageError(f"{place}: {key} = {value!r} is not {_WORDS[kind]}")
        found[key] = float(value) if number else value
    return found
