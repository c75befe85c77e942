"""What is done with files by their kind, and what comes of a decoder that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from evalkit.errors import MediaError, ScorerError, WorkerError
from evalkit.media.kinds import KINDS, Sent, ShowSettings
from evalkit.media.sent import SentFile as Stored
from evalkit.processes.workers import OverLimit
from evalkit.samples import FILES, Medium, Video
from tests.media.videos import number, video


class Hands:
    """Works here; `error` is what its process ends with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.read: list[Path] = []

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    async def apart(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.read.append(Path(args[0]))
        if self.error:
            raise self.error
        return function(*args, **kwargs)


def made(file: Video, place: Path, hands: Hands) -> tuple[Stored, Sent]:
    async def work() -> tuple[Stored, Sent]:
        return await KINDS["video"].prepare(file, ShowSettings(frames=2), place, hands)

    return asyncio.run(work())


def test_every_kind_has_its_files_and_its_work() -> None:
    assert set(KINDS) == set(FILES) == set(get_args(Medium))
    assert all(file.kind == kind for kind, file in FILES.items())


def test_a_video_of_bytes_lies_in_a_file_while_it_is_read(tmp_path: Path) -> None:
    hands = Hands()
    medium, sent = made(Video(video(4)), tmp_path / "v", hands)
    assert sent is not None
    assert [number(place.read_bytes()) for place in sent] == [1, 3]
    assert medium.size == sum(place.stat().st_size for place in sent)
    (read,) = hands.read
    assert not read.exists()


def test_a_decoder_without_cpu_time_says_nothing_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="the video was not decoded: no result"):
        made(Video(b"bytes"), tmp_path / "v", Hands(WorkerError("no result in 60 s of wall time")))


@pytest.mark.parametrize(
    "error", [OverLimit("over 300 s of CPU time"), ScorerError("a process crashed (SIGSEGV)")]
)
def test_a_decoder_that_crashes_or_never_ends_fails_the_file(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=f"the video cannot be decoded: {str(error)[:9]}"):
        made(Video(b"bytes"), tmp_path / "v", Hands(error))
    assert list(tmp_path.iterdir()) == [], "what was spilled is gone"
