"""Copies in processes of their own on this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

import evalkit
from evalkit.copies.opening import listed_gpus
from evalkit.copies.serving import Asked, plain, said
from evalkit.errors import MediaError, ProviderError, ScorerError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Request
from evalkit.models.http import Refusal
from evalkit.processes.framing import received
from evalkit.samples import Audio, Image, Message, Speech, Tool
from tests.cli.conftest import Cli
from tests.copies.test_life import uses
from tests.made import sums
from tests.processes import finish, gone, start, wait_for_draws
from tests.shardable import documents
from tests.tiny_llama import written

_MODEL = '''
import asyncio
import os
import re
import signal
from pathlib import Path

HERE = Path(__file__).parent


async def model(prompt):
    """Answers sums. The first process to be asked 13 + 6 ends, hangs or loses its GPU, if a file says so."""
    (HERE / f"pid-{os.getpid()}").touch()
    await asyncio.sleep(0.005)
    for name, does in (("kill", kill), ("hang", hang), ("broken", broken)):
        if "13 +" in prompt[-1].content and (HERE / name).exists():
            (HERE / name).unlink()
            does()
    return str(sum(map(int, re.findall("[0-9]+", prompt[-1].content))))


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    os.kill(os.getpid(), signal.SIGSTOP)


def broken():
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
'''


def written_model(folder: Path) -> str:
    (folder / "model.py").write_text(_MODEL, "utf-8")
    return f"python:{folder / 'model.py'}:model"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return written_model(tmp_path)


def pids(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]


def costs_no_sample(folder: Path, model: str, copied: str, faults: Sequence[str]) -> None:
    """Runs `copied` with each fault, which a file of its name asks for: the run equals that of `model`."""
    task = sums(folder, 120)
    plain = evalkit.run(model, task, output=folder / "plain.db")
    for name in faults:
        (folder / name).touch()
        path = folder / f"{name}.db"
        found = evalkit.run(copied, task, output=path, timeout=1)
        assert not (folder / name).exists()
        assert documents(path) == documents(folder / "plain.db")
        assert found.as_json() == plain.as_json()
        counted = uses(path)
        assert sum(requests for requests, _ in counted.values()) == 120
        assert sum(failures for _, failures in counted.values()) >= 1
    assert all(gone(pid) for pid in pids(folder) if pid != os.getpid())


@pytest.mark.slow
def test_a_killed_copy_and_one_that_hangs_cost_no_sample(tmp_path: Path, model: str) -> None:
    costs_no_sample(tmp_path, model, f"{model}?copies=2", ("kill", "hang", "broken"))


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path, model: str) -> None:
    """Killed from outside; then the run itself is killed, and resumed without copies."""
    task, path = sums(tmp_path, 400), tmp_path / "r.db"
    running = start("run", "-m", f"{model}?copies=2", "-t", task, "-o", path, "--concurrency", 4)
    wait_for_draws(path, 20)
    first, _ = pids(tmp_path)
    os.kill(first, signal.SIGKILL)
    wait_for_draws(path, 60)
    running.kill()
    running.communicate()
    assert all(gone(pid) for pid in pids(tmp_path)), "no process is left"
    finish(start("run", "-m", model, "-t", task, "-o", path))
    evalkit.run(model, task, output=tmp_path / "plain.db")
    assert documents(path) == documents(tmp_path / "plain.db")

    interrupted = start("run", "-m", f"{model}?copies=2", "-t", sums(tmp_path, 4000), "-o", tmp_path / "i.db")
    wait_for_draws(tmp_path / "i.db", 20)
    interrupted.send_signal(signal.SIGINT)
    assert "interrupted" in interrupted.communicate(timeout=60)[1]
    assert interrupted.returncode == 130
    assert all(gone(pid) for pid in pids(tmp_path) if pid != os.getpid())


@pytest.mark.slow
def test_copies_of_a_model_of_transformers(tmp_path: Path, cli: Cli) -> None:
    folder = written(tmp_path / "tiny")
    task = sums(tmp_path, 12)
    given, options = ("run", "-t", task, "--set", "max_tokens=4", "--json"), "?device=cpu&rows=4&batch=3"
    alone = cli(*given, "-m", f"hf/{folder}{options}", "-o", tmp_path / "plain.db")
    both = cli(*given, "-m", f"hf/{folder}{options}&copies=2", "-o", tmp_path / "copies.db")
    assert (both.code, both.out) == (alone.code, alone.out.replace("plain.db", "copies.db"))
    for name in ("copy 1", "copy 2"):
        assert re.search(rf"^{name}: \d+ requests?, median [\d.]+ s$", both.err, re.MULTILINE)


@pytest.mark.slow
def test_a_fake_model_and_what_cannot_be_opened(tmp_path: Path) -> None:
    """The hints are sent along, also a gold response that cannot be computed."""
    task = sums(tmp_path, 30)
    evalkit.run("fake/gold?wrong=0.4", task, output=tmp_path / "plain.db")
    evalkit.run("fake/gold?wrong=0.4&copies=2", task, output=tmp_path / "copies.db")
    assert documents(tmp_path / "copies.db") == documents(tmp_path / "plain.db")
    for spec, words in {
        "fake/golt?copies=2": "unknown fake model 'golt'",
        "python:/nowhere/x.py:f?copies=2": "no model file",
        f"python:{tmp_path / 'ends.py'}:Model?copies=2": "ended while it was started .exit status 3: enough",
    }.items():
        (tmp_path / "ends.py").write_text(
            "import os, sys\nsys.stderr.write('enough')\nsys.stderr.flush()\nos._exit(3)"
        )
        with pytest.raises(UsageError, match=words):
            open_model(spec)


def test_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for spec, words in {
        "fake/gold?copies=0": "copies must be an integer of at least 1, or all, not '0'",
        "fake/gold?copies=two": "copies must be an integer of at least 1",
        "fake/gold?copies=all": "copies=all means one for each GPU, and there is no GPU",
        "replay/x.db?copies=2": "unknown option of replay 'copies'",
        "ray/openai/x": "openai/ cannot run in one. An endpoint that several servers share is given",
        "ray/replay/x.db": "replay/ cannot run in one",
        "ray/ray/fake/gold": "ray/ cannot run in one",
        "ray/fak/gold": "unknown backend 'fak': did you mean fake",
        "ray/fake/gold?replicas=0": "replicas must be at least 1, not 0",
        "ray/fake/gold?gpus=-1": "gpus must be at least 0, not -1",
        "ray/fake/gold?cpus=many": "cpus must be a number, not 'many'",
    }.items():
        with pytest.raises(UsageError, match=re.escape(words)):
            open_model(spec)
    assert open_model("fake/gold?copies=1&wrong=0.1").name == "fake/gold?wrong=0.1"


def test_the_gpus_of_a_machine() -> None:
    listed = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1111)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2222)
  MIG 3g.40gb     Device  0: (UUID: MIG-aaaa)
  MIG 3g.40gb     Device  1: (UUID: MIG-bbbb)
"""
    assert listed_gpus(listed) == ["0", "MIG-aaaa", "MIG-bbbb"]
    assert listed_gpus("") == []


def test_a_host_that_ends_with_unread_answers_has_hung_up() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"an answer that nobody reads")
        ours.close()
        assert received(theirs) is None


class _Own(ProviderError):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, retryable=True)
        self.status = status


def test_what_is_sent_can_be_read_by_the_other_end() -> None:
    import pickle

    picture, clip = Image(b"\x89PNG"), Audio(b"RIFF")
    chat = (Message("user", ("look", picture)),)
    tool = Tool("add", "adds", {"type": "object"})
    for request in (
        Request(chat, 5, tools=(tool,)),
        Request(Speech(clip), 5),
        Request("a", 0, continuations=("b",)),
    ):
        (found,) = pickle.loads(pickle.dumps([Asked(request, 3, ("gold", ScorerError("no")))]))
        assert found.request == request
        assert found.request.encoded() == request.encoded()
        assert [medium.data for medium in found.request.media] == [medium.data for medium in request.media]
        assert found.hints[0] == "gold"
        assert str(found.hints[1]) == "no"
    for error in (
        Refusal("HTTP 500", 500, b"body", retryable=True, retry_after=3.0),
        _Own("own", 7),
        ProviderError("x", fatal=True, hint="look"),
        MediaError("picture"),
        UsageError("no"),
        KeyError("what"),
    ):
        sent = pickle.loads(pickle.dumps(plain(error)))
        assert type(sent).__module__ == "evalkit.errors"
        assert isinstance(sent, ProviderError) == (not isinstance(error, MediaError | UsageError))
        for name in ("retryable", "retry_after", "fatal", "hint"):
            assert getattr(sent, name, None) == getattr(
                error, name, getattr(ProviderError(""), name) if (isinstance(sent, ProviderError)) else None
            )
    assert str(plain(KeyError("what"))) == "KeyError: 'what'"
    assert said(lambda: "x") == "x"

    def raises() -> str:
        raise ScorerError("no gold")

    assert str(said(raises)) == "no gold"
