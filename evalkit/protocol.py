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

Api = Literal["chat", "completion", "transcription"]
APIS: tuple[Api, ...] = ("chat", "completion", "transcription")
Likelihood = Literal["next-token", "prompt"]
Resample = Literal["lanczos", "bicubic", "bilinear", "box"]
RESAMPLES: tuple[Resample, ...] = ("lanczos", "bicubic", "bilinear", "box")
LIKELIHOODS: tuple[Likelihood, ...] = ("next-token", "prompt")
_NONE: Mapping[str, str] = {}
NEVER = math.inf
"""As a threshold: no agreement is enough, every answer falls back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One way to ask a benchmark. The first of a task's protocols is the report's."""

    name: str
    solver: Solver
    api: Api = "chat"
    """`chat`: messages, the server applies its template. `completion`: bare text, continued.
    `transcription`: a clip alone, written down or translated."""
    shots: int = 0
    draws: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    """Most tokens of one response; a response cut there is marked truncated."""
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    """Alternatives to return for each generated token; above 0, the model must give log-probabilities."""
    likelihood: Likelihood = "next-token"
    """Where a choice's likelihood is read: the next token's alternatives, or the prompt's own tokens."""
    drop_shots: bool = False
    """Ask again with one shot fewer while the prompt does not fit the model's context."""
    fallback: tuple[str, ...] = ()
    """Protocols of the same task that a routed answer falls back to; the first that the model can do."""
    threshold: float | None = None
    """Of routing: least share of draws that must agree. None: chosen on the validation split."""
    legs: tuple[str, ...] = ()
    """Names of the further answers that the solver gives (`Answer.legs`)."""
    max_pixels: int = 0
    """Pictures with more pixels are scaled down to that many; 0: shown as they are."""
    resample: Resample = "lanczos"
    """Filter that scales them down."""
    language_hint: bool = False
    """Whether the model is told which language is spoken."""
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
        _at_least("logprobs", self.logprobs, 0)
        _at_least("max_pixels", self.max_pixels, 0)
        if self.resample not in RESAMPLES:
            raise unknown("resample", self.resample, RESAMPLES)
        if self.likelihood not in LIKELIHOODS:
            raise unknown("likelihood", self.likelihood, LIKELIHOODS)
        if self.likelihood == "prompt" and self.api != "completion":
            raise UsageError(
                "likelihood=prompt needs api=completion: no chat route returns a prompt's tokens"
            )
        if self.threshold is not None and not (0 <= self.threshold <= 1 or self.threshold == NEVER):
            raise UsageError(f"threshold={self.threshold} is neither a share between 0 and 1 nor never")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p} is outside (0, 1]")
        if self.draws > 1 and self.temperature == 0:
            raise UsageError(
                f"draws={self.draws} at temperature 0 asks the same thing {self.draws} times: "
                "add --set temperature=0.8"
            )

    @property
    def calibrated(self) -> bool:
        """Whether a threshold has to be chosen on the validation split before it can be asked."""
        return bool(self.fallback) and self.threshold is None

    @property
    def base(self) -> str:
        """The name without what was overridden: `8-shot-cot` of `8-shot-cot[shots=4]`."""
        return self.name.partition("[")[0]

    def override(self, settings: Mapping[str, str], options: Mapping[str, str] = _NONE) -> Protocol:
        """The same protocol with `settings` (field → text as typed), under a name that says so.

        `options`: what else belongs into the name, such as a task's own options. Raises `UsageError` for
        an unknown field or a value of the wrong type.
        """
        changes: dict[str, object] = {}
        for key, text in settings.items():
            if key not in _PARSERS:
                raise unknown("setting", key, _PARSERS)
            if key in ("fallback", "threshold") and not self.fallback:
                raise UsageError(f"--set {key}={text}: {self.name} is not routed")
            if key in ("logprobs", "likelihood") and not self.logprobs:
                raise UsageError(f"--set {key}={text}: {self.name} does not choose by likelihood")
            try:
                changes[key] = _PARSERS[key](text)
            except ValueError as error:
                raise UsageError(f"--set {key}={text}: {error}") from None
        changes = {key: value for key, value in changes.items() if value != getattr(self, key)}
        if not changes and not options:
            return self
        said = {**{key: settings[key] for key in changes}, **options}
        label = ",".join(f"{key}={said[key]}" for key in sorted(said))
        return dataclasses.replace(self, name=f"{self.name}[{label}]", **changes)  # type: ignore[arg-type]


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise UsageError(f"{name}={value} is below {least}")


def _stop(text: str) -> tuple[str, ...]:
    r"""Stop sequences as typed: separated by `|`, with `\n` for a newline."""
    return tuple(part.replace("\\n", "\n") for part in text.split("|") if part)


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"is neither {' nor '.join(known)}")
        return text

    return parse


def _threshold(text: str) -> float:
    return NEVER if text == "never" else float(text)


_PARSERS: dict[str, Callable[[str], object]] = {
    "api": _one_of("chat", "completion"),
    "shots": int,
    "draws": int,
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "stop": _stop,
    "logprobs": int,
    "likelihood": _one_of(*LIKELIHOODS),
    "fallback": lambda text: (text,),
    "threshold": _threshold,
    "max_pixels": int,
    "resample": _one_of(*RESAMPLES),
    "language_hint": lambda text: _one_of("on", "off")(text) == "on",
}
SETTINGS = tuple(_PARSERS)
"""What `--set` can override of a protocol."""
