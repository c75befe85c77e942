"""Programs that die, hang, or write what is not in the protocol; and that nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.samples import Message
from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli
from tests.commanded import CHAT, HELLO, answer, answers, failure, program
from tests.made import sums
from tests.processes import gone, start

PARALLEL = '{"evalkit": 1, "parallel": 3}'


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"Loading weights…"', "wrote a line that is not JSON ("),
        ("b'\\xff\\xfe{}'", "wrote a line that is not JSON ("),
        ("'[' * 100_000", "wrote a line that is not JSON ("),
        ("'{\"a\":' * 100_000 + '1' + '}' * 100_000", "wrote a line that is not JSON ("),
        ("''", "wrote a line that is not JSON ("),
        ("'[1, 2]'", "wrote a line that is no JSON object: '[1, 2]'"),
        ('\'{"text": "a"}\'', "answered no request that it was asked (id None)"),
        ('\'{"id": 7, "text": "a"}\'', "answered no request that it was asked (id 7)"),
        ('\'{"id": true, "text": "a"}\'', "answered no request that it was asked (id True)"),
        ('\'{"id": [1], "text": "a"}\'', "answered no request that it was asked (id [1])"),
    ],
)
def test_a_line_that_is_not_in_the_protocol_is_shown(tmp_path: Path, line: str, said: str) -> None:
    error = failure(program(tmp_path, f"asked()\nsay({line})\nasked()"))
    assert said in str(error)
    assert len(str(error)) < 500
    assert (error.fatal, error.doubtful, error.retryable) == (True, True, False)


def test_a_line_of_100_megabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    endless = 'asked()\nwhile True:\n    sys.stdout.write("x" * (1 << 20))'
    assert "wrote a line of more than 64 MB" in str(failure(program(tmp_path, endless)))


def test_a_line_that_nobody_asked_for_fails_the_next_request(tmp_path: Path) -> None:
    body = """
    for _ in range(2):
        request = asked()
        say(json.dumps({"id": request["id"], "text": str(os.getpid())}))
        say("done")
    """
    model = open_model(program(tmp_path, body))

    async def go() -> None:
        first = await model.generate(CHAT)
        await asyncio.to_thread(gone, int(first.text))
        with pytest.raises(ProviderError, match=r"wrote a line that is not JSON .*'done'") as failed:
            await model.generate(CHAT)
        assert failed.value.retryable
        assert (await model.generate(CHAT)).text != first.text
        await model.aclose()

    asyncio.run(asyncio.wait_for(go(), 60))


def test_what_a_program_had_not_finished_when_it_died_is_no_line(tmp_path: Path) -> None:
    body = """
    sys.stdout.write('{"id": %d, "te' % asked()["id"])
    sys.stdout.flush()
    os.kill(os.getpid(), 9)
    """
    error = failure(program(tmp_path, body))
    assert "ended (SIGKILL)" in str(error)
    assert error.retryable


def test_of_several_requests_nobody_knows_whose_the_line_is(tmp_path: Path) -> None:
    spec = program(tmp_path, "[asked() for _ in range(3)]\nsay('oops')\nasked()", PARALLEL)
    for error in answers(spec, *[CHAT] * 3, at_once=True):
        assert isinstance(error, ProviderError)
        assert error.retryable
        assert not error.fatal
        assert "is not JSON" in str(error)


def test_one_end_with_many_requests_is_one_failure(tmp_path: Path) -> None:
    """64 requests at once, and the first process dies with all of them."""
    body = """
    first = os.path.dirname(__file__) + "/first"
    many = [asked() for _ in range(64)]
    if not os.path.exists(first):
        open(first, "w").close()
        sys.exit("out of memory")
    for request in many:
        say(json.dumps({"id": request["id"], "text": "4"}))
    asked()
    """
    model = open_model(program(tmp_path, body, '{"evalkit": 1, "parallel": 64}'))

    async def go() -> list[Response | BaseException]:
        for at in range(2):
            found = await asyncio.gather(*(model.generate(CHAT) for _ in range(64)), return_exceptions=True)
            if not at:
                assert all(isinstance(one, ProviderError) and not one.fatal for one in found)
        await model.aclose()
        return found

    assert all(isinstance(one, Response) for one in asyncio.run(asyncio.wait_for(go(), 60)))


def test_a_second_answer_to_a_request_ends_the_process(tmp_path: Path) -> None:
    body = """
    first = json.dumps({"id": asked()["id"], "text": "a"})
    say(first)
    asked()
    say(first)
    asked()
    """
    one, two = answers(program(tmp_path, body), CHAT, CHAT)
    assert isinstance(one, Response)
    assert isinstance(two, ProviderError)
    assert "answered no request that it was asked (id 1)" in str(two)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), 9)", "ended (SIGKILL)"),
        ("os.kill(os.getpid(), 11)", "ended (SIGSEGV)"),
        ("sys.exit(3)", "ended (exit status 3)"),
        ("raise MemoryError('weights')", "ended (exit status 1): "),
        ("os.close(1); time.sleep(600)", "closed its standard output"),
        ("os.close(1); os.close(0); os.close(2); os.fork() or time.sleep(600)", "ended (exit status"),
    ],
)
def test_a_process_that_ends_is_named_and_replaced(tmp_path: Path, end: str, said: str) -> None:
    body = f"""
    for number in range(2):
        request = asked()
        if request["max_tokens"] == 9:
            {end}
        say(json.dumps({{"id": request["id"], "text": str(os.getpid())}}))
    """
    first, error, last = answers(program(tmp_path, body), CHAT, Request(CHAT.prompt, 9), CHAT)
    assert isinstance(first, Response)
    assert isinstance(last, Response)
    assert isinstance(error, ProviderError)
    assert said in str(error)
    assert error.retryable
    assert first.text != last.text
    assert gone(int(first.text))
    if "MemoryError" in end:
        assert str(error).endswith("MemoryError: weights")


@pytest.mark.slow
def test_a_process_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    body = """
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        request = asked()
        open(os.path.dirname(__file__) + "/pid", "w").write(str(os.getpid()))
        if request["max_tokens"] == 9:
            time.sleep(600)
        say(json.dumps({"id": request["id"], "text": str(os.getpid())}))
    """
    hung, after = answers(program(tmp_path, body), Request(CHAT.prompt, 9), CHAT, timeout=3.0)
    assert isinstance(hung, ProviderError)
    assert "gave no answer in 3 s (--timeout), and was ended" in str(hung)
    assert (hung.retryable, hung.waited) == (True, 3.0)
    assert isinstance(after, Response)


def test_a_process_that_reads_nothing_does_not_block_evalkit(tmp_path: Path) -> None:
    request = Request((Message("user", "x" * (4 << 20)),), 8)
    error = failure(program(tmp_path, "time.sleep(600)"), request, timeout=0.3)
    assert "gave no answer in 0.3 s" in str(error)


def test_what_is_written_to_standard_error_never_fills_a_pipe(tmp_path: Path) -> None:
    body = """
    while True:
        request = asked()
        sys.stderr.write("progress\\r" * 100_000)
        say(json.dumps({"id": request["id"], "text": "4"}))
    """
    assert answer(program(tmp_path, body)).text == "4"


def test_a_cancelled_request_ends_its_process(tmp_path: Path) -> None:
    body = """
    while True:
        request = asked()
        open(os.path.dirname(__file__) + "/pid", "w").write(str(os.getpid()))
        if request["max_tokens"] == 9:
            time.sleep(600)
        say(json.dumps({"id": request["id"], "text": str(os.getpid())}))
    """
    model = open_model(program(tmp_path, body))

    async def go() -> str:
        asking = asyncio.ensure_future(model.generate(Request(CHAT.prompt, 9)))
        await asyncio.to_thread(until, (tmp_path / "pid").is_file)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        return (await model.generate(CHAT)).text

    pid = asyncio.run(go())
    asyncio.run(model.aclose())
    assert gone(int(pid))


_FAMILY = """
    import subprocess
    sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    daemon = subprocess.Popen(sleep, start_new_session=True)
    child = subprocess.Popen(sleep, stdin=subprocess.DEVNULL)
    pids = f"{os.getpid()} {os.getppid()} {daemon.pid} {child.pid}"
    with open(os.path.dirname(__file__) + "/pids", "w") as file:
        file.write(pids + "\\n")
    while True:
        request = asked()
        say(json.dumps({"id": request["id"], "text": pids}))
        time.sleep(float(os.environ.get("PAUSE", "0")))
"""
"""A program that has a child, and another one in a session of its own. It writes the numbers of all."""


def test_all_that_the_program_started_is_gone_when_the_model_is_closed(tmp_path: Path) -> None:
    pids = answer(program(tmp_path, _FAMILY)).text.split()
    assert len(pids) == 4
    assert all(gone(int(pid)) for pid in pids)


def test_all_that_the_program_started_is_gone_when_it_ends(tmp_path: Path) -> None:
    model = open_model(program(tmp_path, _FAMILY))
    program_, guard, *others = map(int, asyncio.run(model.generate(CHAT)).text.split())
    os.kill(program_, signal.SIGKILL)
    assert all(gone(pid) for pid in (program_, guard, *others))
    asyncio.run(model.aclose())


@pytest.mark.slow
@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_evalkit_is_killed(tmp_path: Path, killed: signal.Signals) -> None:
    spec = program(tmp_path, _FAMILY)
    arguments = ("run", "-m", spec, "-t", "gsm8k:0-shot-chat", "--data", "builtin", "-o", tmp_path / "r.db")
    process = start(*arguments, PAUSE="600", TMPDIR=str(tmp_path))
    pids = tmp_path / "pids"
    until(lambda: pids.is_file() and pids.read_text().endswith("\n"))
    assert [*tmp_path.glob("evalkit-*")]
    process.send_signal(killed)
    process.communicate(timeout=60)
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    until(lambda: not [*tmp_path.glob("evalkit-*")])  # the folder for media


@pytest.mark.slow
def test_the_references_never_reach_the_program(cli: Cli, tmp_path: Path) -> None:
    """They are in none of its lines, arguments and variables, nor in its folder for media."""
    body = """
    seen = open(os.path.dirname(__file__) + "/seen", "a")
    while True:
        line = sys.stdin.readline() or sys.exit(0)
        request = json.loads(line)
        path = request["prompt"][0]["content"][1]["image"]
        folder = os.listdir(os.path.dirname(path))
        print(line, sys.argv, dict(os.environ), folder, open(path, "rb").read(), file=seen, flush=True)
        say(json.dumps({"id": request["id"], "text": "?"}))
    """
    (tmp_path / "secret.py").write_text(
        "from tests.album import square\n"
        "from evalkit.api import *\n"
        "def rows(chance):\n"
        "    yield from ({'n': n} for n in range(3))\n"
        "@task('secret')\n"
        "def secret():\n"
        "    return Task(data=Generated(0, rows), media=('image',),\n"
        "        sample=lambda r: Sample(id=str(r['n']), input='Which?', target=('s3cr3t',),\n"
        "            choices=('s3cr3t',),\n"
        "            media=(Image(square('red', (8 + r['n'], 8))),),\n"
        "            meta={'right': 's3cr3t'}, group='s3cr3t'),\n"
        "        prompt=lambda s, p: (Message('user', (s.input, *s.media)),),\n"
        "        answer=lambda text, s: text, scorer=lambda a, s: Verdict(a in s.target),\n"
        "        metrics=(Accuracy(),), protocols=(Protocol(name='one', max_tokens=4),))\n"
    )
    spec = program(tmp_path, body, '{"evalkit": 1, "capabilities": ["chat", "image"]}')
    code, _, err = cli("run", "-m", spec, "-t", tmp_path / "secret.py", "-o", tmp_path / "r.db")
    assert code == 0, err
    seen = (tmp_path / "seen").read_text()
    assert seen.count("Which?") == 3
    assert "s3cr3t" not in seen


@pytest.mark.slow
def test_a_run_goes_on_when_the_program_dies_now_and_then(cli: Cli, tmp_path: Path) -> None:
    body = """
    for number in range(4):
        request = asked()
        if number == 3:
            sys.exit("out of memory")
        a, _, b = request["prompt"][-1]["content"].split("?")[0].split()[-3:]
        say(json.dumps({"id": request["id"], "text": str(int(a) + int(b))}))
    """
    spec = program(tmp_path, body, '{"evalkit": 1}')
    code, out, err = cli("run", "-m", spec, "-t", sums(tmp_path), "--limit", "8", "-o", tmp_path / "r.db")
    assert code == 0, err
    assert "100 %" in out


@pytest.mark.slow
def test_a_program_that_always_dies_or_never_speaks_ends_the_run(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path)
    for body, said in (
        (
            "asked()\nraise ValueError('no weights')",
            "ValueError: no weights (after 5 restarts without an answer)",
        ),
        ("asked()\nsay('Loading …')\nasked()", "wrote a line that is not JSON"),
    ):
        spec = program(tmp_path, body, HELLO)
        code, _, err = cli("run", "-m", spec, "-t", task, "-o", tmp_path / "r.db", "--retries", "9")
        assert code == 2
        assert said in err
        assert "Traceback" not in err
        (tmp_path / "r.db").unlink()
