"""Retrieval over the context: what a seed gives, its lengths and places, and a model that fails at some."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from evalkit.tasks.kv_retrieval import pairs_of, whole_numbers
from evalkit.tasks.kv_retrieval_data import FILLER, ROOM, Filler, Ruler, filler_at

import evalkit
from evalkit.benchmark.task import Task, load_task
from evalkit.data import DataOptions
from evalkit.data.tokens import Tokeniser
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.engine.rescore import rescore
from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity
from evalkit.models.fake import GOLD, FakeModel
from evalkit.report.build import render_report
from evalkit.runfile.store import Store
from evalkit.samples import Sample
from tests.data.test_tokens import tokenizer_file
from tests.openai_server import OpenAIServer, Payload, asked_text

SMALL = {"lengths": "2k,8k", "samples": "1"}
PAIR = re.compile(r"^([0-9a-f-]{36}): ([0-9a-f-]{36})$", re.M)
WANTED = re.compile(r"key ([0-9a-f-]{36})\?")


def made(task: Task) -> list[tuple[Sample, str]]:
    """The samples with their prompts."""
    found = []
    for record in task.data.open():
        sample = task.sample(record)
        found.append((sample, text_of(task, sample)))
    return found


def text_of(task: Task, sample: Sample, protocol: str = "") -> str:
    """The text of the sample's prompt, which is one message."""
    prompt = task.prompt(sample, task.protocol(protocol))
    assert isinstance(prompt, tuple)
    (message,) = prompt
    assert message.role == "user"
    return message.text


def digest(name: str, settings: Mapping[str, str]) -> str:
    parts = [f"{sample.id}\0{sample.target}\0{text}" for sample, text in made(load_task(name, settings))]
    return hashlib.sha256("\1".join(parts).encode()).hexdigest()[:16]


def test_a_seed_gives_the_same_bytes_everywhere() -> None:
    """A changed digest is another benchmark: raise the generator's version."""
    assert digest("kv-retrieval", SMALL) == "07a026a5140ccec1"
    assert digest("kv-retrieval-json", {"pairs": "75", "samples": "1"}) == "12b18d4fcbe879d7"
    assert digest("kv-retrieval", SMALL | {"seed": "1"}) not in ("", digest("kv-retrieval", SMALL))


def test_a_context_is_pairs_then_filler_then_the_question() -> None:
    for sample, text in made(load_task("kv-retrieval", SMALL)):
        pairs = PAIR.findall(text)
        assert [list(pair) for pair in pairs] == pairs_of(sample)
        assert len({part for pair in pairs for part in pair}) == 2 * len(pairs)
        assert all(uuid.UUID(part).version == 4 for pair in pairs for part in pair)
        head, listed, filler, asked = text.split("\n\n")
        assert head.startswith(f"Here are {len(pairs)} pairs of a key and its value. ")
        assert " ".join(FILLER.split()).startswith(filler[:600])
        assert asked == f"What is the value of the key {sample.input}? Answer with the value alone."
        assert dict(pairs)[sample.input] == sample.target[0]
        assert len(listed.splitlines()) == len(pairs)


def test_pairs_spread_over_the_same_filler() -> None:
    task = load_task("kv-retrieval", SMALL)
    for sample, text in made(task):
        spread = text_of(task, sample, "pairs-spread")
        assert PAIR.findall(spread) == PAIR.findall(text)
        head, body, asked = spread.split("\n\n")
        assert head.startswith(f"In the following text there are {len(pairs_of(sample))} pairs ")
        assert asked == text.split("\n\n")[-1]
        empty, *pieces = re.split(PAIR.pattern.replace("(", "(?:"), body, flags=re.M)
        assert (empty, len(pieces)) == ("", len(pairs_of(sample)))
        sizes = [len(piece.split()) for piece in pieces]
        assert max(sizes) - min(sizes) <= 1
        assert " ".join(pieces).split() == text.split("\n\n")[2].split()
        assert len(spread) <= len(text) + 64 + 40


def test_every_length_and_place_is_asked_equally_often_and_the_first_samples_have_them_all() -> None:
    task = load_task("kv-retrieval", {"lengths": "1k,2k,4k", "samples": "20", "pairs": "20"})
    samples = list(map(task.sample, itertools.islice(task.data.open(), 15 * 20)))
    assert set(Counter(sample.group for sample in samples).values()) == {20}
    assert len({sample.group for sample in samples[:15]}) == 15
    assert {sample.tags[0] for sample in samples[:3]} == {"length 1k", "length 2k", "length 4k"}
    assert len({sample.tags[1] for sample in samples[:3]}) == 3
    assert len({sample.id for sample in samples}) == len(samples) == task.data.open().count
    places = Counter[int]()
    for sample in samples:
        index = [key for key, _ in pairs_of(sample)].index(sample.input)
        part = 5 * index // 20
        assert sample.group.endswith(f" · {20 * part}–{20 * part + 20} %")
        places[index] += 1
    assert sorted(places) == list(range(20))
    assert all(5 <= count <= 25 for count in places.values()), places  # 15 each, within three deviations


def test_other_samples_leave_a_sample_as_it_is() -> None:
    """More samples, lengths and another order change no context; ids name its length, part and number."""
    few, many = (
        {sample.id: (sample, text) for sample, text in made(load_task("kv-retrieval", settings))}
        for settings in (SMALL, {"lengths": "8k,3000,2k", "samples": "2"})
    )
    assert few.items() <= many.items()
    assert "3000/4-of-5/1" in many


def test_pairs_that_do_not_fit_are_left_out_and_the_signature_says_so() -> None:
    task = load_task("kv-retrieval")
    counts = {s.group.partition(" ")[0]: len(pairs_of(s)) for s in map(task.sample, first(task, 30))}
    assert counts == {"1k": 35, "2k": 64, "4k": 64, "8k": 64, "16k": 64, "32k": 64}
    assert task.data.open().origin["made"] == (
        "kv-retrieval 1, seed 0, lengths 1k,2k,4k,8k,16k,32k, pairs 64, 35 in 1k, filler 026988cc341b, "
        "tokens by characters/4"
    )
    assert code_identity(task.prompt).endswith("(filler(''))")
    with pytest.raises(UsageError, match="a context of 300 tokens has no room for 5 pairs of 19 tokens"):
        load_task("kv-retrieval", {"lengths": "300"}).data.open()


def first(task: Task, count: int) -> list[Mapping[str, object]]:
    return list(itertools.islice(task.data.open(), count))


def test_lengths_are_counted_by_the_model_s_tokeniser(tmp_path: Path) -> None:
    path = str(tokenizer_file(tmp_path))
    tokeniser = Tokeniser(path)
    task = load_task("kv-retrieval", {"lengths": "6k", "samples": "1", "tokenizer": path})
    for sample, text in made(task):
        wanted = int(sample.id.partition("/")[0]) - ROOM
        assert wanted - 30 < tokeniser.count(text) <= wanted + 2, sample.id
        assert sample.meta["tokeniser"] == tokeniser.name
    assert task.data.open().origin["made"].endswith(f"tokens by {tokeniser.name}")


def test_a_million_tokens_are_made_one_sample_at_a_time() -> None:
    """A record holds no filler, and opening the largest grid makes none."""
    task = load_task("kv-retrieval", {"lengths": "1M,16M", "samples": "1000000", "positions": "10"})
    records = task.data.open()
    assert records.count == 20_000_000
    record = next(iter(records))
    assert len(json.dumps(record)) < 10_000
    sample = task.sample(record)
    assert (1 << 20) - ROOM - 5 < len(text_of(task, sample)) / 4 <= (1 << 20) - ROOM


def test_a_ruler_finds_the_most_words() -> None:
    """For texts that are shorter and longer than a block, and one without blanks."""
    tokeniser = Tokeniser()
    for text in ("a bb ccc\ndddd", "word " * 700, "長い文章" * 200, "x"):
        filler = filled(text)
        ruler = Ruler(filler, tokeniser)
        for room in (-3.0, 0.0, 0.5, 7.25, 100.0, 1234.5):
            words = ruler.words(room)
            assert tokens(filler, words) <= max(room, 0)
            assert tokens(filler, words + 1) > room
    assert len(filled("長い文章" * 200).part(0, 1)) <= 17


def filled(text: str) -> Filler:
    return Filler(lambda: text)


def tokens(filler: Filler, words: int) -> float:
    """A quarter of the characters of the first `words` words, with the blank before the first."""
    whole, rest = divmod(words, filler.words)
    return (whole * len(filler.part(0, filler.words)) + len(filler.part(0, rest))) / 4


def test_a_filler_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "walk.txt"
    path.write_text("One fish.\n\nTwo ponds, three herons.\n", encoding="utf-8")
    task = load_task("kv-retrieval", SMALL | {"filler": str(path)})
    text = made(task)[0][1]
    assert "\n\nOne fish.\n\nTwo ponds, three herons.\nOne fish.\n\nTwo" in text
    assert f", filler {filler_at(str(path)).digest}, " in task.data.open().origin["made"]
    for content, words in ((b" \n", "the file is empty"), (b"\xff", "a text file in UTF-8")):
        other = tmp_path / f"{len(content)}.txt"
        other.write_bytes(content)
        with pytest.raises(UsageError, match=words):
            load_task("kv-retrieval", {"filler": str(other)}).data.open()
    gone = load_task("kv-retrieval", {"filler": str(tmp_path / "none.txt")})  # enough to score again
    with pytest.raises(UsageError, match=r"none\.txt: it must be a text file"):
        gone.data.open()


@pytest.mark.slow
def test_a_run_is_scored_again_without_its_filler_and_not_resumed_with_another(tmp_path: Path) -> None:
    filler = tmp_path / "walk.txt"
    settings = {"lengths": "2k", "samples": "1", "filler": str(filler)}
    filler.write_text("A walk along the shore.", encoding="utf-8")
    path = tmp_path / "run.db"
    evalkit.run("fake/gold", "kv-retrieval", settings=settings, output=path)
    filler.unlink()
    again = rescore(path, tmp_path / "again.db")
    assert [cell.changed for cell in again] == [()]
    with Store.open(path) as before, Store.open(tmp_path / "again.db") as after:
        lines = [
            json.loads(render_report([run], "json"))["cells"][0]["signature"]["line"]
            for run in (before, after)
        ]
    assert lines[0] == lines[1]
    filler.write_text("Another walk.", encoding="utf-8")
    with pytest.raises(UsageError, match=r"data made: .* in the file, .* now"):
        evalkit.run("fake/gold", "kv-retrieval", settings=settings, output=path)


def test_numbers_of_settings() -> None:
    assert whole_numbers("lengths", "1k, 2M,5000", 1, 1 << 24) == (1024, 2 << 20, 5000)
    for settings in (
        {"lengths": "1k,,2k"}, {"lengths": "1k,1024"}, {"lengths": "17M"}, {"lengths": "-1"},
        {"lengths": "٣"}, {"lengths": "k"}, {"pairs": "1"}, {"pairs": "64,32"}, {"positions": "0"},
        {"positions": "65"}, {"samples": "0"}, {"samples": "1.5"}, {"seed": "x"},
    ):  # fmt: skip
        (name,) = settings
        with pytest.raises(UsageError, match=f"^{name}="):
            load_task("kv-retrieval", settings)
    with pytest.raises(UsageError, match=r"^positions=10: '10' must be a number from 1 to 4"):
        load_task("kv-retrieval-json", {"pairs": "75,4", "positions": "10"})


def test_json_objects_have_the_wanted_pair_at_the_authors_indices() -> None:
    task = load_task("kv-retrieval-json")
    samples = list(map(task.sample, first(task, 15)))
    found = {
        (len(pairs_of(s)), s.group.partition(" · ")[2]): [key for key, _ in pairs_of(s)].index(s.input)
        for s in samples
    }
    places = ("0 %", "25 %", "50 %", "75 %", "100 %")
    assert [found[140, place] for place in places] == [0, 34, 69, 104, 139]
    assert [found[75, place] for place in places] == [0, 18, 37, 55, 74]
    assert samples[0].tags == ("75 pairs", "place 0 %")
    assert task.data.open().count == 780


def test_small_sets_and_limits() -> None:
    for name, count in (("kv-retrieval", 10), ("kv-retrieval-json", 10)):
        records = load_task(name).data.open(DataOptions(small_sets=True))
        assert (records.count, sum(1 for _ in records), records.origin["kind"]) == (
            count,
            count,
            "small sets",
        )
        with pytest.raises(UsageError, match="no revisions"):
            load_task(name).data.open(DataOptions(revision="main"))
    plan = make_plan(FakeModel(GOLD), "kv-retrieval", limit=6)
    (cell,) = plan.cells
    assert (cell.count, cell.records.count) == (6, 780)
    assert len({sample.tags[0] for _, sample in cell.samples()}) == 6


def test_it_passes_its_check() -> None:
    for name in ("kv-retrieval", "kv-retrieval-json"):
        for result in check(name, DataOptions(small_sets=True)):
            assert (result.passed, result.gold, result.wrong) == (True, 100, 0)


def forgetful(payload: Payload, route: str) -> str:
    """Gives the value, but that of the pair before for pairs at 40–60 % of contexts of 8k tokens or more."""
    text = asked_text(payload)
    wanted = WANTED.search(text)
    assert wanted
    pairs = PAIR.findall(text)
    index = [key for key, _ in pairs].index(wanted[1])
    forgets = 5 * index // len(pairs) == 2 and len(text) > 4 * 7000
    value: str = pairs[index - forgets][1]
    return value if len(text) > 4 * 3000 else f"It is {value.upper()}."


@pytest.mark.slow
def test_a_model_s_failures_are_in_the_fields_of_the_heat_map_where_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    settings = {"lengths": "2k,4k,8k,16k", "samples": "1"}
    with OpenAIServer(forgetful) as server:
        evalkit.run("openai/any", "kv-retrieval", base_url=server.url, settings=settings, output=path)
        assert len(server.requests) == 20
    with Store.open(path) as store:
        cells = json.loads(render_report([store], "json"))["cells"]
        markdown = render_report([store], "markdown")
    heat = cells[0]["heat_map"]
    assert heat["rows"]["keys"] == ["2k", "4k", "8k", "16k"]
    assert heat["columns"]["keys"] == ["0–20 %", "20–40 %", "40–60 %", "60–80 %", "80–100 %"]
    wrong = {(one["row"], one["column"]) for one in heat["figures"] if one["value"] == 0}
    assert wrong == {("8k", "40–60 %"), ("16k", "40–60 %")}
    assert {one["value"] for one in heat["figures"]} == {0, 100}
    assert {one["n"] for one in heat["figures"]} == {1}
    assert cells[0]["value"] == 90
    by_tag = {name: round(value) for name, value in cells[0]["group_values"].items() if " · " not in name}
    assert by_tag == {
        "length 2k": 100, "length 4k": 100, "length 8k": 80, "length 16k": 80,
        "place 0–20 %": 100, "place 20–40 %": 100, "place 40–60 %": 50, "place 60–80 %": 100,
        "place 80–100 %": 100,
    }  # fmt: skip
    assert "|data:kv-retrieval 1, seed 0, lengths 2k,4k,8k,16k, pairs 64, " in cells[0]["signature"]["line"]
    assert cells[1]["value"] == 65  # not exact: sentences in 2k; and the two fields
    rows = [line for line in markdown.splitlines() if line.startswith(("| 2k", "| 8k"))]
    assert [[cell.split("<br>")[0] for cell in row.strip("| ").split(" | ")] for row in rows] == [
        ["2k", "100", "100", "100", "100", "100"],
        ["8k", "100", "100", "0", "100", "100"],
    ]
