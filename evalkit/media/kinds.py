"""How each kind of file is prepared before it is sent to a model. A further kind is one entry here."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

from evalkit.errors import MediaError, ScorerError, WorkerError
from evalkit.media.sent import SentFile
from evalkit.processes.workers import OverLimit, Workers
from evalkit.samples import Audio, File, Image, Video

_P = ParamSpec("_P")
_R = TypeVar("_R")

VIDEO_SECONDS, VIDEO_MEGABYTES = 300.0, 4096
"""The CPU time and memory for one file that is decoded in another process: a video, or a clip or picture with
a decoder of that size."""


@dataclass(frozen=True, slots=True)
class ShowSettings:
    """The fields of a `Request` that decide how a file is shown."""

    max_pixels: int = 0
    resample: str = "lanczos"
    frames: int = 0
    frame_rule: str = "middle"


class Hands(Protocol):
    """Runs functions in a thread, or, if they may crash, in another process (`apart`)."""

    async def in_thread(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R: ...

    async def apart(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R: ...


Sent: TypeAlias = tuple[Path, ...] | None
"""The paths of the files that are sent, in order; None: the file is sent as stored."""


@dataclass(frozen=True, slots=True)
class MediaKind:
    """How one kind of file is prepared.

    `sent`: the kind of file that is sent. `look`: those fields of a `ShowSettings` that matter.
    `prepare`: (file, settings, path for its output, hands) → what a run file keeps of it, and what is sent;
    it raises `MediaError`. `needs`: raises `UsageError` if a library is missing.
    """

    sent: type[Image] | type[Audio]
    look: Callable[[ShowSettings], tuple[object, ...]]
    prepare: Callable[[Any, ShowSettings, Path, Hands], Awaitable[tuple[SentFile, Sent]]]
    needs: Callable[[], None] = lambda: None


async def _image(file: Image, look: ShowSettings, place: Path, hands: Hands) -> tuple[SentFile, Sent]:
    from evalkit.media.image import prepare, prepare_apart
    from evalkit.media.image_files import goes_apart

    def work() -> tuple[SentFile, Sent]:
        made = prepare(file.data, look.max_pixels, look.resample)
        size = (made.width, made.height, 0.0)
        return SentFile(file.key, made.mime, *size, len(made.data), made.preview), _kept(
            file, made.data, place
        )

    if goes_apart(file.data):
        how: dict[str, Any] = {"max_pixels": look.max_pixels, "resample": look.resample}
        return _one(file, await _apart("picture", prepare_apart, file, place, hands, **how), place)
    return await hands.in_thread(work)


async def _audio(file: Audio, look: ShowSettings, place: Path, hands: Hands) -> tuple[SentFile, Sent]:
    from evalkit.media.audio import prepare, prepare_apart
    from evalkit.media.audio_coded import is_coded

    def work() -> tuple[SentFile, Sent]:
        made = prepare(file.data)
        size = (0, 0, made.seconds)
        sent = SentFile(file.key, made.mime, *size, len(made.data), made.preview, cancels=made.cancels)
        return sent, _kept(file, made.data, place)

    if await hands.in_thread(is_coded, file.data):
        return _one(file, await _apart("clip", prepare_apart, file, place, hands), place)
    return await hands.in_thread(work)


async def _apart(
    what: str,
    prepare: Callable[..., Mapping[str, Any]],
    file: File,
    place: Path,
    hands: Hands,
    stored: Path | None = None,
    **how: Any,
) -> Mapping[str, Any]:
    """The result of `prepare` for the file in another process. `stored`: its path, None if it is in memory.

    Raises `MediaError`, also if the process exceeds its limits or crashes, and `WorkerError`.
    """
    own = None if stored else place.with_name(f"{place.name}-stored")
    if own:
        await hands.in_thread(own.write_bytes, file.data)
    try:
        made = await hands.apart(prepare, str((stored or own or place).absolute()), str(place), **how)
    except WorkerError as error:  # which says nothing of the file
        raise WorkerError(f"the {what} was not decoded: {error}") from None
    except (OverLimit, ScorerError) as error:
        raise MediaError(f"the {what} cannot be decoded: {error}") from None
    finally:
        if own:
            own.unlink(missing_ok=True)
    if "error" in made:
        raise MediaError(made["error"])
    return made


def _one(file: File, made: Mapping[str, Any], place: Path) -> tuple[SentFile, Sent]:
    """A clip or picture that was prepared in another process."""
    sent = SentFile(
        file.key,
        made["mime"],
        made.get("width", 0),
        made.get("height", 0),
        made.get("seconds", 0.0),
        made["bytes"],
        b64decode(made["preview"]),
        cancels=made.get("cancels", False),
    )
    return sent, (place,)


def _kept(file: File, sent: bytes, place: Path) -> Sent:
    if sent == file.data:
        return None
    place.write_bytes(sent)
    return (place,)


async def _video(file: Video, look: ShowSettings, place: Path, hands: Hands) -> tuple[SentFile, Sent]:
    from evalkit.media.video import prepare_apart

    made = await _apart(
        "video",
        prepare_apart,
        file,
        place,
        hands,
        file.path,
        frames=look.frames,
        rule=look.frame_rule,
        start=file.start,
        end=file.end,
        max_pixels=look.max_pixels,
        resample=look.resample,
    )
    medium = SentFile(
        file.key,
        made["mime"],
        made["width"],
        made["height"],
        made["seconds"],
        made["bytes"],
        b64decode(made["preview"]),
    )
    return medium, tuple(map(Path, made["frames"]))


def _audio_needs() -> None:
    from evalkit.media import audio

    audio.needs()


def _video_needs() -> None:
    from evalkit.media import video

    video.needs()


def video_workers() -> Workers:
    """The processes in which videos, coded clips (AAC, AMR, …), HEIC and JPEG 2000 are decoded."""
    return Workers(
        cpu_seconds=VIDEO_SECONDS,
        wall_seconds=4 * VIDEO_SECONDS,
        memory_megabytes=VIDEO_MEGABYTES,
        here=True,
    )


KINDS: Mapping[str, MediaKind] = {
    "image": MediaKind(Image, lambda look: (look.max_pixels, look.resample), _image),
    "audio": MediaKind(Audio, lambda look: (), _audio, _audio_needs),
    "video": MediaKind(
        Image,
        lambda look: (look.max_pixels, look.resample, look.frames, look.frame_rule),
        _video,
        _video_needs,
    ),
}
"""The kinds by `File.kind`."""
