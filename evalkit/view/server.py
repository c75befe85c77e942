"""The server of `evalkit view`: to this machine only, read-only, at addresses with a secret part.

No part of an address is a path: runs have names, samples numbers, media the digests of their files. Another
site's page cannot guess the secret part, and cannot pass for this server by a name of its own (DNS
rebinding), because the Host of each request is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click
import orjson
from aiohttp import web

from evalkit.errors import UsageError
from evalkit.samples import JSON
from evalkit.site.folder import RunFolder
from evalkit.view.building import UNREADABLE
from evalkit.view.library import Library

HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FRAMES = "frame-ancestors 'none'"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves the runs of a folder, between `start` and `stop`, in one event loop."""

    def __init__(self, folder: RunFolder, port: int = 0) -> None:
        self._folder, self._port = folder, port
        self.library = Library(folder)
        self._token = secrets.token_urlsafe(24)
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self._port}/{self._token}/"

    async def start(self) -> None:
        """Raises `UsageError` if the port cannot be used."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/{token}/", self._first)
        app.router.add_get("/{token}/index.html", self._index)
        app.router.add_get("/{token}/state.json", self._state)
        app.router.add_get("/{token}/benchmarks/{name}.html", self._benchmark)
        app.router.add_get("/{token}/compare/{base}...{head}.html", self._compare)
        app.router.add_get("/{token}/runs/{runs}.html", self._page)
        app.router.add_get("/{token}/runs/{runs}/{what}", self._part)
        app.router.add_get("/{token}/runs/{runs}/media/{key}", self._medium)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, HOST, self._port)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot serve at port {self._port}: {error.strerror}: name another --port"
            ) from None
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self.library.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers only requests of this server's own pages, and turns errors into answers."""
        token = request.match_info.get("token", "")
        hosts = (f"{HOST}:{self._port}", f"localhost:{self._port}")
        if request.host not in hosts or not hmac.compare_digest(token.encode(), self._token.encode()):
            return web.Response(status=404)
        try:
            found = await handler(request)
        except web.HTTPException as error:
            found = web.Response(status=error.status)
        except UNREADABLE as error:
            found = web.json_response({"error": str(error)}, status=400)
        page = found.content_type == "text/html"  # which has a policy of its own
        found.headers.update(_HEADERS)
        found.headers["Content-Security-Policy"] = _FRAMES if page else f"default-src 'none'; {_FRAMES}"
        return found

    async def _first(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": await self.library.first()})

    async def _index(self, request: web.Request) -> web.Response:
        return _html(await self.library.index())

    async def _state(self, request: web.Request) -> web.Response:
        return _json(await self.library.state())

    async def _benchmark(self, request: web.Request) -> web.Response:
        return _html(await self.library.benchmark(request.match_info["name"]))

    async def _compare(self, request: web.Request) -> web.Response:
        return _html(await self.library.compare(request.match_info["base"], request.match_info["head"]))

    async def _page(self, request: web.Request) -> web.Response:
        return _html(await self.library.page(request.match_info["runs"]))

    async def _part(self, request: web.Request) -> web.Response:
        shown = await self.library.shown(request.match_info["runs"])
        asked = request.query
        match request.match_info["what"]:
            case "report.html":
                return _html(await shown.report())
            case "file":
                name = f'attachment; filename="{"+".join(shown.names)}.html"'
                found = _html(await shown.file())
                found.headers["Content-Disposition"] = name
                return found
            case "state.json":
                return _json(await shown.state())
            case "find":
                current = asked.get("current")
                return _json(
                    await shown.find(asked.get("query", ""), None if current is None else _number(current))
                )
            case "lines":
                first, last = _number(asked.get("from", "")), _number(asked.get("to", ""))
                return _json(await shown.lines(asked.get("result", ""), first, last))
            case "line":
                return _json(await shown.line(asked.get("part", ""), asked.get("id", "")))
            case "sample":
                return _json(await shown.sample(_number(asked.get("key", ""))))
        raise web.HTTPNotFound

    async def _medium(self, request: web.Request) -> web.Response:
        shown = await self.library.shown(request.match_info["runs"])
        found = await shown.medium(request.match_info["key"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found[1], content_type=found[0])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError("a number of the request is none")
    return int(text)


def _html(page: bytes) -> web.Response:
    return web.Response(body=page, content_type="text/html", charset="utf-8")


def _json(found: JSON) -> web.Response:
    return web.Response(body=orjson.dumps(found), content_type="application/json")


def serve(places: Sequence[Path], port: int, *, browser: bool) -> None:
    """Serves the runs of folders and run files until Ctrl-C. Raises `UsageError`."""
    asyncio.run(_serve(Server(RunFolder(places), port), browser))


async def _serve(server: Server, browser: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await server.start()
    try:
        click.echo(server.address)
        sys.stdout.flush()
        click.echo(
            "Ctrl-C ends it. Only this machine can read the pages, and only by this address.", err=True
        )
        if browser and _has_display():
            with contextlib.suppress(webbrowser.Error):
                await asyncio.to_thread(webbrowser.open, server.address)
        await ended.wait()
    finally:
        await server.stop()


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
