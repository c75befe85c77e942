"""Learned scorers: real models in real worker processes, in batches, and what becomes of hostile texts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import ScorerError, UsageError, WorkerError
from evalkit.identity.declared import code_identity
from evalkit.identity.user_file import import_file
from evalkit.scoring import learned
from evalkit.scoring.learned import Learned
from tests.processes import gone
from tests.taught import ROWS, Taught, taught

GOOD = "the grey geese fly"
REFERENCE = "the grey geese fly over the lake"


@pytest.fixture
def files(tmp_path: Path) -> Taught:
    return taught(tmp_path / "own")


@pytest.fixture
def made(files: Taught) -> Iterator[Callable[..., Learned]]:
    module, there = import_file(files.folder / "letter_regression.py"), list[Learned]()

    def make(**options: Any) -> Learned:
        options = {"model": files.folder / "weights.npz", **options}
        there.append(Learned(module.load, module.score, **options))
        return there[-1]

    yield make
    for one in there:
        one.close()


def scores(scorer: Learned, *candidates: str) -> list[object]:
    """Asked for all at once; a float or an error for each."""

    async def ask() -> list[object]:
        calls = (scorer(candidate, REFERENCE) for candidate in candidates)
        return list(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(ask())


@pytest.mark.slow
def test_scores_are_the_models_own_in_batches_and_it_is_loaded_once(
    files: Taught, made: Callable[..., Learned]
) -> None:
    scorer = made(batch=8)
    texts = [f"{GOOD} {n}" for n in range(20)]
    assert scores(scorer, *texts) == pytest.approx([files.by_hand(text, REFERENCE) for text in texts])
    assert scores(scorer, GOOD) == pytest.approx([files.by_hand(GOOD, REFERENCE)])  # in another event loop
    assert files.noted("batches") == ["8", "8", "4", "1"]
    ((pid, number),) = (line.split() for line in files.noted("loads"))
    assert int(pid) != os.getpid()
    assert number == "0"


@pytest.mark.slow
def test_several_processes_have_numbers_of_their_own(files: Taught, made: Callable[..., Learned]) -> None:
    found = scores(made(batch=2, processes=2), *[GOOD] * 8)
    assert found == pytest.approx([files.by_hand(GOOD, REFERENCE)] * 8)
    loads = [line.split() for line in files.noted("loads")]
    assert sorted(number for _, number in loads) == ["0", "1"]
    assert len({pid for pid, _ in loads}) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        ("RAISE", "the learned scorer weights.npz: ValueError: the tokenizer knows no such text"),
        ("LEAVE", "the learned scorer weights.npz: SystemExit: enough"),
        ("NAN", "the learned scorer weights.npz returned nan, which is not a finite number"),
        ("DIE", "the learned scorer weights.npz: a worker process crashed (exit status 7)"),
        ("KILL", "the learned scorer weights.npz: a worker process crashed (SIGKILL)"),
    ],
)
def test_a_hostile_text_fails_alone(
    files: Taught, made: Callable[..., Learned], hostile: str, words: str
) -> None:
    right = pytest.approx(files.by_hand(GOOD, REFERENCE))
    first, failed, last = scores(made(), GOOD, hostile, GOOD)
    assert (first, last) == (right, right)
    assert type(failed) is (WorkerError if hostile == "KILL" else ScorerError)
    assert str(failed) == words


@pytest.mark.slow
def test_a_batch_that_crashed_once_costs_no_text_its_score(
    files: Taught, made: Callable[..., Learned]
) -> None:
    """As where the memory did for one text at a time and not for all of them."""
    assert all(isinstance(score, float) for score in scores(made(), GOOD, "ONCE", GOOD))
    assert files.noted("batches") == ["3", "1", "1", "1"]
    assert len(files.noted("loads")) == 2


@pytest.mark.slow
def test_a_text_that_never_ends_fails_alone(files: Taught, made: Callable[..., Learned]) -> None:
    scorer = made(seconds=60)
    (before,) = scores(scorer, GOOD)
    scorer._workers._wall_seconds = 1.0  # the model is loaded
    (failed,) = scores(scorer, "WAIT")
    assert type(failed) is WorkerError
    assert str(failed) == (
        "the learned scorer weights.npz: a worker process gave no result in 1 s of wall time"
    )
    scorer._workers._wall_seconds = 60.0
    assert scores(scorer, GOOD) == [before]


@pytest.mark.slow
def test_a_process_that_was_killed_between_texts_is_replaced(
    files: Taught, made: Callable[..., Learned]
) -> None:
    scorer = made()
    (before,) = scores(scorer, GOOD)
    pid = int(files.noted("loads")[0].split()[0])
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert scores(scorer, GOOD) == [before]
    assert len(files.noted("loads")) == 2


@pytest.mark.slow
def test_a_scorer_that_only_crashes_is_not_started_for_ever(
    files: Taught, made: Callable[..., Learned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "RESTARTS", 2)
    scorer = made(batch=1)
    found = scores(scorer, *["DIE"] * 5, GOOD)
    assert all(isinstance(one, ScorerError) for one in found)
    assert [str(one).endswith("started again 2 times and is not started any more") for one in found] == (
        [False] * 2 + [True] * 4
    )
    assert len(files.noted("loads")) == 3
    assert "not started any more" in str(scores(scorer, GOOD)[0])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "import bleurt_of_nobody",
            r"ModuleNotFoundError: .*'bleurt_of_nobody'\): pip install bleurt_of_nobody",
        ),
        (
            "raise OSError('the weights are cut short')",
            r"cannot be loaded \(OSError: the weights are cut short\)$",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_run_and_is_tried_once(
    tmp_path: Path, line: str, words: str
) -> None:
    (tmp_path / "unloadable.py").write_text(
        "from pathlib import Path\n"
        "def load():\n"
        "    Path(__file__).with_name('loads').open('a').write('once ')\n"
        f"    {line}\n"
        "def score(model, pairs):\n"
        "    return [1.0 for pair in pairs]\n",
        "utf-8",
    )
    module = import_file(tmp_path / "unloadable.py")
    scorer = Learned(module.load, module.score, model="bleurt@1", batch=1)
    found = [*scores(scorer, GOOD, GOOD, GOOD), *scores(scorer, GOOD)]
    scorer.close()
    assert all(isinstance(one, UsageError) for one in found)
    assert len({str(one) for one in found}) == 1
    with pytest.raises(UsageError, match=words):
        raise found[0]  # type: ignore[misc]
    assert (tmp_path / "loads").read_text() == "once "


def test_what_no_worker_could_find_or_nobody_could_name_is_refused(files: Taught) -> None:
    module = import_file(files.folder / "letter_regression.py")
    with pytest.raises(UsageError, match=r"cannot find .*<lambda> of tests.test_learned: put it at the top"):
        Learned(lambda: None, module.score, model="a@1")
    with pytest.raises(UsageError, match=r"model='bleurt' has no revision: write name@revision"):
        Learned(module.load, module.score, model="bleurt")
    with pytest.raises(UsageError, match=r"there are no weights at .*none\.npz"):
        Learned(module.load, module.score, model=files.folder / "none.npz").needs()
    with pytest.raises(
        UsageError, match=r"needs packages that are not installed: pip install bleurt-of-nobody"
    ):
        Learned(module.load, module.score, model="a@1", packages=("numpy", "bleurt-of-nobody")).needs()
    Learned(module.load, module.score, model=files.folder, packages=("scikit-learn",)).needs()


def test_weights_code_and_versions_are_in_the_identity(tmp_path: Path) -> None:
    found = {}
    for name, seed, weight in (("one", 1, ""), ("same", 1, ""), ("taught", 2, ""), ("coded", 1, "2 *")):
        files = taught(tmp_path / name / "own", seed=seed)
        path = files.folder / "letter_regression.py"
        path.write_text(path.read_text("utf-8").replace("1 / (1", f"{weight} 1 / (1"), "utf-8")
        module = import_file(path)
        found[name] = code_identity(
            Learned(module.load, module.score, model=files.folder / "weights.npz", packages=("numpy",))
        )
        found[f"{name} folder"] = code_identity(Learned(module.load, module.score, model=files.folder))
    assert found["one"] == found["same"]
    assert len({found[name] for name in ("one", "taught", "coded")}) == 3
    assert len({found[f"{name} folder"] for name in ("one", "same", "taught", "coded")}) == 3
    assert found["one"].startswith("learned@1{numpy ")
    assert "(model=sha256:" in found["one"]
    named = code_identity(Learned(module.load, module.score, model="bleurt@abc", batch=4))
    assert named.startswith("learned@1(model=bleurt@abc,load=own#")
    assert named == code_identity(Learned(module.load, module.score, model="bleurt@abc", batch=9))
    told = code_identity(Learned(module.load, module.score, model="bleurt@abc", given=("ja", 2)))
    assert told == named.removesuffix(")") + ',given=["ja", 2])'


# -- from a task's file, through the command line


def evalkit(folder: Path, *arguments: object, code: int = 0) -> str:
    """In a process of its own and another folder than the files', in which nothing was imported yet."""
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_a_task_file_is_judged_by_a_model_in_a_module_beside_it(tmp_path: Path) -> None:
    files, elsewhere = taught(tmp_path / "own"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = evalkit(
        elsewhere, "run", "-m", files.model, "-t", files.task, "-o", "r.db", "--concurrency", 16, "--json"
    )
    (cell,) = json.loads(said)["cells"]
    assert (cell["metric"], cell["n"]) == ("resemblance", ROWS)
    assert cell["value"] == pytest.approx(files.expected(), abs=1e-9)
    assert 1 < cell["value"] < 99
    batches = [int(count) for count in files.noted("batches")]
    assert sum(batches) == ROWS
    assert max(batches) == 8
    assert len(files.noted("loads")) == 1
    # rescored by the same weights nothing changes; other weights are another scorer
    evalkit(elsewhere, "rescore", "r.db", "-o", "again.db", "--task-file", files.task)
    taught(files.folder, seed=2)
    evalkit(elsewhere, "rescore", "r.db", "-o", "other.db", "--task-file", files.task)
    scorers = []
    for name in ("r", "again", "other"):
        with closing(sqlite3.connect(elsewhere / f"{name}.db")) as db:
            ((spec,),) = db.execute("SELECT spec FROM cell")
        scorers.append(json.loads(spec)["scorer"])
    assert scorers[0] == scorers[1] != scorers[2]
    said = evalkit(elsewhere, "compare", "r.db", "other.db", "--task-file", files.task, code=2)
    assert "not asked the same way in base and head: scorer: own#" in said


@pytest.mark.slow
def test_killed_in_the_middle_of_a_run_only_the_text_that_did_it_fails(tmp_path: Path) -> None:
    hostile = {5: "KILL", 11: "RAISE", 23: "NAN"}
    files = taught(tmp_path / "own", hostile=hostile)
    said = evalkit(
        tmp_path,
        "run",
        "-m",
        files.model,
        "-t",
        files.task,
        "-o",
        "r.db",
        "--concurrency",
        8,
        "--json",
        code=3,
    )
    assert "3" in said
    with closing(sqlite3.connect(tmp_path / "r.db")) as db:
        failed = dict(db.execute("SELECT id, error FROM sample WHERE outcome = 'failed'").fetchall())
        ((value,),) = db.execute("SELECT value FROM figure WHERE grp = ''")
        where = dict(db.execute("SELECT id, boundary FROM sample WHERE outcome = 'failed'").fetchall())
    assert where == {"5": "worker", "11": "scorer", "23": "scorer"}
    assert "crashed (SIGKILL)" in failed["5"]
    assert value == pytest.approx(files.expected(without=tuple(hostile)), abs=1e-9)


@pytest.mark.slow
def test_missing_weights_are_seen_before_anything_is_asked(tmp_path: Path) -> None:
    files = taught(tmp_path / "own")
    (files.folder / "weights.npz").unlink()
    said = evalkit(tmp_path, "run", "-m", files.model, "-t", files.task, "-o", "r.db", code=2)
    assert "there are no weights at" in said
    assert files.noted("loads") == []
