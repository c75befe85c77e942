"""A key that a server or a library repeats reaches no run file, no export, no page and no screen."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from evalkit.keys import hide, redacted, without_keys
from tests.openai_server import CHAT, OpenAIServer, Payload, answer

KEY = 'sk-made-"7Qx/2vLw+9TzB\\4rKd8Hn'
"""With characters that JSON and addresses escape."""
PLACEHOLDERS = ("EMPTY", "none", "not-needed", "no-key-required")


def everywhere(text: str) -> str:
    """Each character as JSON's escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


def in_json(document: Payload) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), content_type="application/json")


def error(message: str, status: int = 400) -> web.Response:
    return web.Response(
        body=json.dumps({"error": {"message": message}}).encode(),
        status=status,
        content_type="application/json",
    )


def said(payload: Payload, text: str, **message: Any) -> Payload:
    return answer(payload, CHAT, text, **message)


ECHOES: dict[str, Callable[[Payload], str | Payload | web.Response]] = {
    "an answer": lambda payload: f"My key is {KEY}.",
    "an answer's part": lambda payload: f"It begins with {KEY[:17]} and ends with {KEY[-14:]}.",
    "an answer's escapes": lambda payload: f"{everywhere(KEY)} or {quote(KEY, safe='')}",
    "an answer in base64": lambda payload: base64.b64encode(KEY.encode()).decode(),
    "reasoning": lambda payload: said(payload, "D", reasoning_content=f"Authorization: Bearer {KEY}"),
    "a tool call": lambda payload: said(
        payload, "", tool_calls=[{"id": "1", "function": {"name": KEY, "arguments": json.dumps({"k": KEY})}}]
    ),
    "the model's name": lambda payload: {
        **answer(payload, CHAT, "D"),
        "model": KEY,
        "system_fingerprint": KEY,
    },
    "an error": lambda payload: error(f"Incorrect API key provided: {KEY}"),
    "an error in JSON in JSON": lambda payload: error(json.dumps({"headers": {"authorization": KEY}})),
    "an error's escapes": lambda payload: error(everywhere(KEY)),
    "an error's part": lambda payload: error(f"no model for {KEY[:20]}…"),
    "no JSON": lambda payload: web.Response(text=f"<p>{KEY}</p>", status=200),
    "another shape": lambda payload: in_json({"choices": KEY}),
    "a redirect": lambda payload: web.Response(
        status=307, headers={"Location": f"https://other.invalid/?key={quote(KEY)}"}
    ),
}


@pytest.fixture(scope="module")
def leaking() -> Iterator[OpenAIServer]:
    """A server that repeats the key in the next way with each question."""
    turns = itertools.cycle(ECHOES.values())
    with OpenAIServer(lambda payload, route: next(turns)(payload)) as server:
        yield server


def pieces(text: str) -> list[str]:
    return [text[at : at + 12] for at in range(len(text) - 11)]


def leaks(shown: str) -> list[str]:
    """What of the key can be read in a text, also after unescaping once or twice."""
    forms = [shown]
    for _ in range(2):
        forms.append(re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), forms[-1]))
        forms.append(forms[-1].replace('\\"', '"').replace("\\\\", "\\"))
    basic = base64.b64encode(KEY.encode()).decode().rstrip("=")
    wanted = [*pieces(KEY), *pieces(quote(KEY, safe="")), basic]
    return [piece for piece in wanted if any(piece in form for form in forms)]


def unpacked(page: bytes) -> str:
    """A page's text with what is compressed in it."""
    parts = [page.decode()]
    for packed in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", page):
        with_padding = packed + b"=" * (-len(packed) % 4)
        data = base64.b64decode(with_padding)
        if data[:2] == b"\x1f\x8b":
            parts.append(gzip.decompress(data).decode())
    return "\n".join(parts)


@pytest.mark.slow
def test_no_echo_of_a_key_is_kept_or_shown(leaking: OpenAIServer, tmp_path: Path) -> None:
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "HF_TOKEN": "hf_0123456789abcdefghij"}

    def call(*arguments: object) -> None:
        command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert leaks(done.stdout + done.stderr) == [], arguments

    for number in range(2):
        call(
            "run", "-m", "openai/any", "--base-url", leaking.url, "-t", "mmlu:5-shot-chat", "--data",
            "builtin", "-o", f"{number}.db", "--retries", 0, "--concurrency", 1,
        )  # fmt: skip
    assert len(leaking.requests) >= 2 * len(ECHOES)
    call("report", "0.db")
    call("report", "0.db", "--disputes")
    call("compare", "0.db", "1.db")
    call("report", "0.db", "1.db", "-o", "page.html")
    for number, arguments in enumerate(
        [(), ("--format", "csv"), ("--format", "lm-eval"), ("--format", "inspect"), ("--slim",)]
    ):
        call("export", "0.db", *arguments, "-o", f"export-{number}{'.db' if '--slim' in arguments else ''}")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 7
    for file in files:
        data = file.read_bytes()
        shown = unpacked(data) if file.suffix == ".html" else data.decode("utf-8", "replace")
        assert leaks(shown) == [], file
        assert file.suffix != ".html" or "[OPENAI_API_KEY]" in shown


@pytest.mark.parametrize("kind", ECHOES)
def test_the_echoes_hold_the_key(kind: str) -> None:
    """Otherwise the test above could not fail."""
    made = ECHOES[kind]({"model": "any", "messages": [{"role": "user", "content": "?"}]})
    if isinstance(made, web.Response):
        shown = f"{bytes(made.body or b'').decode()} {made.headers.get('Location', '')}"  # type: ignore[arg-type]
    else:
        shown = json.dumps(made)
    assert leaks(shown)


def test_what_is_replaced() -> None:
    hide("Ab3-whole-key-0123456789", "A_KEY")
    hide("tiny-k3y", "SMALL")
    for name in PLACEHOLDERS:
        hide(name, "NEVER")
        assert redacted(f"it is {name}") == f"it is {name}"
    assert redacted("x Ab3-whole-key-0123456789 y, key-0123456789.") == "x [A_KEY] y, [A_KEY]."
    assert redacted("Ab3-whole-k and key-0123456") == "Ab3-whole-k and key-0123456", (
        "eleven characters are no part"
    )
    assert redacted("tiny-k3y tiny-k3 ny-k3y") == "[SMALL] tiny-k3 ny-k3y"
    assert redacted("Ab3-whole-key-0123456789" * 3) == "[A_KEY]" * 3
    assert redacted("50 %41 &#65; \\u0041 \\u00e9") == "50 %41 &#65; \\u0041 \\u00e9"
    assert redacted("&#65;b3-whole-key-01234567&#x38;9") == "[A_KEY]"
    assert redacted("") == ""


def test_workers_get_no_keys() -> None:
    environment = {
        "PATH": "/bin", "HF_TOKEN": "a", "OPENAI_API_KEY": "b", "DB_PASSWORD": "c",
        "aws_secret_access_key": "d", "TOKENIZERS_PARALLELISM": "false", "KEYBOARD": "us",
        "GOOGLE_APPLICATION_CREDENTIALS": "e",
    }  # fmt: skip
    assert {*without_keys(environment)} == {"PATH", "TOKENIZERS_PARALLELISM", "KEYBOARD"}
    assert "HF_TOKEN" in without_keys(environment, ["HF_TOKEN"])
