"""Videos on their way from a task to a real HTTP endpoint, which is sent their frames as pictures."""

from __future__ import annotations

import asyncio
import json
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.rescore import rescore
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import Model
from evalkit.models.fake import GOLD, FakeModel
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import Store
from tests.media.videos import number, video
from tests.openai_server import OpenAIServer

TASK = '''"""Which frames were shown, made for a test."""

from pathlib import Path

from evalkit.api import Accuracy, JsonLines, Message, Protocol, Sample, Task, Verdict, Video, ask_once, task

FOLDER = Path(__file__).parent


def to_sample(record):
    clip = Video.of(FOLDER / record["file"], record.get("start", 0.0), record.get("end"))
    return Sample(record["id"], "Which frames?", (record["frames"],), media=(clip,))


@task("frames")
def frames():
    """Numbers of frames"""
    return Task(
        data=JsonLines(FOLDER / "clips.jsonl", columns=("id", "file")),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", ("Look: ", *sample.media, sample.input)),),
        answer=lambda text, sample: text or None,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="0-shot", solver=ask_once, FRAMES),),
        media=("video",),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("none",),
    )
'''
ROWS: list[dict[str, Any]] = [
    {"id": "whole", "file": "a.mp4", "frames": "2 7 12 17"},
    {"id": "clip", "file": "a.mp4", "start": 1.0, "end": 1.4, "frames": "10 11 12 13"},
    {"id": "web", "file": "b.webm", "frames": "1 3 6 8"},
]


def clips(folder: Path, rows: list[dict[str, Any]] = ROWS, frames: str = "frames=4") -> str:
    (folder / "a.mp4").write_bytes(video(20))
    (folder / "b.webm").write_bytes(video(10, container="webm", codec="libvpx"))
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    path = folder / "clips.py"
    path.write_text(TASK.replace("FRAMES", frames), "utf-8")
    return str(path)


def run(model: Model, task: str, path: Path, **settings: str) -> TableCell:
    plan = make_plan(model, [task], settings=settings)
    store = open_run(path, plan)

    async def go() -> None:
        await execute(plan, store, Options(8, RetryPolicy(attempts=1)))
        await model.aclose()

    try:
        asyncio.run(go())
        (cell,) = build_table([store]).cells
        return cell
    finally:
        store.close()


def by_sight(payload: dict[str, Any], route: str) -> str:
    """A model that sees: the numbers of the frames in its request, in order."""
    first, *shown, last = payload["messages"][0]["content"]
    assert (first["text"], last["text"]) == ("Look: ", "Which frames?")
    pictures = [b64decode(part["image_url"]["url"].partition(",")[2]) for part in shown]
    return " ".join(str(number(picture)) for picture in pictures)


@pytest.mark.slow
def test_an_endpoint_sees_the_frames_in_order(tmp_path: Path) -> None:
    task = clips(tmp_path)
    with OpenAIServer(by_sight) as server:
        cell = run(OpenAIModel("seeing", server.url), task, tmp_path / "r.db")
        assert (cell.value, cell.n) == (100.0, 3)
        assert {seen.mime for seen in server.seen} == {"image/jpeg"}
        assert (cell.signature.parts["frames"], cell.signature.parts["frame_rule"]) == (4, "middle")
        assert "frames:4|frame_rule:middle" in cell.signature.line()
        other = run(
            OpenAIModel("seeing", server.url), task, tmp_path / "l.db", frames="2", frame_rule="linspace"
        )
        assert other.signature.differences(cell.signature)[:2] == [
            "frames: 2 and 4",
            "frame_rule: linspace and middle",
        ]
    with Store.open(tmp_path / "r.db") as store:
        media = store.connection.execute("SELECT key, mime, width, height, seconds FROM media ORDER BY key")
        found = {key.partition("#")[2]: rest for key, *rest in media if "webm" not in rest[0]}
        previews = store.connection.execute("SELECT substr(hex(preview), 1, 6) FROM media").fetchall()
        (body,) = store.connection.execute("SELECT body FROM request LIMIT 1").fetchone()
    assert found[""] == ["video/mp4", 64, 48, pytest.approx(2.0)]
    assert found["t=1,1.4"] == ["video/mp4", 64, 48, pytest.approx(0.4)]
    assert set(previews) == {("FFD8FF",)}
    asked = json.loads(body)
    assert (asked["frames"], asked["frame_rule"]) == (4, "middle")
    assert "video" in asked["prompt"][0]["content"][1]


@pytest.mark.slow
def test_stored_answers_are_played_again_and_scored_again(tmp_path: Path) -> None:
    task = clips(tmp_path)
    with OpenAIServer(by_sight) as server:
        first = run(OpenAIModel("seeing", server.url), task, tmp_path / "r.db")
    replayed = run(open_model(f"replay/{tmp_path / 'r.db'}"), task, tmp_path / "again.db")
    assert (replayed.value, replayed.signature.parts) == (100.0, first.signature.parts)
    list(rescore(tmp_path / "r.db", tmp_path / "scored.db", task_files=(Path(task),)))
    with Store.open(tmp_path / "scored.db", (Path(task),)) as store:
        (cell,) = build_table([store]).cells
    assert (cell.value, cell.signature.parts) == (100.0, first.signature.parts)


def bomb() -> bytes:
    """A small file that says it has a hundred million frames of one byte."""
    data = bytearray(video(20, codec="mpeg4"))
    sizes, chunks, times = (data.index(name) for name in (b"stsz", b"stsc", b"stts"))
    data[sizes + 8 : sizes + 16] = struct.pack(">II", 1, 100_000_000)
    data[chunks + 16 : chunks + 20] = struct.pack(">I", 100_000_000)
    data[times + 12 : times + 16] = struct.pack(">I", 100_000_000)
    return bytes(data)


@pytest.mark.slow
def test_a_video_that_cannot_be_decoded_fails_its_sample_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.media.kinds.VIDEO_MEGABYTES", 2048)
    rows = [*ROWS, *({"id": name, "file": name, "frames": "0"} for name in ("cut.mp4", "bomb.mp4", "list"))]
    task = clips(tmp_path, rows)
    (tmp_path / "cut.mp4").write_bytes(video(20)[:-50])
    (tmp_path / "bomb.mp4").write_bytes(bomb())
    (tmp_path / "list").write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    cell = run(FakeModel(GOLD), task, tmp_path / "r.db")
    assert (cell.outcomes["correct"], cell.outcomes["failed"]) == (3, 3)
    with Store.open(tmp_path / "r.db") as store:
        failures = {name: (boundary, said) for name, boundary, said in store.failures(store.cells()[0])}
    assert {boundary for boundary, _ in failures.values()} == {"media"}
    assert "truncated" in failures["cut.mp4"][1]
    assert "not an MP4" in failures["list"][1]


def test_what_cannot_be_asked_is_refused_before_the_first_request(tmp_path: Path) -> None:
    task = clips(tmp_path)
    blind = FakeModel(GOLD)
    blind.capabilities = frozenset({"chat"})
    with pytest.raises(UsageError, match="does not support video"):
        make_plan(blind, [task])
    seeing = FakeModel(GOLD)
    seeing.capabilities = frozenset({"chat", "image"})
    make_plan(seeing, [task])
    with pytest.raises(UsageError, match=r"0-shot does not set the number of frames: add --set frames=16"):
        make_plan(seeing, [task], settings={"frames": "0"})
    with pytest.raises(UsageError, match="frames must be at most 1024, not 5000"):
        make_plan(seeing, [task], settings={"frames": "5000"})
    with pytest.raises(UsageError, match="frame_rule=last: must be middle or linspace"):
        make_plan(seeing, [task], settings={"frame_rule": "last"})
    with pytest.raises(UsageError, match="gsm8k has no videos"):
        make_plan(seeing, ["gsm8k"], settings={"frames": "4"})


def test_without_the_library_the_run_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UsageError, match=r"pip install 'evalkit\[video\]'"):
        make_plan(FakeModel(GOLD), [clips(tmp_path)])
