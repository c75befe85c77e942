"""`evalkit report --alignments`: what was said beside what was heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.cli.main import main


@pytest.fixture
def heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A model that hears the same sentence in every clip."""
    path = tmp_path / "r.db"
    said(
        capsys, "run", "-m", "fake/fixed?text=The goat is red.", "-t", "asr,librispeech", "--data", "builtin",
        "--set", "normaliser=whisper-english", "-o", str(path),
    )  # fmt: skip
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_edits_stand_under_each_other(heard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "report", str(heard), "--alignments")
    assert code == 0
    lines = out.splitlines()
    first = next(index for index, line in enumerate(lines) if "sample" in line)
    assert lines[first].startswith("asr:0-shot[normaliser=whisper-english]  fake/fixed?text=The goat is red.")
    assert lines[first].endswith("1 substitution of 4 words")
    assert lines[first + 1 : first + 3] == ["    said   the [boat] is red", "    heard  the [goat] is red"]
    assert "10 of 10 clips have edits; most confused:" in lines
    assert lines[-1].startswith("    ")


def test_as_json(heard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(said(capsys, "report", str(heard), "--alignments", "--json")[1])
    assert len(document["alignments"]) == 10
    assert document["alignments"][0]["steps"][1] == ["substitute", "boat", "goat"]
    assert ["boat", "goat", 1] in document["confused"]


def test_without_speech_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "r.db")
    said(capsys, "run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", path)
    code, _, err = said(capsys, "report", path, "--alignments")
    assert (code, "no run here has any" in err) == (2, True)
    code, _, err = said(capsys, "report", path, "--alignments", "--format", "csv")
    assert (code, "format of --alignments" in err) == (2, True)
