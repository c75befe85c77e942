"""Addresses of endpoints as people type them, redirects, proxies and keys, over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.address import parse_address, redirected
from evalkit.models.base import Request
from evalkit.models.openai import OpenAIModel
from evalkit.models.transcribe import TranscriptionModel
from evalkit.samples import Audio, Message, Speech
from tests.openai_server import OpenAIServer

ASKED = Request((Message("user", "Which river runs through the old town?"),), 64)
KEY = "sk-made-up-0123456789"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def ask(model: Any, request: Request = ASKED, times: int = 1) -> str:
    async def asking() -> str:
        try:
            return [str((await model.generate(request)).text) for _ in range(times)][-1]
        finally:
            await model.aclose()

    return asyncio.run(asking())


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/chat/completions", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/chat/completions/", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/completions", "http://h:8000/v1/chat/completions"),
        ("https://n.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
         "https://n.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"),
        ("https://n.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
         "https://n.openai.azure.com/openai/deployments/d/chat/completions?api-version=1"),
        ("http://127.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)  # fmt: skip
def test_where_a_request_goes(typed: str, sent: str) -> None:
    assert parse_address(typed).route("chat/completions") == sent


@pytest.mark.parametrize("name", ["key", "api_key", "subscription-key", "access_token", "code", "sig"])
def test_a_key_in_an_address_would_be_stored_and_is_refused(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"contains a key .{name}=.: put the key into OPENAI_API_KEY"
    ) as refused:
        parse_address(f"http://h/v1?{name}=hunter2")
    assert "hunter2" not in str(refused.value)


def test_the_query_is_sent_and_kept() -> None:
    with OpenAIServer() as server:
        model = OpenAIModel("tiny", f"{server.url}/chat/completions?api-version=2024-10-21")
        ask(model)
        assert model.identity["endpoint"] == f"{server.url}?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.1")),
        *((host, True) for host in ("127.8.9.1", "0.0.0.0",
          "[::1]", "[::]", "[::ffff:127.0.0.1]", "localhost.")),
        (socket.gethostname(), True),
        *((host, False) for host in ("10.0.0.1", "localhost.example", "example.org", "[2001:db8::1]")),
    ],
)  # fmt: skip
def test_which_addresses_are_this_machine(host: str, local: bool) -> None:
    assert parse_address(f"http://{host}:8000/v1").is_local is local


@pytest.mark.parametrize("host", ["0.0.0.0", "127.1", "localhost"])
def test_no_proxy_is_between_two_programs_of_one_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(lambda *_: "by proxy") as proxy, OpenAIServer(lambda *_: "directly") as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        assert ask(OpenAIModel("tiny", server.url.replace("127.0.0.1", host))) == "directly"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/chat", "http://h:8000/v2/chat"),
        ("http://h:8000/v2", "http://h:8000/v2"),
        ("https://h/v1", "https://h/v1"),
        ("http://h:9000/v1", None),
        ("http://other:8000/v1", None),
        ("https://me@h/v1", None),
        ("http://h:99999/v1", None),
    ],
)
def test_which_redirects_are_followed(location: str, target: str | None) -> None:
    assert redirected("http://h:8000/v1/chat", location) == target
    assert redirected("https://h/v1/chat", "http://h/v1/chat") is None  # the key would be readable


class Moved(OpenAIServer):
    """Redirects every address that does not end in a slash to the one that does, as some frameworks do."""

    status = 307

    async def _start(self) -> None:
        self.routes = ()
        await super()._start()

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.paths.append(request.path)
        if not request.path.endswith("/"):
            return web.Response(status=self.status, headers={"Location": request.path + "/"})
        if "audio" in request.path:
            form = await request.post()
            return web.json_response({"text": str(form["model"])})
        return web.json_response({"choices": [{"message": {"content": "the Elm"}, "finish_reason": "stop"}]})

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_a_host_is_followed_and_remembered(status: int) -> None:
    with Moved() as server:
        server.status = status
        assert ask(OpenAIModel("tiny", server.url), times=2) == "the Elm"
        assert len(server.paths) == 3
        clip = Request(Speech(Audio(b"RIFF")), 8)
        assert ask(TranscriptionModel("tiny", server.url), clip) == "tiny"


def test_another_redirect_is_named() -> None:
    with Moved() as server:
        server.status = 302
        with pytest.raises(ProviderError, match=r"HTTP 302 .*redirects to http://.*/completions/: give that"):
            ask(OpenAIModel("tiny", server.url))


def test_each_endpoint_has_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-usual-one")
    monkeypatch.setenv("OTHER_KEY", KEY)
    with OpenAIServer(api_key=KEY) as server:
        ask(open_model("openai/tiny", base_url=server.url, key_env="OTHER_KEY"))
        with pytest.raises(ProviderError, match="is OPENAI_API_KEY right"):
            ask(open_model("openai/tiny", base_url=server.url))
    with pytest.raises(UsageError, match="no key in the variable NO_KEY: set it"):
        open_model("openai/tiny", base_url=server.url, key_env="NO_KEY")
    with pytest.raises(UsageError, match=r"can be used with openai/, .* and \d+ others .*, not with fake/"):
        open_model("fake/gold", key_env="OTHER_KEY")


@pytest.mark.parametrize(
    ("url", "key", "header"),
    [
        ("http://127.0.0.1:8000/v1", KEY, ("Authorization", f"Bearer {KEY}")),
        ("https://n.openai.azure.com/openai/v1", KEY, ("api-key", KEY)),
        ("https://n.openai.azure.com/openai/v1", "eyJ0eXAi", ("Authorization", "Bearer eyJ0eXAi")),
        ("https://azure.com.example/v1", KEY, ("Authorization", f"Bearer {KEY}")),
    ],
)
def test_azure_has_its_own_header(
    url: str, key: str, header: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)

    async def headers() -> dict[str, str]:
        model = OpenAIModel("tiny", url)
        try:
            return dict(model._endpoint._open_session().headers)
        finally:
            await model.aclose()

    assert asyncio.run(headers()) == dict([header])
