"""Names and passwords in addresses (of proxies and mirrors) are in no run file, log, page or screen."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evalkit import keys
from evalkit.keys import hide_environment, redacted
from evalkit.processes.workers import Workers
from tests.cli.test_keys import unpacked
from tests.made import sums

PASSWORD = "Pr0xy-pass-4711"
LOGIN = f"eva:{PASSWORD}"
BASIC = base64.b64encode(LOGIN.encode()).decode().rstrip("=")
SECRETS = (PASSWORD, BASIC)


class Proxy:
    """A proxy that answers every request with what it was sent, first with a 200, then with errors."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heard.append(head)
        login = head.lower().partition("proxy-authorization: basic ")[2]
        said = f"{head} {login} {base64.b64decode(self._basic(head)).decode()}"
        if head.startswith("POST") and sum(one.startswith("POST") for one in self.heard) % 2:
            message = {"role": "assistant", "content": f"The answer is 0. {said}"}
            status, body = "200 OK", json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
        else:
            status, body = "407 Proxy Authentication Required", json.dumps({"error": {"message": said}})
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    @staticmethod
    def _basic(head: str) -> str:
        for line in head.splitlines():
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization":
                return value.partition(" ")[2]
        return ""

    def __enter__(self) -> Proxy:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = f"http://{LOGIN}@127.0.0.1:{port}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_nowhere(scheme: str, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k != "OPENAI_API_KEY"}
    with Proxy() as proxy:
        environment = {**kept, "http_proxy": proxy.url, "https_proxy": proxy.url, "HF_ENDPOINT": proxy.url}
        said = ""

        def call(*arguments: object) -> None:
            nonlocal said
            command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
            done = subprocess.run(
                command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(Path.cwd())},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert "Traceback" not in done.stderr
            said += done.stdout + done.stderr

        url = f"{scheme}://model.invalid/v1"
        call("doctor", "--base-url", url)
        call("run", "-m", "openai/m", "--base-url", url, "-t", sums(tmp_path, 4), "--retries", 0,
             "-o", "r.db", "--log-file", "l.jsonl", "--concurrency", 1, "--only", "0 + 0", "-v")  # fmt: skip
        call("run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "-o", "d.db")  # the data, by HF_ENDPOINT
        if (tmp_path / "r.db").exists():
            call("report", "r.db", "-o", "page.html")
            call("export", "r.db", "-o", "e.jsonl")
        assert any(BASIC in head for head in proxy.heard)
    assert "[http_proxy]" in said or "[https_proxy]" in said or scheme == "https"
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    texts = {"the screen": said}
    for path, data in files.items():
        texts[path.name] = unpacked(data) if path.suffix == ".html" else data.decode("utf-8", "replace")
    assert "l.jsonl" in texts
    for where, text in texts.items():
        assert [secret for secret in SECRETS if secret in text] == [], where


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(keys, "_names", {})
    monkeypatch.setattr(keys, "_whole", set())
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value", "text", "shown"),
    [
        ("HTTPS_PROXY", "http://me:secret@proxy:3128", "via http://me:secret@proxy:3128", "via http://[HTTPS_PROXY]@proxy:3128"),
        ("https_proxy", "me:secret@proxy:3128", "me:secret@", "[https_proxy]@"),
        ("ALL_PROXY", "socks5://me:p%40ss-word1@h", "p@ss-word1 p%40ss-word1", "[ALL_PROXY] [ALL_PROXY]"),
        ("HF_ENDPOINT", "https://x:T0ken-9876@mirror/", "T0ken-9876", "[HF_ENDPOINT]"),
        ("OPENAI_BASE_URL", "https://T0ken-9876@host/v1", "T0ken-9876", "[OPENAI_BASE_URL]"),
        ("SOME_API_KEY", "abc-0123456789-DEF", "it is abc-0123456789-DEF", "it is [SOME_API_KEY]"),
        # A user's name may be a word of answers. A proxy without a password and an address of mail are none.
        ("HTTP_PROXY", "http://evaluation-team-of-us:x1@h", "evaluation-team-of-us", "evaluation-team-of-us"),
        ("HTTP_PROXY", "http://proxy.example:3128", "proxy.example:3128", "proxy.example:3128"),
        ("MAIL", "someone-0815@example.org", "someone-0815", "someone-0815"),
        ("NOTES", "see http://host/path?to=a@b", "http://host/path?to=a", "http://host/path?to=a"),
    ],
)  # fmt: skip
def test_what_of_an_address_is_hidden(
    name: str, value: str, text: str, shown: str, fresh: pytest.MonkeyPatch
) -> None:
    fresh.setenv(name, value)
    hide_environment()
    assert redacted(text) == shown


@pytest.mark.parametrize("where", ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_hubs_key_in_its_file_is_hidden(where: str, fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", *keys.HUB):
        fresh.delenv(name, raising=False)
    below = {"HF_TOKEN_PATH": "mine", "HF_HOME": "token", "XDG_CACHE_HOME": "huggingface/token"}
    file = tmp_path / below[where]
    file.parent.mkdir(exist_ok=True)
    file.write_text("hf_Ab3dEf0123456789xyz\n", encoding="utf-8")
    fresh.setenv(where, str(file if where == "HF_TOKEN_PATH" else tmp_path))
    hide_environment()
    assert redacted("token hf_Ab3dEf0123456789xyz") == "token [HF_TOKEN]"
    file.write_bytes(b"\xff\xfe")
    hide_environment()


def test_a_worker_has_no_variable_with_a_secret(fresh: pytest.MonkeyPatch) -> None:
    """A real process of the class that SymPy, videos and learned scorers run in."""
    secrets = {
        "HTTPS_PROXY": f"http://{LOGIN}@h:1", "no_such_url": f"https://{LOGIN}@h/", "HF_TOKEN": "hf_a1a1a1a1",
        "ANTHROPIC_API_KEY": "sk-ant-0123456789", "AWS_SECRET_ACCESS_KEY": "a" * 30, "MY_APIKEY": "x1" * 9,
        "SSH_AUTH_SOCK": "/tmp/agent", "GH_TOKEN": "ghp_0123456789",
    }  # fmt: skip
    for name, value in secrets.items():
        fresh.setenv(name, value)
    fresh.setenv("HTTP_PROXY", "http://plain:3128")

    async def seen(kept: tuple[str, ...]) -> set[str]:
        workers = Workers(count=1, keys=kept)
        try:
            return {*await workers.call(environment_names)}
        finally:
            workers.close()

    found = asyncio.run(seen(()))
    assert not found & secrets.keys()
    assert {"HTTP_PROXY", "PATH"} <= found
    assert asyncio.run(seen(("HF_TOKEN", "HTTPS_PROXY"))) & secrets.keys() == {"HF_TOKEN", "HTTPS_PROXY"}


def environment_names() -> list[str]:
    return [*os.environ]
