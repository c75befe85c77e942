"""A user's own data is what its file says: no type is guessed, whatever the form of the file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from evalkit.api import AudioFolder, CsvCell, DataError, Local, Records, text_of
from evalkit.data.base import Number
from evalkit.engine.plan import make_plan
from evalkit.models.fake import FakeModel
from tests.album import square

TEXTS = (
    "2019-05-01", "2019-05-01T10:30:00", "007", "00", "1.50", "12.00", "None", "NA", "null", "nan", "N/A",
    "1e5", "true", "FALSE", "12345678901234567890123", "9007199254740993", "0x1F", "1_000", "12:30", "-0",
    "+5", " x ", "[1, 2]", "{}", "<NA>", "inf", "#N/A",
)  # fmt: skip
NOBODY = FakeModel(lambda request, draw: "")


def quoted(cells: list[str], delimiter: str) -> str:
    return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


def written(name: str) -> bytes:
    """`TEXTS` as the column `a` of a file."""
    rows = [{"q": f"What is number {n}?", "a": text} for n, text in enumerate(TEXTS)]
    if ".json" in name and "lines" not in name:
        found = json.dumps(rows)
    elif ".json" in name:
        found = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        delimiter = "\t" if ".tsv" in name else ";" if "semicolon" in name else ","
        found = "".join(quoted(list(row), delimiter) for row in [["q", "a"], *(row.values() for row in rows)])
    return packed(name, found.encode())


def packed(name: str, data: bytes) -> bytes:
    if name.endswith(".zst"):
        compressed: bytes = pyarrow.Codec("zstd").compress(data, asbytes=True)
        return compressed
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
    }  # fmt: skip
    return packers.get(name.rpartition(".")[2], bytes)(data)


def texts(records: Records) -> list[Any]:
    return [record["a"] for record in records]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["test_lines.jsonl", "test_lines.json", "test.json", "test.csv", "test.tsv", "test_semicolon.csv",
     "test_lines.jsonl.gz", "test.csv.gz", "test_lines.jsonl.bz2", "test_lines.jsonl.xz",
     "test_lines.jsonl.zst", "test.csv.xz"],
)  # fmt: skip
def test_texts_stay_texts_in_a_folder_as_in_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(written(name))
    for place in (tmp_path, tmp_path / name):
        records = Local(place, columns=("q", "a")).open()
        assert texts(records) == texts(records) == list(TEXTS)
        assert records.count == len(TEXTS)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_texts_stay_texts_beside_pictures_and_clips(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(square("red"))
    if name.endswith(".csv"):
        data = "".join(quoted(row, ",") for row in [["file_name", "a"], *(["a.png", text] for text in TEXTS)])
    else:
        data = "".join(json.dumps({"file_name": "a.png", "a": text}) + "\n" for text in TEXTS)
    (tmp_path / name).write_text(data, "utf-8")
    for records in (Local(tmp_path, split="train").open(), AudioFolder(tmp_path).open()):
        assert texts(records) == list(TEXTS)
    first = next(iter(Local(tmp_path, split="train").open()))
    assert first["image"] == {"bytes": square("red"), "path": "a.png"}


def test_a_number_of_json_keeps_its_spelling_where_it_becomes_a_text(tmp_path: Path) -> None:
    spelled = ["1.50", "1e5", "12345678901234567890123", "7", "true", "-0.0"]
    rows = "".join(f'{{"q": "?", "a": {text}}}\n' for text in spelled)
    (tmp_path / "test.jsonl").write_text(rows, "utf-8")
    for place in (tmp_path, tmp_path / "test.jsonl"):
        assert [text_of(value, "a") for value in texts(Local(place).open())] == spelled
    number = texts(Local(tmp_path).open())[0]
    assert (number, f"{number}", number + 1) == (1.5, "1.50", 2.5)
    assert str(pickle.loads(pickle.dumps(number))) == "1.50"
    assert json.dumps([Number("1.50")]) == "[1.5]"
    for value in (None, ["x"], {"x": 1}):
        with pytest.raises(ValueError, match="a must be a text"):
            text_of(value, "a")


def test_columns_that_some_lines_lack_and_lines_of_several_kinds(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"q": 1}\n\n{"q": "x", "a": null}\n{"a": [3, "three"]}\n', "utf-8")
    assert list(Local(tmp_path, columns=("q", "a")).open()) == [
        {"q": 1, "a": None}, {"q": "x", "a": None}, {"q": None, "a": [3, "three"]},
    ]  # fmt: skip


CARD = """---
dataset_info:
  features:
  - {name: q, dtype: string}
  - {name: n, dtype: int64}
  - {name: kind, dtype: {class_label: {names: {'0': cold, '1': warm}}}}
  - {name: shown, dtype: image}
configs:
- config_name: default
  data_files: [{split: test, path: rows.csv}]
  sep: "|"
---
"""


def test_what_a_card_declares_holds(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD, "utf-8")
    (tmp_path / "a.png").write_bytes(square("red"))
    (tmp_path / "rows.csv").write_text("q|n|kind|shown\n007|07|warm|a.png\n2019-05-01||cold|\n", "utf-8")
    one, two = Local(tmp_path).open()
    shown = {"bytes": square("red"), "path": "a.png"}
    assert one == {"q": "007", "n": 7, "kind": 1, "shown": shown}
    assert (two["q"], two["n"], two["kind"]) == ("2019-05-01", None, 0)
    (tmp_path / "rows.csv").write_text("q|n|kind|shown\n007|seven|warm|a.png\n", "utf-8")
    with pytest.raises(DataError, match=r"n is 'seven', and the card says"):
        list(Local(tmp_path).open())


def test_settings_that_only_pandas_knows_guess_nothing_either(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: default\n  data_files: [{split: test, path: rows.csv}]\n"
    (tmp_path / "README.md").write_text(card + "  names: [q, a]\n  header: null\n---\n", "utf-8")
    (tmp_path / "rows.csv").write_text("x,007\ny,NA\nz,1.50\n", "utf-8")
    assert texts(Local(tmp_path).open()) == ["007", "NA", "1.50"]


@pytest.mark.parametrize(
    "data",
    [
        b"q,a\n1,2\n",
        b"\xef\xbb\xbfq;a\r\n1;2\r\n",
        b"sep=;\r\nq;a\r\n1;2\r\n",
        b"q\ta\n1\t2\n",
        b"q,a\r1,2\r",
        b"\n\nq,a\n\n1,2\n\n,\n",
        b'"q","a"\n"1","2"\n',
    ],
)
def test_tables_as_programs_write_them(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(data)
    for place in (tmp_path, tmp_path / "test.csv"):
        assert list(Local(place, columns=("q", "a")).open()) == [{"q": "1", "a": "2"}]


def test_quoted_lines_delimiters_and_an_index_of_pandas(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(b',q,a\r\n0,"two\r\nlines; one, comma",""""\r\n')
    (record,) = Local(tmp_path).open()
    assert record == {"Unnamed: 0": "0", "q": "two\r\nlines; one, comma", "a": '"'}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("test.csv", "q,a\nx,y\nz,caf\u00e9\n".encode("latin-1"), r"line 3: .*'utf-8'.*: save it as UTF-8"),
        ("test.csv", b'q,a\n"x\ny",1\nz,\xe9\n', r"line 4: .*save it as UTF-8"),
        ("test.jsonl", b'{"q": "x"}\n{"q": "\xe9"}\n', r"line 2: .*save it as UTF-8"),
        ("test.json", b'[{"q": "x"},\n{"q": "\xe9"}]\n', r"line 2: .*save it as UTF-8"),
        ("test.csv", "q,a\nx,y\n".encode("utf-16"), r"line 1: .*save it as UTF-8"),
        ("test.csv", b"q,a,q\n1,2,3\n", r"line 1: .*with different names: 'q' is there twice"),
        ("test.jsonl", b'{"q": 1, "a": 2, "q": 3}\n', r"line 1: .*it has 'q' twice"),
        ("test.csv", b"q,a\n1,2,3\n", r"line 2: 3 cells for 2 columns"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_its_line(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    for place in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=said):
            list(Local(place).open())


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('["blue", "navy"]', ("blue", "navy")),
        ("['red', 'crimson']", ("red", "crimson")),
        ("[1, 2]", ("[1, 2]",)),
        ("[sic]", ("[sic]",)),
        ("[]", ("[]",)),
        ("007", ("007",)),
    ],
)
def test_a_cell_may_hold_a_list_of_texts(cell: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(square("red"))
    header = ["question", "image", "answers"]
    data = "".join(quoted(row, ",") for row in [header, ["Which?", '["a.png", "a.png"]', cell]])
    (tmp_path / "test.csv").write_text(data, "utf-8")
    (found,) = make_plan(NOBODY, ["vqa"], settings={"dataset": str(tmp_path)}).cells
    ((_, sample),) = found.samples()
    assert sample.target == expected
    assert [medium.data for medium in sample.media] == [square("red")] * 2
    assert CsvCell(cell).listed() == (list(expected) if len(expected) > 1 else None)


def test_the_text_of_a_json_file_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(square("red"))
    rows = [{"question": 12, "image": "a.png", "answers": text} for text in ('["x"]', ["1.50", "x"])]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (found,) = make_plan(NOBODY, ["vqa"], settings={"dataset": str(tmp_path)}).cells
    assert [sample.target for _, sample in found.samples()] == [('["x"]',), ("1.50", "x")]
    assert [sample.input for _, sample in found.samples()] == ["12", "12"]


def test_an_empty_cell_is_no_reference(tmp_path: Path) -> None:
    """Nobody could be right, so the sample fails."""
    (tmp_path / "a.png").write_bytes(square("red"))
    (tmp_path / "test.csv").write_text("question,image,answers\nWhich?,a.png,\n", "utf-8")
    with pytest.raises(DataError, match="answers must not be empty"):
        make_plan(NOBODY, ["vqa"], settings={"dataset": str(tmp_path)})
