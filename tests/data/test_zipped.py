"""Records in a zip file: from a folder and from the Hub, and what is wrong with such a file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.data import DataOptions, zipped
from evalkit.data.zipped import HubZip, member_lines
from evalkit.errors import DataError
from tests.hub_server import HubServer

ROWS = [{"id": "1", "question": "Wer läutet?"}, {"id": "2", "question": "Who digs?"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
MEMBER = "wells/validation.jsonl"
WELLS = HubZip("acme/wells", "wells.zip", "validation", "main", ("id", "question"))


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return held.getvalue()


def at(tmp_path: Path, name: str, content: bytes) -> DataOptions:
    place = tmp_path / "acme/wells" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return DataOptions(folder=tmp_path)


def test_the_zip_file_and_the_file_unpacked_have_the_same_records(tmp_path: Path) -> None:
    options = at(tmp_path, MEMBER, LINES)
    unpacked = WELLS.open(options)
    assert (list(unpacked), unpacked.count) == (ROWS, 2)
    at(tmp_path, "wells.zip", packed(("wells/test.jsonl", b"{}\n"), (MEMBER, LINES)))
    found = WELLS.open(options)
    assert list(found) == list(found) == ROWS
    assert found.origin == unpacked.origin
    assert found.origin["config"] == "wells"
    with pytest.raises(DataError, match="has no revisions"):
        WELLS.open(DataOptions(folder=tmp_path, revision="main"))
    assert sorted(path.name for path in (tmp_path / "acme/wells").iterdir()) == ["wells", "wells.zip"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    options = at(tmp_path, "other.zip", b"")
    with pytest.raises(DataError, match=r"neither wells\.zip nor wells/validation\.jsonl: copy"):
        WELLS.open(options)
    at(tmp_path, "wells.zip", packed(("../validation.jsonl", LINES), ("validation.jsonl", LINES)))
    with pytest.raises(DataError, match=r"no file wells/validation\.jsonl: it has \.\./validation\.jsonl, v"):
        WELLS.open(options)
    at(tmp_path, "wells.zip", packed((MEMBER, b"\n")))
    with pytest.raises(DataError, match=r"validation\.jsonl of acme/wells has no records"):
        WELLS.open(options)
    at(tmp_path, "wells.zip", packed((MEMBER, b'{"id": "1"}\n')))
    with pytest.raises(DataError, match="no column question"):
        WELLS.open(options)


def lying(content: bytes) -> bytes:
    """The zip file with a smaller size of the member in its directory than there is."""
    size = len(LINES).to_bytes(4, "little")
    assert content.count(size) == 2
    return content.replace(size, (40).to_bytes(4, "little"))


def with_password(content: bytes) -> bytes:
    """The zip file with the bit set that says that its member is encrypted."""
    entry = content.index(b"PK\1\2") + 8
    return content[:entry] + b"\1" + content[entry + 1 :]


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed((MEMBER, LINES), (MEMBER, LINES))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"PK", r"cannot be read \(File is not a zip file\): delete wells\.zip and fetch it again"),
        (lambda: packed((MEMBER, LINES))[:-30], "not a zip file"),
        (lambda: packed((MEMBER, LINES), method=0).replace(b"digs", b"swims"[:4]), "Bad CRC-32"),
        (lambda: lying(packed((MEMBER, LINES))), r"line 1|Bad CRC-32"),
        (lambda: with_password(packed((MEMBER, LINES))), "must have no password"),
        (lambda: packed((MEMBER, LINES), method=zipfile.ZIP_LZMA), "be deflated or stored: pack it again"),
        (twice, "2 times: it is not clear which one"),
        (lambda: packed((MEMBER, LINES + b"[1]\n")), r"validation\.jsonl, line 3: must be an object"),
    ],
)
def test_a_broken_or_hostile_file_is_an_error(
    content: Callable[[], bytes], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        WELLS.open(at(tmp_path, "wells.zip", content()))


def test_a_member_has_a_limit_when_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes of a few kilobytes are refused by the size that the directory states, and unread."""
    at(tmp_path, "wells.zip", packed((MEMBER, b" " * 10_000_000)))
    path = tmp_path / "acme/wells/wells.zip"
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(zipped, "MOST_MEMBER", 9_999_999)
    with pytest.raises(DataError, match=r"has 10,000,000 bytes when unpacked: at most 9,999,999"):
        next(member_lines(path, MEMBER))


@pytest.mark.slow
def test_the_zip_file_comes_from_the_hub(tmp_path: Path) -> None:
    from tests.data.reading import Job, read

    with HubServer() as hub:
        files = {
            "README.md": b"# Wells\n",
            "wells.zip": packed((MEMBER, LINES)),
            "wells.py": b"raise SystemExit",
        }
        sha = hub.publish("acme/wells", files)
        zipped_job = Job("acme/wells", sha, archive="wells.zip", split="validation")
        found, lost = read(
            zipped_job,
            Job("acme/wells", sha, archive="ponds.zip", split="validation"),
            endpoint=hub.url,
            home=tmp_path,
        )
        assert not hub.paths(part="wells.py"), "no script is fetched"
        (again,) = read(zipped_job, endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
    assert found.count == again.count == 2
    assert found.origin["revision"] == sha
    assert found.origin["where"] == f"{hub.url}/datasets/acme/wells/tree/{sha}"
    assert "has no file ponds.zip: it has README.md, wells.py, wells.zip" in lost.error
