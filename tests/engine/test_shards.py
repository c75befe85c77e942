"""Shards of a run, and the run file that `merge` makes of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.engine.merge import merge
from evalkit.engine.shards import Shard, parse_shard
from evalkit.errors import SampleError, UsageError
from evalkit.models.base import Model
from evalkit.models.fake import FakeModel
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import Store
from evalkit.samples import Sample
from tests.edited import edited
from tests.graded import essays
from tests.made import sums
from tests.openai_server import OpenAIServer
from tests.quiz import quiz
from tests.shardable import digits, documents, ids, sharded

GOLD = "fake/gold?wrong=0.3"


def check_merged(folder: Path, model: str | Model, task: str, of: int = 3, **settings: Any) -> Path:
    """Merges the shards in another order, and compares everything that is shown with a run without shards."""
    single, merged = folder / "single.db", folder / "merged.db"
    evalkit.run(model, task, output=single, **settings)
    paths = sharded(folder, of, model, task, **settings)
    assert sorted(ids(single)) == sorted(name for path in paths for name in ids(path))
    merge(paths[1:] + paths[:1], merged, task_files=[task.partition(":")[0]])
    assert documents(merged, task) == documents(single, task)
    assert ids(merged) == ids(single)
    return merged


# Which samples a shard has


def test_each_sample_is_in_one_shard_whatever_the_others_are() -> None:
    names = [f"q{i}" for i in range(1000)]
    for of in (1, 2, 7, 8):
        found = Counter(
            index
            for i, name in enumerate(names)
            for index in range(1, of + 1)
            if Shard(index, of).has("gsm8k", i, Sample(id=name, input="", target=()))
        )
        assert found.total() == 1000
        assert len(found) == of
        assert min(found.values()) > 700 / of


def test_the_shard_of_a_sample_never_changes() -> None:
    """Shards of one run are asked by different machines, at different times."""
    shards = {
        (task, name): next(
            index
            for index in range(1, 9)
            if Shard(index, 8).has(task, 0, Sample(id=name, input="", target=()))
        )
        for task, name in (("gsm8k", "0"), ("gsm8k", "1"), ("mmlu", "0"), ("mmlu", "é"))
    }
    assert list(shards.values()) == SHARDS
    broken = SampleError("broken")
    assert [Shard(1, 2).has("gsm8k", position, broken) for position in range(6)] == BROKEN


SHARDS = [1, 8, 3, 6]
BROKEN = [False, False, True, True, True, False]


def test_a_shard_is_typed_as_i_of_n() -> None:
    assert parse_shard("2/8") == Shard(2, 8)
    for text in ("0/8", "9/8", "2", "2/0", "a/b", "-1/8", "1.5/2", "2/8/3", ""):
        with pytest.raises(UsageError, match="--shard must be I/N with I from 1 to N, such as 2/8"):
            parse_shard(text)
    with pytest.raises(UsageError, match="the first of 8 shards is 1/8"):
        parse_shard("0/8")


# Merged runs


def test_merged_shards_are_the_run_without_shards(tmp_path: Path) -> None:
    """With equal ids, equal prompts, records without a sample, and a metric of the whole corpus."""
    task = digits(tmp_path)
    merged = check_merged(tmp_path, GOLD, task)
    before = documents(merged, task)
    model = FakeModel(lambda request, draw: "", "fake/gold", wrong=0.3)
    evalkit.run(model, task, output=merged)
    assert documents(merged, task) == before
    assert model.asked == 0


def test_samples_that_failed_stay_failed_in_the_merged_run(tmp_path: Path) -> None:
    merged = check_merged(tmp_path, f"{GOLD}&errors=0.2", digits(tmp_path, prompts=30), of=2, retries=0)
    assert '"failed": 0' not in documents(merged)[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": 4},  # of each group
        pytest.param({"settings": {"draws": 2, "temperature": 0.8}, "seed": 3}, marks=pytest.mark.slow),
        pytest.param({"verify_fraction": 0.5}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_settings_of_a_run_hold_for_its_shards(tmp_path: Path, settings: dict[str, Any]) -> None:
    check_merged(tmp_path, GOLD, f"{digits(tmp_path)}", **settings)


@pytest.mark.slow
def test_shards_of_several_protocols_share_responses_as_one_run_does(tmp_path: Path) -> None:
    task = digits(tmp_path)
    single, merged = tmp_path / "single.db", tmp_path / "merged.db"
    tasks = f"{task}:digits:once,{task}:digits:maj"
    evalkit.run(GOLD, tasks, output=single)
    merge(sharded(tmp_path, 4, GOLD, tasks), merged, task_files=[task])
    assert documents(merged, task) == documents(single, task)
    with closing(sqlite3.connect(single)) as one, closing(sqlite3.connect(merged)) as other:
        for table in ("request", "draw", "asked", "sample", "figure"):
            query = f"SELECT count(*) FROM {table}"
            assert one.execute(query).fetchone() == other.execute(query).fetchone(), table


@pytest.mark.slow
def test_a_benchmark_that_a_judge_scores_is_merged(tmp_path: Path) -> None:
    judge = FakeModel(lambda request, draw: f"grade: {len(str(request.prompt)) % 6}", "fake/grader")
    check_merged(tmp_path, "fake/echo", essays(tmp_path), judge=judge)


def test_answers_to_one_prompt_that_differ_by_shard_are_all_kept(tmp_path: Path) -> None:
    """Each sample keeps the response that it was scored by."""
    replies = iter(range(1000))
    model = FakeModel(lambda request, draw: f"The answer is {next(replies)}.", "fake/unsteady")
    task = digits(tmp_path, 20, ids=20, prompts=1, broken=-1)
    paths = sharded(tmp_path, 3, model, task)
    merge(paths, tmp_path / "merged.db", task_files=[task])
    before = {name: text for path in paths for name, text in texts(path).items()}
    assert texts(tmp_path / "merged.db") == before
    assert len(set(before.values())) == 3


def texts(path: Path) -> dict[str, str]:
    found = {}
    with Store.open(path) as store:
        records = SampleRecords(store, store.cells()[0], whole=True)
        for position in records.positions.values():
            record = records.read(position)
            found[record.id] = record.requests[0].draws[0].response.text
    return found


def test_more_shards_than_samples_are_fine(tmp_path: Path) -> None:
    check_merged(tmp_path, GOLD, sums(tmp_path, 1), of=3)


def test_shards_with_endpoints_at_other_addresses_are_one_run(tmp_path: Path) -> None:
    task = sums(tmp_path, 20)
    with OpenAIServer() as one, OpenAIServer() as other, OpenAIServer() as third:
        single, merged = tmp_path / "single.db", tmp_path / "merged.db"
        evalkit.run("openai/m", task, output=single, base_url=one.url)
        paths = [tmp_path / f"{index}.db" for index in (1, 2, 3)]
        for index, (path, urls) in enumerate(
            zip(paths, (one.url, other.url, [other.url, third.url]), strict=True), 1
        ):
            evalkit.run("openai/m", task, output=path, base_url=urls, shard=f"{index}/3")
        merge(paths, merged)
        assert documents(merged) == documents(single)
        asked = len(one.requests) + len(other.requests) + len(third.requests)
        evalkit.run("openai/m", task, output=merged, base_url=other.url)
        assert len(one.requests) + len(other.requests) + len(third.requests) == asked == 40
    with Store.open(merged) as store:
        assert [move["endpoint"] for move in store.manifest["moves"]] == [other.url, "replicas"]


# A shard alone


def test_the_same_shard_is_resumed_and_another_is_refused(tmp_path: Path) -> None:
    task = sums(tmp_path, 20)
    (path, _) = sharded(tmp_path, 2, GOLD, task)
    before = documents(path)
    evalkit.run(GOLD, task, output=path, shard="1/2")
    assert documents(path) == before
    for shard in ("2/2", "1/3", ""):
        with pytest.raises(UsageError, match="shard: 1/2 in the file"):
            evalkit.run(GOLD, task, output=path, shard=shard)


def test_a_threshold_is_chosen_on_the_validation_samples_of_all_shards(tmp_path: Path) -> None:
    merged = check_merged(tmp_path, GOLD, f"{quiz(tmp_path)}:quiz:routed", limit=8)
    with Store.open(merged) as store:
        (cell,) = (cell for cell in store.cells() if not cell.role)
        assert cell.found["validation_samples"] == 8
    with Store.open(tmp_path / "1-3.db") as store:
        assert not any(cell.found for cell in store.cells())


# What is not merged


def test_files_that_are_not_of_one_run_are_refused(tmp_path: Path) -> None:
    one, two = sharded(tmp_path, 2, GOLD, sums(tmp_path, 6))
    output = tmp_path / "merged.db"
    spec = "UPDATE cell SET spec = json_set(spec, '$.{}', {})"
    for change, said in {
        "DELETE FROM run WHERE key = 'shard'": r"changed\.db is not a shard: only runs with --shard I/N",
        "UPDATE run SET value = json_set(value, '$.identity.wrong', 0.5) WHERE key = 'model'": (
            r"shard 1/2 \(.*\) and shard 2/2 \(.*\) are not of one run: run model wrong: 0.3 and 0.5"
        ),
        "UPDATE run SET value = '1' WHERE key = 'seed'": "run seed: 0 and 1",
        "UPDATE run SET value = '{\"judge\": \"x\"}' WHERE key = 'judges'": "run judges judge: None and x",
        "UPDATE run SET value = '\"0.0.9\"' WHERE key = 'evalkit'": r"run evalkit: .* and 0\.0\.9",
        "UPDATE run SET value = '\"2/3\"' WHERE key = 'shard'": "different numbers of shards",
        spec.format("limit", 9): "sums:once limit: None and 9",
        spec.format("protocol.max_tokens", 7): "sums:once protocol max_tokens: 1024 and 7",
        spec.format("records", 30): "sums:once records: 6 and 30",
        spec.format("scorer", "'another@2'"): "sums:once scorer: .* and another@2",
        "UPDATE cell SET task = 'other', spec = json_set(spec, '$.task', 'other')": "other:once",
    }.items():
        changed = tmp_path / "changed.db"
        shutil.copy(two, changed)
        with edited(changed) as db:
            db.execute(change)
        with pytest.raises(UsageError, match=said):
            merge([one, changed], output)
    with pytest.raises(UsageError, match="no run file"):
        merge([one, tmp_path / "none.db"], output)
    with pytest.raises(UsageError, match="no run file to merge"):
        merge([], output)
    assert not [path for path in tmp_path.iterdir() if "merged" in path.name]
    merge([one, two], output)
    with pytest.raises(UsageError, match="already exists"):
        merge([one, two], output)


def test_a_shard_twice_counts_once_and_is_refused_if_its_answers_differ(tmp_path: Path) -> None:
    task = sums(tmp_path, 20)
    paths = sharded(tmp_path, 2, GOLD, task)
    again = tmp_path / "again.db"
    evalkit.run(GOLD, task, output=again, shard="2/2")
    evalkit.run(GOLD, task, output=tmp_path / "single.db")
    merge([*paths, again, paths[0]], tmp_path / "merged.db")
    assert documents(tmp_path / "merged.db") == documents(tmp_path / "single.db")
    with edited(again) as db:
        db.execute("UPDATE sample SET answer = '{}' WHERE position = (SELECT min(position) FROM sample)")
    with pytest.raises(UsageError, match=r"sums:once: sample \d+ \+ \d is in two files, with different"):
        merge([*paths, again], tmp_path / "other.db")


def test_an_unfinished_shard_is_named(tmp_path: Path) -> None:
    task = sums(tmp_path, 20)
    paths = sharded(tmp_path, 2, GOLD, task)
    with edited(paths[1]) as db:
        db.execute("UPDATE cell SET finished = NULL")
        db.execute("DELETE FROM sample WHERE position = (SELECT max(position) FROM sample)")
    said = rf"shard 2/2 \({paths[1]}\) is not finished: sums:once has {len(ids(paths[1]))} samples so far"
    with pytest.raises(UsageError, match=said):
        merge(paths, tmp_path / "merged.db")
    merge(paths, tmp_path / "merged.db", partial=True)
    assert len(ids(tmp_path / "merged.db")) == 19


def test_data_that_changed_between_two_shards_are_refused(tmp_path: Path) -> None:
    """The data do not say how many samples they have, so that only the end of each shard shows it."""
    task = sums(tmp_path, 20, known=False)
    first = tmp_path / "1.db"
    evalkit.run(GOLD, task, output=first, shard="1/2")
    (other := tmp_path / "other").mkdir()
    evalkit.run(GOLD, sums(other, 24, known=False), output=tmp_path / "2.db", shard="2/2")
    with pytest.raises(UsageError, match="the data changed between them, or differs by machine"):
        merge([first, tmp_path / "2.db"], tmp_path / "merged.db")


def test_replicas_are_summed_up(tmp_path: Path) -> None:
    from evalkit.runfile.replica_use import replica_uses

    with OpenAIServer() as one, OpenAIServer() as other:
        paths = sharded(tmp_path, 2, "openai/m", sums(tmp_path, 20), base_url=[one.url, other.url])
        merge(paths, tmp_path / "merged.db")
        with Store.open(tmp_path / "merged.db") as store:
            counted = {use.address: use.requests for use in replica_uses(store)}
        assert counted == {one.url: len(one.requests), other.url: len(other.requests)}
