"""The server of `evalkit view`: to whom it answers, what it reads, what it says of runs that go on."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.reopen import write_run
from evalkit.view.reading import CellReader, Entry
from tests.report.pages import HOSTILE, made_run
from tests.view.served import Served, get, going, serving, until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("view")
    made_run(folder, "a", HOSTILE)
    (folder / "secret.txt").write_text("secret")
    with serving(folder) as found:
        yield found


def asked(served: Served, path: str, method: str = "GET", host: str = "") -> tuple[int, bytes]:
    """(status, body) of a request, whose path is sent as it is."""
    place = urlsplit(served.address)
    with closing(http.client.HTTPConnection(str(place.hostname), place.port or 0, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or place.netloc)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()


def test_only_its_own_pages_get_an_answer(served: Served) -> None:
    place = urlsplit(served.address)
    page = urlsplit(served.page("a")).path
    assert asked(served, page)[0] == 200
    assert asked(served, page, host=f"localhost:{place.port}")[0] == 200
    token = place.path.strip("/")
    assert len(token) == 32
    for path, host in (
        ("/", ""),
        (page.replace(token, token[:-1] + "ab"[token.endswith("a")]), ""),
        (page.replace(f"/{token}", ""), ""),
        (page, "evil.example"),
        (page, f"evil.example:{place.port}"),
        (page, "127.0.0.1:1"),
    ):
        assert asked(served, path, host=host) == (404, b""), (path, host)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_only_reads(served: Served, method: str) -> None:
    assert asked(served, urlsplit(served.page("a")).path, method) == (404, b"")
    assert asked(served, urlsplit(served.page("a")).path, "HEAD") == (200, b"")


def test_its_answers_are_for_its_own_pages_only(served: Served) -> None:
    for address in (served.page("a"), served.address + "index.html", served.address + "runs/none.html"):
        _, _, headers = get(address)
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_no_part_of_an_address_is_a_path(served: Served) -> None:
    token = urlsplit(served.address).path
    run = served.names["a"]
    for path in (
        "runs/..%2fsecret.txt.html", "runs/%2e%2e/secret.txt", "../secret.txt", "secret.txt", "runs/a.html",
        f"runs/{run}/..%2f..%2fsecret.txt", f"runs/{run}/media/..%2f..%2fsecret.txt", "runs/.html",
        f"runs/{run}+{run}.html", f"runs/{run}+none.html", "benchmarks/..%2fsecret.html",
        f"compare/{run}...none.html", f"runs/{run}/nothing", "runs/%00.html",
    ):  # fmt: skip
        status, body = asked(served, token + path)
        assert status in (400, 404), path
        assert b"secret\n" not in body
        assert b"Traceback" not in body


@pytest.mark.parametrize(
    "query",
    [
        "",
        "[]",
        "{}",
        '{"runs": [1]}',
        '{"runs": [0, 0, 0]}',
        '{"runs": [0], "order": "n; DROP TABLE line"}',
        '{"runs": [0], "filters": [{"name": "id\' OR 1", "sign": ":", "value": "", "reverse": false}]}',
        '{"runs": [0], "filters": [{"name": "tokens", "sign": "OR", "value": 1, "reverse": false}]}',
        '{"runs": [0], "filters": [{"name": "tokens", "sign": "<", "value": "1", "reverse": false}]}',
        '{"runs": [0], "part": 3}',
    ],
)
def test_a_query_is_one_of_the_page_or_nothing(served: Served, query: str) -> None:
    whole = (
        json.dumps(_everything() | json.loads(query)) if query.startswith("{") and len(query) > 2 else query
    )
    assert "error" in served.ask(["a"], "find", query=whole)


def test_lines_samples_and_numbers_that_are_not_there(served: Served) -> None:
    assert "error" in served.ask(["a"], "lines", result="r999", **{"from": 0, "to": 10})
    assert "error" in served.ask(["a"], "lines", result="r1", **{"from": "-1", "to": "²"})
    assert "error" in served.ask(["a"], "sample", key=10**12)
    assert served.ask(["a"], "line", part="none", id="x") is None


def test_hostile_texts_are_found_as_they_are(served: Served) -> None:
    hurt = served.find(["a"], text="</script><script>window.hurt = 1</script>")
    assert len(hurt) == 7  # every third of 20
    assert served.find(["a"], text=HOSTILE.lower()) == hurt
    assert served.find(["a"], text="*") == []
    assert served.find(["a"], text="[a-z]") == []


def test_one_file_has_what_the_report_writes(served: Served) -> None:
    status, body, headers = get(served.page("a").removesuffix(".html") + "/file")
    assert status == 200
    assert headers["Content-Disposition"] == f'attachment; filename="{served.names["a"]}.html"'
    assert b"data-address" not in body
    assert b'id="index"' in body
    assert b"connect-src" not in body


@pytest.mark.slow
def test_the_first_page_of_a_long_run_reads_few_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 6,000 samples the page has the stored figure and 100 lines, before the index and the report."""
    write_run(tmp_path / "long.db", 6_000)
    read: list[int] = []
    go_on, after = threading.Event(), CellReader.after

    def counted(self: CellReader, position: int, count: int) -> list[Entry]:
        assert not read or go_on.wait(60)
        found = after(self, position, count)
        read.append(len(found))
        return found

    monkeypatch.setattr(CellReader, "after", counted)
    with serving(tmp_path) as served:
        page = get(served.page("long"))[1].decode()
        assert "data-partial" in page
        assert "75.0" in page  # the headline, as it is stored
        assert served.ask(["long"], "state.json")["lines"] == 100
        found = served.ask(["long"], "find", query=json.dumps(_everything()))
        assert (found["count"], found["settled"]) == (100, False)
        assert found["indexed"] == {"done": 100, "of": 6_000}
        assert len(served.ask(["long"], "lines", result=found["result"], **{"from": 0, "to": 30})) == 30
        assert read == [100]
        go_on.set()
        assert len(served.find(["long"], outcome="wrong")) == 1_500
        assert sum(read) == 6_000


def _everything() -> dict[str, object]:
    names = ("part", "group", "outcome", "disagreement", "order", "text")
    return {**dict.fromkeys(names, ""), "filters": [], "runs": [0]}


@pytest.mark.slow
def test_a_run_that_goes_on_is_followed(tmp_path: Path) -> None:
    with going(tmp_path, 6) as run, serving(tmp_path) as served:
        run.tell("right", "wrong")
        state = until(served, ["going"], lambda state: state.get("lines") == 2)
        assert state["going"]
        (counts,) = state["counts"]
        assert counts["outcomes"] == {"correct": 1, "wrong": 1}
        assert (counts["done"], counts["wanted"]) == (2, 6)
        assert len(served.find(["going"])) == 2
        run.tell("fail", "right")
        state = until(served, ["going"], lambda state: state.get("lines") == 4)
        (failure,) = state["failures"]
        assert "the answer is lost <b>as told</b>" in failure["error"]
        assert served.find(["going"], outcome="failed") == [failure["id"]]
        until(served, ["going"], lambda state: bool(state["figures"][served.names["going"]]))
        run.tell("right", "right")
        run.end()
        state = until(served, ["going"], lambda state: not state["going"])
        (counts,) = state["counts"]
        assert counts["outcomes"] == {"correct": 4, "failed": 1, "wrong": 1}
        assert len(served.find(["going"])) == 6
