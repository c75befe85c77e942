"""Files that a list of the user's own names: their spelling, near names, and files that cannot be read."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from evalkit.api import AudioFolder, DataError, JsonLines, Local, Video
from evalkit.models.fake import FakeModel
from evalkit.runfile.store import Store
from evalkit.session import run
from tests.album import square

Form = Literal["NFC", "NFD"]
NAME = "Münchner Café.png"


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_a_name_finds_its_file_in_the_other_form(listed: Form, stored: Form, tmp_path: Path) -> None:
    on_disk = tmp_path / unicodedata.normalize(stored, "Übung") / unicodedata.normalize(stored, NAME)
    on_disk.parent.mkdir()
    on_disk.write_bytes(square("red"))
    name = unicodedata.normalize(listed, f"Übung/{NAME}")
    (tmp_path / "test.jsonl").write_text(json.dumps({"image": name, "video": name}), "utf-8")
    (record,) = Local(tmp_path, files=("image",), paths=("video",)).open()
    assert record["image"]["bytes"] == square("red")
    assert record["video"] == on_disk
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": name}), "utf-8")
    (clip,) = AudioFolder(tmp_path).open()
    assert clip["audio"]["bytes"] == square("red")


def test_a_missing_picture_is_named_with_a_near_name(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/receipt-1.png").write_bytes(square("red"))
    (tmp_path / "test.jsonl").write_text(json.dumps({"image": "shown/receipt_1.png"}), "utf-8")
    with pytest.raises(  # it is the only one
        DataError, match=r"has no file 'shown/receipt_1\.png'.*: did you mean 'shown/receipt-1\.png'\?"
    ):
        list(Local(tmp_path, files=("image",)).open())


@pytest.mark.parametrize("lost", [0, 1])
def test_a_file_missing_from_a_list_is_told_in_its_record(lost: int, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(square("red"))
    names = ["red.png", "red.png"]
    names[lost] = "rot.png"
    rows = [{"image": name, "images": [name, "red.png"], "video": name} for name in names]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    read = [*Local(tmp_path / "test.jsonl", files=("image", "images"), paths=("video",)).open()]
    assert (read[1 - lost]["image"]["bytes"], read[1 - lost]["video"]) == (
        square("red"),
        tmp_path / "red.png",
    )
    for found in (read[lost]["image"], read[lost]["images"][0], read[lost]["video"]):
        assert found["bytes"] is None
        assert "has no file 'rot.png'" in found["problem"]
    assert read[lost]["images"][1]["bytes"] == square("red")
    assert "has no file 'rot.png'" in Video.of(read[lost]["video"], 1.0).problem


def test_lists_of_whose_files_none_is_there(tmp_path: Path) -> None:
    rows = [{"image": f"{n}.png", "video": None} for n in range(3)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    said = (
        r"has no file '0\.png', which its records name \(none of the files is there that its 3 records name\)"
    )
    for place in (Local(tmp_path, files=("image",)), JsonLines(tmp_path / "test.jsonl", files=("image",))):
        with pytest.raises(DataError, match=said):
            place.open()
    settings = {"dataset": str(tmp_path)}
    rows = [{"question": "Which?", "image": f"{n}.png", "answers": "red"} for n in range(3)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    model = FakeModel(lambda request, draw: "red")
    with pytest.raises(DataError, match="none of the files is there"):
        run(model, "vqa", settings=settings, output=tmp_path / "r.db")
    assert not (tmp_path / "r.db").exists()


def test_a_picture_that_cannot_be_read_fails_its_sample(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(square("red"))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "memory.png").symlink_to("/proc/self/mem")  # a file whose reading fails, also for root
    (tmp_path / "text.png").write_text("404: not found", "utf-8")
    names = ["lost.png", "red.png", "folder.png", "memory.png", "text.png", "red.png"]
    rows = [{"question": f"Which {n}?", "image": name, "answers": "red"} for n, name in enumerate(names)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    model = FakeModel(lambda request, draw: "red")
    table = run(model, "vqa", settings={"dataset": str(tmp_path)}, output=tmp_path / "r.db")
    assert (table.cells[0].n, table.cells[0].value) == (2, 100.0)
    store = Store.open(tmp_path / "r.db")
    failures = [(boundary, said) for _, boundary, said in store.failures(store.cells()[0])]
    store.close()
    assert [boundary for boundary, _ in failures] == ["media"] * 4
    assert "has no file 'lost.png'" in failures[0][1]
    assert "has no file 'folder.png'" in failures[1][1]
    assert "memory.png cannot be read" in failures[2][1]
    assert failures[3][1].startswith("'text.png': no PNG, JPEG")
    assert "it looks like text" in failures[3][1]


def test_a_picture_missing_from_a_list_beside_pictures_fails_its_sample(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(square("red"))
    rows = [{"question": "Which?", "file_name": name, "answers": "red"} for name in ("red.png", "rde.png")]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    settings = {"dataset": str(tmp_path), "split": "train"}
    table = run(FakeModel(lambda request, draw: "red"), "vqa", settings=settings, output=tmp_path / "r.db")
    assert (table.cells[0].n, table.cells[0].outcomes["failed"]) == (1, 1)
    store = Store.open(tmp_path / "r.db")
    ((_, boundary, said),) = store.failures(store.cells()[0])
    store.close()
    assert boundary == "media"
    assert "has no file 'rde.png', which its records name: did you mean 'red.png'?" in said


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_are_compared_composed(form: Form, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(square("red"))
    row = {"question": "Where?", "image": "red.png", "answers": unicodedata.normalize(form, "Café Übung")}
    (tmp_path / "test.jsonl").write_text(json.dumps(row), "utf-8")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "CAFÉ übung.")
    model = FakeModel(lambda request, draw: other)
    table = run(model, "vqa", settings={"dataset": str(tmp_path)}, output=tmp_path / "r.db")
    assert table.cells[0].value == 100.0
