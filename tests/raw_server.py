"""A server on loopback that speaks HTTP by hand, for what no well-behaved server does on the wire.

    with RawServer(behaviour) as server:
        model = OpenAIModel("any", server.url)

`behaviour(connection, number)` is called for each request that has arrived whole, with its number from 0 over
all connections, and answers through `connection`. The server runs in a thread with its own event loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from tests.openai_server import arithmetic

Payload = dict[str, Any]


class Connection:
    """One connection of a client, and the request that it sent last."""

    def __init__(self, server: RawServer, writer: asyncio.StreamWriter) -> None:
        self.server, self._writer = server, writer
        self.payload: Payload = {}

    def text(self) -> str:
        """The right answer to the last request."""
        return arithmetic(self.payload, "chat/completions")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, text: str | None = None) -> None:
        await self.send(response(self.text() if text is None else text))

    async def refuse(self, status: int, said: str = "no", headers: str = "") -> None:
        await self.send(whole(status, json.dumps({"error": {"message": said}}).encode(), headers))

    def drop(self) -> None:
        self._writer.transport.abort()


Behaviour = Callable[[Connection, int], Awaitable[None]]


def whole(status: int, body: bytes, headers: str = "") -> bytes:
    """An HTTP response with its length; `headers`: further lines, each with its line break."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def response(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    return whole(200, json.dumps({"choices": [choice], "usage": usage}).encode())


async def right(connection: Connection, number: int) -> None:
    await connection.answer()


class RawServer:
    """`asked`: how many requests have arrived, `connections`: how many clients have connected.

    `tls`: the certificate and key; `listening` False: nobody accepts until `listen`.
    """

    def __init__(self, behaviour: Behaviour = right, *, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour, self._tls = behaviour, tls
        self.asked = self.connections = self.in_flight = self.most_in_flight = 0
        self.over = asyncio.Event()
        """Set when the server ends: what a behaviour that hangs waits for."""
        self.listing = whole(404, b"{}")
        """The response to `GET models`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._client, sock=listener, ssl=self._tls)

    async def _end(self) -> None:
        self.over.set()
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        connection = Connection(self, writer)
        try:
            while await self._request(reader, connection):
                pass
        except (OSError, EOFError, asyncio.CancelledError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, connection: Connection) -> bool:
        first = await reader.readexactly(1)
        if first == b"\x16":  # the beginning of TLS
            await connection.send(whole(400, b"not HTTP"))
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith("GET"):
            await connection.send(self.listing)
            return True
        connection.payload = json.loads(body)
        number, self.asked = self.asked, self.asked + 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.behaviour(connection, number)
        finally:
            self.in_flight -= 1
        return True
