"""`evalkit report --alignments`: what was said beside what was heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from evalkit.cli.main import main
from evalkit.report.alignments import Aligned
from evalkit.scoring.speech import SpeechUnit, alignment


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


@pytest.mark.slow
def test_edits_stand_under_each_other(heard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "report", str(heard), "--alignments")
    assert code == 0
    lines = out.splitlines()
    first = next(index for index, line in enumerate(lines) if "sample" in line)
    heading = "asr:0-shot[normaliser=whisper-english]  fake/fixed?text=The goat is red."
    assert lines[first - 1] == heading
    assert lines.count(heading) == 1, "each run is named once"
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
    assert (code, "none of these runs has one" in err) == (2, True)
    code, _, err = said(capsys, "report", path, "--alignments", "--format", "csv")
    assert (code, "format of --alignments" in err) == (2, True)


def aligned(said: str, heard: str, unit: SpeechUnit = "word") -> Aligned:
    return Aligned("asr", "0-shot", "m", "a", "", "edits", tuple(alignment(said, heard, unit)))


def test_long_transcripts_keep_to_the_width() -> None:
    words = [f"word{n}" for n in range(60)]
    one = aligned(" ".join(words), " ".join(word if n % 3 else "x" for n, word in enumerate(words)))
    lines = list(one.lines(60))
    assert max(map(cell_len, lines)) <= 60
    assert len(lines) > 10
    said = [line.removeprefix("    said   ") for line in lines if line.startswith("    said")]
    assert " ".join(" ".join(said).replace("[", "").replace("]", "").split()) == " ".join(words)


@pytest.mark.parametrize(
    ("said", "heard", "unit"),
    [("赤い船が行く", "赤a船が行", "character"), ("e\u0301te\u0301 ici la", "ete ici la", "word")],
)
def test_edits_stand_under_each_other_in_every_script(said: str, heard: str, unit: SpeechUnit) -> None:
    _, above, below = aligned(said, heard, unit).lines(80)
    brackets = [
        [cell_len(line[:at]) for at, sign in enumerate(line) if sign == "["] for line in (above, below)
    ]
    assert brackets[0] == brackets[1] != []


@pytest.mark.parametrize(("loop", "folded"), [("the", "the … ×40"), ("thank you", "thank you … ×40")])
def test_a_loop_is_folded(loop: str, folded: str) -> None:
    lines = list(aligned("a goat", " ".join(["a goat", *[loop] * 40])).lines(80))
    assert lines[2] == f"    heard  a goat [{folded}]"
    few = list(aligned("a goat", "a goat the the the").lines(80))
    assert few[2] == "    heard  a goat [the] [the] [the]"
