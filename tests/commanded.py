"""Programs for `command:`, written for a test, and what becomes of requests to them."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Model, Request, Response
from evalkit.samples import Message

CHAT = Request((Message("user", "What is 2 + 2?"),), 8)
HELLO = '{"evalkit": 1, "capabilities": ["chat", "completion", "likelihood", "image", "tools"]}'
START = """
import json, os, sys, time

def say(line):
    sys.stdout.buffer.write(line if isinstance(line, bytes) else line.encode())
    sys.stdout.buffer.write(b"\\n")
    sys.stdout.flush()

def asked():
    return json.loads(sys.stdin.readline() or sys.exit(0))
"""


def program(folder: Path, body: str, hello: str = HELLO) -> str:
    """A program that says `hello` and then runs `body`, as `-m` takes it."""
    file = folder / "program.py"
    file.write_text(f"{START}\nsay({hello!r})\n{dedent(body)}", "utf-8")
    return f"command:{shlex.quote(sys.executable)} -I -S {shlex.quote(str(file))}"


def replying(folder: Path, reply: str, hello: str = HELLO) -> str:
    """A program that answers each `request` with the object `reply`, an expression."""
    body = f"while True:\n    request = asked()\n    say(json.dumps({{'id': request['id'], **{reply}}}))\n"
    return program(folder, body, hello)


async def all_answers(
    model: Model, requests: Sequence[Request], at_once: bool
) -> list[Response | ProviderError]:
    async def one(request: Request) -> Response | ProviderError:
        try:
            return await model.generate(request)
        except ProviderError as error:
            return error

    try:
        if at_once:
            return await asyncio.gather(*map(one, requests))
        return [await one(request) for request in requests]
    finally:
        await model.aclose()


def answers(
    spec: str, *requests: Request, at_once: bool = False, timeout: float = 60.0
) -> list[Response | ProviderError]:
    model = open_model(spec, timeout=timeout)
    return asyncio.run(asyncio.wait_for(all_answers(model, requests, at_once), 60))


def answer(spec: str, request: Request = CHAT, timeout: float = 60.0) -> Response:
    (found,) = answers(spec, request, timeout=timeout)
    assert isinstance(found, Response), found
    return found


def failure(spec: str, request: Request = CHAT, timeout: float = 60.0) -> ProviderError:
    (found,) = answers(spec, request, timeout=timeout)
    assert isinstance(found, ProviderError), found
    return found


def refusal(spec: str) -> str:
    with pytest.raises(UsageError) as refused:
        open_model(spec)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def seen(folder: Path, request: Request) -> dict[str, Any]:
    """The request as the program reads it."""
    found: dict[str, Any] = json.loads(
        answer(replying(folder, "{'text': json.dumps(request)}"), request).text
    )
    return found
