"""The small sets of questions about pictures: their columns, their pictures, and that the tool draws them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageOps

from evalkit.data import DataOptions, Hub, Record
from evalkit.data.folder import SMALL_SETS
from tools.draw_mmmu import subjects
from tools.draw_small_sets import small_sets, write

SMALL = DataOptions(small_sets=True)


@cache
def drawn_sets() -> dict[str, Any]:
    """What the tool draws, by the set's name. Drawing takes two seconds."""
    return {small.name: small for small in small_sets()}


def splits() -> list[tuple[str, str, str]]:
    return [
        (small.name, config, split)
        for small in drawn_sets().values()
        for config, splits in small.records.items()
        for split in splits
    ]


def read(name: str, config: str, split: str) -> list[Record]:
    return list(Hub(name, config, split, "main").open(SMALL))


def stored(record: Record) -> Iterator[tuple[str, bytes]]:
    """The pictures of a record, by column."""
    for column, value in record.items():
        if isinstance(value, dict) and "bytes" in value:
            yield column, value["bytes"]


def drawn(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {"bytes": value, "path": None} if type(value) is bytes else value
        for key, value in record.items()
    }


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.slow
def test_the_files_hold_what_the_tool_draws() -> None:
    """Texts to the letter; pictures in kind and size, since another Pillow may compress them otherwise."""
    for name, config, split in splits():
        wanted = [drawn(record) for record in drawn_sets()[name].records[config][split]]
        found = read(name, config, split)
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.keys() == theirs.keys()
            pictures = dict(stored(theirs))
            for column, value in ours.items():
                if column not in pictures:
                    assert value == theirs[column]
                    continue
                committed, redrawn = opened(value["bytes"]), opened(pictures[column])
                assert (committed.format, committed.size) == (redrawn.format, redrawn.size)
                assert committed.getexif() == redrawn.getexif()


@pytest.mark.slow
def test_drawing_again_gives_the_same_files(tmp_path: Any) -> None:
    for place in ("first", "second"):
        for small in small_sets():
            write(small, tmp_path / place)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*.*"))
    assert sum(path.suffix == ".parquet" for path in files) == len(splits())
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


@pytest.mark.slow
def test_they_are_small_and_each_stands_in_the_tree_with_a_card() -> None:
    size = 0
    for name in drawn_sets():
        files = [path for path in (SMALL_SETS / name).rglob("*") if path.is_file()]
        size += sum(path.stat().st_size for path in files)
        card = (SMALL_SETS / name / "README.md").read_text("utf-8")
        assert "license: apache-2.0" in card
        assert "drawn, for evalkit" in card
        assert "not for results" in card
    assert size < 1_500_000


def test_datasets_itself_reads_them_as_pictures(tmp_path: Any) -> None:
    from datasets import load_dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = load_dataset(
            str(SMALL_SETS / "MMMU" / "MMMU"), "Math", split="validation", cache_dir=str(tmp_path)
        )
    assert rows[1]["image_4"].size == (140, 140)
    assert rows[1]["image_5"] is None


@pytest.mark.slow
def test_pictures_come_in_many_kinds() -> None:
    kinds: Counter[tuple[str | None, str]] = Counter()
    turned = 0
    for name, config, split in splits():
        for record in read(name, config, split):
            for _, data in stored(record):
                image = opened(data)
                assert min(image.size) >= 100
                kinds[image.format, image.mode] += 1
                upright = ImageOps.exif_transpose(image)
                turned += upright is not None and upright.size != image.size
    assert {
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
    } <= set(kinds)
    assert turned >= 2


def test_ten_people_answered_each_answered_question() -> None:
    rows = read("lmms-lab-encoder/VQAv2", "default", "validation")
    for row in rows:
        said = [vote["answer"] for vote in row["answers"]]
        assert len(said) == 10
        assert said.count(row["multiple_choice_answer"]) == max(Counter(said).values())
    assert any(len({vote["answer"] for vote in row["answers"]}) > 2 for row in rows)
    for split in ("testdev", "test"):
        assert {row["answers"] for row in read("lmms-lab-encoder/VQAv2", "default", split)} == {None}
    assert {len(row["answers"]) for row in read("lmms-lab/textvqa", "default", "validation")} == {10}


def test_mathvista_has_each_kind_of_question() -> None:
    rows = read("AI4Math/MathVista", "default", "testmini")
    kinds = {(row["question_type"], row["answer_type"]) for row in rows}
    free = {("free_form", kind) for kind in ("integer", "float", "list")}
    assert kinds == free | {("multi_choice", "text")}
    for row in rows:
        assert (row["question_type"] == "multi_choice") == (row["choices"] is not None)
        assert row["choices"] is None or row["answer"] in row["choices"]
        if row["answer_type"] == "float":
            assert str(round(float(row["answer"]), int(row["precision"]))) == row["answer"]


@pytest.mark.slow
def test_mmmu_has_all_subjects_and_pictures_in_options() -> None:
    assert len(subjects()) == 30
    rows = [row for subject in subjects() for row in read("MMMU/MMMU", subject, "validation")]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        count = sum(row[f"image_{number}"] is not None for number in range(1, 8))
        asked = row["question"] + row["options"]
        assert all(f"<image {number}>" in asked for number in range(1, count + 1))
        assert f"<image {count + 1}>" not in asked
        assert (row["question_type"] == "open") == (row["options"] == "[]")
    assert any("<image 4>" in row["options"] for row in rows)
    assert any("<image 2>" in row["question"] for row in rows)
    letters = Counter(row["answer"] for row in rows if row["options"] != "[]")
    assert set(letters) == set("ABCD")
    assert max(letters.values()) < 0.5 * letters.total()


def test_two_pages_of_one_document_are_two_pictures() -> None:
    rows = read("lmms-lab/DocVQA", "DocVQA", "validation")
    pages = {(row["docId"], row["image"]["bytes"]) for row in rows}
    assert Counter(document for document, _ in pages)[5] == 2
