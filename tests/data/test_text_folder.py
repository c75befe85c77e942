"""A folder of text files: which are read, in what order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.api import DataError, DataOptions, TextFolder


def test_every_text_file_is_a_record(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    (folder / "b.txt").write_bytes("\ufeffZoë\r\nlines\n".encode())
    (folder / "more" / "a.txt").write_bytes(b"a")
    (folder / "notes.md").write_bytes(b"no")
    (folder / "more.txt").mkdir()
    records = TextFolder(folder).open()
    assert list(records) == [{"name": "b.txt", "text": "Zoë\r\nlines\n"}, {"name": "more/a.txt", "text": "a"}]
    assert records.count == 2
    assert (records.origin["kind"], records.origin["name"]) == ("folder", "books")
    assert list(records) == list(records)


def test_the_digest_is_that_of_names_and_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", "utf-8")
    first = TextFolder(tmp_path).open().origin["revision"]
    assert TextFolder(tmp_path).open().origin["revision"] == first
    (tmp_path / "a.txt").write_text("y", "utf-8")
    second = TextFolder(tmp_path).open().origin["revision"]
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert len({first, second, TextFolder(tmp_path).open().origin["revision"]}) == 3


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    (folder / "own.txt").write_text("own", "utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "again.txt").symlink_to(folder / "own.txt")
    assert [record["text"] for record in TextFolder(folder).open()] == ["own", "own"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert not TextFolder.fits(tmp_path)
    assert not TextFolder.fits(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no \.txt files"):
        TextFolder(tmp_path).open()
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    assert TextFolder.fits(tmp_path)
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8 .*: save it as UTF-8"):
        TextFolder(tmp_path).open()
    with pytest.raises(DataError, match="a folder of texts has no revisions"):
        TextFolder(tmp_path).open(DataOptions(revision="main"))
