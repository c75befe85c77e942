"""A stand-in for the Hub: data sets, models and Spaces with a history, over real HTTP on the loopback.

    with HubServer() as hub:
        sha = hub.publish("acme/tiny", {"README.md": b"...", "data/test.jsonl": b"..."})
        # HF_ENDPOINT=hub.url in the environment of a new process

It answers what `huggingface_hub` and `datasets` ask: the repository at a revision, its tree, and its
files. Large files are redirected to another origin with `X-Linked-*` headers, as large files are by
the Hub. Its URL cannot be changed in a process that has imported `huggingface_hub`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHUNK = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request that was answered, or whose client hung up (status 0)."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass
class Repo:
    """The files of each commit, and the branches and tags that name commits."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """The sha that a branch, tag or sha stands for."""
        return revision if revision in self.commits else self.refs.get(revision)


class HubServer:
    """Serves what was published, logs every request, and fails on demand.

    With a `root`, each `root/<owner>/<name>` is published at the start. With a `prefix`, such as /hf, it is a
    mirror at that path of its server, and answers nothing elsewhere.
    """

    def __init__(self, root: Path | None = None, prefix: str = "") -> None:
        self._prefix = prefix
        self.asked: list[Asked] = []
        self._repos: dict[str, Repo] = {}
        self._cuts: dict[str, int] = {}
        self._holds: dict[str, int] = {}
        self._failures: list[tuple[int, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner = web.AppRunner(self._app(), access_log=None)
        self.url = self._store = ""
        for folder in sorted(root.glob("*/*")) if root is not None else ():
            files = {
                path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
            }
            name = folder.relative_to(folder.parent.parent).as_posix()
            self.publish(name, {path: file.read_bytes() for path, file in files.items()})

    def __enter__(self) -> HubServer:
        self._thread.start()
        self.url, self._store = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def publish(self, repo: str, files: Mapping[str, bytes], message: str = "", commit: str = "") -> str:
        """Commit `files` as the whole content of `repo`, move main to it, and return its sha.

        `commit`: the sha, of a commit that a task pins.
        """
        there = self._repos.setdefault(repo, Repo({}, {}))
        digest = hashlib.sha1(f"{there.refs.get('main')} {message}".encode())
        for path, content in sorted(files.items()):
            digest.update(path.encode() + b"\0" + content)
        sha = commit or digest.hexdigest()
        there.commits[sha] = dict(files)
        there.refs["main"] = sha
        return sha

    def tag(self, repo: str, name: str, sha: str) -> None:
        """Let a tag or branch name a commit."""
        self._repos[repo].refs[name] = sha

    def commits(self, repo: str) -> dict[str, dict[str, bytes]]:
        """The files of each commit, which a server that lies may change."""
        return self._repos[repo].commits

    def gate(self, repo: str) -> None:
        """Serve the files of `repo` only to requests with a token."""
        self._repos[repo].gated = True

    def cut(self, path: str, after: int) -> None:
        """Close the connection after `after` bytes of the file `path`, once."""
        self._cuts[path] = after

    def hold(self, path: str, after: int) -> None:
        """Answer `after` bytes of the file `path`, once, and nothing more until the client is gone."""
        self._holds[path] = after

    def fail(self, times: int, path: str = "", status: int = 503) -> None:
        """Answer the next `times` requests whose path contains `path` with `status`."""
        self._failures += [(status, path)] * times

    def paths(self, method: str = "GET", part: str = "") -> list[str]:
        """What was asked so far, for assertions."""
        return [one.path for one in self.asked if one.method == method and part in one.path]

    # Serving

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._watch])
        for kind in ("datasets", "models", "spaces"):
            api = f"/api/{kind}/{{owner}}/{{name}}"
            app.router.add_get(api, self._info)
            app.router.add_get(api + "/revision/{revision}", self._info)
            app.router.add_get(api + "/tree/{revision}", self._tree)
            app.router.add_get(api + "/tree/{revision}/{path:.*}", self._tree)
        app.router.add_get("/datasets/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/spaces/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)  # a model's
        app.router.add_get("/large/{owner}/{name}/{revision}/{path:.+}", self._large)
        if not self._prefix:
            return app
        server = web.Application()
        server.add_subapp(self._prefix, app)
        return server

    async def _start(self) -> list[str]:
        """Listen at two ports, and return both URLs: large files have an origin of their own."""
        await self._runner.setup()
        for _ in range(2):
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return [f"http://{host}:{port}{self._prefix}" for host, port in self._runner.addresses]

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = next((one for one in self._failures if one[1] in request.path), None)
        status = 0
        try:
            if fault is not None:
                self._failures.remove(fault)
                answer: web.StreamResponse = web.Response(status=fault[0])
            else:
                answer = await handler(request)
            status = answer.status
        finally:  # also if the client hung up
            asked = Asked(request.method, request.path_qs, request.headers.get("Range"), status)
            self.asked.append(asked)
        return answer

    async def _info(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if isinstance(found, web.Response):
            return found
        name, repo, sha = found
        body = {
            "_id": sha[:24],
            "id": name,
            "author": name.split("/")[0],
            "sha": sha,
            "private": False,
            "gated": "auto" if repo.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(repo.commits[sha])],
        }
        return web.json_response(body)

    async def _tree(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if isinstance(found, web.Response):
            return found
        _, repo, sha = found
        folder = request.match_info.get("path", "").strip("/")
        prefix = f"{folder}/" if folder else ""
        files = {path: data for path, data in repo.commits[sha].items() if path.startswith(prefix)}
        if not files:
            return _refuse(404, "EntryNotFound", sha)
        deep = request.query.get("recursive", "false").lower() in ("true", "1")
        parents = {path[: mark.start()] for path in files for mark in re.finditer("/", path)}
        inside = [path for path in parents if path.startswith(prefix)]
        entries = [
            {"type": "directory", "oid": _sha1(path.encode()), "size": 0, "path": path} for path in inside
        ]
        entries += [_entry(path, data) for path, data in files.items()]
        shown = [one for one in entries if deep or "/" not in str(one["path"])[len(prefix) :]]
        return web.json_response(sorted(shown, key=lambda one: str(one["path"])))

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if isinstance(found, web.Response):
            return found
        name, repo, sha = found
        if repo.gated and "Authorization" not in request.headers:
            return _refuse(401, "GatedRepo", sha)
        path = request.match_info["path"]
        data = repo.commits[sha].get(path)
        if data is None:
            return _refuse(404, "EntryNotFound", sha)
        if _large(path):
            headers = {
                "Location": f"{self._store}/large/{name}/{sha}/{path}",
                "X-Repo-Commit": sha,
                "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": str(len(data)),
            }
            return web.Response(status=302, headers=headers)
        return await self._send(request, path, data, {"X-Repo-Commit": sha, "ETag": f'"{_blob(data)}"'})

    async def _large(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if isinstance(found, web.Response):
            return found
        _, repo, sha = found
        path = request.match_info["path"]
        return await self._send(request, path, repo.commits[sha][path], {})

    async def _send(
        self, request: web.Request, path: str, data: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        """The file or the range asked for, cut short where that was ordered."""
        headers["Accept-Ranges"] = "bytes"
        span = request.http_range
        start, stop, _ = span.indices(len(data))
        part = data[start:stop]
        status = 200
        if span.start is not None or span.stop is not None:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(part)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        held = self._holds.pop(path, None)
        keep = self._cuts.pop(path, held)
        for at in range(0, len(part) if keep is None else keep, CHUNK):
            await response.write(part[at : min(at + CHUNK, keep or len(part))])
        if held is not None:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.05)
        elif keep is not None and request.transport is not None:
            request.transport.close()
        else:
            await response.write_eof()
        return response

    def _find(self, request: web.Request) -> tuple[str, Repo, str] | web.Response:
        """Which repository and commit a request means, or the Hub's way to refuse it."""
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        repo = self._repos.get(name)
        if repo is None:
            # Without a token the Hub does not tell a missing repository from a private one.
            return _refuse(404 if "Authorization" in request.headers else 401, "RepoNotFound")
        sha = repo.commit(request.match_info.get("revision", "main"))
        return (name, repo, sha) if sha is not None else _refuse(404, "RevisionNotFound")


def _refuse(status: int, code: str, sha: str = "") -> web.Response:
    headers = {"X-Error-Code": code, "X-Error-Message": code} | ({"X-Repo-Commit": sha} if sha else {})
    return web.json_response({"error": code}, status=status, headers=headers)


def _entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": _blob(data), "size": len(data), "path": path}
    if _large(path):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _large(path: str) -> bool:
    return path.endswith((".parquet", ".gguf"))


def _blob(data: bytes) -> str:
    """Git's name for a file's content, which the Hub gives as its ETag."""
    return _sha1(b"blob %d\0" % len(data) + data)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
