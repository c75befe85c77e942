"""Clips in a folder with a list of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.data import DataOptions
from evalkit.data.audio_folder import AudioFolder
from evalkit.errors import DataError


def listed(place: Path, *rows: dict[str, str]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (place / "metadata.jsonl").write_text(lines, "utf-8")
    return place


def test_clips_come_with_what_the_list_says(tmp_path: Path) -> None:
    place = listed(
        tmp_path, {"file_name": "in/a.wav", "said": "später"}, {"file_name": "lost.wav", "said": "x"}
    )
    (place / "in").mkdir()
    (place / "in/a.wav").write_bytes(b"RIFF a clip")
    records = AudioFolder(place, columns=("audio", "said")).open()
    there, lost = records
    assert (there["audio"]["bytes"], there["said"]) == (b"RIFF a clip", "später")
    assert lost["audio"]["bytes"] is None
    assert "has no file 'lost.wav', which its records name" in lost["audio"]["problem"]
    assert records.count == len(list(records)) == 2, "it can be read again"
    assert (records.origin["kind"], records.origin["name"]) == ("folder", tmp_path.name)


def test_a_table_with_a_mark_of_its_encoding_and_a_quoted_comma(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text('file_name,said\na.wav,"red, not blue"\n', "utf-8-sig")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    ((record,), (again,)) = AudioFolder(tmp_path).open(), AudioFolder(tmp_path).open()
    assert record == again
    assert record["said"] == "red, not blue"


def test_a_split_is_a_folder_of_its_own(tmp_path: Path) -> None:
    (listed(tmp_path / "test", {"file_name": "a.wav", "said": "x"}) / "a.wav").write_bytes(b"RIFF")
    assert (AudioFolder.fits(tmp_path), AudioFolder.fits(tmp_path, "test")) == (False, True)
    assert AudioFolder(tmp_path, "test").open().count == 1
    with pytest.raises(DataError, match=r"has neither metadata\.jsonl nor metadata\.csv"):
        AudioFolder(tmp_path).open()
    with pytest.raises(DataError, match="a folder has no revisions"):
        AudioFolder(tmp_path, "test").open(DataOptions(revision="main"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no clips"),
        ("\n \n", "names no clips"),
        ('{"file_name": "a.wav"', "cannot be read"),
        ("[" * 200_000, "cannot be read"),
        ('{"file_name": "\udcff"}', "cannot be read"),
        ("[1]", "line 1: 'file_name' must name a clip"),
        ('{"file_name": "a.wav", "said": ""}\n{"said": ""}', "line 2: 'file_name' must name"),
        ('{"file_name": 7}', "line 1: 'file_name' must name"),
        ('{"file_name": "a.wav"}', "no column said among audio, file_name"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(DataError, match=said):
        AudioFolder(tmp_path, columns=("said",)).open()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.wav,red, not blue", "row 1: must have as many cells"),
        ("a.wav", "row 1: must have as many cells"),
        (",red", "row 1: 'file_name' must name"),
        (f"a.wav,{'x' * 200_000}", "cannot be read"),
    ],
)
def test_a_table_that_would_be_read_in_part(tmp_path: Path, row: str, said: str) -> None:
    """An unquoted comma must not cut a transcript short."""
    (tmp_path / "metadata.csv").write_text(f"file_name,said\n{row}\n", "utf-8")
    with pytest.raises(DataError, match=said):
        AudioFolder(tmp_path, columns=("said",)).open()


def test_a_list_of_clips_none_of_which_is_there(tmp_path: Path) -> None:
    place = listed(tmp_path, {"file_name": "clips/a.wav"}, {"file_name": "clips/b.wav"})
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"no file 'clips/a\.wav'.*none of the files is there .* 2 records"):
        AudioFolder(place).open()


@pytest.mark.parametrize("path", ["../secret.wav", "{outside}/secret.wav", "in/../../secret.wav"])
def test_a_file_outside_is_not_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    place = listed(tmp_path / "clips", {"file_name": path.format(outside=tmp_path)})
    with pytest.raises(DataError, match=r"a file outside of itself, which was not read: .*secret\.wav"):
        list(AudioFolder(place).open())
