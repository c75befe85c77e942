"""Records of the user's own files: every form, and what is wrong with a file by its line."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.api import DataError, DataOptions, JsonLines, Local
from evalkit.data import files

ROWS = [{"q": "1 + 1", "a": "2"}, {"q": "wie, spät?", "a": "jetzt"}]


def lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


FORMS: dict[str, Callable[[], bytes]] = {
    "rows.jsonl": lambda: lines(ROWS),
    "rows.NDJSON": lambda: b"\n" + lines(ROWS),
    "rows.jsonl.gz": lambda: gzip.compress(lines(ROWS)),
    "rows.json": lambda: json.dumps(ROWS, indent=1).encode("utf-8-sig"),
    "rows.json.gz": lambda: gzip.compress(json.dumps(ROWS).encode()),
    "rows.csv": lambda: 'q,a\r\n1 + 1,2\r\n"wie, spät?",jetzt\r\n'.encode("utf-8-sig"),
    "rows.csv.gz": lambda: gzip.compress('q,a\n1 + 1,2\n"wie, spät?",jetzt\n'.encode()),
    "rows.v2.tsv": lambda: "q\ta\n1 + 1\t2\nwie, spät?\tjetzt\n".encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_records(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FORMS[name]())
    records = Local(tmp_path / name, columns=("q", "a")).open()
    assert list(records) == list(records) == ROWS
    assert (records.count, records.origin["kind"], records.origin["name"]) == (2, "file", name)
    assert records.origin["where"] == str(tmp_path / name)


def test_parquet_and_its_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"q": ["x", "y"], "n": [1, 2]}), tmp_path / "rows.parquet")
    assert list(Local(str(tmp_path / "rows.parquet")).open()) == [{"q": "x", "n": 1}, {"q": "y", "n": 2}]


def test_the_revision_is_the_files_own(tmp_path: Path) -> None:
    for name, rows in (("a.jsonl", ROWS), ("b.jsonl", ROWS), ("c.jsonl", ROWS[:1])):
        (tmp_path / name).write_bytes(lines(rows))
    a, b, c = (Local(tmp_path / name).open().origin["revision"] for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    assert a == b != c
    with pytest.raises(DataError, match="a file has no revisions"):
        Local(tmp_path / "a.jsonl").open(DataOptions(revision="main"))


def test_json_lines_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_bytes(lines(ROWS))
    (tmp_path / "questions.txt.gz").write_bytes(gzip.compress(lines(ROWS)))
    assert list(JsonLines(tmp_path / "questions.txt").open()) == ROWS
    assert list(JsonLines(tmp_path / "questions.txt.gz", columns=("q",)).open()) == ROWS
    with pytest.raises(DataError, match="the extension must be one of"):
        Local(tmp_path / "questions.txt").open()


CUT = gzip.compress(lines(ROWS) * 50_000, compresslevel=0)[: 1 << 17]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.jsonl", b"", r"x\.jsonl has no records"),
        ("x.jsonl", b"\n \n", r"x\.jsonl has no records"),
        ("x.jsonl", b'{"q": 1}\n\n{"q": 2', r"x\.jsonl, line 3: not a JSON object \(Expecting"),
        ("x.jsonl", b'{"q": 1}\n[1]', r"x\.jsonl, line 2: must be an object, not list"),
        ("x.jsonl", b'{"q": 1}\n{"q": "\xff"}', r"line 2: not a JSON object \('utf-8' codec"),
        ("x.jsonl", b'{"q": 1}\n' + b"[" * 100_000, r"line 2: not a JSON object"),
        ("x.jsonl", b'{"p": 1}', "no column q among p"),
        ("x.jsonl.gz", b"plain", r"x\.jsonl\.gz, after line 0: the file cannot be read"),
        ("x.jsonl.gz", CUT, r"x\.jsonl\.gz, after line [0-9]{4}: the file cannot be read"),
        ("x.json.gz", CUT, r"x\.json\.gz cannot be read"),
        ("x.jsonl.zst", b"plain", r"x\.jsonl\.zst, after line 0: the file cannot be read"),
        ("x.jsonl.xz", lzma.compress(lines(ROWS))[:-9], r"x\.jsonl\.xz, after line .: the file cannot"),
        ("x.csv.bz2", b"plain", r"x\.csv\.bz2, after line 0: the file cannot be read"),
        ("x.parquet.xz", b"", "must not be packed with xz"),
        ("x.json", b'[{"q": 1},\n {"q": 2]', r"x\.json, line 2: not valid JSON \(.*column 9"),
        ("x.json", b'{"q": [1]}', r"x\.json must hold a list of objects, not dict"),
        ("x.json", b'[{"q": 1}, 5]', r"x\.json, entry 1: must be an object, not int"),
        ("x.json", b"[" * 100_000, r"x\.json is not valid JSON"),
        ("x.csv", b"q,a\n1,2\n1,2,3\n", r"x\.csv, line 3: 3 cells for 2 columns"),
        ("x.csv", b"q,a\n1,2\n1\n", r"x\.csv, line 3: 1 cells for 2 columns"),
        ("x.csv", b"q,q\n1,2\n", r"x\.csv, line 1: the header must name each column"),
        ("x.csv", b"q,\n1,2\n", r"x\.csv, line 1: the header must name each column"),
        ("x.csv", b"q,a\n" + b"x" * 200_000 + b",1\n", r"after line [12]: .*\(field larger"),
        ("x.csv", b"q,a\n1,\xff\n", r"the file cannot be read \('utf-8'"),
        ("x.csv", b'q,a\n1,"2\n', r"the file cannot be read \(unexpected end"),
        ("x.parquet", b"PAR1 nothing PAR1", r"x\.parquet cannot be read"),
        ("x.parquet.gz", b"", "must not be packed with gzip"),
        ("x", b"", "the extension must be one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_by_its_line(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=said):
        Local(tmp_path / name, columns=("q",)).open()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*x\.jsonl in"):
        Local(tmp_path / "x.jsonl").open()
    with pytest.raises(DataError, match="no folder"):
        Local(tmp_path / "x").open()


@pytest.mark.slow
def test_what_a_small_packed_file_may_become_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_LINE", 1000)
    monkeypatch.setattr(files, "MOST_JSON", 1000)
    bomb = b'[{"q": "' + b" " * 100_000_000 + b'"}]'
    for name in ("x.jsonl.gz", "x.json.gz"):
        (tmp_path / name).write_bytes(gzip.compress(bomb, 1))
    with pytest.raises(DataError, match=r"line 1: the line has more than 1,000 bytes"):
        Local(tmp_path / "x.jsonl.gz").open()
    with pytest.raises(DataError, match=r"has more than 1,000 bytes: use JSON lines"):
        Local(tmp_path / "x.json.gz").open()


def test_pictures_that_a_file_names_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    place = tmp_path / "set"
    (place / "shown").mkdir(parents=True)
    (place / "shown" / "a.png").write_bytes(b"\x89PNG a")

    def read(name: str) -> object:
        (place / "rows.jsonl").write_text(json.dumps({"q": "?", "image": name}), "utf-8")
        return [record["image"] for record in Local(place / "rows.jsonl", files=("image",)).open()]

    assert read("shown/a.png") == [{"bytes": b"\x89PNG a", "path": "shown/a.png"}]
    for name in ("../secret.png", str(tmp_path / "secret.png"), "shown/../../secret.png"):
        with pytest.raises(DataError, match="names a file outside of itself"):
            read(name)
    with pytest.raises(DataError, match=r"has no file 'lost\.png'"):
        read("lost.png")


def test_large_files_come_as_paths_that_lie_beside_the_list(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    place = tmp_path / "set"
    (place / "shown").mkdir(parents=True)
    (place / "shown" / "a.mp4").write_bytes(b"a video")

    def read(name: object) -> list[object]:
        (place / "rows.jsonl").write_text(json.dumps({"q": "?", "video": name}), "utf-8")
        return [record["video"] for record in JsonLines(place / "rows.jsonl", paths=("video",)).open()]

    assert read("shown/a.mp4") == [place / "shown" / "a.mp4"]
    for name in ("../secret.mp4", str(tmp_path / "secret.mp4"), "shown/../../secret.mp4"):
        with pytest.raises(DataError, match="names a file outside of itself"):
            read(name)
    for named, said in (("lost.mp4", "has no file"), ("\0", "has no file"), (7, "must name a file")):
        with pytest.raises(DataError, match=said):
            read(named)
