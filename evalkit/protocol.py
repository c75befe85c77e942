"""How a benchmark is asked: shots, draws, decoding, selection."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.errors import UsageError, unknown

if TYPE_CHECKING:
    from evalkit.solvers import Solver

Api = Literal["chat", "completion"]
APIS: tuple[Api, ...] = ("chat", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One way to ask a benchmark. The first of a task's protocols is the report's."""

    name: str
    solver: Solver
    api: Api = "chat"
    """`chat`: messages, the server applies its template. `completion`: bare text, continued."""
    shots: int = 0
    draws: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    """Most tokens of one response; a response cut there is marked truncated."""
    stop: tuple[str, ...] = ()
    source: str = ""
    """Where the protocol is written down."""

    def __post_init__(self) -> None:
        if self.api not in APIS:
            raise unknown("api", self.api, APIS)
        _at_least("shots", self.shots, 0)
        _at_least("draws", self.draws, 1)
        _at_least("max_tokens", self.max_tokens, 1)
        _at_least("temperature", self.temperature, 0)
        if not math.isfinite(self.temperature):
            raise UsageError(f"temperature={self.temperature} is no finite number")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p} is outside (0, 1]")
        if self.draws > 1 and self.temperature == 0:
            raise UsageError(
                f"draws={self.draws} at temperature 0 asks the same thing {self.draws} times: "
                "add --set temperature=0.8"
            )

    @property
    def base(self) -> str:
        """The name without what was overridden: `8-shot-cot` of `8-shot-cot[shots=4]`."""
        return self.name.partition("[")[0]

    def override(self, settings: Mapping[str, str]) -> Protocol:
        """The same protocol with `settings` (field → text as typed), under a name that says so.

        Raises `UsageError` for an unknown field or a value of the wrong type.
        """
        changes: dict[str, object] = {}
        for key, text in settings.items():
            if key not in _PARSERS:
                raise unknown("setting", key, _PARSERS)
            try:
                changes[key] = _PARSERS[key](text)
            except ValueError as error:
                raise UsageError(f"--set {key}={text}: {error}") from None
        changes = {key: value for key, value in changes.items() if value != getattr(self, key)}
        if not changes:
            return self
        label = ",".join(f"{key}={settings[key]}" for key in sorted(changes))
        return dataclasses.replace(self, name=f"{self.name}[{label}]", **changes)  # type: ignore[arg-type]


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise UsageError(f"{name}={value} is below {least}")


def _stop(text: str) -> tuple[str, ...]:
    r"""Stop sequences as typed: separated by `|`, with `\n` for a newline."""
    return tuple(part.replace("\\n", "\n") for part in text.split("|") if part)


def _api(text: str) -> Api:
    for api in APIS:
        if text == api:
            return api
    raise ValueError(f"is neither {' nor '.join(APIS)}")


_PARSERS: dict[str, Callable[[str], object]] = {
    "api": _api,
    "shots": int,
    "draws": int,
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "stop": _stop,
}
