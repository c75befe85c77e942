"""What only some backends do: tools and turns that have begun; refused early, sent, stored, replayed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from evalkit.engine.client import Asker, ModelClient, Stopped
from evalkit.engine.commits import Commits
from evalkit.engine.limiter import Limiter
from evalkit.engine.media import MediaCache
from evalkit.engine.plan import make_plan
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError, UsageError
from evalkit.models import Model, open_model
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.runfile.store import Store
from evalkit.samples import Message, Tool, ToolCall
from evalkit.session import run
from tests.made import sums
from tests.openai_server import OpenAIServer, calling
from tests.specs import cell_spec

CHAT = (Message("user", "What is 2 + 3?"),)
CALL = ToolCall("f", "{}", "1")
TURNS = (*CHAT, Message("assistant", "", (CALL,)), Message("tool", "5", tool_call_id="1"))
TOOL = Tool("calculate", "Works out a sum.", {"type": "object", "properties": {}})


def begun(folder: Path, needs: str = "()") -> str:
    """Sums whose answer the assistant has begun; `needs`: what the protocol says of it."""
    place = folder / str(len(list(folder.iterdir())))  # a file is imported once
    place.mkdir()
    path = Path(sums(place))
    text = path.read_text("utf-8")
    text = text.replace("+ sample.input),)", '+ sample.input), Message("assistant", "The sum is"))')
    text = text.replace('name="once",', f'name="once", needs={needs},')
    path.write_text(text, "utf-8")
    return f"{path}:sums:once"


def adds(payload: dict[str, Any], route: str) -> str:
    left, right = payload["messages"][0]["content"].split()[-3::2]
    assert payload["continue_final_message"] is True
    return f" {int(left) + int(right)}."


def test_a_turn_that_has_begun_is_sent_stored_and_replayed(tmp_path: Path) -> None:
    task = begun(tmp_path, "('prefill',)")
    with OpenAIServer(adds) as server:
        model = open_model("openai/tiny", base_url=server.url)
        first = run(model, task, output=tmp_path / "1.db", retries=1)
    again = run(f"replay/{tmp_path / '1.db'}", task, output=tmp_path / "2.db", retries=1)
    assert first.cells[0].value == again.cells[0].value == 100.0
    assert first.cells[0].signature == again.cells[0].signature


def test_what_a_protocol_says_it_needs_is_refused_before_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(prompt): return '5'\n")
    model = open_model(f"python:{tmp_path / 'mine.py'}:answer")
    with pytest.raises(
        UsageError, match=r"answer does not support prefill, which .*sums:once needs: it supports"
    ):
        make_plan(model, [begun(tmp_path, "('prefill',)")])
    with pytest.raises(UsageError, match="does not support tools and prefill"):
        make_plan(model, [begun(tmp_path, "('tools', 'prefill')")])
    with pytest.raises(UsageError, match="capability that sums:once needs 'prefil': did you mean prefill"):
        make_plan(model, [begun(tmp_path, "('prefil',)")])


def test_what_no_protocol_said_is_refused_at_the_request(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "mine.py").write_text(
        f"def answer(prompt):\n    open({str(asked)!r}, 'w')\n    return '5'\n", "utf-8"
    )
    with pytest.raises(Stopped, match="answer does not support prefill, which this needs") as stopped:
        run(f"python:{tmp_path / 'mine.py'}:answer", begun(tmp_path), output=tmp_path / "r.db", retries=1)
    assert stopped.value.usage
    assert not asked.exists()
    (tmp_path / "mine.py").write_text(
        "def answer(prompt):\n    assert prompt[-1].role == 'assistant'\n    return '5'\n"
        "answer.capabilities = ['prefill']\n",
        "utf-8",
    )
    model = f"python:{tmp_path / 'mine.py'}:answer"
    assert run(model, begun(tmp_path), output=tmp_path / "s.db", retries=1).cells[0].n > 0


def sent(model: Model, path: Path, *requests: Request) -> list[Response]:
    """By the way of a run's requests, into the run file at `path`, which may have the answers."""

    async def go() -> list[Response]:
        manifest = {"model": {"name": "any", "identity": {}}}
        store = Store.open(path, to_write=True) if path.exists() else Store.create(path, manifest)
        cell = store.cells()[0] if store.cells() else store.add_cell(cell_spec("sums", "once"))
        commits = Commits(store)
        line = ModelClient(model, commits, Limiter(2), RetryPolicy(2, 0.01), 0, MediaCache(store))
        try:
            return [await line.send(one, *one.encoded(), 0, Asker(cell, "s")) for one in requests]
        finally:
            line.close()
            commits.close()
            await model.aclose()
            store.close()

    return asyncio.run(go())


def test_tools_go_to_the_model_and_its_calls_into_the_run_file(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    request = Request(CHAT, 64, tools=(TOOL,))
    with OpenAIServer(lambda payload, route: calling(payload, ("calculate", '{"a": 2}'))) as server:
        (first,) = sent(open_model("openai/tiny", base_url=server.url), path, request)
        (again,) = sent(open_model("openai/tiny", base_url=server.url), path, request)
        assert len(server.requests) == 1
    assert first.tool_calls == again.tool_calls == (ToolCall("calculate", '{"a": 2}', "call-0"),)
    replay = open_model(f"replay/{path}")
    (replayed,) = sent(replay, tmp_path / "again.db", request)
    assert replayed == again


def test_a_scripted_model_calls_tools(tmp_path: Path) -> None:
    def script(request: Request, draw: int) -> Response:
        return Response("", tool_calls=tuple(ToolCall(tool.name, "{}") for tool in request.tools))

    (said,) = sent(FakeModel(script), tmp_path / "r.db", Request(CHAT, 64, tools=(TOOL, TOOL)))
    assert said.tool_calls == (ToolCall("calculate", "{}"),) * 2


def test_a_model_without_tools_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(prompt): return '5'\n")
    spec = f"python:{tmp_path / 'mine.py'}:answer"
    for number, request in enumerate((Request(CHAT, 8, tools=(TOOL,)), Request(TURNS, 8))):
        with pytest.raises(ProviderError, match="answer does not support tools, which this needs"):
            sent(open_model(spec), tmp_path / f"{number}.db", request)


def test_a_model_without_likelihoods_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(prompt): return '5'\n")
    model = open_model(f"python:{tmp_path / 'mine.py'}:answer")
    with pytest.raises(
        ProviderError, match=r"answer does not support likelihoods of texts \(echo\)"
    ) as failed:
        sent(model, tmp_path / "r.db", Request("2 + 3 =", 0, continuations=(" 5", " 6")))
    assert failed.value.fatal


def test_what_is_not_asked_for_changes_no_key() -> None:
    plain = Request(CHAT, 64)
    assert plain.body() == {
        "api": "chat",
        "prompt": [{"role": "user", "content": "What is 2 + 3?"}],
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": 1.0,
        "stop": [],
        "logprobs": 0,
    }
    with_tools = Request(CHAT, 64, tools=(TOOL,))
    described = {"name": "calculate", "description": "Works out a sum.", "parameters": dict(TOOL.parameters)}
    assert with_tools.body() == plain.body() | {"tools": [described]}
    assert Request(TURNS, 64).body()["prompt"] == [
        {"role": "user", "content": "What is 2 + 3?"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{}", "id": "1"}]},
        {"role": "tool", "content": "5", "tool_call_id": "1"},
    ]
    with pytest.raises(UsageError, match="tools need a chat"):
        Request("2 + 3 =", 8, tools=(TOOL,))
    assert hash(with_tools) == hash(Request(CHAT, 64, tools=(TOOL,)))
