"""Draws of one prompt that come with one request (`n`): over HTTP, in a run file, and resumed."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from evalkit.engine.context import draw_seed
from evalkit.engine.plan import make_plan
from evalkit.engine.probed import shared_draws
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.shared_draws import SharedDraws
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.http import Refusal
from evalkit.models.http_model import HTTPModel
from evalkit.models.openai import OpenAIModel
from evalkit.models.reading import parse
from evalkit.probing import Answer, Probe
from evalkit.probing.cache import keep
from evalkit.report.table import Table, build_table
from evalkit.samples import Message
from tests.made import sums
from tests.openai_server import CHAT, COMPLETION, OpenAIServer, Payload, answer, refuse

SAMPLES = 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


class Drawing(OpenAIServer):
    """Each choice has another text. `most`: the choices that it returns at most; 0: it refuses `n`."""

    def __init__(self, most: int = 128) -> None:
        super().__init__()
        self.most = most
        self.count = itertools.count()
        self.finish: Sequence[str] = ()
        """The finish reasons of the first choices."""

    @property
    def asked(self) -> list[int]:
        """How many draws each request asked for."""
        return [one.payload.get("n", 1) for one in self.requests]

    def _answer(self, payload: Payload, route: str) -> web.Response:
        wanted = payload.get("n", 1)
        if wanted > 1 and not self.most:
            return refuse(400, "'n' must be 1.")
        texts = [f"The answer is {next(self.count)}.STOP more" for _ in range(min(wanted, self.most) or 1)]
        document = self._document_of(payload, route, texts)
        for choice, finish in zip(document["choices"], self.finish, strict=False):
            choice["finish_reason"] = finish
        document["choices"].reverse()  # the order is that of the indices
        return web.json_response(document)

    def _document_of(self, payload: Payload, route: str, texts: list[str]) -> Payload:
        return answer(payload, route, *texts)


def know(server: OpenAIServer, *routes: str, name: str = "openai/x") -> None:
    """Keeps a probe that found that `n` is taken on these routes."""
    model = open_model(name, base_url=server.url)
    assert isinstance(model, HTTPModel)
    answers = tuple(Answer(f"{route}_n", "yes", "") for route in routes)
    keep(model, Probe(model.name, model.base_url, time.time(), 1, 1, 1, answers))


def run(server: OpenAIServer, folder: Path, path: Path, together: int | None = None, **given: str) -> Table:
    async def go() -> Table:
        model = open_model("openai/x", base_url=server.url)
        settings = {"stop": "STOP", **given}
        plan = make_plan(model, [f"{sums(folder, SAMPLES)}:sums:maj"], settings=settings, seed=7)
        with open_run(path, plan) as store:
            try:
                await execute(plan, store, Options(8, RetryPolicy(1, 0.01), together=together))
            finally:
                await model.aclose()
            return build_table([store])

    return asyncio.run(go())


def stored(path: Path) -> dict[str, list[tuple[int, str, int | None, int | None]]]:
    """(draw, text, prompt tokens, completion tokens) of each sample's draws."""
    found: dict[str, list[tuple[int, str, int | None, int | None]]] = {}
    with closing(sqlite3.connect(path)) as db:
        rows = "SELECT sample, draw, text, prompt_tokens, completion_tokens FROM draw ORDER BY sample, draw"
        for sample, *draw in db.execute(rows):
            found.setdefault(sample, []).append(tuple(draw))
    return found


@pytest.mark.slow
def test_one_request_brings_all_draws_of_a_sample(tmp_path: Path) -> None:
    with Drawing() as server:
        know(server, "chat")
        table = run(server, tmp_path, tmp_path / "n.db")
        requests = [one.payload for one in server.requests]
        alone = run(server, tmp_path, tmp_path / "alone.db", together=1)
        single = [one.payload for one in server.requests[len(requests) :]]
    assert [one["n"] for one in requests] == [5] * SAMPLES
    assert {one["seed"] for one in requests} == {draw_seed(7, 0)}
    assert not any("n" in one for one in single)
    assert {one["seed"] for one in single} == {draw_seed(7, draw) for draw in range(5)}
    draws = stored(tmp_path / "n.db")
    assert [len(one) for one in draws.values()] == [5] * SAMPLES
    texts = [text for one in draws.values() for _, text, _, _ in one]
    assert len({*texts}) == 5 * SAMPLES
    assert all("STOP" not in text for text in texts)
    first = next(iter(draws.values()))
    assert [text for _, text, _, _ in first] == sorted((text for _, text, _, _ in first), key=_number)
    # One signature: the draws of both are independent draws of one request.
    assert table.cells[0].signature == alone.cells[0].signature
    assert any("several draws came from one request (n)" in note for note in table.notes)
    assert not any("(n)" in note for note in alone.notes)


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2].rstrip("."))


def test_the_tokens_of_a_request_are_counted_once(tmp_path: Path) -> None:
    with Drawing() as server:
        know(server, "chat")
        table = run(server, tmp_path, tmp_path / "n.db")
        prompts = [answer(one.payload, CHAT)["usage"]["prompt_tokens"] for one in server.requests]
    written = 4 * 5 * SAMPLES  # "The answer is 3." has four tokens
    assert table.cells[0].tokens == (sum(prompts), written)
    for draws in stored(tmp_path / "n.db").values():
        assert [prompt for _, _, prompt, _ in draws][1:] == [None] * 4
        assert sum(tokens or 0 for *_, tokens in draws) == 20


@pytest.mark.parametrize(
    ("texts", "total", "shares"),
    [
        (["a", "b" * 99], 50, [1, 49]),
        (["a b c", "a b c", "a b c"], 10, [3, 3, 4]),
        (["", "a b"], 7, [0, 7]),
        (["", ""], 3, [1, 2]),
        (["a b c", "d"], 3, [None, None]),
        (["a", "b"], None, [None, None]),
    ],
)
def test_tokens_of_all_choices_are_divided_by_the_lengths_of_their_texts(
    texts: list[str], total: int | None, shares: list[int | None]
) -> None:
    document = answer({"model": "x", "prompt": "2 + 2"}, COMPLETION, *texts)
    document["usage"]["completion_tokens"] = total
    response = parse(json.dumps(document).encode(), "completion", 0.5, draws=len(texts))
    assert [one.text for one in response.draws] == texts
    assert [one.completion_tokens for one in response.draws] == shares


def test_a_count_that_leaves_choices_out_is_no_count(tmp_path: Path) -> None:
    """As of llama.cpp's server, which counts the tokens of one choice."""

    class Counting(Drawing):
        def _document_of(self, payload: Payload, route: str, texts: list[str]) -> Payload:
            document = super()._document_of(payload, route, texts)
            document["usage"]["completion_tokens"] //= len(texts)
            return document

    with Counting() as server:
        know(server, "chat")
        run(server, tmp_path, tmp_path / "n.db")
    draws = [one for sample in stored(tmp_path / "n.db").values() for one in sample]
    assert len(draws) == 5 * SAMPLES
    assert {tokens for *_, tokens in draws} == {None}
    assert sum(prompt is not None for *_, prompt, _ in draws) == SAMPLES


def test_a_route_without_n_and_an_unknown_endpoint_get_a_request_for_each_draw(tmp_path: Path) -> None:
    with Drawing() as server:
        run(server, tmp_path, tmp_path / "unknown.db")
        know(server, "completion")
        run(server, tmp_path, tmp_path / "other.db")
        assert server.asked == [1] * (2 * 5 * SAMPLES)


@pytest.mark.slow
def test_chunks_and_what_is_missing_after_an_interruption(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with Drawing() as server:
        know(server, "chat")
        server.fail("drop", 2)
        cut = run(server, tmp_path, path, together=2)
        assert cut.failed
        before = stored(path)
        asked = len(server.requests)
        run(server, tmp_path, path, together=2)
        after = stored(path)
        again = server.asked[asked:]
    kept = sum(map(len, before.values()))
    assert 0 < kept < 5 * SAMPLES
    assert max(server.asked) == 2
    assert sum(again) == 5 * SAMPLES - kept
    assert [[draw for draw, *_ in one] for one in after.values()] == [[*range(5)]] * SAMPLES
    for sample, draws in before.items():
        assert {*draws} <= {*after[sample]}


@pytest.mark.parametrize(
    ("most", "asked"),
    [
        (3, [5, 2] * SAMPLES),
        (1, [5, 1, 1, 1, 1] * SAMPLES),
        (0, [5, 1, 1, 1, 1, 1] * SAMPLES),
    ],
    ids=["caps", "ignores", "refuses"],
)
def test_an_endpoint_that_returns_fewer_than_it_was_probed_to(
    most: int, asked: list[int], tmp_path: Path
) -> None:
    with Drawing(most) as server:
        know(server, "chat")
        table = run(server, tmp_path, tmp_path / "r.db")
        assert sorted(server.asked) == sorted(asked)
    assert table.failed == 0
    draws = stored(tmp_path / "r.db")
    assert [[draw for draw, *_ in one] for one in draws.values()] == [[*range(5)]] * SAMPLES
    assert len({text for one in draws.values() for _, text, *_ in one}) == 5 * SAMPLES


def test_each_choice_has_its_own_end(tmp_path: Path) -> None:
    with Drawing() as server:
        know(server, "chat")
        server.finish = ("stop", "content_filter", "length", "error")
        run(server, tmp_path, tmp_path / "r.db", stop="")
        assert sorted(server.asked) == [1] * SAMPLES + [5] * SAMPLES  # the broken one is asked again
    with closing(sqlite3.connect(tmp_path / "r.db")) as db:
        ends = [end for (end,) in db.execute("SELECT finish FROM draw ORDER BY request, draw")]
    # A request for the last draw alone has the first finish reason.
    assert ends == ["stop", "filter", "length", "stop", "stop"] * SAMPLES


def test_a_refused_prompt_is_refused_for_each_draw_with_one_request(tmp_path: Path) -> None:
    refusal = {"error": {"message": "stopped", "code": "content_filter"}}

    class Refusing(Drawing):
        def _answer(self, payload: Payload, route: str) -> web.Response:
            return web.json_response(refusal, status=400)

    with Refusing() as server:
        know(server, "chat")
        table = run(server, tmp_path, tmp_path / "r.db")
        assert server.asked == [5] * SAMPLES
    assert table.cells[0].outcomes["refused"] == SAMPLES


def test_completions_share_a_request_too() -> None:
    async def go(url: str) -> Response:
        model = OpenAIModel("x", url)
        try:
            return await model.generate(Request("2 + 2 =", 16, 1.0, seed=3, n=3))
        finally:
            await model.aclose()

    with Drawing() as server:
        found = asyncio.run(go(server.url))
    assert [_number(one.text.partition("STOP")[0]) for one in found.draws] == [0, 1, 2]
    assert not any(one.more for one in found.draws)


# How draws are gathered

REQUEST = Request((Message("user", "2 + 2"),), 16, 1.0)


class Sending:
    """Notes what is sent; a draw's text is its number. `ends`: raised, or waited for, by the next request."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.ends: list[BaseException | asyncio.Event] = []

    async def __call__(self, request: Request, draws: Sequence[int]) -> Response:
        assert request.n == len(draws)
        self.sent.append([*draws])
        end = self.ends.pop(0) if self.ends else None
        if isinstance(end, asyncio.Event):
            await end.wait()
        elif end is not None:
            raise end
        first, *more = (Response(str(draw)) for draw in draws)
        return dataclasses.replace(first, more=tuple(more))


def test_draws_of_two_prompts_are_not_mixed_and_what_comes_later_is_sent_later() -> None:
    async def go() -> tuple[list[str], list[list[int]]]:
        sending, shared = Sending(), SharedDraws({"chat"}, 3)
        asked = [shared.ask(REQUEST, key, draw, sending) for key in (b"a", b"b") for draw in range(4)]
        found = [one.text for one in await asyncio.gather(*asked)]
        found.append((await shared.ask(REQUEST, b"a", 4, sending)).text)
        return found, sorted(sending.sent)

    found, sent = asyncio.run(go())
    assert found == ["0", "1", "2", "3", "0", "1", "2", "3", "4"]
    assert sent == [[0, 1, 2], [0, 1, 2], [3], [3], [4]]


def test_if_the_draw_that_sends_is_cancelled_the_others_are_asked_again() -> None:
    async def go() -> tuple[list[str], list[list[int]]]:
        sending, shared = Sending(), SharedDraws({"chat"})
        sending.ends = [asyncio.Event()]
        tasks = [asyncio.create_task(shared.ask(REQUEST, b"a", draw, sending)) for draw in range(3)]
        while not sending.sent:
            await asyncio.sleep(0)
        tasks[0].cancel()
        return [one.text for one in await asyncio.gather(*tasks[1:])], sending.sent

    assert asyncio.run(go()) == (["1", "2"], [[0, 1, 2], [1, 2]])


def test_a_failure_is_that_of_each_draw_and_the_next_ones_share_again() -> None:
    async def go() -> tuple[list[Response | BaseException], list[list[int]]]:
        sending, shared = Sending(), SharedDraws({"chat"})
        sending.ends = [ProviderError("no")]
        asked = [shared.ask(REQUEST, b"a", draw, sending) for draw in range(2)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.gather(*(shared.ask(REQUEST, b"a", draw, sending) for draw in range(2)))
        return found, sending.sent

    found, sent = asyncio.run(go())
    assert [str(one) for one in found] == ["no", "no"]
    assert sent == [[0, 1], [0, 1]]


def test_a_prompt_that_is_refused_for_itself_does_not_keep_others_from_sharing() -> None:
    async def go() -> tuple[list[Response | BaseException], list[list[int]]]:
        sending, shared = Sending(), SharedDraws({"chat"})
        sending.ends = [Refusal("HTTP 400: bad picture", 400, b""), Refusal("HTTP 400: bad", 400, b"")]
        asked = [shared.ask(REQUEST, b"a", draw, sending) for draw in range(2)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.gather(*(shared.ask(REQUEST, b"b", draw, sending) for draw in range(2)))
        return found, sending.sent

    found, sent = asyncio.run(go())
    assert [str(one) for one in found] == ["HTTP 400: bad"] * 2
    assert sent == [[0, 1], [0], [0, 1]]


def test_two_samples_with_one_prompt_share_what_neither_sends_itself() -> None:
    async def go() -> tuple[list[str], list[list[int]]]:
        sending, shared = Sending(), SharedDraws({"chat"})
        asked = [shared.ask(REQUEST, b"a", draw, sending) for draw in (0, 1, 0, 1)]
        return [one.text for one in await asyncio.gather(*asked)], sending.sent

    assert asyncio.run(go()) == (["0", "1", "0", "1"], [[0], [0, 1]])


def test_only_sampled_draws_of_a_probed_route_share() -> None:
    shared = SharedDraws({"chat"})
    assert shared.may_share(REQUEST, 0)
    assert not shared.may_share(dataclasses.replace(REQUEST, temperature=0.0), 0)
    assert not shared.may_share(dataclasses.replace(REQUEST, prompt="2 + 2"), 0)
    assert not shared.may_share(REQUEST, -1)


def test_all_replicas_must_take_it(tmp_path: Path) -> None:
    with Drawing() as one, Drawing() as other:
        both = open_model("openai/x", base_url=[one.url, other.url])
        know(one, "chat")
        assert shared_draws(both, None) is None
        know(other, "chat", "completion")
        found = shared_draws(both, None)
    assert found is not None
    assert found.may_share(REQUEST, 0)
    assert not found.may_share(dataclasses.replace(REQUEST, prompt="2 + 2"), 0)
