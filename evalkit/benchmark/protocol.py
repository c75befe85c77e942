"""How a benchmark is asked: shots, draws, decoding, selection."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from evalkit.benchmark.readers import Reader, each_draw
from evalkit.benchmark.solvers import Solver, ask_once
from evalkit.errors import UsageError, unknown
from evalkit.samples import APIS, FRAME_RULES, RESAMPLES, Api, FrameRule, Resample

Likelihood = Literal["next-token", "prompt", "backend"]
LIKELIHOODS: tuple[Likelihood, ...] = get_args(Likelihood)
MOST_FRAMES = 1024
_NONE: Mapping[str, str] = {}
NEVER = math.inf
"""As a threshold: no agreement is enough, every answer falls back."""


def _stop(text: str) -> tuple[str, ...]:
    r"""Stop sequences as typed: separated by `|`, with `\n` for a newline."""
    return tuple(part.replace("\\n", "\n") for part in text.split("|") if part)


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"is neither {' nor '.join(known)}")
        return text

    return parse


_chat_or_completion = _one_of("chat", "completion")
_likelihood = _one_of(*LIKELIHOODS)
_resample = _one_of(*RESAMPLES)
_frame_rule = _one_of(*FRAME_RULES)
_on_or_off = _one_of("on", "off")


def _threshold(text: str) -> float:
    return NEVER if text == "never" else float(text)


def _setting(default: object, parse: Callable[[str], object]) -> Any:
    """A field that `--set` can override: `parse` reads what was typed, or raises `ValueError`."""
    return field(default=default, metadata={"parse": parse})


def _unsigned(default: object) -> Any:
    """A field that says something about a protocol and changes nothing that is asked."""
    return field(default=default, metadata={"signed": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSettings:
    """What a protocol is as plain data: all of it but its solver and reader. A run file keeps this.

    A new field needs nothing but its line here: `--set`, the help, the run file and the signature follow.
    """

    name: str = field(metadata={"signed": False})
    api: Api = _setting("chat", _chat_or_completion)
    """`chat`: messages, the server applies its template. `completion`: bare text, continued.
    `transcription`: a clip alone, written down or translated."""
    shots: int = _setting(0, int)
    draws: int = _setting(1, int)
    temperature: float = _setting(0.0, float)
    top_p: float = _setting(1.0, float)
    max_tokens: int = _setting(1024, int)
    """Most tokens of one response; a response cut there is marked truncated."""
    stop: tuple[str, ...] = _setting((), _stop)
    logprobs: int = _setting(0, int)
    """Alternatives to return for each generated token; above 0, the model must give log-probabilities."""
    likelihood: Likelihood = _setting("next-token", _likelihood)
    """Where a choice's likelihood is read: the next token's alternatives, or the whole text of the choice.

    `prompt`: from the prompt's own tokens, with the choice at its end. `backend`: the model's own figure,
    which takes the place of `prompt` where a model has one."""
    drop_shots: bool = False
    """Ask again with one shot fewer while the prompt does not fit the model's context."""
    fallback: tuple[str, ...] = _setting((), lambda text: (text,))
    """Protocols of the same task that a routed answer falls back to; the first that the model can do."""
    threshold: float | None = _setting(None, _threshold)
    """Of routing: least share of draws that must agree. None: chosen on the validation split."""
    needs: tuple[str, ...] = _unsigned(())
    """What its solver asks of a model beyond the rest of the protocol: `tools`, `prefill`, `echo`."""
    branches: tuple[str, ...] = _unsigned(())
    """Names of the further answers that the reader gives (`Answer.branches`)."""
    max_pixels: int = _setting(0, int)
    """Pictures with more pixels are scaled down to that many; 0: shown as they are."""
    resample: Resample = _setting("lanczos", _resample)
    """Filter that scales them down."""
    frames: int = _setting(0, int)
    """Frames that a video is shown as; 0 where none is shown."""
    frame_rule: FrameRule = _setting("middle", _frame_rule)
    """Which ones: `middle` of as many equal stretches, or `linspace`, first and last included
    (`evalkit.media.video`)."""
    language_hint: bool = _setting(False, lambda text: _on_or_off(text) == "on")
    """Whether the model is told which language is spoken."""
    source: str = _unsigned("")
    """Where the protocol is written down."""
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False, metadata={"signed": False})
    """What `--set` changed, as typed: settings of the protocol, and the task's own options."""

    def __post_init__(self) -> None:
        for name, known in (
            ("api", APIS),
            ("resample", RESAMPLES),
            ("likelihood", LIKELIHOODS),
            ("frame_rule", FRAME_RULES),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name, least in (("shots", 0), ("draws", 1), ("max_tokens", 1), ("temperature", 0)):
            _at_least(name, getattr(self, name), least)
        if not math.isfinite(self.temperature):
            raise UsageError(f"temperature={self.temperature} is no finite number")
        _at_least("logprobs", self.logprobs, 0)
        _at_least("max_pixels", self.max_pixels, 0)
        _at_least("frames", self.frames, 0)
        if self.frames > MOST_FRAMES:
            raise UsageError(f"frames={self.frames} is above {MOST_FRAMES}")
        if self.likelihood != "next-token" and self.api != "completion":
            raise UsageError(
                f"likelihood={self.likelihood} needs api=completion: no chat route returns a prompt's tokens"
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
    def label(self) -> str:
        """The name with what was overridden: `8-shot-cot[shots=4]`. For people; nothing reads it."""
        said = ",".join(f"{key}={self.overrides[key]}" for key in sorted(self.overrides))
        return f"{self.name}[{said}]" if said else self.name

    @property
    def calibrated(self) -> bool:
        """Whether a threshold has to be chosen on the validation split before it can be asked."""
        return bool(self.fallback) and self.threshold is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(ProtocolSettings):
    """One way to ask a benchmark and to read what was answered.

    The first of a task's protocols is the report's.
    """

    solver: Solver = field(default=ask_once, metadata={"signed": False})
    """What is asked for a sample."""
    reader: Reader = field(default=each_draw, metadata={"signed": False})
    """How the answer is made of what was asked and came back."""

    def settings(self) -> ProtocolSettings:
        """The protocol without its solver and reader."""
        return ProtocolSettings(**{name: getattr(self, name) for name in _FIELDS})

    def override(self, settings: Mapping[str, str], options: Mapping[str, str] = _NONE) -> Protocol:
        """The same protocol with `settings` (field → text as typed), which `overrides` then has.

        `options`: what else belongs there, such as a task's own options. Raises `UsageError` for an
        unknown field or a value of the wrong type.
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
        changes["overrides"] = {**self.overrides, **{key: settings[key] for key in changes}, **options}
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise UsageError(f"{name}={value} is below {least}")


_FIELDS = tuple(field.name for field in dataclasses.fields(ProtocolSettings))
_PARSERS: Mapping[str, Callable[[str], object]] = {
    field.name: field.metadata["parse"]
    for field in dataclasses.fields(ProtocolSettings)
    if "parse" in field.metadata
}
SETTINGS = tuple(_PARSERS)
"""What `--set` can override of a protocol."""
SIGNED = tuple(
    field.name for field in dataclasses.fields(ProtocolSettings) if field.metadata.get("signed", True)
)
"""What decides what is asked, and so belongs to a signature."""
