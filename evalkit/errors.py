"""Every error that evalkit raises on purpose, as one small tree.

EvalkitError
├── UsageError            bad usage or input: exit code 2, before the first request
│   ├── NoRunFile         a file that is no run file
│   └── DataError         a data set that is missing, moved or changed
│       └── OwnDataError  a benchmark without public data, for which the user gave none
├── StorageError          the run file cannot be written or read back: the run stops, exit code 3
└── BoundaryError         one sample failed, and where it failed: it is counted, never scored
    ├── SampleError       no sample could be made from a record, or no prompt from a sample
    ├── ProviderError     the model's endpoint
    ├── MediaError        an image, audio or video file
    ├── ToolError         a tool that a solver used
    ├── SandboxError      the place where programs run
    ├── JudgeError        a judge model that did not answer, or whose replies cannot be read
    └── ScorerError       the extractor or the scorer itself
        └── WorkerError   the process in which a scorer runs: it had no CPU time, was killed or was lost
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EvalkitError(Exception):
    """Base class of every error that evalkit raises on purpose."""


class UsageError(EvalkitError):
    """Bad usage or input. The message says what is wrong, where, and what to do."""


class NoRunFile(UsageError):
    """A file that is no run file: another database, or no database at all."""


class DataError(UsageError):
    """A data set that is missing, at another revision, or of another schema."""


class OwnDataError(DataError):
    """A benchmark has no public data, and the user gave none. `report:TABLE` leaves it out with a warning."""


class StorageError(EvalkitError):
    """The run file cannot be written, or lacks what the run stored: a full disk, a deleted file."""


class BoundaryError(EvalkitError):
    """A sample could not be answered or scored; `boundary` says where it failed."""

    boundary = "provider"


class SampleError(BoundaryError):
    """No sample could be made from a record, or no prompt from a sample."""

    boundary = "data"


class ProviderError(BoundaryError):
    """The model's endpoint failed.

    `retryable`: the same request may succeed later. `retry_after`: seconds that the server asks to wait.
    `throttled`: the server is overloaded (429, 503, timeout). `limited`: it allows fewer requests (429), so
    that waiting is all that helps. `fatal`: no request can succeed (wrong key, unknown model), so the run
    stops. `doubtful`: of a fatal one, that it concerns this request alone if another one was answered.
    `hint`: what to look at if it is fatal. `too_long`: the prompt does not fit into the model's context; a
    shorter prompt may. `refused`: the endpoint's filter refuses this one prompt, now and later. `away`:
    nobody answered for the model (no connection, a gateway's 502, a timeout), so that the request may not be
    the reason. `unsent`: it was not even sent, so that it cannot be the reason. `waited`: the seconds of a
    timeout.
    """

    boundary = "provider"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        throttled: bool = False,
        limited: bool = False,
        fatal: bool = False,
        doubtful: bool = False,
        hint: str = "",
        too_long: bool = False,
        refused: bool = False,
        away: bool = False,
        unsent: bool = False,
        waited: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.throttled = throttled
        self.limited = limited
        self.fatal = fatal
        self.doubtful = doubtful
        self.hint = hint
        self.too_long = too_long
        self.refused = refused
        self.away = away
        self.unsent = unsent
        self.waited = waited

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint and self.fatal else message


class MediaError(BoundaryError):
    """An image, audio or video file cannot be decoded."""

    boundary = "media"


class ToolError(BoundaryError):
    """A tool that a solver used failed; the sample was not answered."""

    boundary = "tool"


class JudgeError(BoundaryError):
    """A judge model gave no reply, or no reply that could be parsed; the answer was not judged."""

    boundary = "judge"


class SandboxError(BoundaryError):
    """The sandbox itself failed; the program was not judged."""

    boundary = "sandbox"


class ScorerError(BoundaryError):
    """The extractor or the scorer raised an exception."""

    boundary = "scorer"


class WorkerError(ScorerError):
    """The process in which a scorer runs gave no result in its wall time, was killed or was lost.

    Its CPU time is limited apart, so the machine was too busy or out of memory: the same call may succeed.
    """

    boundary = "worker"


def one_line(error: BaseException, most: int) -> str:
    """`Type: message` of another library's error, with at most `most` characters of the message."""
    message = " ".join(str(error).split())[:most]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def counted(number: int, one: str, several: str = "") -> str:
    """`1 sample`, `2,000 samples`: a number and what it counts. `several`: the plural; "": `one` and an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UsageError:
    """Returns a `UsageError` for an unknown name; its message lists the most similar known names.

    Upper and lower case are alike: `GPT 4` is similar to `gpt-4`.
    """
    names = sorted(known)
    folded: dict[str, list[str]] = {}
    for one in names:
        folded.setdefault(one.casefold(), []).append(one)
    similar = get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    close = [one for text in similar for one in folded[text]]
    if close:
        tail = f": did you mean {' or '.join(close)}?"
    elif hint:
        tail = f": {hint}"
    else:
        tail = f": known are {', '.join(names)}" if names else ""
    return UsageError(f"unknown {kind} {name!r}{tail}")
