"""`evalkit data` and `evalkit run --lock`, against a Hub on loopback that then goes away."""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.compare.runs import compare
from evalkit.data.lock import read_lock
from evalkit.data.repository import blob_id
from evalkit.runfile.store import Store
from tests.cli.processes import Ran, commands, environment
from tests.data.reading import jsonl, parquet
from tests.data.test_zipped import packed
from tests.edited import edited
from tests.hub_modules import SPACE
from tests.hub_server import HubServer

CARD = b"""---
license: cc-by-4.0
configs:
- config_name: main
  data_files:
  - split: test
    path: data/test-*
  - split: dev
    path: dev.parquet
  - split: train
    path: data/train-*
---
Questions made up for evalkit's tests.
"""
TASK = '''
from evalkit.api import (
    Accuracy, Hub, Message, Protocol, Sample, Task, Verdict, sample_id, task,
)

def to_sample(record):
    question = record["question"]
    return Sample(id=sample_id(question), input=question, target=(question[-5:],), group="all")

@task("birds")
def birds() -> Task:
    """Questions about birds"""
    test, dev = (
        Hub("acme/birds", "main", split=split, revision="REVISION", columns=("question",))
        for split in ("test", "dev")
    )
    return Task(
        data=test,
        dev=dev,
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="chat"),),
        max_shots=1,
        gold=lambda sample, protocol: sample.target[0],
    )
'''
SHARDS = [f"data/test-{at:05d}-of-00002.parquet" for at in range(2)]


def birds(*questions: str) -> dict[str, bytes]:
    """The files of a data set whose test split has one question in each of two shards."""
    shards = dict(zip(SHARDS, map(parquet, questions), strict=True))
    train = {"data/train-00000-of-00001.parquet": parquet("What is for practice?")}
    return {"README.md": CARD, "dev.parquet": parquet("Who sings?")} | shards | train


def task_file(folder: Path, revision: str) -> Path:
    file = folder / "birds.py"
    file.write_text(TASK.replace("REVISION", revision), "utf-8")
    return file


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Callable[[str, bytes], str]]:
    """A server of files: (path, content) → its address."""
    root = tmp_path / "github"

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    def publish(path: str, content: bytes) -> str:
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(content)
        return f"http://127.0.0.1:{server.server_port}"

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield publish
        server.shutdown()


def ok(done: Ran) -> Ran:
    assert done.code == 0, done.err
    return done


@pytest.mark.slow
def test_lock_fetch_cut_the_network_run_and_verify(tmp_path: Path) -> None:
    """The whole way of a user, to the byte that was flipped. Main has moved on since the lock."""
    home, lock, task = tmp_path / "home", tmp_path / "evalkit.lock", task_file(tmp_path, "main")
    run = ("run", "-m", "fake/gold", "-t", task, "--lock", lock)
    with HubServer() as hub:
        old = hub.publish("acme/birds", birds("Which bird sings at dusk?", "Which one at dawn?"))
        (locked,) = commands(("data", "lock", task, "-o", lock), home=home, url=hub.url)
        ok(locked)
        assert not hub.paths(part="large"), "the large files were downloaded to lock them"
        new = hub.publish("acme/birds", birds("Which bird sings at noon?", "Which one never?"))
        fetched, again = commands(
            ("data", "fetch", "--lock", lock), ("data", "fetch", "--lock", lock), home=home, url=hub.url
        )
        ok(fetched), ok(again)
        assert not hub.paths(part="train"), "only what the task reads"
        assert len(hub.paths(part="/large/")) == 3, "each file once"
    assert "1 task, 4 files" in ok(locked).err
    (source,) = read_lock(lock).task[0].source
    assert (source.name, source.asked, source.revision, source.licence) == (
        "acme/birds",
        "main",
        old,
        "cc-by-4.0",
    )
    assert [file.path for file in source.files] == ["README.md", *SHARDS, "dev.parquet"]
    assert new not in lock.read_text("utf-8")

    ran, verified, packed = commands(
        (*run, "-o", tmp_path / "run.db", "--json"),
        ("data", "verify", "--lock", lock),
        ("data", "pack", "--lock", lock, "-o", tmp_path / "birds.tar"),
        home=home, url=hub.url, offline=True,
    )  # fmt: skip
    cell, *_ = json.loads(ok(ran).out)["cells"]
    assert (cell["value"], cell["n"], cell["data"]["revision"]) == (100.0, 2, old)
    digest = read_lock(lock).task[0].digest
    assert cell["data"]["lock"] == digest
    with Store.open(tmp_path / "run.db") as store:
        assert [one.spec.data["lock"] for one in store.cells()] == [digest]
    assert (ok(verified).out, "as locked: 1 task, 4 files" in verified.err) == ("", True)
    ok(packed)

    changed = _file(home, SHARDS[1]).resolve()
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    (_file(home, "data") / "extra.parquet").write_bytes(b"more")
    _file(home, "dev.parquet").unlink()
    said, listed, refused = commands(
        ("data", "verify", "--lock", lock),
        ("data", "verify", "--lock", lock, "--json"),
        (*run, "-o", tmp_path / "other.db"),
        home=home, url=hub.url, offline=True,
    )  # fmt: skip
    assert (said.code, refused.code) == (1, 2)
    shown = [line.split(" of ")[0] for line in said.out.splitlines()]
    assert shown == [f"changed: {SHARDS[1]}", "missing: dev.parquet", "additional: data/extra.parquet"]
    assert [one["file"] for one in json.loads(listed.out)["problems"]] == [
        SHARDS[1],
        "dev.parquet",
        "data/extra.parquet",
    ]
    assert len(refused.err.splitlines()) == 1
    assert SHARDS[1] in refused.err
    assert not (tmp_path / "other.db").exists()

    other = tmp_path / "other machine"
    unpacked, verified, ran, of_main = commands(
        ("data", "unpack", tmp_path / "birds.tar", "--lock", lock),
        ("data", "verify", "--lock", lock),
        (*run, "-o", tmp_path / "there.db", "--json"),
        (*run[:-2], "-o", tmp_path / "main.db"),
        home=other, url=hub.url, offline=True,
    )  # fmt: skip
    # What was locked as main is main there, also for a run without a lock.
    ok(unpacked), ok(verified), ok(of_main)
    assert json.loads(ok(ran).out)["cells"][0]["signature"] == cell["signature"]
    same, differ = (
        compared(tmp_path, one) for one in (tmp_path / "there.db", relocked(tmp_path / "there.db"))
    )
    assert f"birds:chat: both runs had a lock, and read the same files ({digest[:12]})" in same
    assert f"birds:chat: the locks of the runs differ ({digest[:12]} and 000000000000)" in differ


def compared(folder: Path, head: Path) -> str:
    with Store.open(folder / "run.db") as base, Store.open(head) as other:
        return "\n".join(compare(base, other).notes)


def relocked(run: Path) -> Path:
    """A copy of the run file whose benchmarks had another lock."""
    copy = run.with_name("relocked.db")
    shutil.copyfile(run, copy)
    with edited(copy) as database:
        database.execute("UPDATE cell SET spec = json_set(spec, '$.data.lock', ?)", ("0" * 64,))
    return copy


def _file(home: Path, name: str) -> Path:
    (found,) = (home / "hf" / "hub" / "datasets--acme--birds" / "snapshots").glob(f"*/{name}")
    return found


@pytest.mark.slow
def test_a_killed_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    home, lock = tmp_path / "home", tmp_path / "evalkit.lock"
    content = random.Random(3).randbytes(24 << 20)
    with HubServer() as hub:
        files = birds("Which bird sings?", "And then?") | {SHARDS[1]: content}
        task = task_file(tmp_path, hub.publish("acme/birds", files))
        ok(commands(("data", "lock", task, "-o", lock), home=home, url=hub.url)[0])
        hub.hold(SHARDS[1], 22 << 20)
        command = [sys.executable, "-m", "evalkit", "data", "fetch", "--lock", str(lock)]
        blobs = home / "hf" / "hub" / "datasets--acme--birds" / "blobs"
        with subprocess.Popen(command, env=environment(home, hub.url), stderr=subprocess.DEVNULL) as killed:
            while not (parts := [*blobs.glob("*.part")]) or max(p.stat().st_size for p in parts) < 10 << 20:
                assert killed.poll() is None
                time.sleep(0.02)
            killed.send_signal(signal.SIGKILL)
        (part,) = blobs.glob("*.part")
        there = part.stat().st_size
        while not any("/large/" in one.path and one.path.endswith(SHARDS[1]) for one in hub.asked):
            time.sleep(0.02)  # until the server has noticed that nobody takes the rest
        asked = len(hub.asked)
        done, verified = commands(
            ("data", "fetch", "--lock", lock), ("data", "verify", "--lock", lock), home=home, url=hub.url
        )
        ok(done), ok(verified)
        large = [(one.path, one.range) for one in hub.asked[asked:] if "/large/" in one.path]
        assert [(path.endswith(SHARDS[1]), span) for path, span in large] == [(True, f"bytes={there}-")]
        # A part that is not of this file is not taken for its beginning: the digest decides.
        link = _file(home, SHARDS[1])
        link.resolve().unlink()
        link.unlink()
        part.write_bytes(b"x" * (1 << 20))
        refused, done = commands(
            ("data", "fetch", "--lock", lock), ("data", "fetch", "--lock", lock), home=home, url=hub.url
        )
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert f"{SHARDS[1]} is refused" in refused.err
    ok(done)


@pytest.mark.slow
def test_a_hub_that_serves_other_bytes_is_refused(tmp_path: Path) -> None:
    """By its size or by its digest, for small files and for large ones; nothing of it gets a name."""
    lock = tmp_path / "evalkit.lock"
    with HubServer() as hub:
        good = birds("Which bird sings at dusk?", "Which one at dawn?")
        sha = hub.publish("acme/birds", good)
        task = task_file(tmp_path, sha)
        ok(commands(("data", "lock", task, "-o", lock), home=tmp_path / "home", url=hub.url)[0])
        for name in ("README.md", SHARDS[0]):
            hub.commits("acme/birds")[sha] = good | {name: bytes([good[name][0] ^ 1]) + good[name][1:]}
            (refused,) = commands(("data", "fetch", "--lock", lock), home=tmp_path / name[:3], url=hub.url)
            assert (refused.code, f"{name} is refused" in refused.err) == (2, True), refused.err
            assert not [*(tmp_path / name[:3]).rglob("*.parquet"), *(tmp_path / name[:3]).rglob("README.md")]
        # The same files under other names would be another split.
        hub.commits("acme/birds")[sha] = good | {"data/test-00002-of-00003.parquet": parquet("One more?")}
        (listed,) = commands(("data", "fetch", "--lock", lock), home=tmp_path / "listed", url=hub.url)
    assert (listed.code, "the list of the commit's files is another one" in listed.err) == (2, True)


MIXED = '''
from dataclasses import dataclass
from evalkit.api import (
    Accuracy, Data, DataOptions, Hub, HubMetric, HubZip, LmEvalFiles, Message, Parts, Protocol, Records,
    Repository, Sample, Task, Verdict, lines_of, sample_id, task,
)

BOATS = Repository("acme/boats", "COMMIT", {"boats.txt": "BLOB"})

@dataclass(frozen=True)
class Boats:
    """Data of a user's own class: it only passes on the options."""

    def open(self, options=None):
        lines = lines_of(BOATS.path("boats.txt", options or DataOptions()))
        rows = [{"question": line} for line in lines]
        return Records(BOATS.origin("", "test", options or DataOptions()), len(rows), lambda: iter(rows))

@dataclass(frozen=True)
class Wrapped:
    """Data that reads other data at once, and not when its records are needed."""

    data: Data

    def open(self, options=None):
        records = self.data.open(options or DataOptions())
        rows = list(records)
        return Records(records.origin, len(rows), lambda: iter(rows))

def to_sample(record):
    question = record["question"]
    return Sample(id=sample_id(question), input=question, target=(question[-5:],))

@task("mixed")
def mixed() -> Task:
    """Questions from everywhere"""
    parts = {
        "calm": Hub("acme/tides", "calm", "test", "main", ("question",)),
        "rough": Wrapped(Hub("acme/tides", "rough", "test", "main", ("question",))),
        "wells": HubZip("acme/wells", "wells.zip", "validation", "main", ("question",)),
        "boats": Boats(),
    }
    return Task(
        data=Parts(parts, {"calm": 1}),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(), HubMetric("acme/closeness", "values", per_sample=True)),
        reads=(LmEvalFiles(("gsm8k/gsm8k-cot.yaml",)),),
        protocols=(Protocol(name="chat"),),
        gold=lambda sample, protocol: sample.target[0],
    )
'''
BOAT = b"How long is a boat?\nWho rows it?\n"


@pytest.mark.slow
def test_every_kind_of_source(
    tmp_path: Path, github: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts, a zip file, a repository on GitHub, a metric's code and exemplars, with a bundle and without."""
    home, lock, bundle, task = (tmp_path / name for name in ("home", "evalkit.lock", "b.tar", "mixed.py"))
    commit = "1" * 40
    task.write_text(MIXED.replace("COMMIT", commit).replace("BLOB", blob_id(BOAT)), "utf-8")
    monkeypatch.setenv("EVALKIT_GITHUB", github(f"acme/boats/{commit}/boats.txt", BOAT))
    run = ("run", "-m", "fake/gold", "-t", task, "--lock", lock, "--json")
    with HubServer() as hub:
        hub.publish(
            "acme/tides", {"calm/test.jsonl": jsonl("How high?"), "rough/test.jsonl": jsonl("How low?")}
        )
        hub.publish("acme/wells", {"wells.zip": packed(("wells/validation.jsonl", jsonl("How deep?")))})
        hub.publish("acme/closeness", SPACE)
        made = commands(
            ("data", "lock", task, "-o", lock), ("data", "fetch", "--lock", lock),
            ("data", "pack", "--lock", lock, "-o", bundle), (*run, "-o", tmp_path / "a.db"),
            home=home, url=hub.url,
        )  # fmt: skip
        hub.publish("acme/closeness", SPACE | {"letters.py": SPACE["letters.py"] + b"# changed"})
        (moved,) = commands((*run, "-o", tmp_path / "moved.db"), home=home, url=hub.url)
    for one in made:
        ok(one)
    kinds = [(one.kind, one.name, len(one.files)) for one in read_lock(lock).task[0].source]
    assert kinds == [
        ("github", "acme/boats", 1), ("hub", "acme/tides", 2), ("hub", "acme/wells", 1),
        ("package", "lm-eval", 1), ("space", "acme/closeness", 2),
    ]  # fmt: skip
    assert "not included: package lm-eval" in made[2].err
    assert (moved.code, "pin it with HubMetric(…, revision=" in moved.err) == (2, True)
    there = commands(
        ("data", "unpack", bundle, "--lock", lock), ("data", "verify", "--lock", lock),
        (*run, "-o", tmp_path / "b.db"),
        home=tmp_path / "there", url=hub.url, offline=True,
    )  # fmt: skip
    (before, *_), (after, *_) = (json.loads(ok(one).out)["cells"] for one in (made[-1], there[-1]))
    assert (before["n"], before["value"]) == (5, 100.0)
    assert before == after | {"data": before["data"]}
    assert before["data"]["lock"] == after["data"]["lock"] == read_lock(lock).task[0].digest


Change = Callable[[tarfile.TarInfo, bytes], bytes]
"""(a header that it may change, the content) → the content that follows it."""


@pytest.mark.slow
def test_a_bundle_decides_nothing(tmp_path: Path) -> None:
    """Paths, links, sizes and contents that the lock does not have are refused, and nothing is stored."""
    home, lock, bundle = tmp_path / "home", tmp_path / "evalkit.lock", tmp_path / "b.tar"
    with HubServer() as hub:
        task = task_file(tmp_path, hub.publish("acme/birds", birds("Which bird sings?", "And then?")))
        made = commands(
            ("data", "lock", task, "-o", lock), ("data", "pack", "--lock", lock, "-o", bundle),
            ("data", "fetch", "--lock", lock), ("data", "pack", "--lock", lock, "-o", bundle),
            ("data", "pack", "--lock", lock, "-o", tmp_path / "same.tar"),
            home=home, url=hub.url,
        )  # fmt: skip
    assert [one.code for one in made] == [0, 2, 0, 0, 0]
    assert "`evalkit data fetch` brings it" in made[1].err
    whole = bundle.read_bytes()
    assert whole == (tmp_path / "same.tar").read_bytes()
    with tarfile.open(bundle) as tar:
        entries = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]

    def bad(name: str, change: Change) -> Path:
        """The bundle with its first entry changed."""
        first, content = entries[0]
        entry = tarfile.TarInfo(first.name)
        entry.size = first.size
        content = change(entry, content)
        path = tmp_path / f"{name}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(entry, io.BytesIO(content))
            for one, rest in entries[1:]:
                tar.addfile(one, io.BytesIO(rest))
        return path

    def named(name: str) -> Change:
        def change(entry: tarfile.TarInfo, content: bytes) -> bytes:
            entry.name = name
            return content

        return change

    def link(kind: bytes) -> Change:
        def change(entry: tarfile.TarInfo, content: bytes) -> bytes:
            entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 0
            return b""

        return change

    def longer(entry: tarfile.TarInfo, content: bytes) -> bytes:
        entry.size += 512
        return content + b"\0" * 512

    def header(entry: tarfile.TarInfo, content: bytes) -> bytes:
        entry.pax_headers = {"comment": "x" * 100_000}
        return content

    digest = entries[0][0].name
    hostile = [
        bad("up", named(f"../../{digest}")),
        bad("absolute", named("/tmp/evalkit-was-here")),
        bad("unknown", named("sha256/" + "0" * 64)),
        bad("symlink", link(tarfile.SYMTYPE)),
        bad("hard link", link(tarfile.LNKTYPE)),
        bad("device", link(tarfile.CHRTYPE)),
        bad("longer", longer),
        bad("header", header),
        bad("damaged", lambda entry, content: bytes([content[0] ^ 1]) + content[1:]),
        bad("twice", named(entries[1][0].name)),
    ]
    for name, text in (("cut", whole[:700]), ("empty", b""), ("none", b"hello" * 200), ("end", b"\0" * 1024)):
        hostile.append(tmp_path / f"{name}.tar")
        hostile[-1].write_bytes(text)
    there = tmp_path / "there"
    refused = commands(
        *(("data", "unpack", path, "--lock", lock) for path in hostile), home=there, url=hub.url, offline=True
    )
    for path, one in zip(hostile, refused, strict=True):
        assert (one.code, len(one.err.splitlines())) == (2, 1), (path.name, one)
        assert path.name in one.err
    assert not [path for path in there.rglob("*") if path.is_file()]
