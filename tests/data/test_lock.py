"""The lock file, and data on this machine that is read under a lock."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit import run
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Task, all_tasks
from evalkit.data import DataOptions, Hub, Local, exemplars, mmlu_cot
from evalkit.data.audio_folder import AudioFolder
from evalkit.data.base import Data
from evalkit.data.exemplars import LmEvalFiles
from evalkit.data.inventory import Inventory
from evalkit.data.lock import (
    FORMAT,
    Content,
    Lock,
    LockedFile,
    LockedTask,
    Source,
    content_of,
    lock_text,
    locked,
    read_lock,
)
from evalkit.data.text_folder import TextFolder
from evalkit.data.verify import problems
from evalkit.engine.locking import make_lock
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, UsageError
from evalkit.metrics.accuracy import Accuracy
from evalkit.models.fake import FakeModel
from evalkit.samples import Sample, Verdict
from tests.data.reading import jsonl

COMMIT = "1" * 40
SHA = "ab" * 32
BIRDS = Source(
    "hub",
    "acme/birds",
    (LockedFile("data/a b.parquet", 12, SHA), LockedFile('odd "ü" name', 0, SHA)),
    "refs/convert/parquet",
    COMMIT,
    'mit, "other"',
    Content(100, SHA),
)
OUTSIDE = ("../a", "a/../../b", "/a", "a//b", "a\\..\\b", ".", "")
LOCK = Lock(FORMAT, (locked("birds", [BIRDS]), locked("empty", [])))


def written(folder: Path, lock: Lock) -> Path:
    path = folder / "evalkit.lock"
    path.write_text(lock_text(lock), "utf-8")
    return path


def test_a_lock_is_read_as_it_was_written_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path, LOCK)
    assert read_lock(path) == LOCK
    assert lock_text(replace(LOCK, task=LOCK.task[::-1])) == path.read_text("utf-8")
    assert path.read_text("utf-8").count("\n    { path = ") == 2, "a line for each file"
    assert read_lock(path).only(["birds"]).task == LOCK.task[:1]
    with pytest.raises(UsageError, match="the lock has no task bird: it has birds, empty"):
        LOCK.only(["bird"])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../etc"},
        {"name": "/etc/passwd"},
        {"name": "a/b/c"},
        {"name": "acme/.."},
        {"revision": "main"},
        {"revision": "../" + COMMIT},
        {"asked": "../../refs"},
        {"asked": "/main"},
        *({"files": (LockedFile(path, 1, SHA),)} for path in OUTSIDE),
        {"files": (LockedFile("a", -1, SHA),)},
        {"files": (LockedFile("a", 1, "../" + SHA),)},
        {"listing": Content(1, "x")},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["hub", "github"])
def test_a_lock_that_leads_out_of_the_caches_is_refused(
    tmp_path: Path, kind: str, change: dict[str, object]
) -> None:
    path = written(tmp_path, Lock(FORMAT, (locked("birds", [replace(BIRDS, kind=kind, **change)]),)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"evalkit\.lock, task birds, (hub|github) ") as refused:
        read_lock(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (SHA[:8], "cd" * 4, "the digest of birds does not fit its files"),
        (f"format = {FORMAT}", "format = 99", "has format 99, and this evalkit reads 1"),
        ("size = 12", "size = 'many'", "'many' must be an integer"),
        ('kind = "hub"', 'kind = "disk"', "must be one of hub, space"),
        ("[[task]]", "[[tasks]]", "unknown key"),
        ("[[task]]", "[[task", "not valid TOML"),
        ('name = "birds"\n', "", "has no name"),
    ],
)
def test_an_edited_lock_is_named(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = written(tmp_path, LOCK)
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    with pytest.raises(UsageError, match=said) as refused:
        read_lock(path)
    assert str(path) in str(refused.value)


def test_names_that_a_terminal_obeys_are_not_written() -> None:
    odd = replace(BIRDS, files=(LockedFile("a\x1b[2J", 1, SHA),))
    with pytest.raises(DataError, match="cannot be printed"):
        lock_text(Lock(FORMAT, (locked("birds", [odd]),)))


def test_every_part_of_a_source_is_in_the_digest() -> None:
    others: list[dict[str, object]] = [
        {"kind": "github"}, {"name": "acme/bird"}, {"asked": "main"}, {"revision": "2" * 40},
        {"listing": Content(100, "cd" * 32)}, {"files": BIRDS.files[:1]},
        {"files": (replace(BIRDS.files[0], sha256="cd" * 32), BIRDS.files[1])},
        {"files": (replace(BIRDS.files[0], path="data/b.parquet"), BIRDS.files[1])},
    ]  # fmt: skip
    digests = {locked("birds", [replace(BIRDS, **one)]).digest for one in [{}, *others]}  # type: ignore[arg-type]
    assert len(digests) == 1 + len(others)
    assert locked("other name", [replace(BIRDS, licence="")]).digest == LOCK.task[0].digest


def lock_of(data: Data) -> LockedTask:
    inventory = Inventory()
    data.open(DataOptions(inventory=inventory))
    return locked("own", inventory.found.values())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file that names pictures, and folders of texts, clips and questions."""
    files = {
        "own/questions.jsonl": b"".join(
            json.dumps({"question": f"{name}?", "scan": f"scans/{name}"}).encode() + b"\n"
            for name in ("a", "b")
        ),
        "own/scans/a": b"picture a",
        "own/scans/b": b"picture b",
        "own/scans/not named": b"picture c",
        "texts/a.txt": b"one",
        "texts/notes.md": b"no text",
        "clips/metadata.jsonl": b'{"file_name": "a.wav"}\n',
        "clips/a.wav": b"a clip",
        "set/test.jsonl": jsonl("How high?"),
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SCANS = functools.partial(Local, columns=("question",), files=("scan",))
CASES: list[tuple[Callable[[], Data], str, list[str]]] = [
    (lambda: SCANS(Path("own/questions.jsonl")), "own", ["questions.jsonl", "scans/a", "scans/b"]),
    (lambda: TextFolder(Path("texts")), "texts", ["a.txt"]),
    (lambda: AudioFolder(Path("clips")), "clips", ["a.wav", "metadata.jsonl"]),
    (lambda: Local("set"), "set", ["test.jsonl"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("made", "name", "files"), CASES)
def test_files_of_ones_own_are_locked_with_what_they_name(
    place: Path, made: Callable[[], Data], name: str, files: list[str]
) -> None:
    data, lock = made(), lock_of(made())
    (source,) = lock.source
    assert (source.kind, source.name, [file.path for file in source.files]) == ("local", name, files)
    options = DataOptions(lock=lock)
    assert [*data.open(options)] == [*data.open()]
    assert not [*problems(source)]
    for file in source.files:
        whole = (place / name / file.path).read_bytes()
        changed = whole.replace(b"a", b"b") if b"a" in whole else whole[::-1]
        (place / name / file.path).write_bytes(changed)
        assert hashlib.sha256(changed).hexdigest() != file.sha256
        assert [(one.kind, one.file) for one in problems(source)] == [("changed", file.path)]
        with pytest.raises(DataError, match=r"is not as the lock of own has it|does not have") as refused:
            data.open(options)
        assert "\n" not in str(refused.value)
        (place / name / file.path).write_bytes(whole)
    data.open(options)


def test_a_further_file_changes_a_folder_but_not_a_file(place: Path) -> None:
    folder, file = Local("set"), SCANS(Path("own/questions.jsonl"))
    of_folder, of_file = lock_of(folder), lock_of(file)
    (place / "set/more.jsonl").write_bytes(jsonl("How low?"))
    (place / "own/more.jsonl").write_bytes(jsonl("How low?"))
    assert [(one.kind, one.file) for one in problems(of_folder.source[0])] == [("additional", "more.jsonl")]
    assert not [*problems(of_file.source[0])]
    file.open(DataOptions(lock=of_file))
    with pytest.raises(DataError, match=r"does not have more\.jsonl of folder set"):
        folder.open(DataOptions(lock=of_folder))
    (place / "set/more.jsonl").unlink()
    (place / "set/test.jsonl").rename(place / "set/test-1.jsonl")
    found = {(one.kind, one.file) for one in problems(of_folder.source[0])}
    assert found == {("missing", "test.jsonl"), ("additional", "test-1.jsonl")}


def test_another_source_or_revision_is_refused(place: Path) -> None:
    lock = lock_of(TextFolder(Path("texts")))
    with pytest.raises(DataError, match="the lock of own does not have the folder set, which is read"):
        Local("set").open(DataOptions(lock=lock))
    birds = locked("birds", [BIRDS])
    assert birds.find("hub", "acme/birds", BIRDS.asked) == BIRDS
    with pytest.raises(DataError, match="has data set acme/birds at refs/convert/parquet, but main is read"):
        birds.find("hub", "acme/birds", "main")


@pytest.mark.slow
def test_the_builtin_data_has_no_lock(tmp_path: Path) -> None:
    model = FakeModel(lambda request, draw: "")
    with pytest.raises(UsageError, match="a lock is for the tasks' own data"):
        make_plan(model, "gsm8k", data=DataOptions(small_sets=True), lock=LOCK)
    with pytest.raises(UsageError, match="the lock has no task gsm8k"):
        make_plan(model, "gsm8k", lock=LOCK)


_READERS = {"fewshot_samples", "fewshot_description", "returned_samples", "mmlu_cot"}


@pytest.mark.slow
def test_tasks_name_the_exemplars_that_their_prompts_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every benchmark that reads files of lm-eval says so for its lock: what is read is compared."""
    read: set[str] = set()
    found = exemplars.lm_eval_file

    def seen(path: str) -> Path:
        read.add(path)
        return found(path)

    for module in (exemplars, mmlu_cot):
        monkeypatch.setattr(module, "lm_eval_file", seen)
    cached = (
        exemplars.task_document, exemplars.fewshot_samples, exemplars.returned_samples, mmlu_cot.mmlu_cot,
    )  # fmt: skip
    users = []
    for task in all_tasks():
        module = sys.modules[task.prompt.__module__]
        if not vars(module).keys() & _READERS:
            continue
        users.append(task.name)
        declared = {path for one in task.reads if isinstance(one, LmEvalFiles) for path in one.paths}
        for protocol in task.protocols:
            for function in cached:
                function.cache_clear()
            read.clear()
            name = f"{task.name}:{protocol.name}"
            make_plan(
                FakeModel(lambda request, draw: ""), name, data=DataOptions(small_sets=True), scoring=False
            )
            assert {path for path in read if not path.startswith("_")} <= declared, name
    assert {"gsm8k", "math", "mmlu", "bbh"} <= {*users}


@pytest.mark.slow
def test_a_folder_laid_out_like_the_hub_is_compared(tmp_path: Path) -> None:
    """`--data DIR`: the bytes count, wherever they are from."""
    root = tmp_path / "acme/tides"
    (root / "calm").mkdir(parents=True)
    (root / "calm/test.jsonl").write_bytes(jsonl("How high?"))
    known = [("calm/test.jsonl", content_of(root / "calm/test.jsonl"))]
    files = tuple(LockedFile(path, content.size, content.sha256) for path, content in known)
    lock = locked("tides", [Source("hub", "acme/tides", files, "main", COMMIT)])
    data, options = Hub("acme/tides", "calm", "test", "main"), DataOptions(folder=tmp_path, lock=lock)
    assert [record["question"] for record in data.open(options)] == ["How high?"]
    (root / "calm/test-1.jsonl").write_bytes(jsonl("How low?"))
    with pytest.raises(DataError, match=r"does not have calm/test-1\.jsonl of data set acme/tides at 1{12}"):
        data.open(options)
    (root / "calm/test-1.jsonl").unlink()
    (root / "calm/test.jsonl").write_bytes(jsonl("How hugh?"))
    with pytest.raises(DataError, match=r"calm/test\.jsonl has SHA-256"):
        data.open(options)
    with pytest.raises(DataError, match="the lock of tides has data set acme/tides at main, but v2 is read"):
        replace(data, revision="v2").open(options)


@pytest.mark.slow
def test_a_lock_in_python_and_resuming(place: Path) -> None:
    """The run file has the digest, and is not resumed without the lock that it was started with."""
    task = Task(
        name="own",
        data=TextFolder(Path("texts")),
        sample=lambda record: Sample(id=record["name"], input=record["text"], target=(record["text"],)),
        prompt=lambda sample, protocol: sample.input,
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="completion", api="completion"),),
    )
    lock = Lock(FORMAT, (lock_of(task.data),))
    path, model = written(place, lock), FakeModel(lambda request, draw: "one")
    (cell,) = run(model, task, lock=path, output="r.db").cells
    (plain,) = run(model, task, output="plain.db").cells
    assert (cell.spec.data["lock"], "lock" in plain.spec.data) == (lock.task[0].digest, False)
    assert cell.signature == plain.signature
    with pytest.raises(UsageError, match="lock"):
        run(model, task, output="r.db")
    (place / "texts/a.txt").write_text("two", "utf-8")
    with pytest.raises(DataError, match=r"a\.txt has SHA-256"):
        run(model, task, lock=path, output="other.db")
    assert not (place / "other.db").exists()


def test_tasks_of_lm_eval_are_refused() -> None:
    with pytest.raises(UsageError, match="lm-eval:hellaswag cannot be locked: lm-eval's own code reads"):
        make_lock(["lm-eval:hellaswag"], {})
