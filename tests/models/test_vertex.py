"""Gemini through Vertex AI: real google-auth, with a service account whose tokens come from the loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from evalkit.errors import ProviderError, UsageError
from evalkit.keys import redacted
from evalkit.models import open_model
from evalkit.models.base import Model, Request, Response
from evalkit.models.gemini import GeminiModel
from evalkit.samples import Message
from tests.gemini_server import GeminiServer

TOKEN = "ya29.c8d1f0b37e5a94624b7d"
ASKED = Request((Message("user", "How many legs has a spider?"),), 64)


class Tokens(ThreadingHTTPServer):
    """Google's token endpoint: a token for a signed assertion (RFC 7523), or an error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.granted = 0
        self.lifetime = 3600
        self.status = 200
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token"

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Answer(BaseHTTPRequestHandler):
    server: Tokens

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        assert form["assertion"][0].count(".") == 2
        answer = {"access_token": TOKEN, "expires_in": self.server.lifetime, "token_type": "Bearer"}
        if self.server.status != 200:
            answer = {"error": "invalid_grant", "error_description": "Account has been deleted"}
        self.server.granted += 1
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — its name in the base class
        """Says nothing."""


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    server = Tokens()
    yield server
    server.end()


@pytest.fixture
def account(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The credentials of a service account, as Google's console writes them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "account.json"
    written = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "1",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "tests@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": tokens.url,
    }
    file.write_text(json.dumps(written), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return file


def at_once(model: Model, count: int) -> list[Response]:
    async def asking() -> list[Response]:
        try:
            return await asyncio.gather(*(model.generate(ASKED) for _ in range(count)))
        finally:
            await model.aclose()

    return asyncio.run(asking())


@pytest.mark.slow
def test_requests_carry_one_token_that_is_renewed_when_it_ends(account: Path, tokens: Tokens) -> None:
    with GeminiServer(api_key=TOKEN) as server:
        model = open_model("gemini/tiny?vertex=my-project/europe-west4", base_url=server.url)
        assert [one.text for one in at_once(model, 4)] == ["How many legs has a spider?"] * 4
        assert tokens.granted == 1
        headers = server.requests[0].headers
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert "x-goog-api-key" not in headers
        assert TOKEN not in redacted(f"The server says {TOKEN}.")
        tokens.lifetime = 1  # google-auth renews a token some minutes before its end
        model = open_model("gemini/tiny?vertex=my-project/europe-west4", base_url=server.url)
        at_once(model, 1)
        at_once(model, 1)
        assert tokens.granted == 3


@pytest.mark.slow
def test_an_account_that_is_gone_ends_the_run(account: Path, tokens: Tokens) -> None:
    tokens.status = 400
    with GeminiServer(api_key=TOKEN) as server:
        model = open_model("gemini/tiny?vertex=my-project/global", base_url=server.url)
        with pytest.raises(ProviderError, match=r"Google's token cannot be renewed: .*deleted") as refused:
            at_once(model, 1)
    assert refused.value.fatal
    assert "gcloud auth application-default login" in str(refused.value)
    assert not server.requests


def test_the_address_is_that_of_the_location(account: Path) -> None:
    for location, host in (("europe-west4", "europe-west4-"), ("global", "")):
        model = open_model(f"gemini/gemini-2.5-pro?vertex=my-project/{location}")
        assert isinstance(model, GeminiModel)
        assert model.base_url == (
            f"https://{host}aiplatform.googleapis.com/v1/projects/my-project/locations/{location}"
            "/publishers/google"
        )
        assert model._route(ASKED) == "models/gemini-2.5-pro:generateContent"
        assert model.name == f"gemini/gemini-2.5-pro?vertex=my-project/{location}"


@pytest.mark.parametrize("vertex", ["my-project", "my-project/", "a/b/c", "a@evil.example/x", "a/..", ""])
def test_what_is_no_project_and_location(account: Path, vertex: str) -> None:
    with pytest.raises(UsageError, match="must be PROJECT/LOCATION, such as my-project/europe-west4"):
        open_model(f"gemini/tiny?vertex={vertex}")


def test_credentials_that_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/account.json")
    with pytest.raises(UsageError, match="run gcloud auth application-default login, or set GOOGLE_APPL"):
        open_model("gemini/tiny?vertex=my-project/global")
