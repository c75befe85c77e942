"""Any questions about pictures, by columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.benchmark.task import load_task
from evalkit.data import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, UsageError
from evalkit.models.fake import FakeModel
from evalkit.session import run
from tests.album import square

NOBODY = FakeModel(lambda request, draw: "")


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    """Pictures beside a list of what they show, in columns of other names."""
    folder = tmp_path / "receipts"
    folder.mkdir()
    rows = [
        ("red.png", "Which colour?", ["red", "crimson"], "warm"),
        ("blue.png", "Which colour?", ["blue", "Blue."], "cold"),
    ]
    for name, _, _, _ in rows:
        (folder / name).write_bytes(square(name.partition(".")[0]))
    lines = [dict(zip(("file_name", "query", "label", "kind"), row, strict=True)) for row in rows]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def settings(folder: Path, **more: str) -> dict[str, str]:
    columns = {"question": "query", "answers": "label", "split": "train"}
    return {"dataset": str(folder), **columns, **more}


def test_a_folder_of_pictures_needs_no_code(receipts: Path, tmp_path: Path) -> None:
    table = run(
        FakeModel(lambda request, draw: " CRIMSON. "),
        "vqa",
        settings=settings(receipts, group="kind"),
        output=tmp_path / "r.db",
    )
    (cell,) = table.cells
    assert (cell.metric, cell.value, cell.n) == ("accuracy", 50.0, 2)
    assert {name: group.value for name, group in cell.groups.items()} == {"warm": 100.0, "cold": 0.0}
    assert cell.protocol.startswith("0-shot[answers=label,")


@pytest.mark.parametrize(
    ("metric", "said", "figure"),
    [("exact", "blu", 0.0), ("anls", "blu", 37.5), ("relaxed", "BLUE", 50.0)],
)
def test_the_metric_is_chosen_by_name(
    receipts: Path, tmp_path: Path, metric: str, said: str, figure: float
) -> None:
    model = FakeModel(lambda request, draw: said)
    table = run(model, "vqa", settings=settings(receipts, metric=metric), output=tmp_path / "r.db")
    assert table.cells[0].value == figure


def test_what_is_asked(receipts: Path) -> None:
    plan = make_plan(NOBODY, ["vqa"], settings=settings(receipts, instruction="One word."))
    (cell,) = plan.cells
    _, sample = next(cell.samples())
    sent = cell.task.prompt(sample, cell.protocol)
    assert isinstance(sent, tuple)
    (message,) = sent
    assert message.content == ("One word.", sample.media[0], "Which colour?")
    assert sample.media[0].data == square("red")


@pytest.mark.parametrize("dataset", ["receipts", "./receipts"])
def test_a_folder_may_be_named_from_where_one_is(
    receipts: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    monkeypatch.chdir(receipts.parent)
    (cell,) = make_plan(NOBODY, ["vqa"], settings=settings(receipts, dataset=dataset)).cells
    assert [sample.media[0].data for _, sample in cell.samples()] == [square("red"), square("blue")]


def listed(folder: Path, *images: object) -> dict[str, str]:
    """Settings for a folder of two pictures and a list of questions about `images`, as texts."""
    (folder / "shown").mkdir()
    for name in ("red", "blue"):
        (folder / "shown" / f"{name}.png").write_bytes(square(name))
    rows = [{"question": "Which?", "answers": "red", "image": image} for image in images]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"dataset": str(folder)}


def test_a_list_of_questions_may_name_its_pictures(tmp_path: Path) -> None:
    red, blue = "shown/red.png", "shown/blue.png"
    (cell,) = make_plan(NOBODY, ["vqa"], settings=listed(tmp_path, [red], [blue, red])).cells
    shown = [[medium.data for medium in sample.media] for _, sample in cell.samples()]
    assert shown == [[square("red")], [square("blue"), square("red")]]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("shown/green.png", "has no file 'shown/green.png', which its records name"),
        ("iVBORw0KGgo" * 500, "has no file 'iVBORw0KGgo"),
        (
            "shown/../../secret.png",
            "names a file outside of itself, which was not read: 'shown/../../secret.png'",
        ),
        (7, "image must be a picture or a list of pictures, not '7'"),
    ],
)
def test_a_picture_that_is_not_there_is_named(tmp_path: Path, image: object, said: str) -> None:
    (tmp_path / "secret.png").write_bytes(square("red"))
    (tmp_path / "set").mkdir()
    with pytest.raises(UsageError, match=said):
        make_plan(NOBODY, ["vqa"], settings=listed(tmp_path / "set", image))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "vqa"}, "2 answers: metric=vqa needs the answers of at least 4 people"),
        ({"metric": "bleu"}, "unknown metric 'bleu'"),
        ({"question": "qeury"}, "no column qeury among file_name, image, kind, label, query"),
        ({"split": "test"}, "no split 'test' .* it has train"),
        ({"dataset": "./nowhere"}, "no folder nowhere in"),
        ({"instruction": " "}, "instruction= must not be empty"),
    ],
)
def test_bad_input_is_named(receipts: Path, change: dict[str, str], said: str) -> None:
    said = said.replace("file_name, ", "")
    with pytest.raises(UsageError, match=said):
        make_plan(NOBODY, ["vqa"], settings=settings(receipts) | change)


def test_without_a_set_it_says_how_to_name_one() -> None:
    with pytest.raises(DataError, match="--set dataset="):
        make_plan(NOBODY, ["vqa"])
    with pytest.raises(DataError, match="a folder has no revisions"):
        make_plan(NOBODY, ["vqa"], settings={"dataset": ".", "revision": "main"})


def test_the_shapes_of_answers_and_pictures(tmp_path: Path) -> None:
    """A text, records with an answer, several pictures: as VQAv2 and many a set of one's own have them."""
    picture = {"bytes": square("red"), "path": None}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema([("question", pa.string()), ("image", pa.list_(image)), ("answers", pa.list_(
        pa.struct({"answer": pa.string(), "answer_id": pa.int64()})))])  # fmt: skip
    people = [{"answer": "red", "answer_id": n} for n in range(4)]
    rows = [{"question": "Both?", "image": [picture, picture], "answers": people}]
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "set/test.parquet")
    found: dict[str, Any] = {"dataset": str(tmp_path / "set"), "metric": "vqa"}
    (cell,) = make_plan(NOBODY, ["vqa"], settings=found).cells
    _, sample = next(cell.samples())
    assert sample.target == ("red",) * 4
    assert [medium.data for medium in sample.media] == [picture["bytes"]] * 2
    assert (cell.metrics[0].name, cell.count) == ("VQA accuracy", 1)


def test_a_name_on_the_hub_and_evalkits_own() -> None:
    assert load_task("vqa", {"dataset": "owner/name"}).data.name == "owner/name"  # type: ignore[attr-defined]
    assert load_task("vqa").data.open(DataOptions(small_sets=True)).count == 6
