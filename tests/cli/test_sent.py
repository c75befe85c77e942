"""What a run sends to its endpoint, and what its file and table say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit import run
from evalkit.benchmark.task import load_task
from evalkit.engine.cell import branch_of
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli
from tests.graded import essays
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, arithmetic


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "JUDGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def cell(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)["cells"][0]
    return found


def command(server: OpenAIServer, task: str, model: str = "openai/m") -> tuple[str, ...]:
    return ("run", "-m", model, "--base-url", server.url, "-t", task)


def test_a_sampled_request_says_top_p_and_a_greedy_one_is_as_it_was(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path, 2)
    with OpenAIServer() as server:
        cli(*command(server, f"{task}:sums:maj"), "-o", tmp_path / "s.db")
        assert {asked.payload["top_p"] for asked in server.requests} == {1.0}
        server.requests.clear()
        greedy = cell(cli(*command(server, task), "--json", "-o", tmp_path / "g.db").out)
        assert not {"top_p", "top_k"} & server.requests[0].payload.keys()
    assert not {"top_k", "extra", "system", "min_p"} & greedy["signature"]["parts"].keys()
    with Store.open(tmp_path / "g.db") as store:
        (body,) = store.connection.execute("SELECT body FROM request LIMIT 1").fetchone()
    names = {"api", "prompt", "max_tokens", "temperature", "top_p", "stop", "logprobs"}
    assert json.loads(body).keys() == names  # so that answers stored before are found again


def test_what_is_set_is_sent_and_signed(cli: Cli, tmp_path: Path) -> None:
    sets = {
        "top_k": "20", "min_p": "0.1", "repetition_penalty": "1.05", "presence_penalty": "0.5",
        "frequency_penalty": "0", "system": "Be brief.",
        "extra.chat_template_kwargs.enable_thinking": "false",
        "extra.chat_template_kwargs.depth": "2", "extra.note": "a word", "extra.list": '["a", 1]',
    }  # fmt: skip
    settings = [word for key, text in sets.items() for word in ("--set", f"{key}={text}")]
    with OpenAIServer() as server:
        asked = (*command(server, sums(tmp_path, 2)), "--json")
        found = cell(cli(*asked, *settings, "-o", tmp_path / "r.db").out)
        sent = server.requests[0].payload
        extra = {
            "chat_template_kwargs": {"enable_thinking": False, "depth": 2},
            "note": "a word",
            "list": ["a", 1],
        }
        penalties = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.05, "presence_penalty": 0.5}
        assert sent.items() >= {**extra, **penalties, "frequency_penalty": 0}.items()
        assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
        parts = found["signature"]["parts"]
        assert parts.items() >= {**penalties, "extra": extra, "system": "Be brief."}.items()
        count = len(server.requests)
        assert cli(*asked, *settings, "-o", tmp_path / "r.db").code == 0
        assert len(server.requests) == count  # resumed: every answer is there
        assert "holds another run" in cli(*asked, "-o", tmp_path / "r.db").err
        table = run(
            "openai/m", sums(tmp_path, 2), base_url=server.url, output=tmp_path / "p.db",
            settings={"extra.chat_template_kwargs": {"enable_thinking": False}, "extra.flag": True},
        )  # fmt: skip
        assert server.requests[-1].payload["chat_template_kwargs"] == {"enable_thinking": False}
        assert server.requests[-1].payload["flag"] is True
        assert table.cells[0].signature.parts["extra"]


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("openai/m", ["extra.temperature=1"], "temperature is decided by --set temperature"),
        ("openai/m", ["extra.stream=true"], "stream is decided by"),
        ("openai/m", ["extra.=1"], r"must be extra.KEY=VALUE"),
        ("openai/m", ["extra.a=1", "extra.a.b=2"], "a already has the value 1"),
        ("openai/m", ["extra.a.b=1", "extra.a={}"], "a already has a value"),
        ("openai/m", ["top_k=many"], "top_k=many: must be an integer"),
        ("openai/m", ["min_p=nan"], "min_p must be a finite number"),
        ("openai/m", ["system=Be brief.", "api=completion"], "system needs api=chat"),
        ("openai/m", ["enable_thinking=false"], "--set extra.enable_thinking=false would put it into each"),
        ("PY", ["extra.note=1"], "cannot send --set extra.note: only a backend with the capability extra"),
        ("PY", ["top_k=4"], "cannot send --set top_k"),
        ("openai/m?top_k=4", [], "openai/m has no options: --set extra.KEY=VALUE"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(
    model: str, settings: list[str], said: str, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def talks(prompt):\n    return '7'\n")
    model = model.replace("PY", f"python:{file}:talks")
    words = [word for setting in settings for word in ("--set", setting)]
    code, _, err = cli("run", "-m", model, "-t", sums(tmp_path, 2), *words, "-o", tmp_path / "r.db")
    assert code == 2
    assert said in err


def test_a_benchmark_with_a_system_message_of_its_own_gets_no_other(cli: Cli, tmp_path: Path) -> None:
    task = Path(sums(tmp_path, 2))
    task.write_text(task.read_text().replace('(Message("user"', '(Message("system", "Sum."), Message("user"'))
    code, _, err = cli(
        "run", "-m", "openai/m", "-t", task, "--set", "system=Be brief.", "-o", tmp_path / "r.db"
    )
    assert code == 2
    assert "already has a system message" in err


def test_the_table_and_the_signature_say_what_was_really_sent(cli: Cli, tmp_path: Path) -> None:
    def refusing(payload: Payload, route: str) -> str | web.Response:
        for name in ("temperature", "stop"):
            if name in payload:
                error = {"message": f"'{name}' is not supported with this model.", "param": name}
                return web.json_response({"error": error}, status=400)
        return arithmetic(payload, route)

    with OpenAIServer(refusing) as server:
        task = sums(tmp_path, 4)
        more = ("--set", "stop=Q:")
        code, out, _ = cli(*command(server, task), *more, "-o", tmp_path / "r.db", "--json")
        assert code == 0
        found = cell(out)
        assert found["value"] == 100.0
        assert found["signature"]["parts"]["temperature"] == "the endpoint's default"
        assert found["departures"] == [
            "the endpoint does not take temperature 0: asked at its default",
            "the endpoint takes no stop sequences: evalkit cut the responses itself",
        ]
        replayed = ("run", "-m", f"replay/{tmp_path / 'r.db'}", "-t", task, *more, "--json")
        assert cell(cli(*replayed, "-o", tmp_path / "again.db").out)["signature"] == found["signature"]
        assert "asked at its default" in " ".join(cli("report", tmp_path / "r.db").out.split())
        code, _, err = cli(*command(server, task), *more, "--set", "temperature=0.5", "-o", tmp_path / "s.db")
        assert code == 2
        assert "does not take temperature 0.5, which the protocol asks for: use --set temperature=1" in err


def test_an_endpoint_that_moved_is_resumed_when_the_user_says_so(cli: Cli, tmp_path: Path) -> None:
    task, into = sums(tmp_path, 4), ("-o", tmp_path / "r.db")
    with OpenAIServer() as old, OpenAIServer() as new:
        assert cli(*command(old, task), *into).code == 0
        code, _, err = cli(*command(new, task), *into)
        assert code == 2
        assert f"{old.url} in the file, {new.url} now (if it is the same model at another address" in err
        assert cli(*command(new, task), *into, "--same-model").code == 0
        assert cli(*command(new, task), *into).code == 0  # it was said once
        assert not new.requests
        other = cli(*command(new, task, "openai/n"), *into, "--same-model")
        assert "model model: m in the file, n now" in other.err
        with Store.open(tmp_path / "r.db") as store:
            assert [move["endpoint"] for move in store.manifest["moves"]] == [new.url]
            assert store.manifest["model"]["identity"]["endpoint"] == old.url


def test_a_model_of_ones_own_that_moved_is_resumed_too(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def talks(prompt, *, base_url):\n    return '7'\n")
    mine = ("run", "-m", f"python:{file}:talks", "-t", sums(tmp_path, 2), "-o", tmp_path / "r.db")
    assert cli(*mine, "--base-url", "http://old:1/v1").code == 0
    assert cli(*mine, "--base-url", "http://new:2/v1").code == 2
    assert cli(*mine, "--base-url", "http://new:2/v1", "--same-model").code == 0


def test_a_judge_that_moved_is_resumed_when_the_user_says_so(cli: Cli, tmp_path: Path) -> None:
    def graded(payload: Payload, route: str) -> str:
        return "grade: 3"

    task, into = essays(tmp_path, 3), ("-o", tmp_path / "r.db")
    with OpenAIServer(graded) as old, OpenAIServer(graded) as new:
        asked = (*command(old, task), *into, "--judge", "openai/j", "--judge-base-url")
        assert cli(*asked, old.url).code == 0
        code, _, err = cli(*asked, new.url)
        assert code == 2
        assert "if it is the same model at another address, add --same-model" in err
        assert cli(*asked, new.url, "--same-model").code == 0
        assert cli(*asked, new.url).code == 0  # it was said once
        assert not new.requests
        other = ["openai/k" if word == "openai/j" else word for word in asked]
        assert "holds another run" in cli(*other, new.url, "--same-model").err
    with Store.open(tmp_path / "r.db") as store:
        (move,) = store.manifest["judge moves"]
        assert (move["judge"], move["endpoint"]) == ("judge", new.url)


def test_a_protocol_that_is_fallen_back_to_is_asked_in_the_same_way() -> None:
    mmlu = load_task("mmlu")
    routed = next(protocol for protocol in mmlu.protocols if protocol.fallback)
    name = next(name for name in routed.fallback if mmlu.protocol(name).api == "chat")
    assert branch_of(mmlu, routed, name) == mmlu.protocol(name)
    given = {"system": "Be brief.", "extra.note": "1", "presence_penalty": "0", "temperature": "0.9"}
    branch = branch_of(mmlu, routed.override(given), name)
    assert (branch.parameters, branch.system) == ({"presence_penalty": 0.0, "note": 1}, "Be brief.")
    continued = next(name for name in routed.fallback if mmlu.protocol(name).api == "completion")
    assert branch_of(mmlu, routed.override(given), continued).system == ""  # which has no messages
    assert branch.temperature == mmlu.protocol(name).temperature  # what is not about the endpoint stays


def test_a_judge_has_a_key_of_its_own(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-model")
    monkeypatch.setenv("GRADER_KEY", "sk-of-the-grader")
    with OpenAIServer(lambda payload, route: "grade: 3") as server:
        graded = command(server, essays(tmp_path))
        judge = ("--judge", "openai/j", "--judge-base-url", server.url)
        keys = []
        for number, more in enumerate(((), ("--judge-api-key-env", "GRADER_KEY"), ())):
            if number == 2:
                monkeypatch.setenv("JUDGE_API_KEY", "sk-of-the-judge")
            server.requests.clear()
            assert cli(*graded, *judge, *more, "-o", tmp_path / f"{number}.db").code == 0
            sent = {(asked.payload["model"], asked.headers["Authorization"]) for asked in server.requests}
            keys.append({model: key.removeprefix("Bearer sk-of-the-") for model, key in sent})
        assert keys == [
            {"m": "model", "j": "model"},
            {"m": "model", "j": "grader"},
            {"m": "model", "j": "judge"},
        ]
    assert (
        "needs --judge MODEL"
        in cli(*graded, "--judge-api-key-env", "GRADER_KEY", "-o", tmp_path / "x.db").err
    )
