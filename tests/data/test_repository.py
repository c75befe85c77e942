"""Files of a repository: downloaded once, checked by their git ids, or read from a folder."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.data import DataOptions, repository
from evalkit.data.repository import Repository, blob_id, lines_of
from evalkit.errors import DataError

FILES = {"txt/a.en": b"One boat.\nTwo boats.\n", "txt/changed.en": b"Three boats.\n"}
TOY = Repository(
    "acme/boats",
    "1" * 40,
    {
        "txt/a.en": blob_id(FILES["txt/a.en"]),
        "txt/changed.en": "0" * 40,
        "txt/lost.en": "0" * 40,
        "txt/endless.en": "0" * 40,
    },
)
ONLINE = DataOptions()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("github")
    for name, content in FILES.items():
        place = root / TOY.name / TOY.revision / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            if not self.path.endswith("endless.en"):
                return super().do_GET()
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # the other side hangs up
                while True:
                    self.wfile.write(b"One boat.\n" * 1000)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def machine(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EVALKIT_GITHUB", address)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def test_the_id_is_gits(tmp_path: Path) -> None:
    file = tmp_path / "a"
    for content in (b"", b"One boat.\n", "Zwei Böte\r\n".encode()):
        file.write_bytes(content)
        found = subprocess.run(["git", "hash-object", "--no-filters", str(file)], capture_output=True)
        assert blob_id(content) == found.stdout.decode().strip()


def test_a_file_is_downloaded_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    path = TOY.path("txt/a.en", ONLINE)
    assert lines_of(path) == ["One boat.", "Two boats."]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert TOY.path("txt/a.en", ONLINE) == path
    assert TOY.holds("txt/lost.en", ONLINE)
    with pytest.raises(DataError, match=r"lost\.en of acme/boats is not in the cache, and HF_HUB_OFFLINE is"):
        TOY.path("txt/lost.en", ONLINE)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("txt/changed.en", r"is refused: its git id is [0-9a-f]{40}, not 0000.*--data DIR"),
        ("txt/lost.en", r"cannot download http://127.*lost\.en \(HTTP status 404\): `--data builtin`"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_not_kept(file: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        TOY.path(file, ONLINE)
    assert not list(tmp_path.rglob("*.en"))


def test_a_download_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(repository, "MOST_BYTES", 100_000)
    with pytest.raises(
        DataError, match=r"endless\.en is refused: it has more than 100,000 bytes.*--data DIR"
    ):
        TOY.path("txt/endless.en", ONLINE)
    assert not list(tmp_path.rglob("*.en"))


def test_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_GITHUB", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"cannot download .* in DIR/acme/boats, such as a clone"):
        TOY.path("txt/a.en", ONLINE)


def test_a_folder_is_read_as_it_is_and_may_be_a_part(tmp_path: Path) -> None:
    place = tmp_path / TOY.name / "txt" / "a.en"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"Mine.")
    options = DataOptions(folder=tmp_path)
    assert TOY.path("txt/a.en", options) == place
    assert TOY.holds("txt/a.en", options)
    assert not TOY.holds("txt/lost.en", options)
    assert TOY.origin("en", "test", options)["kind"] == "folder"
    with pytest.raises(DataError, match=r"acme/boats in .* has no file txt/lost\.en: copy it from http"):
        TOY.path("txt/lost.en", options)
    with pytest.raises(DataError, match="one commit, has no revisions"):
        TOY.path("txt/a.en", DataOptions(revision="main"))


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes("One\u2028two\r\n\nthree\x85four".encode())
    assert lines_of(file) == ["One\u2028two", "", "three\x85four"]
    file.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match=r"cannot be read .*copy it again"):
        lines_of(file)
