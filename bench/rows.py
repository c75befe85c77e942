"""The results of a measurement: rows of a table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
HEADINGS = ("what", "measured", "budget", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `budget`: None for a reference figure. `later`: whether the budget does not bind yet."""

    what: str
    measured: float
    unit: str
    budget: float | None = None
    bound: Literal["≤", "≥"] = "≤"
    later: bool = False

    @property
    def ok(self) -> bool | None:
        """Whether the budget is kept; None if there is no binding one."""
        if self.budget is None or self.later:
            return None
        return self.measured <= self.budget if self.bound == "≤" else self.measured >= self.budget

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}

    def texts(self) -> tuple[str, str, str, str]:
        """The texts of the row, one for each of `HEADINGS`."""
        budget = "" if self.budget is None else f"{self.bound} {_number(self.budget)} {self.unit}"
        verdict = "later" if self.later else {True: "ok", False: "OVER", None: ""}[self.ok]
        return self.what, f"{_number(self.measured)} {self.unit}", budget, verdict


def table(rows: Sequence[Row]) -> str:
    """The rows as a text in columns."""
    lines = [HEADINGS, *(row.texts() for row in rows)]
    what, measured, budget = (max(len(line[i]) for line in lines) for i in range(3))
    return "\n".join(
        f"{line[0]:<{what}}  {line[1]:>{measured}}  {line[2]:>{budget}}  {line[3]}".rstrip() for line in lines
    )


def in_own_process(module: str, *arguments: object) -> dict[str, Any]:
    """Runs `python -m MODULE ARGUMENTS`, with its own memory and caches. Returns the JSON that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def say(text: str) -> None:
    """Writes the progress of a measurement to standard error."""
    print(text, file=sys.stderr, flush=True)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
