"""What a reader of another tool's files returns: one `Results` for each task, and its samples one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import UsageError
from evalkit.samples import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request and its response, as far as they are logged.

    `prompt`: a text, or a list of messages with `role` and `content`; "" if it is not logged. `finish`: as in
    `evalkit.models.base.Response`. `likelihoods`: (continuation, natural-log probability, greedy) if the
    tool asked for likelihoods and not for a text. `more`: the texts of further draws of the same request.
    """

    prompt: JSON = ""
    text: str = ""
    reasoning: str = ""
    finish: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    likelihoods: tuple[tuple[str, float | None, bool | None], ...] = ()
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One reading of one draw of a sample.

    `draw`: 0, or the number of the epoch or trial. `reading`: the filter or the scorer that made `answer`; a
    file may have the readings of a sample in any place. `values`: the sample's value by metric; a value that
    is not finite, or missing, is no value. `answer`: None if the tool found no answer. `error`: why the
    sample failed; "" if it did not. `asked`: the requests; for further readings of a draw they may be empty.
    `cluster`: as in `evalkit.samples.Sample`; only files that evalkit exported have it.
    `compared`: whether the prompts count when two runs are compared; a chat template of a model's own makes
    other prompts of the same questions. `where`: the place in the file, for messages.
    """

    id: str
    where: str
    input: str = ""
    target: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    group: str = ""
    cluster: str = ""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    draw: int = 0
    reading: str = ""
    answer: str | None = None
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of a metric in `Results.weighted`: what its value, a log-probability, is divided by, such as words."""
    asked: tuple[Asked, ...] = ()
    compared: bool = True
    error: str = ""
    boundary: str = "provider"


@dataclass(frozen=True, slots=True)
class Weighted:
    """A figure of the sum of log-probabilities over the sum of `units`.

    `bits`: whether it is minus that ratio in bits; else it is the perplexity, exp of minus that ratio.
    """

    units: str
    bits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The results of one task.

    `tool`: such as `lm-eval`; it names the protocol. `model`: its name as the tool writes it. `identity`:
    what else is known of the model. `settings`: what decides the figures as far as the file says: the
    version of the tool and of the task, its settings. They are the signature, and two runs with different
    settings are not compared. `printed`: the tool's own figures, by the metric's name. `lower`: metrics for
    which lower is better. `of`: samples of the whole data set, if known. `limit`: the tool's limit, if it
    had one. `expected`: the number of samples that the file says it has. `finished`: False for a run that
    the tool did not finish. `where`: the file.
    """

    tool: str
    task: str
    model: str
    where: str
    samples: Callable[[], Iterator[Scored]]
    settings: Mapping[str, JSON]
    identity: Mapping[str, JSON] = field(default_factory=dict)
    printed: Mapping[str, float] = field(default_factory=dict)
    lower: frozenset[str] = frozenset()
    shots: int = 0
    of: int | None = None
    limit: int | None = None
    expected: int | None = None
    finished: bool = True
    weighted: Mapping[str, Weighted] = field(default_factory=dict)
    """Metrics that are no mean over samples, by name."""
    notes: tuple[str, ...] = ()
    """Sentences about what the file has and a run file has no place for."""


_SECRET = ("key", "token", "secret", "password", "authorization", "header")
LONG = 200
"""Maximum number of characters of a setting in a signature; of a longer one it has the digest."""


def without_secrets(settings: object) -> dict[str, JSON]:
    """Returns the entries whose names do not sound like a key or a password; {} for no mapping."""
    if not isinstance(settings, Mapping):
        return {}
    return {
        str(name): value
        for name, value in settings.items()
        if not any(word in str(name).casefold() for word in _SECRET) or str(name).casefold() == "max_tokens"
    }


def short(value: JSON) -> JSON:
    """Returns a setting for a signature: itself, or the digest of a long one."""
    from evalkit.benchmark.signature import digest
    from evalkit.runfile.encoding import dump

    text = dump(value)
    return value if len(text) <= LONG else digest(text).hex()


def exported(own: object) -> dict[str, Any]:
    """Returns the group and the cluster of a sample in a file that evalkit exported; {} for any other."""
    if not isinstance(own, Mapping):
        return {}
    return {name: one for name in ("group", "cluster") if isinstance(one := own.get(name), str)}


def mapping(value: object, where: str, what: str) -> Mapping[str, Any]:
    """Returns `value`, which must be a JSON object. Raises `UsageError`."""
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {what} must be a JSON object, not {_kind(value)}")
    return value


def entry(record: Mapping[str, Any], name: str, where: str, kind: type | tuple[type, ...], fix: str) -> Any:
    """Returns `record[name]`. Raises `UsageError`, which ends with `fix`, if it lacks or has another type."""
    if name not in record:
        raise UsageError(f"{where} has no {name!r}: {fix}")
    value = record[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, str))):
        raise UsageError(f"{where}: {name!r} is {_kind(value)}: {fix}")
    return value


def text_of(value: object) -> str:
    """Returns a text as it is, and anything else as JSON; "" for nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    from evalkit.runfile.encoding import dump

    return dump(value)


def number_of(value: object) -> float | None:
    """Returns a finite number, also of True and False; else None."""
    import math

    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def count_of(value: object) -> int | None:
    """Returns a count that a run file can hold; else None."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
    return int(value) if fits else None  # type: ignore[call-overload]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
