"""Several endpoints of one model, against servers on loopback.

`_SECOND` is how long a second lasts here, for the pauses.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import evalkit
from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import Request
from evalkit.models.replicas import Replicas, addresses
from evalkit.report.html.about import command
from evalkit.report.table import build_table
from evalkit.runfile.replica_use import ReplicaUse, replica_uses
from evalkit.runfile.store import Store
from evalkit.samples import Message
from tests.graded import essays
from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic, asked_text, refuse
from tests.transcription_server import TranscriptionServer

_SECOND = 0.02
_NOBODY = "http://127.0.0.1:9/v1"
"""An address at which nothing listens."""


def servers(stack: ExitStack, count: int, **settings: Any) -> list[OpenAIServer]:
    return [stack.enter_context(OpenAIServer(**settings)) for _ in range(count)]


def run(
    urls: Sequence[str],
    task: str,
    path: Path,
    *,
    attempts: int = 6,
    concurrency: int | None = None,
    timeout: float = 10.0,
    same_model: bool = False,
    said: StringIO | None = None,
) -> dict[str, Any]:
    """The table's document."""

    async def go() -> dict[str, Any]:
        model = open_model("openai/mock", base_url=urls, timeout=timeout)
        plan = make_plan(model, [task], same_model=same_model)
        options = Options(concurrency, RetryPolicy(attempts, second=_SECOND))
        with open_run(path, plan) as store:
            try:
                await execute(plan, store, options, PlainProgress(said) if said is not None else None)
                return build_table([store]).as_json()
            finally:
                await model.aclose()

    return asyncio.run(go())


def uses(path: Path) -> dict[str, ReplicaUse]:
    with Store.open(path) as store:
        return {use.address: use for use in replica_uses(store)}


def questions(found: Sequence[OpenAIServer]) -> Counter[str]:
    return Counter(asked_text(asked.payload) for server in found for asked in server.requests)


# Runs


def test_every_question_is_answered_once_and_all_replicas_work(tmp_path: Path) -> None:
    with ExitStack() as stack:
        three = servers(stack, 3, latency=0.01)
        task = sums(tmp_path, 60)
        found = run([server.url for server in three], task, tmp_path / "r.db")
        assert found == run([three[0].url], task, tmp_path / "plain.db")
        del three[0].requests[-60:]
        assert set(questions(three).values()) == {1}
        assert len(questions(three)) == 60
        assert min(len(server.requests) for server in three) >= 10
    counted = uses(tmp_path / "r.db")
    assert [counted[server.url].requests for server in three] == [len(s.requests) for s in three]
    assert all(0.005 < use.median < 5 for use in counted.values())
    assert uses(tmp_path / "plain.db") == {}


def test_a_replica_that_fails_rests_and_comes_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        good, bad = servers(stack, 2, latency=0.01)
        bad.fail("500", 4)
        said = StringIO()
        found = run([good.url, bad.url, _NOBODY], sums(tmp_path, 80), tmp_path / "r.db", said=said)
        assert found["cells"][0]["value"] == 100.0
        answered = Counter(questions([good, bad]))
        assert len(answered) == 80
        assert len(bad.requests) > 4, "it was tried again"
    counted = uses(tmp_path / "r.db")
    assert (counted[bad.url].failures, counted[_NOBODY].requests) == (4, 0)
    assert counted[good.url].requests + counted[bad.url].requests == 80
    lines = [line for line in said.getvalue().splitlines() if line.startswith("replica")]
    assert sum(f"replica {_NOBODY} failed" in line for line in lines) == 1
    assert sum(f"replica {bad.url} answers again" in line for line in lines) == 1


def test_a_replica_with_another_key_is_told_of_once_and_the_others_go_on(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (good,) = servers(stack, 1, latency=0.005)
        locked = stack.enter_context(OpenAIServer(api_key="another"))
        said = StringIO()
        found = run([locked.url, good.url], sums(tmp_path, 40), tmp_path / "r.db", said=said)
        assert (found["cells"][0]["value"], found["cells"][0]["n"]) == (100.0, 40)
        assert len(good.requests) == 40
    (told,) = (line for line in said.getvalue().splitlines() if line.startswith("replica"))
    assert f"replica {locked.url} failed" in told
    assert "HTTP 401" in told
    assert "OPENAI_API_KEY" in told


def test_a_replica_that_only_asks_to_wait_does_not_stop_the_others(tmp_path: Path) -> None:
    with ExitStack() as stack:
        good, limited = servers(stack, 2)
        limited.fail("429", 100, retry_after="600")
        found = run([good.url, limited.url], sums(tmp_path, 60), tmp_path / "r.db")
        assert found["cells"][0]["value"] == 100.0
        assert len(good.requests) == 60
        assert len(limited.requests) <= 8, "only those that were sent before its first answer"


@pytest.mark.parametrize("status", [500, pytest.param(403, marks=pytest.mark.slow)])
def test_a_request_that_no_replica_can_answer_fails_alone(tmp_path: Path, status: int) -> None:
    """An error of one prompt, whichever replica it reaches, neither stops the run nor counts as an answer."""

    def script(payload: dict[str, Any], route: str) -> str | web.Response:
        if "What is 7 + 0" in asked_text(payload):
            return refuse(status, "not this one")
        return arithmetic(payload, route)

    with ExitStack() as stack:
        three = servers(stack, 3, script=script)
        urls = [server.url for server in three]
        (cell,) = run(urls, sums(tmp_path, 30), tmp_path / "r.db", attempts=2)["cells"]
        assert (cell["value"], cell["n"], cell["outcomes"]["failed"]) == (100.0, 29, 1)
        assert max(questions(three).values()) <= 12, (
            "two attempts at three replicas, and once more at the end"
        )


@pytest.mark.parametrize(
    "how",
    ["nobody", "401", *(pytest.param(how, marks=pytest.mark.slow) for how in ("500", "404"))],
)
def test_if_none_answers_the_run_stops_and_can_be_resumed(tmp_path: Path, how: str) -> None:
    with ExitStack() as stack:
        two = servers(stack, 2, **({"api_key": "another"} if how == "401" else {}))
        urls = [server.url.replace("/v1", "/v2") if how == "404" else server.url for server in two]
        if how == "500":
            for server in two:
                server.fail("500", 1000)
        if how == "nobody":
            urls = [_NOBODY, "http://127.0.0.1:10/v1"]
        task = sums(tmp_path, 60)
        with pytest.raises(Stopped) as stopped:
            run(urls, task, tmp_path / "r.db", attempts=2)
        assert stopped.value.usage == (how in ("nobody", "401", "404"))
        assert {"nobody": "none of the replicas answers", "500": "HTTP 500"}.get(how, how) in str(
            stopped.value
        )
        assert len([*two[0].requests, *two[1].requests]) < 60, "requests wait while all replicas rest"
        with OpenAIServer() as good:
            found = run([good.url], task, tmp_path / "r.db", same_model=True)
        assert (found["cells"][0]["value"], found["cells"][0]["n"]) == (100.0, 60)


def test_a_wrong_key_at_one_and_a_server_that_starts_later_are_waited_for(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (late,) = servers(stack, 1)
        late.fail("503", 5)
        locked = stack.enter_context(OpenAIServer(api_key="another"))
        found = run([locked.url, late.url], sums(tmp_path, 10), tmp_path / "r.db")
        assert (found["cells"][0]["value"], found["cells"][0]["n"]) == (100.0, 10)


def test_a_run_is_resumed_with_other_replicas_fewer_or_one_without_a_request_twice(tmp_path: Path) -> None:
    with ExitStack() as stack:
        a, b, c, d = servers(stack, 4)
        path = tmp_path / "r.db"

        def asked() -> int:
            return len(questions([a, b, c, d]))

        run([a.url, b.url], sums(tmp_path, 12), path)
        for urls in ([c.url, d.url], [b.url], [a.url, c.url]):
            run(urls, sums(tmp_path, 12), path)
        assert asked() == 12
        with pytest.raises(UsageError, match="--same-model"):
            run(["http://127.0.0.1:9/v1"], sums(tmp_path, 12), path)
        with Store.open(path) as store:
            assert command(store).count("--base-url") == 4


def test_a_run_at_one_endpoint_is_resumed_with_replicas_if_that_is_one_of_them(tmp_path: Path) -> None:
    with ExitStack() as stack:
        a, b, c = servers(stack, 3)
        task, path = sums(tmp_path, 12), tmp_path / "r.db"
        run([a.url], task, path)
        with pytest.raises(UsageError, match="--same-model"):
            run([b.url, c.url], task, path)
        run([a.url, b.url], task, path)
        run([b.url], task, path)
        assert len(questions([a, b, c])) == 12
        assert set(questions([a, b, c]).values()) == {1}


# Addresses and names


def test_the_identity_of_replicas_has_no_address(tmp_path: Path) -> None:
    listed = tmp_path / "servers.txt"
    listed.write_text("# two nodes\nhttp://a:8000/v1\n\n  http://b:8000/v1/  # the slow one\n", "utf-8")
    model = open_model("openai/mock", base_url=str(listed))
    assert isinstance(model, Replicas)
    assert model.addresses == ("http://a:8000/v1", "http://b:8000/v1")
    assert model.identity == {"backend": "openai", "model": "mock", "endpoint": "replicas"}
    assert model.name == "openai/mock"
    alone = open_model("openai/mock", base_url=["http://a:8000/v1", "http://a:8000/v1/"])
    assert not isinstance(alone, Replicas), "one server twice is one endpoint"
    assert alone.identity == open_model("openai/mock", base_url="http://a:8000/v1").identity
    listed.write_text("# none\n", "utf-8")
    with pytest.raises(UsageError, match=r"servers\.txt: the file has no address"):
        addresses(str(listed))


def test_a_backend_without_endpoints_takes_no_replicas(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def answer(prompt, base_url):\n    return ''\n", "utf-8")
    for spec, said in ((f"python:{file}:answer", "can be used with openai/"), ("fake/gold", "--base-url")):
        with pytest.raises(UsageError, match=said):
            open_model(spec, base_url=["http://a/v1", "http://b/v1"])


def check(*urls: str, spec: str = "openai/mock") -> None:
    async def go() -> None:
        model = open_model(spec, base_url=urls)
        assert isinstance(model, Replicas)
        try:
            await model.check()
        finally:
            await model.aclose()

    asyncio.run(go())


def test_a_replica_that_serves_another_model_is_refused_by_name(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, same, other, alias = (
            stack.enter_context(OpenAIServer(model=name))
            for name in ("mock", "mock:latest", "another", "folder/another")
        )
        check(one.url, same.url, _NOBODY)
        check(other.url, alias.url)  # a name that neither lists, and both list the same
        for urls in ([one.url, other.url, _NOBODY], [other.url, one.url]):
            with pytest.raises(UsageError) as refused:
                check(*urls)
            assert f"the replica {other.url} serves another, and the others serve mock" in str(refused.value)
        with pytest.raises(UsageError, match=f"the replica {one.url} serves mock, and .* another"):
            check(other.url, one.url, spec="openai/alias")
        with pytest.raises(UsageError, match="serves another"):
            run([one.url, other.url], sums(tmp_path, 5), tmp_path / "r.db")
        assert not one.requests


def test_replicas_transcribe(tmp_path: Path) -> None:
    with TranscriptionServer() as one, TranscriptionServer() as other:
        model = open_model("transcribe/whisper", base_url=[one.url, other.url])
        assert isinstance(model, Replicas)
        assert model.capabilities == {"transcription"}
        assert model.identity == {"backend": "transcribe", "model": "whisper", "endpoint": "replicas"}
        check(one.url, other.url, spec="transcribe/whisper")


def test_replicas_used_without_the_engine_take_turns() -> None:
    async def go(urls: list[str]) -> None:
        model = open_model("openai/mock", base_url=urls)
        for _ in range(3):
            assert (await model.generate(Request((Message("user", "1 + 1"),), 9))).text == "The answer is 2."
        await model.aclose()

    with OpenAIServer() as one, OpenAIServer() as other:
        asyncio.run(go([one.url, other.url]))
        assert (len(one.requests), len(other.requests)) == (2, 1)


def test_a_slow_replica_gets_fewer_requests(tmp_path: Path) -> None:
    """It answers nothing until the other one has answered 50 of 60; the rest must not wait for it."""
    enough = threading.Event()

    def quickly(payload: dict[str, Any], route: str) -> str:
        if len(fast.requests) >= 50:
            enough.set()
        return arithmetic(payload, route)

    def slowly(payload: dict[str, Any], route: str) -> str:
        assert enough.wait(60)
        return arithmetic(payload, route)

    with OpenAIServer(quickly) as fast, OpenAIServer(slowly) as slow:
        run([fast.url, slow.url], sums(tmp_path, 60), tmp_path / "r.db", concurrency=8, timeout=60)
        assert 0 < len(slow.requests) <= 10
        assert len(questions([fast, slow])) == 60


def test_a_judge_model_has_replicas_too(tmp_path: Path) -> None:
    def grade(payload: dict[str, Any], route: str) -> str:
        return "grade: 4"

    with OpenAIServer(grade) as one, OpenAIServer(grade) as other:
        judge = open_model("openai/judge", base_url=[one.url, other.url])
        table = evalkit.run("fake/echo", essays(tmp_path), output=tmp_path / "r.db", judge=judge)
        assert [cell.value for cell in table.cells] == [80.0]
        assert len(questions([one, other])) == 6
        assert min(len(one.requests), len(other.requests)) > 0
    assert uses(tmp_path / "r.db") == {}, "they are not the replicas of the evaluated model"
