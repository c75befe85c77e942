"""Connections to an endpoint: which are used again, how long connecting may take, how much is read at once.

A connection is kept open after a response (RFC 9112, section 9.3). Responses on it have no number, so one
more than was asked for would be taken for the answer to the next request. What is done against that:

- A connection is used again only after `_QUIET` seconds in which nothing arrived on it.
- After the first response that nobody asked for, no connection to that endpoint is used twice.
- The connection of a gateway's error, on which the late answer may still arrive, is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp

from evalkit.errors import ProviderError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_T = TypeVar("_T")

CONNECT = 15.0
"""Seconds in which a connection must be there: name, TCP and TLS together."""
_QUIET = 0.25
"""Seconds in which nothing must arrive on a connection before it is used again."""
_IDLE = 256
"""With that many idle connections, the one that has been idle for longest is used at once."""
_KEPT = 60.0
LARGEST_ANSWER = 64 << 20
"""The most bytes of one HTTP response; a server that sends more is broken or hostile."""
_LARGE = 1 << 20
"""The bytes from which a response needs one of the `_LARGE_AT_ONCE` places."""
_LARGE_AT_ONCE = 2
_IN_THREAD = 1 << 18
"""The bytes from which a response is parsed in a thread, because that would block the event loop."""


class Connections(aiohttp.TCPConnector):
    """The connections of one endpoint. `unasked`: a response came that nobody had asked for."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=_KEPT)
        self.unasked = False

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        """Returns an idle connection to use again, or None to open another. aiohttp calls it."""
        idle, now = self._conns.get(key), time.monotonic()
        while idle:
            protocol, since = idle[0]
            dirty = protocol.is_connected() and protocol.should_close  # it was clean when it became idle
            if dirty:
                self.unasked = self._force_close = True
            elif protocol.is_connected() and now - since <= _KEPT and not _has_news(protocol.transport):
                break
            idle.popleft()
            protocol.close()
        if self.unasked:
            self._drop_idle()
        elif idle and (now - idle[0][1] >= _QUIET or len(idle) >= _IDLE):
            return await super()._get(key, traces)
        return None

    def _drop_idle(self) -> None:
        for idle in self._conns.values():
            for protocol, _ in idle:
                protocol.close()
        self._conns.clear()


class Answer(aiohttp.ClientResponse):
    """A response that knows its connection also after that was given back."""

    async def start(self, connection: Connection) -> Self:
        self._used = connection.protocol
        await super().start(connection)
        return self

    def hang_up(self) -> None:
        """Closes its connection, because more may arrive on it. The body must have been read."""
        if self._used is not None:
            self._used.close()


def _has_news(transport: asyncio.BaseTransport | None) -> bool:
    """Whether something arrived that the event loop has not read yet: a response, or the end."""
    watched = None if transport is None else transport.get_extra_info("socket")
    if watched is None:
        return False
    poll = select.poll()
    poll.register(watched.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def read_body(content: Any, read: Callable[[bytes], _T]) -> _T:
    """Returns what `read` makes of a response's body. Raises `ProviderError` for an endless one.

    All responses of a process share one budget: while `_LARGE_AT_ONCE` large ones are read, a further one
    waits after its first megabyte, and its sender with it.
    """
    chunks: list[bytes] = []
    body, size = b"", 0
    place: asyncio.Semaphore | None = None
    try:
        async for chunk in content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise ProviderError(f"the response has more than {LARGEST_ANSWER >> 20} MB")
            if size > _LARGE and place is None:
                waiting = _large_places()
                await waiting.acquire()
                place = waiting
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if size <= _IN_THREAD:
            return read(body)
        return await asyncio.get_running_loop().run_in_executor(_parser, read, body)
    except ProviderError as error:
        error.__context__ = None
        raise error.with_traceback(None) from None  # its frames would keep the body as long as the error
    finally:
        chunks.clear()
        body = b""
        if place is not None:
            place.release()


_parser = ThreadPoolExecutor(1, thread_name_prefix="parser")
"""One thread; several would block the event loop for a tenth of a second."""
_places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


def _large_places() -> asyncio.Semaphore:
    """The places for large responses, of all endpoints of the running event loop."""
    return _places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_LARGE_AT_ONCE))


async def resolve(host: str, seconds: float) -> str:
    """Returns why the name `host` has no address; "" if it has one.

    The look-up is in a thread that does not keep the process from ending, because it has no limit of its own.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None)
            said = ""
        except (OSError, UnicodeError) as error:
            said = str(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, said)

    def tell(said: str) -> None:
        if not found.done():
            found.set_result(said)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            return await found
    except TimeoutError:
        return f"no name server answers within {seconds:g} s"


async def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Whether a TLS handshake succeeds at a port, whatever its certificate."""
    import ssl

    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=anyone)
    except (OSError, TimeoutError):  # an SSLError is an OSError
        return False
    writer.close()
    return True
