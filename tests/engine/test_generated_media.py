"""Pictures and clips that a model answers with: kept whole, resumed, shown, exported, scored."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow

from evalkit.engine.plan import make_plan
from evalkit.engine.rescore import rescore
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Model, Request, Response
from evalkit.models.fake import FakeModel
from evalkit.report.export import rows
from evalkit.report.html.records import parts, records
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.encoding import MOST_GENERATED, checked
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.samples import Audio, Image
from tests.album import square
from tests.edited import edited
from tests.media.sounds import stored, tone

TASK = '''"""Paint a square, made for a test."""

from io import BytesIO

from PIL import Image as Pillow

from evalkit.api import (
    Accuracy, Answer, Final, Generated, Message, Protocol, Sample, Task, Verdict, task,
)


def rows(chance):
    yield from ({"colour": colour} for colour in ("red", "green", "blue"))


def painted_colour(reading):
    """The colour of the last picture in the response."""
    (response,) = reading.transcript.responses
    (*_, picture) = response.media
    with Pillow.open(BytesIO(picture.data)) as seen:
        value = {(255, 0, 0): "red", (0, 128, 0): "green", (0, 0, 255): "blue"}.get(seen.getpixel((1, 1)))
    return Answer((Final(value),))


@task("painted")
def painted():
    """Squares that a model paints"""
    return Task(
        data=Generated(0, rows, count=3),
        sample=lambda record: Sample(record["colour"], record["colour"], (record["colour"],)),
        prompt=lambda sample, protocol: (Message("user", "Paint " + sample.input),),
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="0-shot", reader=painted_colour),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("none",),
    )
'''
SOUND = Audio(stored(tone(440, 16_000), 16_000, "WAV", "PCM_16"))
BROKEN = Image(b"\x89PNG no picture")


def painting(request: Request, draw: int) -> Response:
    """A sound, something that is no picture, and what was asked for, but never green."""
    assert isinstance(request.prompt, tuple)
    colour = request.prompt[0].text.removeprefix("Paint ")
    picture = Image(square("red" if colour == "green" else colour))
    return Response("here", media=(SOUND, BROKEN, picture))


def run(model: Model, task: Path, path: Path) -> TableCell:
    plan = make_plan(model, [str(task)])
    store = open_run(path, plan)
    try:
        asyncio.run(execute(plan, store, Options(4, RetryPolicy(attempts=1))))
        (cell,) = build_table([store]).cells
        return cell
    finally:
        store.close()


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "painted.py"
    path.write_text(TASK, "utf-8")
    return path


def test_a_picture_is_an_answer(task: Path, tmp_path: Path) -> None:
    cell = run(FakeModel(painting), task, tmp_path / "r.db")
    assert (round(cell.value or 0, 1), cell.outcomes["wrong"]) == (66.7, 1)


def test_it_is_kept_whole_and_its_small_copy_by_its_digest(task: Path, tmp_path: Path) -> None:
    run(FakeModel(painting), task, tmp_path / "r.db")
    red = Image(square("red"))
    with closing(sqlite3.connect(tmp_path / "r.db")) as db:
        kept = db.execute("SELECT kind, key, data FROM generated WHERE place = 2 ORDER BY request").fetchall()
        media = {key: row for key, *row in db.execute("SELECT key, mime, width, seconds, preview FROM media")}
    assert [(kind, key, data) for kind, key, data in kept].count(("image", red.key, red.data)) == 2
    mime, width, _, preview = media[red.key]
    with Pillow.open(BytesIO(preview)) as small:
        assert (mime, width, small.size) == ("image/png", 64, (64, 64))
    assert media[SOUND.key][0] == "audio/wav"
    assert media[SOUND.key][2] > 0
    assert media[BROKEN.key] == ["image/png", 0, 0.0, b""], "what cannot be decoded was there"


def test_a_resumed_run_and_a_replay_read_it_back(task: Path, tmp_path: Path) -> None:
    first = FakeModel(painting)
    run(first, task, tmp_path / "r.db")
    with edited(tmp_path / "r.db") as db:
        db.execute("DELETE FROM sample WHERE id = 'red'")
    again = FakeModel(painting)
    cell = run(again, task, tmp_path / "r.db")
    assert (first.asked, again.asked, round(cell.value or 0, 1)) == (3, 0, 66.7)
    replayed = run(open_model(f"replay/{tmp_path / 'r.db'}"), task, tmp_path / "again.db")
    assert round(replayed.value or 0, 1) == 66.7


def test_it_is_scored_again(task: Path, tmp_path: Path) -> None:
    run(FakeModel(painting), task, tmp_path / "r.db")
    list(rescore(tmp_path / "r.db", tmp_path / "new.db", task_files=(task,)))
    with Store.open(tmp_path / "new.db", (task,)) as store:
        (cell,) = build_table([store]).cells
        assert (round(cell.value or 0, 1), cell.outcomes["wrong"]) == (66.7, 1)
        assert store.connection.execute("SELECT count(data) FROM generated").fetchone() == (9,)


def test_it_is_exported_and_shown_by_its_digest(task: Path, tmp_path: Path) -> None:
    run(FakeModel(painting), task, tmp_path / "r.db")
    keys = [SOUND.key, BROKEN.key, Image(square("blue")).key]
    with Store.open(tmp_path / "r.db") as store:
        (row,) = (row for row in rows([store]) if row["id"] == "blue")
        found = parts([store], lambda cell: None, lambda store, cell: None)
        (record,) = records(found, [(0, "blue")])
    (response,) = json.loads(json.dumps(row["responses"]))
    assert response["media"] == keys
    assert set(record.media) == set(keys)
    assert record.answers["media"] == [], "those of the question"
    assert record.answers["runs"][0]["draws"][0][0]["media"] == keys  # type: ignore[index, call-overload]


def test_slim_files_leave_it_out(task: Path, tmp_path: Path) -> None:
    run(FakeModel(painting), task, tmp_path / "r.db")
    write_slim(tmp_path / "r.db", tmp_path / "slim.db")
    write_slim(tmp_path / "r.db", tmp_path / "texts.db", texts=True)
    for name, expected in (("slim.db", []), ("texts.db", [(None,)] * 9)):
        with closing(sqlite3.connect(tmp_path / name)) as db:
            assert db.execute("SELECT data FROM generated").fetchall() == expected


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ([Image(b"x")], "not a tuple of Image and Audio"),
        (("x",), "not a tuple of Image and Audio"),
        ((Image.known("0" * 64),), "without data"),
        ((Image(bytes(MOST_GENERATED)), Image(b"x")), "of more than 268,435,456 bytes"),
    ],
)
def test_what_cannot_be_kept_fails_the_request(media: object, said: str) -> None:
    with pytest.raises(ProviderError, match=said):
        checked(Response("", media=media), Request("", 1))  # type: ignore[arg-type]
