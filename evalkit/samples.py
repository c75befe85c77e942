"""What a model is asked about, what it is shown, and what it answered."""

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
    """`text` with U+FFFD for each half of a surrogate pair, which no file and no request can hold."""
    return text if text.isascii() else _HALF_A_PAIR.sub("\ufffd", text)


_IMAGES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_SOUNDS = (
    (b"RIFF", "audio/wav"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff", "audio/mpeg"),
)


def video_mime(head: bytes) -> str:
    """By a file's first bytes: MP4 and QuickTime, Matroska and WebM; "" for none of them."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return "video/quicktime" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    return ""


_ORIENTATION = 274
_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")
_AS_PLAIN = {"HSV": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "PA": "RGBA", "La": "LA"}
"""Pillow's modes, and those that a picture of no file's mode is converted to."""
JUDGE = "judge"
"""The role of a judge model where a task names none."""
Api: TypeAlias = Literal["chat", "completion", "transcription"]
APIS: tuple[Api, ...] = get_args(Api)
Resample: TypeAlias = Literal["lanczos", "bicubic", "bilinear", "box"]
"""Filters that scale pictures down."""
RESAMPLES: tuple[Resample, ...] = get_args(Resample)
FrameRule: TypeAlias = Literal["middle", "linspace"]
"""Which frames stand for a video."""
FRAME_RULES: tuple[FrameRule, ...] = get_args(FrameRule)
Medium: TypeAlias = Literal["image", "audio", "video"]
"""What a prompt may hold besides text. A video goes to whoever takes pictures, as its frames."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is stored. Nothing is decoded before it is asked about.

    Two are equal when they are of one kind and the same byte for byte.
    """

    data: bytes = field(repr=False, compare=False)
    key: str = field(init=False)
    """Hex SHA-256 of the file."""
    kind: ClassVar[Medium]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @property
    def mime(self) -> str:
        """By the file's first bytes, "" for none of its kind."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", hashlib.sha256(self.data).hexdigest())

    @classmethod
    def known(cls, key: str) -> Self:
        """A file that only its key is known of, as in a run file; there is nothing to be shown."""
        found = cls(b"")
        object.__setattr__(found, "key", key)
        return found


@dataclass(frozen=True, slots=True)
class Image(File):
    """A picture: PNG, JPEG, WebP, GIF or TIFF."""

    kind: ClassVar[Medium] = "image"

    @property
    def mime(self) -> str:
        return next((mime for start, mime in _IMAGES if self.data.startswith(start)), "")

    @classmethod
    def of(cls, source: bytes | Path | Mapping[str, Any] | Picture | None) -> Image:
        """From a file's bytes, its path, a record's `{"bytes": …, "path": …}`, or Pillow's image.

        A record without bytes gives an empty picture: what it is asked about fails, and nothing else.
        Raises `MediaError` for a file that cannot be read and an image that Pillow cannot decode.
        """
        if source is None or isinstance(source, bytes | Path | Mapping):
            return cls(_stored(source))
        return cls(_as_file(source))


@dataclass(frozen=True, slots=True)
class Audio(File):
    """A clip: WAV, FLAC, Ogg or MP3."""

    kind: ClassVar[Medium] = "audio"

    @property
    def mime(self) -> str:
        return next((mime for start, mime in _SOUNDS if self.data.startswith(start)), "")

    @classmethod
    def of(cls, source: bytes | Path | Mapping[str, Any] | None) -> Audio:
        """From a file's bytes, its path, or a record's `{"bytes": …, "path": …}`.

        A record without bytes gives an empty clip: what it is asked about fails, and nothing else.
        Raises `MediaError` for a file that cannot be read.
        """
        return cls(_stored(source))


@dataclass(frozen=True, slots=True)
class Video(File):
    """A video, MP4, QuickTime, Matroska or WebM, or what of it lies from `start` up to `end`, in seconds.

    A model is shown `Protocol.frames` frames of it as pictures, in order, by `Protocol.frame_rule`.
    """

    data: bytes = field(default=b"", repr=False, compare=False)
    """Nothing where `path` is given, so that a long video does not fill the memory."""
    start: float = field(default=0.0, kw_only=True)
    end: float | None = field(default=None, kw_only=True)
    """None: the video's own end."""
    path: Path | None = field(default=None, repr=False, compare=False, kw_only=True)
    kind: ClassVar[Medium] = "video"

    def __post_init__(self) -> None:
        """Raises `MediaError` for a file that cannot be read, and for times that bound no clip."""
        if not (0 <= self.start < math.inf and (self.end is None or self.start < self.end < math.inf)):
            raise MediaError(f"a clip from {self.start} s to {self.end} s is none")
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
        """From a file's path, which is read when it is shown, its bytes, or a record's `{"bytes": …, …}`.

        A record without bytes gives an empty video: what it is asked about fails, and nothing else.
        Raises `MediaError` for a file that cannot be read, and for times that bound no clip.
        """
        if isinstance(source, Path):
            return cls(path=source, start=start, end=end)
        return cls(_stored(source), start=start, end=end)


Shown: TypeAlias = Image | Audio | Video
"""What a prompt may hold besides text."""
FILES: Mapping[str, type[Shown]] = {"image": Image, "audio": Audio, "video": Video}
"""By kind, which is also how their media types begin."""


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}") from error


def _stored(source: bytes | Path | Mapping[str, Any] | None) -> bytes:
    """The file's bytes. Raises `MediaError`."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, Path):
        with _readable(source):
            return source.read_bytes()
    return (source["bytes"] if source else None) or b""


def _as_file(picture: Picture) -> bytes:
    """Pillow's image and its orientation as a PNG, or as a TIFF where its samples are none of a PNG.

    Raises `MediaError`.
    """
    from PIL.Image import Exif

    try:
        picture.load()  # Pillow turns a TIFF as it loads it
    except Exception as error:  # Pillow's decoders raise whatever comes
        raise MediaError(f"the picture cannot be decoded: {error or type(error).__name__}") from error
    turned = Exif()
    with contextlib.suppress(Exception):  # damaged EXIF is as none
        turned[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    plain = picture.convert(_AS_PLAIN[picture.mode]) if picture.mode in _AS_PLAIN else picture
    out = BytesIO()
    plain.save(out, "PNG" if plain.mode in _IN_PNG else "TIFF", exif=turned)
    return out.getvalue()


Part: TypeAlias = str | Shown
"""A piece of a message, in the order it is shown."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call. `parameters`: the JSON schema of its arguments, an object's."""

    name: str
    description: str
    parameters: Mapping[str, JSON] = field(hash=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asked for. `arguments`: JSON as the model wrote it, which need not be valid.

    `id`: what the result is sent back under.
    """

    name: str
    arguments: str
    id: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "arguments", "id"):
            object.__setattr__(self, name, plain_text(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: a text, or parts of which some are no text.

    A chat whose last turn is the assistant's is continued there. `tool_calls`: of the assistant's turn;
    `tool_call_id`: of the call whose result a `tool`'s turn is.
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
        """What it says, without what it shows."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Speech:
    """A clip for a transcription endpoint: to be written down, or translated into English."""

    audio: Audio
    translate: bool = False
    language: str = ""
    """ISO 639-1 code of what is spoken, as a hint; "" gives none."""


Prompt: TypeAlias = str | tuple[Message, ...] | Speech
"""A text to continue, a chat to answer, or a clip to write down."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark."""

    id: str
    """Stable: from the data, or a hash of it (`sample_id`); never a row number."""
    input: str
    target: tuple[str, ...]
    """Accepted references. None where they are not public: the sample is asked and exported, not judged."""
    choices: tuple[str, ...] = ()
    group: str = ""
    """Key of breakdowns and macro averages: subject, language, level."""
    cluster: str = ""
    """Samples with the same cluster share a passage, image or clip; intervals resample clusters."""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    """What prompts and scorers need besides; plain JSON."""
    tags: tuple[str, ...] = ()
    """Further keys of breakdowns, such as the field that a subject belongs to."""
    shots: tuple[Sample, ...] = field(default=(), repr=False)
    """Solved examples that may be shown before it, in order; filled from `Task.dev`, not stored."""
    media: tuple[Shown, ...] = ()
    """What it shows or plays, in order."""


def letters(sample: Sample) -> str:
    """The letters of a sample's choices, from "A": "ABCD" for four."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(sample.choices)]


@dataclass(frozen=True, slots=True)
class Final:
    """One answer to be scored. `value` None: nothing could be parsed."""

    value: str | None
    truncated: bool = False
    """The response it was read from was cut at `max_tokens`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver returns: the answers to score (`finals`, at least one) and how they came about."""

    finals: tuple[Final, ...]
    detail: dict[str, JSON] = field(default_factory=dict)
    branches: Mapping[str, tuple[Final, ...]] = field(default_factory=dict)
    """Further answers by name, judged and measured beside `finals`: the branches of a routed answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right, and why.

    `credit`: between 0 and 1, where an answer may be partly right; it is then right from one half on.
    None: all or nothing. `values`: finite numbers by name, of any range, such as a judge's 0 to 5; metrics
    have them (`Scored.values`), and they are stored with the answer.
    """

    correct: bool
    reason: str = ""
    credit: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def worth(self) -> float:
        """The credit, 1 or 0 where there is none in between."""
        return float(self.correct) if self.credit is None else self.credit


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as it was sent, or as a model made it; `key` is that of the data set's file (`File.key`).

    `width`, `height`: pixels, 0 for sound. `seconds`: 0 for pictures. `preview`: a small JPEG or Ogg.
    """

    key: str
    mime: str
    width: int
    height: int
    seconds: float
    size: int
    preview: bytes
