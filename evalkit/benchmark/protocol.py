"""Protocols: how a benchmark is asked (shots, draws, decoding) and how its answers are read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from evalkit.benchmark.readers import Reader, each_draw
from evalkit.benchmark.solvers import Solver, ask_once
from evalkit.errors import UsageError, unknown
from evalkit.models.options import number, whole_number
from evalkit.models.parameters import EXTRA, SAMPLING, read_extra
from evalkit.samples import APIS, FRAME_RULES, JSON, RESAMPLES, Api, FrameRule, Resample

Likelihood = Literal["next-token", "prompt", "backend"]
LIKELIHOODS: tuple[Likelihood, ...] = get_args(Likelihood)
MOST_FRAMES = 1024
_NONE: Mapping[str, str] = {}
NEVER = math.inf
"""A threshold that no agreement reaches, so that every answer falls back."""


def _stop(text: str) -> tuple[str, ...]:
    r"""Stop sequences as typed: separated by `|`, with `\n` for a newline."""
    return tuple(part.replace("\\n", "\n") for part in text.split("|") if part)


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be {' or '.join(known)}")
        return text

    return parse


_chat_or_completion = _one_of("chat", "completion")
_likelihood = _one_of(*LIKELIHOODS)
_resample = _one_of(*RESAMPLES)
_frame_rule = _one_of(*FRAME_RULES)
_on_or_off = _one_of("on", "off")


def _threshold(text: str) -> float:
    try:
        return NEVER if text == "never" else float(text)
    except ValueError:
        raise ValueError("must be a number or never") from None


def shown_threshold(threshold: float) -> float | str:
    """As it is typed and written: `NEVER` is "never"."""
    return "never" if threshold == NEVER else threshold


def _setting(default: object, parse: Callable[[str], object]) -> Any:
    """A field that `--set` can override: `parse` converts the typed text, or raises `ValueError`."""
    return field(default=default, metadata={"parse": parse})


def _unsigned(default: object) -> Any:
    """A field that describes a protocol and does not change what is asked."""
    return field(default=default, metadata={"signed": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSettings:
    """The settings of a protocol as plain data, without its solver and reader. A run file stores them.

    A new field needs only its line here: `--set`, the help, the run file and the signature take it from here.
    """

    name: str = field(metadata={"signed": False})
    api: Api = _setting("chat", _chat_or_completion)
    """`chat`: messages, to which the server applies its template. `completion`: a plain text to continue.
    `transcription`: one clip, transcribed or translated."""
    shots: int = _setting(0, whole_number)
    draws: int = _setting(1, whole_number)
    temperature: float = _setting(0.0, number)
    top_p: float = _setting(1.0, number)
    max_tokens: int = _setting(1024, whole_number)
    """The most tokens of one response; a longer response is cut off and marked as truncated."""
    stop: tuple[str, ...] = _setting((), _stop)
    logprobs: int = _setting(0, whole_number)
    """Alternatives to return for each generated token; above 0, the model must return log-probabilities."""
    likelihood: Likelihood = _setting("next-token", _likelihood)
    """How the likelihood of a choice is found: from the next token's alternatives, or for its whole text.

    `prompt`: from the prompt's own tokens, with the choice at the end of the prompt. `backend`: computed by
    the backend itself; it replaces `prompt` for models that can do so."""
    drop_shots: bool = False
    """Whether a prompt that does not fit into the model's context is asked again with one shot fewer."""
    fallback: tuple[str, ...] = _setting((), lambda text: (text,))
    """Protocols of the same task to which a routed answer may fall back; the first that the model supports
    is used."""
    threshold: float | None = _setting(None, _threshold)
    """The least share of draws that must agree in a routed protocol. None: chosen on the validation split."""
    needs: tuple[str, ...] = _unsigned(())
    """Capabilities that the solver requires and the other fields do not show: `tools`, `prefill`, `echo`."""
    branches: tuple[str, ...] = _unsigned(())
    """Names of the further answers that the reader returns (`Answer.branches`)."""
    max_pixels: int = _setting(0, whole_number)
    """Pictures with more pixels are scaled down to this many; 0 means that no picture is scaled."""
    resample: Resample = _setting("lanczos", _resample)
    """The filter that scales pictures down."""
    frames: int = _setting(0, whole_number)
    """How many frames of a video are shown; 0 if the protocol shows no video."""
    frame_rule: FrameRule = _setting("middle", _frame_rule)
    """Which frames are shown: the `middle` of each of as many equal intervals, or `linspace`, which includes
    the first and the last (`evalkit.media.video`)."""
    language_hint: bool = _setting(False, lambda text: _on_or_off(text) == "on")
    """Whether the model receives the spoken language as a hint."""
    top_k: int | None = _setting(None, whole_number)
    """The next token is drawn from this many of the likeliest. None: as the server does without it."""
    min_p: float | None = _setting(None, number)
    """The least probability of a token that is drawn, as a share of the likeliest one's."""
    repetition_penalty: float | None = _setting(None, number)
    presence_penalty: float | None = _setting(None, number)
    frequency_penalty: float | None = _setting(None, number)
    system: str = _setting("", str)
    """A system message before the chat."""
    extra: Mapping[str, JSON] = field(default_factory=dict, hash=False)
    """Further fields of the request's body, from settings such as `extra.KEY=VALUE`."""
    source: str = _unsigned("")
    """The publication or code that describes the protocol."""
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False, metadata={"signed": False})
    """What `--set` changed, as typed: settings of the protocol and the task's own options."""

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
        for name in ("temperature", *SAMPLING):
            if not math.isfinite(getattr(self, name) or 0):
                raise UsageError(f"{name} must be a finite number, not {getattr(self, name)}")
        _at_least("logprobs", self.logprobs, 0)
        _at_least("max_pixels", self.max_pixels, 0)
        _at_least("frames", self.frames, 0)
        if self.frames > MOST_FRAMES:
            raise UsageError(f"frames must be at most {MOST_FRAMES}, not {self.frames}")
        self._check_system()
        if self.likelihood != "next-token" and self.api != "completion":
            raise UsageError(
                f"likelihood={self.likelihood} needs api=completion: "
                "a chat endpoint does not return the tokens of a prompt"
            )
        if self.threshold is not None and not (0 <= self.threshold <= 1 or self.threshold == NEVER):
            raise UsageError(f"threshold must be between 0 and 1, or never, not {self.threshold}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.draws > 1 and self.temperature == 0:
            raise UsageError(
                f"draws={self.draws} at temperature 0 sends the same request {self.draws} times: "
                "add --set temperature=0.8"
            )

    def _check_system(self) -> None:
        if self.system and self.api != "chat":
            raise UsageError("system needs api=chat: only a chat has a system message")

    @property
    def label(self) -> str:
        """The name with its overrides, for display only: `8-shot-cot[shots=4]`."""
        overrides = ",".join(f"{key}={self.overrides[key]}" for key in sorted(self.overrides))
        return f"{self.name}[{overrides}]" if overrides else self.name

    @property
    def parameters(self) -> dict[str, JSON]:
        """The parameters of a request that are sent only if they are set (`Request.extra`)."""
        given = {name: getattr(self, name) for name in SAMPLING}
        return {**{name: value for name, value in given.items() if value is not None}, **self.extra}

    @property
    def calibrated(self) -> bool:
        """Whether the threshold must be chosen on the validation split."""
        return bool(self.fallback) and self.threshold is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(ProtocolSettings):
    """One way to ask a benchmark and to read the answers.

    The first protocol of a task is the one that the report uses.
    """

    solver: Solver = field(default=ask_once, metadata={"signed": False})
    """Makes the requests for a sample."""
    reader: Reader = field(default=each_draw, metadata={"signed": False})
    """Makes the answer from the transcript of a sample."""

    def settings(self) -> ProtocolSettings:
        """The protocol without its solver and reader."""
        return ProtocolSettings(**{name: getattr(self, name) for name in _FIELDS})

    def override(self, settings: Mapping[str, str], options: Mapping[str, str] = _NONE) -> Protocol:
        """The same protocol with `settings` (field → text as typed), which are recorded in `overrides`.

        `options`: what `overrides` records besides, such as a task's own options. Raises `UsageError` for
        an unknown field and for a value that is not allowed.
        """
        extra = {key: text for key, text in settings.items() if key.startswith(EXTRA)}
        changes: dict[str, object] = {"extra": {**self.extra, **read_extra(extra)}} if extra else {}
        for key, text in settings.items():
            if key in extra:
                continue
            if key not in _PARSERS:
                raise unknown("setting", key, _PARSERS)
            if key in ("fallback", "threshold") and not self.fallback:
                raise UsageError(f"--set {key}={text}: protocol {self.name} is not routed")
            if key in ("logprobs", "likelihood") and not self.logprobs:
                raise UsageError(f"--set {key}={text}: protocol {self.name} does not choose by likelihood")
            try:
                changes[key] = _PARSERS[key](text)
            except ValueError as error:
                raise UsageError(f"--set {key}={text}: {error}") from None
        changes = {key: value for key, value in changes.items() if value != getattr(self, key)}
        if not changes and not options:
            return self
        typed = {key: text for key, text in settings.items() if key in changes or key in extra}
        changes["overrides"] = {**self.overrides, **typed, **options}
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise UsageError(f"{name} must be at least {least}, not {value}")


_FIELDS = tuple(field.name for field in dataclasses.fields(ProtocolSettings))
_PARSERS: Mapping[str, Callable[[str], object]] = {
    field.name: field.metadata["parse"]
    for field in dataclasses.fields(ProtocolSettings)
    if "parse" in field.metadata
}
SETTINGS = tuple(_PARSERS)
"""The fields of a protocol that `--set` can override."""
SIGNED = tuple(
    field.name for field in dataclasses.fields(ProtocolSettings) if field.metadata.get("signed", True)
)
"""The fields that decide what is asked and are therefore part of a signature."""
