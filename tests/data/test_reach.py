"""Whether the Hub can be reached: directly, at another address, through a proxy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.data.reach import reach
from tests.processes import start

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HF_ENDPOINT", "HF_HUB_OFFLINE")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*_NAMES, "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def server(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Answers every request, also a proxy's; yields its address and what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_CONNECT = do_HEAD  # noqa: N815 — the name that the library looks for

        def log_message(self, *args: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}", asked
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 302, 401, 404])
def test_an_endpoint_that_answers_is_reached(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with server(status) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", f"{url}/")
        assert reach() == ("", f"{url} (tried HEAD {url} without a proxy)")
    assert asked == ["HEAD /"]


@pytest.mark.slow
def test_through_a_proxy_where_the_hub_itself_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (proxy, asked):
        address = proxy.removeprefix("http://")
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{address}")
        reason, said = reach()
        assert not reason
        assert said == f"http://hub.invalid (tried HEAD http://hub.invalid through HTTP_PROXY {proxy})"
    assert asked == ["HEAD http://hub.invalid/"]


@pytest.mark.slow
def test_https_is_asked_of_the_proxy_and_its_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(403) as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        reason, said = reach()
    assert reason.endswith("cannot be reached")
    assert asked == ["CONNECT huggingface.co:443"]
    assert said.startswith("403")
    assert f"through HTTPS_PROXY {proxy}" in said


@pytest.mark.slow
@pytest.mark.parametrize("status", [407, 502, 504])
def test_what_a_proxy_answers_itself_is_not_the_hub(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with server(status) as (proxy, _):
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("ALL_PROXY", proxy)
        reason, said = reach()
    assert reason.endswith("cannot be reached")
    assert f"HTTP {status}" in said


@pytest.mark.slow
def test_no_proxy_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        reason, said = reach()
    assert not reason
    assert "directly" in said
    assert asked == ["HEAD /"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://", "no address", "http://[::bad", "ftp://x"])
def test_an_address_where_nothing_answers(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    reason, said = reach()
    assert reason.endswith("cannot be reached")
    assert said


def test_offline_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert reach() == ("HF_HUB_OFFLINE is set", "only what is cached")


@pytest.mark.slow
def test_a_hub_that_says_nothing_ends_a_command(tmp_path: Path) -> None:
    """Two of its requests are waited for, one for `HF_HUB_ETAG_TIMEOUT` and one for httpx's 5 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(
            "run", "-m", "fake/gold", "-t", "gsm8k", "-o", tmp_path / "run.db",
            HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            HF_HOME=str(tmp_path), HF_HUB_ETAG_TIMEOUT="1", HF_HUB_DOWNLOAD_TIMEOUT="1",
        )  # fmt: skip
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.startswith("evalkit: cannot download openai/gsm8k")
    assert "(ReadTimeout)" in said
    assert said.count("\n") == 1
