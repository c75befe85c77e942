"""What a run file keeps of a media file that was sent or generated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentFile:
    """A media file as it was sent, or as a model generated it.

    `key`: the `File.key` of the original file, such as the data set's. `width`, `height`: in pixels, 0 for
    sound. `seconds`: the duration, 0 for pictures. `size`: in bytes. `preview`: a small JPEG or Ogg.
    """

    key: str
    mime: str
    width: int
    height: int
    seconds: float
    size: int
    preview: bytes
    cancels: bool = False
    """Whether the channels of a clip cancel out where they are mixed, so that next to nothing is heard."""
