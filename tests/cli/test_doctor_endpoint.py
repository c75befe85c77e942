"""`evalkit doctor --base-url`: what can be known of an endpoint before a run."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.openai_server import OpenAIServer
from tests.raw_server import RawServer, whole

KEY = "sk-made-0123456789abcdefghij"
CERTIFICATE = Path(__file__).parent.parent / "fixtures" / "self_signed.pem"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OTHER", "sk-other-9876543210zyxwvu")


def checked(cli: Cli, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    code, out, err = cli("doctor", *arguments, "--json")
    assert err == ""
    return code, {row["what"].rpartition(": ")[2]: row for row in json.loads(out)}


def test_an_endpoint_that_works(cli: Cli) -> None:
    with OpenAIServer(model="m-7") as server:
        code, found = checked(cli, "--base-url", server.url)
        assert code == 0
        assert all(row["works"] for row in found.values())
        assert found["models"]["detail"] == "1: m-7"
        assert "within a few seconds" in found["clock"]["detail"]
        assert "it answers: 5 small requests in" in found["m-7"]["detail"]
        assert [asked.payload["max_tokens"] for asked in server.requests] == [1] * 5
        _, out, _ = cli("doctor", "--base-url", server.url, "-m", "openai/other")
        assert "unknown model 'other'" in out


def test_a_key_that_is_refused_is_named_and_not_shown(cli: Cli) -> None:
    with OpenAIServer(model="m", api_key="sk-other-9876543210zyxwvu") as server:
        code, found = checked(cli, "--base-url", server.url)
        assert (code, found["key"]["works"]) == (2, False)
        assert found["key"]["fix"] == "export OPENAI_API_KEY=…, a key of this endpoint"
        assert KEY not in json.dumps(found)
        code, found = checked(cli, "--base-url", server.url, "--api-key-env", "OTHER")
        assert (code, "key" in found) == (0, False)


@pytest.fixture
def nowhere() -> Iterator[str]:
    with socket.socket() as bound:  # bound, and nobody listens
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


def test_nobody_there_tls_and_the_wrong_scheme(cli: Cli, nowhere: str) -> None:
    code, out, _ = cli("doctor", "--base-url", nowhere)
    assert (code, len(out.splitlines())) == (2, 1)
    assert "MISSING" in out
    assert "is the server up?" in out
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    with RawServer(tls=tls) as server:
        wrong = server.url.replace("https:", "http:")
        assert "write https://" in cli("doctor", "--base-url", wrong).out
        code, out, _ = cli("doctor", "--base-url", server.url.replace("http:", "https:"))
        assert code == 2
        assert "certificate" in out


def test_a_clock_that_differs_and_hostile_names(cli: Cli) -> None:
    late = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
    names = [f"{n}\x1b[2J\nok      forged" for n in range(7)]

    body = json.dumps({"data": [{"id": name} for name in names]}).encode()
    with RawServer() as server:
        server.listing = whole(200, body, f"Date: {late}\r\n")
        code, out, _ = cli("doctor", "--base-url", server.url)
    assert code == 0
    assert "2 hours behind this machine's" in out
    assert "fix: set this machine's clock" in out
    assert not any(line.startswith("ok      forged") for line in out.splitlines())
    assert "and 2 more" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--base-url", "http://me:secret-1@127.0.0.1/v1"), "contains a password"),
        (("--base-url", "http://127.0.0.1/v1?api_key=abc"), "contains a key (api_key=)"),
        (("--base-url", "127.0.0.1:8000"), "must be an http(s) address"),
        (("-m", "openai/m"), "-m needs --base-url"),
        (("--api-key-env", "X"), "--api-key-env needs --base-url"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], said: str, cli: Cli) -> None:
    code, out, err = cli("doctor", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert "secret-1" not in err
    assert "abc" not in err
