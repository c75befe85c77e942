"""Frames of videos: which ones, of which clip, in which form."""

from __future__ import annotations

import contextlib
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import MediaError, UsageError
from evalkit.media import video as reading
from evalkit.media.video import indices, prepare, prepare_apart
from evalkit.samples import Video
from tests.media.videos import STEP, number, numbers, sound_alone, video

FORMS = [
    ("mp4", "h264", 0), ("mp4", "h264", 2), ("mp4", "mpeg4", 2), ("mov", "mpeg4", 0),
    ("matroska", "h264", 2), ("matroska", "libvpx-vp9", 0), ("webm", "libvpx", 0),
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 100])
@pytest.mark.parametrize("frames", [1, 2, 8, 16])
def test_the_two_rules(count: int, frames: int) -> None:
    linspace = np.linspace(0, count - 1, frames, dtype=int)
    assert indices(count, frames, "linspace") == tuple(linspace)
    middles = [int((i + 0.5) * count / frames) for i in range(frames)]
    assert indices(count, frames, "middle") == tuple(middles)


def test_an_unknown_rule() -> None:
    with pytest.raises(UsageError, match="frame_rule=random: must be middle or linspace"):
        indices(10, 2, "random")


@pytest.mark.parametrize(("container", "codec", "b_frames"), FORMS)
def test_the_frames_of_every_form(container: str, codec: str, b_frames: int) -> None:
    data = video(20, container=container, codec=codec, b_frames=b_frames)
    assert numbers(prepare(data, 20).frames) == list(range(20))
    assert numbers(prepare(data, 4, "middle").frames) == [2, 7, 12, 17]
    assert numbers(prepare(data, 4, "linspace").frames) == [0, 6, 12, 19]
    made = prepare(data, 5)
    assert (made.width, made.height, made.mime.partition("/")[0]) == (64, 48, "video")
    assert made.seconds == pytest.approx(2.0, abs=0.11)


@pytest.mark.parametrize("gop", [1, 4, 250])
def test_what_is_sought_is_what_decoding_everything_gives(gop: int) -> None:
    data = video(25, gop=gop, b_frames=2)
    for frames in (1, 2, 3, 7):
        for rule in ("middle", "linspace"):
            assert numbers(prepare(data, frames, rule).frames) == list(indices(25, frames, rule))


def test_a_clip_has_the_frames_from_its_start_up_to_its_end() -> None:
    data = video(20)
    assert numbers(prepare(data, 5, start=0.5, end=1.0).frames) == [5, 6, 7, 8, 9]
    assert numbers(prepare(data, 3, "linspace", start=0.45, end=1.0).frames) == [5, 7, 9]
    assert numbers(prepare(data, 2, start=1.8).frames) == [18, 19]
    assert numbers(prepare(data, 2, start=1.8, end=99).frames) == [18, 19], "a segment may end late"
    assert prepare(data, 2, start=0.5, end=1.0).seconds == pytest.approx(0.5)
    with pytest.raises(MediaError, match=r"no frame from 2 s to 3 s: the video ends at 2\.00 s"):
        prepare(data, 2, start=2.0, end=3.0)
    with pytest.raises(MediaError, match=r"no frame from 7 s to its end"):
        prepare(data, 2, start=7.0)


def test_of_a_variable_rate_frames_are_counted_and_clips_are_by_time() -> None:
    """Ten in the first second, then one a second."""
    times = [i / 10 for i in range(10)] + [float(i) for i in range(1, 11)]
    for container, codec in (("mp4", "h264"), ("matroska", "libvpx-vp9")):
        data = video(20, container=container, codec=codec, times=times)
        assert numbers(prepare(data, 4).frames) == [2, 7, 12, 17]
        assert numbers(prepare(data, 3, start=3.0, end=6.0).frames) == [12, 13, 14]


def test_fewer_frames_than_are_wanted_come_more_than_once() -> None:
    made = prepare(video(3), 6)
    assert numbers(made.frames) == [0, 0, 1, 1, 2, 2]
    assert numbers(prepare(video(1), 4, "linspace").frames) == [0] * 4


def test_a_budget_of_pixels_holds_for_each_frame() -> None:
    made = prepare(video(4, size=(128, 96)), 2, max_pixels=64 * 48)
    assert (made.width, made.height) == (64, 48)
    assert {Image.open(BytesIO(frame)).size for frame in made.frames} == {(64, 48)}
    assert numbers(made.frames) == [1, 3]


def test_the_preview_shows_the_frames_side_by_side() -> None:
    sheet = Image.open(BytesIO(prepare(video(16), 16).preview)).convert("L")
    assert sheet.size == (320, 240)
    greys = np.asarray(sheet)
    assert [round(greys[60 * (i // 4) + 30, 80 * (i % 4) + 40] / STEP) for i in range(16)] == list(range(16))


def test_a_turned_video_is_upright() -> None:
    """Telephones store what they see sideways, and a matrix that turns it."""
    data = video(2, size=(64, 48))
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    at = data.index(b"tkhd")
    found = data.index(straight, at)
    made = prepare(data[:found] + turned + data[found + len(turned) :], 1)
    assert (made.width, made.height) == (48, 64)


def test_a_path_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(video(20))
    assert prepare(tmp_path / "a.mp4", 4) == prepare(video(20), 4)
    whole, clip = Video.of(tmp_path / "a.mp4"), Video.of(tmp_path / "a.mp4", 0.5, 1)
    assert whole == Video.of(video(20))
    assert (whole.mime, whole.size) == ("video/mp4", len(video(20)))
    assert clip.key == whole.key + "#t=0.5,1"
    assert clip != whole
    assert Video.of(None).mime == ""
    with pytest.raises(MediaError, match="cannot be read"):
        Video.of(tmp_path / "lost.mp4")
    for start, end in ((-1.0, None), (2.0, 1.0), (0.0, float("nan")), (float("inf"), None)):
        with pytest.raises(MediaError, match="no clip from"):
            Video.of(b"", start, end)


def test_sound_beside_the_pictures_changes_nothing() -> None:
    assert numbers(prepare(video(20, sound=True), 4).frames) == [2, 7, 12, 17]


@pytest.mark.parametrize("container", ["mp4", "matroska", "webm"])
def test_a_file_that_ends_early_is_told(container: str) -> None:
    data = video(20, container=container, codec="libvpx" if container == "webm" else "h264")
    for share in (0.2, 0.5, 0.9, 0.99):
        with pytest.raises(MediaError, match=r"truncated|damaged"):
            prepare(data[: int(len(data) * share)], 4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no video: zero bytes"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "not an MP4, QuickTime, Matroska or WebM"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not an MP4, QuickTime, Matroska or WebM"),
        (b"\x89PNG\r\n\x1a\n", "not an MP4"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI, not an MP4"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "truncated"),
        (b"\0\0\0\x10ftypisom\0\0\0\0", "damaged video/mp4"),
        (b"\0\0\0\4ftypisom\0\0\0\0", "a box without a length"),
        (b"\x1aE\xdf\xa3", "truncated"),
        (b"\x1aE\xdf\xa3\x00" + b"\0" * 100, "damaged Matroska"),
        (b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\xff" + b"\0" * 100, "damaged video/x-matroska"),
    ],
)
def test_what_is_no_video(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        prepare(data, 4)


def test_sound_alone_is_no_video() -> None:
    with pytest.raises(MediaError, match="without a video stream"):
        prepare(sound_alone(), 4)


def test_bounds_hold_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(20)
    monkeypatch.setattr(reading, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(MediaError, match="video of 64 x 48 pixels: evalkit reads at most 3,071"):
        prepare(data, 4)
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MOST_PACKETS", 10)
    with pytest.raises(MediaError, match="more than 10 packets"):
        prepare(data, 4)
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MOST_SECONDS", 1)
    with pytest.raises(MediaError, match="at most"):
        prepare(data, 4)


@pytest.mark.slow
def test_a_real_file_beyond_the_bounds() -> None:
    with pytest.raises(MediaError, match=r"video of 8192 x 4400 pixels: evalkit reads at most 35,651,584"):
        prepare(video(1, container="matroska", codec="ffv1", size=(8192, 4400)), 1)
    with pytest.raises(MediaError, match=r"video of 28 hours: evalkit reads at most 24"):
        prepare(video(2, codec="mpeg4", times=[0.0, 100_000.0]), 1)


def test_a_header_that_lies_about_the_size_is_not_believed() -> None:
    data = bytearray(video(4, codec="mpeg4"))
    at = data.index(b"mp4v", data.index(b"stsd")) + 28
    assert struct.unpack(">HH", data[at : at + 4]) == (64, 48)
    data[at : at + 4] = b"\xff\xff\xff\xff"
    made = prepare(bytes(data), 2)
    assert (made.width, made.height, numbers(made.frames)) == (64, 48, [1, 3])


def test_damage_is_an_error_of_the_file_and_nothing_else() -> None:
    data = video(20, codec="mpeg4", gop=4)
    start = data.index(b"mdat") + 4
    rng = np.random.default_rng(3)
    ends = []
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(start, len(data), 12):
            broken[at] = int(rng.integers(256))
        with contextlib.suppress(MediaError):
            prepare(bytes(broken), 4)
            ends.append("shown")
    assert len(ends) < 40


def test_apart_it_is_plain_json_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(video(3))
    told = prepare_apart(str(tmp_path / "a.mp4"), str(tmp_path / "out"), frames=6)
    frames = told["frames"]
    assert isinstance(frames, list)
    assert [number(Path(str(frame)).read_bytes()) for frame in frames] == [0, 0, 1, 1, 2, 2]
    assert len(set(map(str, frames))) == 3, "what is shown twice is kept once"
    (tmp_path / "b.mp4").write_bytes(b"no video")
    assert prepare_apart(str(tmp_path / "b.mp4"), str(tmp_path / "out"), frames=6) == {
        "error": "not an MP4, QuickTime, Matroska or WebM"
    }
