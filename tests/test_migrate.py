"""A run file of every earlier format is read as today's; `tests/fixtures` keeps one of each."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.benchmark.protocol import ProtocolSettings
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import FORMAT, Store
from tests.cli.conftest import Cli, cli
from tests.edited import edited

__all__ = ["cli"]
FIXTURES = Path(__file__).parent / "fixtures"
FIGURES_OF_3 = {
    ("gsm8k", "accuracy"): 75.0,
    ("gsm8k", "accuracy (strict)"): 75.0,
    ("quiz", "accuracy"): 75.0,
    ("quiz", "accuracy (first)"): 75.0,
    ("quiz", "accuracy (majority)"): 75.0,
    ("quiz", "accuracy (greedy)"): 87.5,
    ("sums", "accuracy"): 50.0,
    ("fleurs", "WER (macro)"): 25.0,
    ("fleurs", "WER (insertions, macro)"): 0.0,
    ("fleurs", "over 100 % (macro)"): 0.0,
}
FIGURES_OF_4 = [
    ("likely[likelihood=prompt]", "accuracy", 50.0),
    ("likely[likelihood=prompt]", "accuracy (first)", 50.0),
    ("routed", "accuracy", 50.0),
    ("routed", "accuracy (majority)", 0.0),
    ("routed", "accuracy (greedy)", 50.0),
    ("routed", "accuracy (first)", 50.0),
]
FIGURES_OF_5 = [
    ("quiz", "accuracy", 100.0),
    ("quiz", "accuracy (majority)", 100.0),
    ("quiz", "accuracy (greedy)", 75.0),
    ("quiz", "accuracy (first)", 100.0),
    ("essays", "grade", 0.0),
    ("essays", "grade (graded)", 80.0),
    ("squares", "accuracy", 100.0),
    ("math", "accuracy", 75.0),
    ("math", "accuracy (hendrycks)", 75.0),
    ("math", "accuracy (math-verify)", 75.0),
]
FIGURES_OF_6 = [
    ("0-shot-chat[max_tokens=99]", "accuracy", 66.7),
    ("0-shot-chat[max_tokens=99]", "accuracy (strict)", 66.7),
    ("maj1@32[max_tokens=99]", "accuracy", 100.0),
    ("maj1@32[max_tokens=99]", "accuracy (strict)", 100.0),
    ("0-shot-boxed", "accuracy", 66.7),
    ("0-shot-boxed", "accuracy (hendrycks)", 66.7),
    ("0-shot-boxed", "accuracy (math-verify)", 66.7),
]
"""As the evalkits that wrote them printed them."""


@pytest.fixture
def format_3(tmp_path: Path) -> Path:
    path = tmp_path / "run-3.db"
    path.write_bytes(gzip.decompress((FIXTURES / "run-3.db.gz").read_bytes()))
    return path


def test_there_is_a_file_of_every_earlier_format() -> None:
    """Whoever raises FORMAT adds a file of the format before, made by the evalkit before."""
    assert sorted(path.name for path in FIXTURES.glob("run-*.db.gz")) == [
        f"run-{number}.db.gz" for number in range(3, FORMAT)
    ]


@pytest.mark.slow
def test_an_earlier_file_shows_the_figures_that_it_showed(cli: Cli, format_3: Path) -> None:
    before = format_3.read_bytes()
    cells = json.loads(cli("report", format_3, "--json").out)["cells"]
    assert {(cell["task"], cell["metric"]): cell["value"] for cell in cells} == FIGURES_OF_3
    assert {cell["protocol"] for cell in cells} == {
        f"{name}[max_tokens=99]" for name in ("0-shot-chat", "likely", "routed", "maj", "82")
    }
    assert all(cell["finished"] for cell in cells)
    assert cli("report", format_3).code == 0
    assert cli("compare", format_3, format_3).code == 0
    assert format_3.read_bytes() == before, "reading changes nothing"


def test_an_earlier_files_specs_and_links(format_3: Path) -> None:
    with Store.open(format_3) as store:
        cells = {(cell.task, cell.protocol, cell.role): cell for cell in store.cells()}
        routed = cells["quiz", "routed", ""]
        assert routed.spec.protocol.fallback == ("likely",)
        assert routed.spec.protocol.overrides == {"max_tokens": "99"}
        assert cells["gsm8k", "0-shot-chat", ""].spec.protocol == ProtocolSettings(
            name="0-shot-chat", max_tokens=99, overrides={"max_tokens": "99"}
        )
        read = SampleRecords(store, routed)
        draws = routed.spec.protocol.draws
        for position in read.positions.values():
            counts = [len(exchange.draws) for exchange in read.read(position).requests]
            assert sorted(counts) == [1, draws]


def test_an_earlier_file_is_rescored_and_then_compared(cli: Cli, format_3: Path, tmp_path: Path) -> None:
    """Its scorers are known by digests that no code of today has, so it is marked until it is rescored."""
    only = tmp_path / "gsm8k.db"
    shutil.copy(format_3, only)
    with closing(sqlite3.connect(only)) as db, db:
        db.execute("DELETE FROM cell WHERE task != 'gsm8k'")
    (cell, _) = json.loads(cli("report", only, "--json").out)["cells"]
    assert "scored by judge@" in " ".join(cell["stale"])
    new, now = tmp_path / "new.db", tmp_path / "now.db"
    assert cli("rescore", only, "-o", new).code == 0
    task = ("-t", "gsm8k:0-shot-chat", "--data", "builtin", "--set", "max_tokens=99", "--limit", 8)
    cli("run", "-m", "fake/gold?wrong=0.3", *task, "-o", now)
    said = cli("compare", new, now)
    assert (said.code, "no change seen (0:0)" in said.out) == (0, True)


def test_a_file_of_format_4_shows_its_figures_and_every_response(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "run-4.db"
    path.write_bytes(gzip.decompress((FIXTURES / "run-4.db.gz").read_bytes()))
    cells = json.loads(cli("report", path, "--json").out)["cells"]
    assert [(cell["protocol"], cell["metric"], cell["value"]) for cell in cells] == FIGURES_OF_4
    with closing(sqlite3.connect(path)) as db:
        (told,) = db.execute("SELECT count(*) FROM draw").fetchone()
    with Store.open(path) as store:
        assert len(store.connection.execute("SELECT likelihoods FROM draw").fetchall()) == told
        likely = next(cell for cell in store.cells() if cell.protocol == "likely")
        requests = SampleRecords(store, likely).of(0)
        # Each letter was a request of its own, with the letter's token at the end of the prompt.
        assert [one.draws[0].response.prompt_logprobs[0].token for one in requests] == [
            " A",
            " B",
            " C",
            " D",
        ]


def test_a_file_of_format_5_has_todays_words(cli: Cli, tmp_path: Path) -> None:
    """Its figures and what signed them are as they were: another word is no other scorer."""
    path = tmp_path / "run-5.db"
    path.write_bytes(gzip.decompress((FIXTURES / "run-5.db.gz").read_bytes()))
    cells = json.loads(cli("report", path, "--json").out)["cells"]
    assert [(cell["task"], cell["metric"], cell["value"]) for cell in cells] == FIGURES_OF_5
    assert (
        "fake/fixed"
        in next(cell for cell in cells if cell["task"] == "squares")["signature"]["parts"]["model_extractor"]
    )
    with Store.open(path) as store:
        routed, *_ = store.cells()
        assert routed.spec.protocol.branches == ("majority", "greedy")
        answer = SampleRecords(store, routed).read(0).answer
        assert (*answer["variants"], *answer["branches"]) == ("first", "majority", "greedy")
        assert not {"views", "legs"} & answer.keys()
    parts = {cell["metric"]: cell["signature"]["parts"] for cell in cells if cell["task"] == "math"}
    assert [part["scorer"].partition("{")[0] for part in parts.values()] == [
        "math.scorer@1", "math.scorer_hendrycks@1", "math.scorer_math_verify@1",
    ]  # fmt: skip
    assert parts["accuracy (hendrycks)"]["metric"] == "accuracy@1(variant='hendrycks')"


def test_a_file_of_format_6_has_no_checksums_until_it_is_rescored(cli: Cli, tmp_path: Path) -> None:
    path, new = tmp_path / "run-6.db", tmp_path / "new.db"
    path.write_bytes(gzip.decompress((FIXTURES / "run-6.db.gz").read_bytes()))
    for file in (path, new):
        cells = json.loads(cli("report", file, "--json").out)["cells"]
        figures = [(cell["protocol"], cell["metric"], round(cell["value"], 1)) for cell in cells]
        assert figures == FIGURES_OF_6
        if file == path:
            assert "earlier formats have no checksums" in cli("verify", path).err
            assert cli("rescore", path, "-o", new).code == 0
    assert cli("verify", new).code == 0


def test_an_earlier_file_that_is_damaged_is_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "run-6.db"
    whole = gzip.decompress((FIXTURES / "run-6.db.gz").read_bytes())
    path.write_bytes(whole[: len(whole) // 4096 // 2 * 4096])
    said = cli("report", path)
    assert (said.code, f"{path} is damaged: " in said.err, len(said.err.splitlines())) == (2, True, 1)
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE cell SET spec = '17'")
    said = cli("report", path)
    assert (said.code, "cell" in said.err or str(path) in said.err, "Traceback" in said.err) == (
        2,
        True,
        False,
    )


def test_an_earlier_file_is_not_gone_on_with(cli: Cli, format_3: Path) -> None:
    said = cli(
        "run", "-m", "fake/gold?wrong=0.3", "-t", "gsm8k:0-shot-chat", "--data", "builtin", "-o", format_3
    )
    assert said.code == 2
    assert "evalkit rescore" in said.err


def test_a_later_files_format_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    cli("run", "-m", "fake/gold", "-t", "gsm8k:0-shot-chat", "--data", "builtin", "-o", path)
    with edited(path) as db:
        db.execute("UPDATE run SET value = ? WHERE key = 'format'", (str(FORMAT + 1),))
    said = cli("report", path)
    assert (said.code, f"has run-file format {FORMAT + 1}" in said.err) == (2, True)
