"""Log-loss by position: a model with a known law over HTTP, windows, texts of one's own, what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from evalkit.tasks.nll_by_position import long_enough, nll_by_position, sample_of

from evalkit.api import DataError, DataOptions, UsageError
from evalkit.benchmark.prompt_tokens import WINDOWS, windows
from evalkit.benchmark.task import build
from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.models import open_model
from evalkit.models.fake import GOLD, FakeModel
from evalkit.report.courses import NamedCourse, courses
from evalkit.report.table import Table, build_table
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.stats.by_position import PowerLaw
from tests.law_server import PIECES, Law, text
from tests.openai_server import OpenAIServer

LAW = Law(4.0, -0.3, 1.5, shape=10_000.0, bos=True)
TEXTS = [text(seed, 130) for seed in range(8)]
TOKENS = 8 * 130


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for number, words in enumerate(TEXTS):
        (folder / f"{number}.txt").write_bytes(words.encode())
    return folder


def run(server: OpenAIServer | str, folder: Path, path: Path, **settings: str) -> Table:
    """`server`: or the name of a model that has none."""

    async def go() -> Table:
        if isinstance(server, str):
            opened = open_model(server)
        else:
            opened = open_model("openai/law", base_url=server.url)
        plan = make_plan(opened, ["nll-by-position"], settings={"dataset": str(folder), **settings})
        store = open_run(path, plan)
        try:
            await execute(plan, store, Options(4, RetryPolicy(1, 0.01)))
            return build_table([store])
        finally:
            store.close()
            await opened.aclose()

    return asyncio.run(go())


def by_token(path: Path) -> NamedCourse:
    """The course over positions in tokens."""
    with Store.open(path) as store:
        table = build_table([store])
        (found,) = courses(dataclasses.replace(table, cells=table.cells[1:]))
    return found


@pytest.fixture(scope="module")
def asked(folder: Path) -> tuple[Path, Table]:
    """A finished run of the law, and its table."""
    path = folder.parent / "asked.db"
    with OpenAIServer(LAW.answer) as server:
        run(server, folder, path)
        count = len(server.requests)
        table = run(server, folder, path)  # again, without a request
        assert len(server.requests) == count == len(TEXTS) + 6  # and the probe
    return path, table


def test_the_figures_are_those_of_the_law(asked: tuple[Path, Table]) -> None:
    nats = sum(value for words in TEXTS for _, value in LAW.nats(words))
    size = sum(len(words.encode()) for words in TEXTS)
    bits, tokens = asked[1].cells
    assert (bits.metric, bits.n, bits.unit) == ("bits per byte", size, "bits")
    assert bits.value == pytest.approx(nats / math.log(2) / size, rel=1e-9)
    assert (tokens.metric, tokens.n, tokens.n_text) == ("NLL per token", TOKENS, "1,040 tokens")
    assert tokens.value == pytest.approx(nats / TOKENS, rel=1e-9)
    assert {name: count for name, count in bits.told.items() if count} == {"answered": 8}


def test_the_course_is_that_of_the_law(asked: tuple[Path, Table]) -> None:
    """Every octave, and the parameters within their intervals."""
    found = by_token(asked[0]).course
    nats = [[value for _, value in LAW.nats(words)] for words in TEXTS]
    for octave in found.octaves:
        values = [value for one in nats for value in one[octave.first - 1 : octave.last]]
        assert (octave.documents, octave.units) == (8, len(values))
        assert octave.mean.value == pytest.approx(sum(values) / len(values), rel=1e-9)
    assert found.octaves[-1].last == 255
    law = found.law
    assert isinstance(law, PowerLaw)
    for part, value in ((law.alpha, LAW.alpha), (law.beta, LAW.beta), (law.gamma, LAW.gamma)):
        assert part.low is not None
        assert part.high is not None
        assert part.low <= value <= part.high
        assert part.high - part.low < 0.5


@pytest.mark.slow
def test_a_slim_run_file_has_the_same_courses(asked: tuple[Path, Table], tmp_path: Path) -> None:
    write_slim(asked[0], tmp_path / "slim.db")
    with Store.open(asked[0]) as whole, Store.open(tmp_path / "slim.db") as slim:
        by_byte, tokens = courses(build_table([whole]))
        assert [one.as_json() for one in courses(build_table([slim]))] == [
            by_byte.as_json(),
            tokens.as_json(),
        ]
    assert sum(octave.units for octave in by_byte.course.octaves) == sum(len(t.encode()) for t in TEXTS)


def test_the_tokens_are_stored_packed_and_can_be_replayed(
    asked: tuple[Path, Table], folder: Path, tmp_path: Path
) -> None:
    replay = run(f"replay/{asked[0]}", folder, tmp_path / "again.db")
    assert [cell.value for cell in replay.cells] == [cell.value for cell in asked[1].cells]
    with closing(sqlite3.connect(asked[0])) as db:
        columns = db.execute("SELECT prompt_logprobs, length(prompt_logprobs), prompt_tokens FROM draw")
        for column, size, tokens in columns:
            assert column.startswith('{"texts"')
            assert size < 25 * tokens


def test_another_tokeniser_shares_the_bytes_and_not_the_tokens(
    asked: tuple[Path, Table], folder: Path, tmp_path: Path
) -> None:
    """Its requests are the same; without a BOS the first token of a text has no log-probability."""
    law = Law(2.0, -0.3, 0.5, tokens=PIECES)
    with OpenAIServer(law.answer) as server:
        run(server, folder, tmp_path / "pieces.db")
    with Store.open(asked[0]) as words, Store.open(tmp_path / "pieces.db") as other:
        bits, others, tokens, pieces = build_table([words, other]).cells
        assert bits.signature.short == others.signature.short
        assert others.n == bits.n - sum(len(words[:3].encode()) for words in TEXTS)
        assert pieces.n == sum(len(list(law.nats(words))) - 1 for words in TEXTS)
        assert tokens.differences(pieces) == [
            f"what the models' own tokenisers make of the same texts: 1040 tokens and {pieces.n} tokens"
        ]


def test_windows_count_each_token_once(asked: tuple[Path, Table], folder: Path, tmp_path: Path) -> None:
    """A position is counted from the beginning of a window, and its first part is context."""
    with OpenAIServer(LAW.answer) as server:
        bits, tokens = run(server, folder, tmp_path / "r.db", window="600", stride="270").cells
        sent = [request.payload["prompt"] for request in server.requests]
    assert (bits.n, tokens.n) == (asked[1].cells[0].n, TOKENS)
    assert "questions" in str(bits.signature.differences(asked[1].cells[0].signature))
    assert bits.signature.notes["asked"] == "windows of 600 characters, each moved by 270"
    total = 0.0
    for words in TEXTS:
        for start, end, new in windows(words, 600, 270):
            assert words[start:end] in sent
            seen = 0
            for token, nats in LAW.nats(words[start:end]):
                total += nats if start + seen >= new else 0.0
                seen += len(token)
    assert tokens.value == pytest.approx(total / TOKENS, rel=1e-9)


def test_windows_end_between_words() -> None:
    words = " ".join(f"word{number}" for number in range(2000))
    asked = windows(words, 1000, 400)
    assert asked[0][0] == asked[0][2] == 0
    assert asked[-1][1] == len(words)
    for (start, end, _), (after, last, new) in itertools.pairwise(asked):
        assert new == end
        assert start < after < new < last
        assert end - start <= 1000 + 64
        assert words[end] == words[after] == " "
        assert new - after >= 400
    assert windows("x" * 3000, 1000, 500)[:2] == [[0, 1000, 0], [500, 1500, 1000]]  # no blank at all
    assert windows(words) == windows(words, len(words)) == [[0, len(words), 0]]
    assert windows("", 1000) == []


def test_a_text_is_cut_and_short_ones_are_left_out() -> None:
    sample = sample_of("text", 100, 0, 0)({"text": "many words " * 50, "name": "a.txt"})
    assert sample.input == ("many words " * 50)[: len(sample.input)]
    assert sample.input.endswith("many words")
    assert 36 <= len(sample.input) <= 100
    size = len(sample.input)
    assert sample.meta == {"name": "a.txt", "characters": size, WINDOWS: [[0, size, 0]]}
    assert sample_of("body", 0, 0, 0)({"body": "x", "id": 7}).id == "7"
    assert len(sample_of("text", 0, 0, 0)({"text": "x"}).id) > 6
    records = [{"text": "x" * size} for size in (1, 5, 9)]
    assert list(long_enough(records, "text", 5)) == records[1:]
    for bad in (" \n", None, 7):
        with pytest.raises(ValueError, match="'text' has to be a text that is not blank"):
            sample_of("text", 0, 0, 0)({"text": bad})


def test_texts_in_a_folder_and_in_records(folder: Path, tmp_path: Path) -> None:
    task = build(nll_by_position, {"dataset": str(folder), "shortest": "850"})
    samples = list(map(task.sample, task.data.open()))
    assert [sample.id for sample in samples] == [
        f"{number}.txt" for number, words in enumerate(TEXTS) if len(words) >= 850
    ]
    (tmp_path / "rows.jsonl").write_text('{"body": "A text.", "id": "x"}\n', "utf-8")
    task = build(nll_by_position, {"dataset": str(tmp_path / "rows.jsonl"), "column": "body"})
    assert [task.sample(record).input for record in task.data.open()] == ["A text."]
    with pytest.raises(DataError, match="no column text"):
        build(nll_by_position, {"dataset": str(tmp_path / "rows.jsonl")}).data.open()
    with pytest.raises(UsageError, match=r"no public data: --set dataset=FOLDER .* --data builtin"):
        build(nll_by_position).data.open(DataOptions())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"window": "8k"}, "--set window=8k: must be a number of characters"),
        ({"longest": "-5"}, "--set longest=-5: must be a number of characters"),
        ({"stride": "300"}, "--set stride=300: only a window moves"),
        ({"window": "400"}, "stride=200 and window=400: a window must move by at least 256"),
        ({"window": "1000", "stride": "900"}, "share at least 256"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(nll_by_position, {"dataset": ".", **settings})


def test_an_endpoint_that_does_not_echo_ends_the_run(folder: Path, tmp_path: Path) -> None:
    with OpenAIServer(next_token=lambda so_far: {" so": 0.9}, echo="ignored") as server:
        with pytest.raises(Stopped, match="ignores echo, or returns the prompt without them") as stopped:
            run(server, folder, tmp_path / "r.db")
        assert stopped.value.usage
    with pytest.raises(UsageError, match="does not support echo"):
        make_plan(FakeModel(GOLD, logprobs=False), ["nll-by-position"], settings={"dataset": str(folder)})


def test_a_text_that_is_too_long_names_the_settings(folder: Path, tmp_path: Path) -> None:
    with OpenAIServer(LAW.answer, max_model_len=100) as server:
        table = run(server, folder, tmp_path / "whole.db")
        cut = run(server, folder, tmp_path / "cut.db", longest="400")
    assert table.cells[0].outcomes["failed"] == len(TEXTS)
    assert "--set window=CHARACTERS asks windows, --set longest=… a part" in table.causes[0].message
    assert cut.cells[0].outcomes["failed"] == 0
