"""Pictures on their way from a data set to a real HTTP endpoint that decodes them."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from evalkit.data import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.media import image as media_image
from evalkit.models import open_model
from evalkit.models.base import Model, Request
from evalkit.models.fake import FakeModel
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import Table, build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import OUTCOMES, Store
from tests.album import COLOURS, album, square
from tests.openai_server import OpenAIServer

QUICK = RetryPolicy(attempts=1)


def run(model: Model, task: str, path: Path, judge: Model | None = None, **settings: str) -> Table:
    plan = make_plan(model, [task], settings=settings, judges={"judge": judge} if judge else None)
    store = open_run(path, plan)

    async def go() -> None:
        await execute(plan, store, Options(8, QUICK))
        await model.aclose()

    try:
        asyncio.run(go())
        return build_table([store])
    finally:
        store.close()


def by_sight(server: OpenAIServer) -> Any:
    """A model that sees: the colour in the middle of the last picture it was sent."""

    def look(payload: dict[str, Any], route: str) -> str:
        with PIL.Image.open(BytesIO(server.seen[-1].data)) as picture:
            seen = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        assert isinstance(seen, tuple)
        return min(
            COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], seen, strict=True))
        )

    return look


def test_a_model_that_looks_scores_full_marks(tmp_path: Path) -> None:
    """Through every format, on the wire as PNG or JPEG, text and pictures in the order of the prompt."""
    pictures = {
        f"{colour}.{kind.lower()}": square(colour, kind=kind)
        for colour, kind in zip(COLOURS, ("PNG", "JPEG", "WEBP", "TIFF"), strict=True)
    } | {"blue.gif": square("blue", kind="GIF")}
    rows = [(name, name.partition(".")[0], [name]) for name in pictures]
    task = album(tmp_path, pictures, rows)
    with OpenAIServer() as server:
        server.script = by_sight(server)
        table = run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
    (cell,) = table.cells
    assert (cell.value, cell.n) == (100.0, 5)
    assert {seen.mime for seen in server.seen} == {"image/png", "image/jpeg"}
    content = server.requests[0].payload["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]
    assert content[0]["text"] == "Look: "
    unchanged = {seen.data for seen in server.seen} & set(pictures.values())
    assert unchanged == {pictures["red.png"], pictures["green.jpeg"]}


def test_several_pictures_arrive_in_their_order(tmp_path: Path) -> None:
    pictures = {f"{colour}.png": square(colour) for colour in COLOURS}
    order = ["blue.png", "red.png", "blue.png", "white.png"]
    task = album(tmp_path, pictures, [("one", "white", order)])
    with OpenAIServer() as server:
        server.script = by_sight(server)
        table = run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
    assert table.cells[0].value == 100.0
    assert [seen.data for seen in server.seen] == [pictures[name] for name in order]


def test_a_picture_is_prepared_once_however_often_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never on the event loop's thread, no more than it is put into a request there."""
    calls: list[bytes] = []
    threads: set[threading.Thread] = set()
    prepare = media_image.prepare

    def counted(data: bytes, *settings: Any) -> media_image.Prepared:
        calls.append(data)
        threads.add(threading.current_thread())
        return prepare(data, *settings)

    def watched(data: bytes) -> bytes:
        threads.add(threading.current_thread())
        return b64encode(data)

    monkeypatch.setattr(media_image, "prepare", counted)
    monkeypatch.setattr("evalkit.models.http_model.b64encode", watched)
    pictures = {"red.webp": square("red", kind="WEBP"), "blue.webp": square("blue", kind="WEBP")}
    rows = [(f"{i}", "red" if i % 2 else "blue", ["red.webp" if i % 2 else "blue.webp"]) for i in range(40)]
    task = album(tmp_path, pictures, rows)
    with OpenAIServer() as server:
        server.script = by_sight(server)
        table = run(OpenAIModel("any", server.url), f"{task}:squares:maj", tmp_path / "r.db")
    assert table.cells[0].value == 100.0
    assert len(server.seen) == 120
    assert {thread.name.partition("_")[0] for thread in threads} == {"media", "encoder"}
    assert sorted(calls) == sorted(pictures.values())
    store = Store.open(tmp_path / "r.db")
    keys = {key for row in store.samples(store.cells()[0]) for key in row["media"]}
    for key in keys:
        preview = store.preview(key)
        assert preview is not None
        with PIL.Image.open(BytesIO(preview)) as small:
            assert (small.format, small.size) == ("JPEG", (64, 64))
    assert len(keys) == 2
    assert store.preview("0" * 64) is None
    store.close()


def test_a_pixel_budget_is_met_and_stands_in_the_signature(tmp_path: Path) -> None:
    task = album(tmp_path, {"wide.png": square("green", (400, 100))}, [("one", "green", ["wide.png"])])
    signatures = {}
    with OpenAIServer() as server:
        server.script = by_sight(server)
        chosen: tuple[dict[str, str], ...] = (
            {}, {"max_pixels": "10000"}, {"max_pixels": "10000", "resample": "box"}, {"max_pixels": "40000"},
        )  # fmt: skip
        for number, settings in enumerate(chosen):
            table = run(OpenAIModel("any", server.url), task, tmp_path / f"{number}.db", None, **settings)
            signatures[str(settings)] = table.cells[0].signature
    assert [seen.size for seen in server.seen] == [(400, 100), (200, 50), (200, 50), (400, 100)]
    assert len({signature.short for signature in signatures.values()}) == 4
    asis, small, box, _ = signatures.values()
    assert "max_pixels:10000|resample:lanczos" in small.line()
    assert "max_pixels" not in asis.line()
    assert any(line.startswith("resample: lanczos and box") for line in small.differences(box))


def test_a_picture_that_is_none_fails_its_own_sample_only(tmp_path: Path) -> None:
    whole = square("red", (200, 200), "JPEG")
    pictures = {
        "red.jpg": whole,
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "page.png": b"<html><body>404</body></html>",
    }
    rows = [(name, "red", [name]) for name in pictures] + [("again", "red", ["red.jpg", "cut.jpg"])]
    task = album(tmp_path, pictures, rows)
    with OpenAIServer() as server:
        server.script = by_sight(server)
        table = run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
        assert len(server.requests) == 1
    (cell,) = table.cells
    assert (cell.value, cell.n, cell.outcomes["failed"]) == (100.0, 1, 4)
    store = Store.open(tmp_path / "r.db")
    failures = {sample: (boundary, message) for sample, boundary, message in store.failures(store.cells()[0])}
    store.close()
    assert {boundary for boundary, _ in failures.values()} == {"media"}
    assert set(failures) == {"cut.jpg", "empty.png", "page.png", "again"}
    assert all(message and "\n" not in message for _, message in failures.values())
    cut, again = (failures[name][1] for name in ("cut.jpg", "again"))
    assert again == f"file 2 of 2: {cut}"


def test_resumed_nothing_is_decoded_or_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = album(tmp_path, {"red.gif": square("red", kind="GIF")}, [("a", "red", ["red.gif"])])
    with OpenAIServer() as server:
        server.script = by_sight(server)
        first = run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
        replayed = run(open_model(f"replay/{tmp_path / 'r.db'}"), task, tmp_path / "again.db")
        monkeypatch.setattr(media_image, "prepare", None)
        again = run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
        assert len(server.requests) == 1
    assert first.cells[0].as_json() == again.cells[0].as_json()
    assert replayed.cells[0].signature.parts == first.cells[0].signature.parts
    assert (replayed.cells[0].value, replayed.cells[0].outcomes) == (
        first.cells[0].value,
        first.cells[0].outcomes,
    )


def test_a_server_that_takes_no_pictures_says_so(tmp_path: Path) -> None:
    task = album(tmp_path, {"red.png": square("red")}, [("a", "red", ["red.png"])])
    with OpenAIServer(images=0) as server:
        run(OpenAIModel("any", server.url), task, tmp_path / "r.db")
    store = Store.open(tmp_path / "r.db")
    ((_, boundary, message),) = store.failures(store.cells()[0])
    store.close()
    assert boundary == "provider"
    assert "At most 0 image(s)" in message


def test_a_model_without_eyes_is_refused_before_the_first_request(tmp_path: Path) -> None:
    task = album(tmp_path, {"red.png": square("red")}, [("a", "red", ["red.png"])])
    blind = FakeModel(lambda request, draw: "red", "fake/blind")
    blind.capabilities = frozenset({"chat"})
    with pytest.raises(
        UsageError,
        match=r"fake/blind does not support image, .*: openai, hf, lm-eval, python",
    ):
        make_plan(blind, [task])
    assert blind.asked == 0
    with pytest.raises(UsageError, match="need --set api=chat"):
        make_plan(FakeModel(lambda request, draw: ""), [task], settings={"api": "completion"})


def test_a_pixel_budget_without_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match=r"max_pixels=100: gsm8k has no pictures"):
        make_plan(FakeModel(lambda request, draw: ""), ["gsm8k"], settings={"max_pixels": "100"})


def test_what_is_hashed_is_the_picture_and_its_budget() -> None:
    from evalkit.samples import Image, Message

    def key(data: bytes, **settings: Any) -> bytes:
        prompt = (Message("user", ("see", Image(data))),)
        return Request(prompt, max_tokens=5, **settings).encoded()[0]

    assert key(b"a") == key(b"a")
    assert len({key(b"a"), key(b"b"), key(b"a", max_pixels=9), key(b"a", max_pixels=9, resample="box")}) == 4
    plain = Request((Message("user", "see"),), max_tokens=5)
    assert plain.encoded() == Request((Message("user", "see"),), 5, max_pixels=9).encoded()


# -- a judge, and answers without references


def test_a_judge_reads_what_the_rules_cannot(tmp_path: Path) -> None:
    """Asked only then; its answers are kept apart, and the table names it."""
    rows = [("plain", "red", ["red.png"]), ("wordy", "red", ["red.png"]), ("lost", "red", ["red.png"])]
    task = album(tmp_path, {"red.png": square("red")}, rows)

    def student(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        asked = request.prompt[-1].text
        return "red" if "plain" in asked else "It looks reddish." if "wordy" in asked else "Hm."

    judged: list[str] = []

    def reader(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        judged.append(request.prompt[-1].text)
        return "red" if "reddish" in request.prompt[-1].text else "I cannot tell."

    def model() -> FakeModel:
        return FakeModel(student, "fake/student")

    def judge(name: str = "fake/reader") -> FakeModel:
        return FakeModel(reader, name)

    alone = run(model(), task, tmp_path / "alone.db").cells[0]
    assert (alone.outcomes["correct"], alone.outcomes["unparsable"]) == (1, 2)
    assert "model_extractor" not in alone.signature.parts
    path = tmp_path / "judged.db"
    cell = run(model(), task, path, judge()).cells[0]
    assert (cell.outcomes["correct"], cell.outcomes["unparsable"]) == (2, 1)
    assert sorted(judged) == ["Name the colour only. Hm.", "Name the colour only. It looks reddish."]
    assert "fake/reader" in cell.signature.line()
    assert any(
        "the model that reads answers that the rules cannot" in line
        for line in alone.signature.differences(cell.signature)
    )
    assert run(model(), task, path, judge()).cells[0].as_json() == cell.as_json()
    assert len(judged) == 2, "asked again although stored"
    with pytest.raises(UsageError, match=r"holds another run: .*model_extractor"):
        run(model(), task, path, judge("fake/another"))
    drawn = run(model(), f"{task}:squares:maj", tmp_path / "maj.db", judge()).cells[0]
    assert drawn.outcomes["correct"] == 2


def test_a_judge_that_nobody_asks_is_refused() -> None:
    judge = FakeModel(lambda request, draw: "", "fake/reader")
    with pytest.raises(UsageError, match="--judge fake/reader: none of gsm8k uses such a judge"):
        make_plan(
            FakeModel(lambda request, draw: ""),
            ["gsm8k"],
            judges={"judge": judge},
            data=DataOptions(small_sets=True),
        )


def table_cell(table: Table) -> TableCell:
    (cell,) = table.cells
    return cell


def test_answers_without_references_are_kept_and_not_scored(tmp_path: Path) -> None:
    rows = [("a", "", ["red.png"]), ("b", "", ["red.png"]), ("c", "", ["red.png"])]
    task = album(tmp_path, {"red.png": square("red")}, rows)

    def student(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        return "Hm." if "(c)" in request.prompt[-1].text else "blue"

    cell = table_cell(run(FakeModel(student), task, tmp_path / "r.db"))
    assert (cell.value, cell.low, cell.n, cell.answered) == (None, None, 0, 2)
    assert cell.outcomes == {**dict.fromkeys(OUTCOMES, 0), "unparsable": 1}
    table = run(FakeModel(student), task, tmp_path / "r.db")
    assert any("2 answers are not public" in note for note in table.notes)
    assert not any("unfinished" in note for note in table.notes)


def test_a_submission_is_what_the_server_takes(tmp_path: Path) -> None:
    from evalkit.report.export import submission

    rows = [("a", "", ["red.png"]), ("b", "red", ["red.png"]), ("c", "", ["red.png"])]
    task = album(tmp_path, {"red.png": square("red")}, rows)

    def student(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        return "Hm." if "(c)" in request.prompt[-1].text else "blue"

    run(FakeModel(student), task, tmp_path / "r.db")
    store = Store.open(tmp_path / "r.db", (Path(task),))
    assert json.loads(submission(store)) == [
        {"n": 0, "answer": "blue"},
        {"n": 1, "answer": "blue"},
        {"n": 2, "answer": ""},
    ]
    store.close()
