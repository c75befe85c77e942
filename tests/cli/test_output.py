"""Where documents go: by ending, whole or not at all, and never over what was read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError
from tests.cli.conftest import Cli
from tests.made import sums

ENDINGS = {".md": "markdown", ".json": "json"}


def test_the_ending_says_the_format() -> None:
    assert format_of(Path("a.md"), "", ENDINGS, "terminal") == "markdown"
    assert format_of(Path("a.md"), "json", ENDINGS, "terminal") == "json"
    assert format_of(Path("a.odd"), "json", ENDINGS, "terminal") == "json"
    for nothing_said in (None, Path("a"), Path("/dev/stdout")):
        assert format_of(nothing_said, "", ENDINGS, "terminal") == "terminal"
    with pytest.raises(UsageError, match=r"a.odd: .odd is no ending of a format, .json, .md are: or give"):
        format_of(Path("a.odd"), "", ENDINGS, "terminal")


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "a.md"
    write(file, "first")
    assert file.read_text() == "first"
    file.chmod(0o640)
    write(file, b"second")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"second", 0o640)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as opened:
            opened.write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=f"cannot write {file}: No space left on device"):
        write(file, "third")
    assert [path.name for path in file.parent.iterdir()] == ["a.md"]
    assert file.read_text() == "second"


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(file)
    write(link, "said")
    assert link.is_symlink()
    assert file.read_text() == "said"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe, "heard")
    assert os.read(reading, 100) == b"heard"
    os.close(reading)
    assert pipe.is_fifo()


def test_what_was_read_is_not_written_over(cli: Cli, tmp_path: Path) -> None:
    run, other = tmp_path / "r.md", tmp_path / "other.md"
    assert cli("run", "-m", "fake/gold", "-t", sums(tmp_path), "-o", run).code == 0
    other.symlink_to(run)
    before = run.read_bytes()
    for command in (
        ("report", run, "-o", run),
        ("report", run, "-o", other),
        ("export", run, "--format", "csv", "-o", run),
        ("compare", run, run, "-o", run),
        ("compare", run, run, "--junit", run),
    ):
        code, _, err = cli(*command)
        assert (code, "is what was read: name another file" in err) == (2, True), command
    assert run.read_bytes() == before


def test_every_command_knows_its_endings(cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "r.db"
    assert cli("run", "-m", "fake/gold", "-t", sums(tmp_path), "-o", run).code == 0
    for command in (("report", run), ("export", run), ("compare", run, run)):
        code, _, err = cli(*command, "-o", tmp_path / "out.odd")
        assert (code, "is no ending of a format" in err, (tmp_path / "out.odd").exists()) == (2, True, False)
    assert cli("compare", run, run, "-o", tmp_path / "c.json").code == 0
    assert (tmp_path / "c.json").read_text().startswith("{")
    assert cli("report", run, "-o", tmp_path / "t.txt").code == 0
    assert "accuracy" in (tmp_path / "t.txt").read_text()
