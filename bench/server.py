"""An endpoint that needs almost no CPU: every request gets the same response after a fixed latency.

`tests/openai_server.py` behaves like vLLM and needs more CPU than the client that is measured here; on a
machine with few cores, the measurement would be that of the server.

    python -m bench.server LATENCY COUNT FAULTS

prints the URLs of COUNT ports, and serves until it is terminated. FAULTS is the share of the requests
that fail, each in one of six ways.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.rows import ROOT

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "any",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Adding the two gives it. The answer is 42."},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 200, "completion_tokens": 9, "total_tokens": 209},
    }
).encode()
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER)
    + _ANSWER
)
_LENGTH = b"content-length:"
_FAULTS = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\n\r\noverloaded\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    _RESPONSE[:-30],  # and the connection is closed
    b"",  # likewise
)


class _Connection(asyncio.Protocol):
    def __init__(self, latency: float, faults: float, chance: random.Random) -> None:
        self._latency, self._faults, self._chance = latency, faults, chance
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        if not mark:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)), 0)
        if len(body) >= length:  # the client sends its next request only after the response to this one
            self._received = b""
            asyncio.get_running_loop().call_later(self._latency, self._answer)

    def _answer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._faults or self._chance.random() >= self._faults:
            self._transport.write(_RESPONSE)
            return
        fault = self._chance.choice(_FAULTS)
        self._transport.write(fault)
        if fault in _FAULTS[-2:]:
            self._transport.close()


async def _serve(latency: float, count: int, faults: float) -> None:
    loop, chance = asyncio.get_running_loop(), random.Random(0)
    for _ in range(count):
        listening = await loop.create_server(
            lambda: _Connection(latency, faults, chance), "127.0.0.1", 0, backlog=1024
        )
        print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.create_future()


@contextmanager
def endpoint(latency: float, faults: float = 0.0) -> Iterator[str]:
    """Yields the URL of such an endpoint, which another process serves."""
    with endpoints(latency, 1, faults) as (url,):
        yield url


@contextmanager
def endpoints(latency: float, count: int, faults: float = 0.0) -> Iterator[list[str]]:
    """Yields the URLs of `count` such endpoints, which one other process serves."""
    command = [sys.executable, "-m", "bench.server", str(latency), str(count), str(faults)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [process.stdout.readline().strip() for _ in range(count)]
        finally:
            process.terminate()


if __name__ == "__main__":
    seconds, ports, share = sys.argv[1:]
    asyncio.run(_serve(float(seconds), int(ports), float(share)))
