"""Reading records that an installed package carries."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evalkit.data import DataOptions, Hub, Package
from evalkit.errors import DataError
from tests.data.reading import jsonl

ROWS = [{"question": "Which shelf holds the maps?"}, {"question": "Who drew them?"}]
LINES = jsonl(*(row["question"] for row in ROWS))
FILES = {
    "toy_maps/__init__.py": b"raise RuntimeError('evalkit must not import this')",
    "toy_maps/a.jsonl": LINES + b"\n",
    "toy_maps/a.jsonl.gz": gzip.compress(LINES),
    "toy_maps/a.json": json.dumps(ROWS).encode(),
    "toy_maps/torn.jsonl.gz": gzip.compress(LINES)[:-12],
    "toy_maps/numbers.jsonl": b"1\n2\n",
}


@pytest.fixture(autouse=True)
def toy_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution `toy-maps` 2.1."""
    info = tmp_path / "toy_maps-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-maps\nVersion: 2.1\n")
    listed = [*FILES, "toy_maps/lost.jsonl"]
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in listed))
    (tmp_path / "toy_maps").mkdir()
    for path, content in FILES.items():
        (tmp_path / path).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_its_records_are_read_without_importing_it(file: str) -> None:
    package = Package("toy-maps", f"toy_maps/{file}")
    assert package.installed
    records = package.open()
    assert list(records) == list(records) == ROWS
    assert records.count == 2
    assert records.origin["kind"] == "package"
    assert records.origin["where"] == "toy-maps 2.1"


@pytest.mark.parametrize(
    ("distribution", "file", "words"),
    [
        ("toy-atlas", "a.jsonl", "'toy-atlas' is not installed: `pip install toy-atlas`"),
        ("toy-maps", "lost.jsonl", "toy-maps 2.1 has no file toy_maps/lost.jsonl"),
        ("toy-maps", "unlisted.jsonl", "toy-maps 2.1 has no file toy_maps/unlisted.jsonl"),
        ("toy-maps", "torn.jsonl.gz", "toy_maps/torn.jsonl.gz of toy-maps 2.1 cannot be read"),
        ("toy-maps", "numbers.jsonl", "a record is a int, not an object"),
    ],
)
def test_what_is_wrong_with_it_is_said_when_it_is_opened(distribution: str, file: str, words: str) -> None:
    with pytest.raises(DataError, match="pip install") as raised:
        Package(distribution, f"toy_maps/{file}").open()
    assert words in str(raised.value)


def test_a_hub_data_set_is_read_from_it_unless_told_otherwise(tmp_path: Path) -> None:
    package = Package("toy-maps", "toy_maps/a.jsonl")
    hub = Hub("acme/maps", "default", "test", "0" * 40, columns=("question",), package=package)
    assert list(hub.open()) == ROWS
    (tmp_path / "hub/acme/maps").mkdir(parents=True)
    (tmp_path / "hub/acme/maps/test.jsonl").write_bytes(jsonl("Is this the folder?"))
    assert list(hub.open(DataOptions(folder=tmp_path / "hub"))) == [{"question": "Is this the folder?"}]
    other = Hub("acme/maps", "default", "test", "0" * 40, columns=("answer",), package=package)
    with pytest.raises(DataError, match=r"toy-maps 2\.1: changed schema, no column answer among question"):
        other.open()
