"""Samples, media files, prompts, answers and verdicts: the data that every part of evalkit works with."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, get_args

from evalkit.errors import MediaError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

JSON: TypeAlias = "str | int | float | bool | None | list[JSON] | dict[str, JSON]"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def plain_text(text: str) -> str:
    """`text` with each unpaired surrogate replaced by U+FFFD: UTF-8 files and requests cannot hold one."""
    return text if text.isascii() else _HALF_A_PAIR.sub("\ufffd", text)


_IMAGES = (
    (b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"),
    ((b"II*\0", b"MM\0*"), "image/tiff"),
)  # fmt: skip
_SOUNDS = (
    (b"RIFF", "audio/wav"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"),
    ((b"ID3", b"\xff"), "audio/mpeg"),
)  # fmt: skip


def video_mime(head: bytes) -> str:
    """The media type of a video (MP4, QuickTime, Matroska or WebM) from its first bytes, or ""."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return "video/quicktime" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    return ""


_ORIENTATION = 274
_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")
_AS_PLAIN = {"HSV": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "PA": "RGBA", "La": "LA"}
"""Pillow's modes that no file format stores, and the mode to which such a picture is converted."""
JUDGE = "judge"
"""The default role of a judge model, used if a task names no role."""
Api: TypeAlias = Literal["chat", "completion", "transcription"]
APIS: tuple[Api, ...] = get_args(Api)
Resample: TypeAlias = Literal["lanczos", "bicubic", "bilinear", "box"]
"""The filter with which pictures are scaled down."""
RESAMPLES: tuple[Resample, ...] = get_args(Resample)
FrameRule: TypeAlias = Literal["middle", "linspace"]
"""The rule by which the frames of a video are chosen."""
FRAME_RULES: tuple[FrameRule, ...] = get_args(FrameRule)
Medium: TypeAlias = Literal["image", "audio", "video"]
"""What a prompt may contain besides text. A video is sent as its frames to models that accept pictures."""
PICTURES: frozenset[Medium] = frozenset(("image", "video"))
"""The media that are sent as pictures; `max_pixels` and `resample` apply to them."""


@dataclass(frozen=True, slots=True)
class File:
    """A media file as it is stored. It is decoded only when a request is made from it.

    Two files are equal if they have the same kind and the same bytes.
    """

    data: bytes = field(repr=False, compare=False)
    key: str = field(init=False)
    """Hex SHA-256 of the file."""
    problem: str = field(default="", compare=False, kw_only=True)
    """Why there are no bytes, such as that no file has the name in the data; "" if there are."""
    name: str = field(default="", compare=False, kw_only=True)
    """What the data call the file, for errors; "" if they do not."""
    kind: ClassVar[Medium]

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return len(self.data)

    @property
    def mime(self) -> str:
        """The media type, from the file's first bytes; "" if they are of no known format of this kind."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", hashlib.sha256(self.data).hexdigest())

    @classmethod
    def known(cls, key: str) -> Self:
        """A file of which only the key is known, as in a run file. It has no content."""
        file = cls(b"")
        object.__setattr__(file, "key", key)
        return file


@dataclass(frozen=True, slots=True)
class Image(File):
    """A picture: PNG, JPEG, WebP, AVIF, HEIC, GIF, TIFF, BMP or JPEG 2000."""

    kind: ClassVar[Medium] = "image"

    @property
    def mime(self) -> str:
        return next((mime for start, mime in _IMAGES if self.data.startswith(start)), "")

    @classmethod
    def of(cls, source: bytes | Path | Mapping[str, Any] | Picture | None) -> Image:
        """Makes an image from a file's bytes, its path, a record's `{"bytes": …, …}` or Pillow's image.

        A record without bytes gives an empty picture: the samples that show it fail, and no others.
        Raises `MediaError` for a file that cannot be read and an image that Pillow cannot decode.
        """
        if source is None or isinstance(source, bytes | Path | Mapping):
            return cls(_stored(source), problem=_problem(source), name=_name(source))
        return cls(_as_file(source))


@dataclass(frozen=True, slots=True)
class Audio(File):
    """A clip: WAV, FLAC, Ogg, MP3, M4A or another that `evalkit.media.audio` lists."""

    kind: ClassVar[Medium] = "audio"

    @property
    def mime(self) -> str:
        return next((mime for start, mime in _SOUNDS if self.data.startswith(start)), "")

    @classmethod
    def of(cls, source: bytes | Path | Mapping[str, Any] | None) -> Audio:
        """Makes a clip from a file's bytes, its path, or a record's `{"bytes": …, "path": …}`.

        A record without bytes gives an empty clip: the samples that play it fail, and no others.
        Raises `MediaError` for a file that cannot be read.
        """
        return cls(_stored(source), problem=_problem(source), name=_name(source))


@dataclass(frozen=True, slots=True)
class Video(File):
    """A video (MP4, QuickTime, Matroska or WebM), or its part from `start` up to `end`, in seconds.

    A model receives `Protocol.frames` frames of it as pictures, in order, chosen by `Protocol.frame_rule`.
    """

    data: bytes = field(default=b"", repr=False, compare=False)
    """The file's bytes; empty if `path` is given, so that a long video does not fill the memory."""
    start: float = field(default=0.0, kw_only=True)
    end: float | None = field(default=None, kw_only=True)
    """None means the end of the video."""
    path: Path | None = field(default=None, repr=False, compare=False, kw_only=True)
    kind: ClassVar[Medium] = "video"

    def __post_init__(self) -> None:
        """Raises `MediaError` for a file that cannot be read, and if `start` and `end` bound no clip."""
        if not (0 <= self.start < math.inf and (self.end is None or self.start < self.end < math.inf)):
            raise MediaError(f"no clip from {self.start} s to {self.end} s: 0 <= start < end must hold")
        key = hashlib.sha256(self.data).hexdigest()
        if self.path is not None:
            with _readable(self.path), self.path.open("rb") as file:
                key = hashlib.file_digest(file, "sha256").hexdigest()
        if (self.start, self.end) != (0.0, None):  # as media fragments are written (W3C)
            key += f"#t={self.start:.10g}" + ("" if self.end is None else f",{self.end:.10g}")
        object.__setattr__(self, "key", key)

    @property
    def size(self) -> int:
        return len(self.data) if self.path is None else self.path.stat().st_size

    @property
    def mime(self) -> str:
        head = self.data[:64]
        if self.path is not None:
            with self.path.open("rb") as file:
                head = file.read(64)
        return video_mime(head)

    @classmethod
    def of(
        cls,
        source: bytes | Path | Mapping[str, Any] | None,
        start: float = 0.0,
        end: float | None = None,
    ) -> Video:
        """Makes a video from a file's path, its bytes, or a record's `{"bytes": …, …}`.

        The content of a path is read again for each request. A record without bytes gives an empty video:
        the samples that show it fail, and no others. Raises `MediaError` for a file that cannot be read,
        and if `start` and `end` bound no clip.
        """
        if isinstance(source, Path):
            return cls(path=source, start=start, end=end, name=_name(source))
        return cls(_stored(source), start=start, end=end, problem=_problem(source), name=_name(source))


Shown: TypeAlias = Image | Audio | Video
"""What a prompt may hold besides text."""
FILES: Mapping[str, type[Shown]] = {"image": Image, "audio": Audio, "video": Video}
"""The classes of media files by kind. The kind is also the first half of their media types."""


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}") from error


def _problem(source: bytes | Path | Mapping[str, Any] | None) -> str:
    """Why a record of a folder has no bytes of its file (`evalkit.data.media.embedded`); "" if it has."""
    return str(source.get("problem") or "") if isinstance(source, Mapping) else ""


def _name(source: bytes | Path | Mapping[str, Any] | None) -> str:
    if isinstance(source, Path):
        return str(source)
    return str(source.get("path") or "") if isinstance(source, Mapping) else ""


def _stored(source: bytes | Path | Mapping[str, Any] | None) -> bytes:
    """The file's bytes. Raises `MediaError`."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, Path):
        with _readable(source):
            return source.read_bytes()
    return (source["bytes"] if source else None) or b""


def _as_file(picture: Picture) -> bytes:
    """Pillow's image and its orientation as a PNG, or as a TIFF if a PNG cannot store its mode.

    Raises `MediaError`.
    """
    from PIL.Image import Exif

    try:
        picture.load()  # Pillow rotates a TIFF while it loads it
    except Exception as error:  # Pillow's decoders raise exceptions of any type
        raise MediaError(f"the picture cannot be decoded: {error or type(error).__name__}") from error
    turned = Exif()
    with contextlib.suppress(Exception):  # damaged EXIF data is treated like missing EXIF data
        turned[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    plain = picture.convert(_AS_PLAIN[picture.mode]) if picture.mode in _AS_PLAIN else picture
    out = BytesIO()
    plain.save(out, "PNG" if plain.mode in _IN_PNG else "TIFF", exif=turned)
    return out.getvalue()


Part: TypeAlias = str | Shown
"""A piece of a message: a text or a media file."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call. `parameters`: the JSON schema of its arguments, of type object."""

    name: str
    description: str
    parameters: Mapping[str, JSON] = field(hash=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requested. `arguments`: JSON as the model wrote it; it may be invalid.

    `id`: the id with which the result is sent back.
    """

    name: str
    arguments: str
    id: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "arguments", "id"):
            object.__setattr__(self, name, plain_text(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: a text, or a sequence of texts and media files.

    If the last message has the role `assistant`, the model continues it. `tool_calls`: the calls that a
    message of the role `assistant` requested. `tool_call_id`: the id of the call whose result a message of
    the role `tool` holds.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The texts of the message, joined, without its media files."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Speech:
    """A clip for a transcription endpoint, to be transcribed or translated into English."""

    audio: Audio
    translate: bool = False
    language: str = ""
    """ISO 639-1 code of the spoken language, sent as a hint; "" sends no hint."""


Prompt: TypeAlias = str | tuple[Message, ...] | Speech
"""A text to continue, a chat to answer, or a clip to transcribe."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark."""

    id: str
    """A stable id: taken from the data, or a hash of them (`sample_id`), never a row number."""
    input: str
    target: tuple[str, ...]
    """Accepted references; none if they are not public: the sample is then asked and exported, not scored."""
    choices: tuple[str, ...] = ()
    group: str = ""
    """The key of breakdowns and macro averages, such as a subject, a language or a level."""
    cluster: str = ""
    """Samples with the same cluster share a passage, image or clip; intervals resample clusters."""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    """Further data that prompts and scorers need, as plain JSON."""
    tags: tuple[str, ...] = ()
    """Further keys of breakdowns, such as the field that a subject belongs to."""
    shots: tuple[Sample, ...] = field(default=(), repr=False)
    """Solved examples that a prompt may show first, in order; taken from `Task.dev`, not stored."""
    media: tuple[Shown, ...] = ()
    """The media files of the sample, in order."""
    document: str = field(default="", repr=False)
    """A long text that prompts show, such as a book; not stored with the sample, as its requests have it."""


def letters(sample: Sample) -> str:
    """The letters of a sample's choices, from "A": "ABCD" for four."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(sample.choices)]


@dataclass(frozen=True, slots=True)
class Final:
    """One answer to be scored. `value` is None if no answer could be extracted."""

    value: str | None
    truncated: bool = False
    """Whether the response from which it was extracted was cut off at `max_tokens`."""
    refused: bool = False
    """Whether the endpoint's filter, or the model in a field of its own, refused to answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader returns: the answers to score (`finals`, at least one) and details of their origin."""

    finals: tuple[Final, ...]
    detail: dict[str, JSON] = field(default_factory=dict)
    branches: Mapping[str, tuple[Final, ...]] = field(default_factory=dict)
    """Further answers by name, scored and measured beside `finals`: the branches of a routed answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right, and why.

    `credit`: a number between 0 and 1 if an answer may be partly right (`correct`: at least one half); None
    if it is right or wrong. `values`: finite numbers by name, in any range, such as a judge's grade of 0 to
    5; they are stored with the answer, and metrics read them (`Scored.values`). `detail`: what people are
    shown of the reason; it is stored with the answer, and decides nothing.
    """

    correct: bool
    reason: str = ""
    credit: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, JSON] = field(default_factory=dict, compare=False)

    @property
    def worth(self) -> float:
        """The credit; without one, 1 for a right answer and 0 for a wrong one."""
        return float(self.correct) if self.credit is None else self.credit
