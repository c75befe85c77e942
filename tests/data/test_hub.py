"""Reading from the Hub, against a stand-in over real HTTP."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evalkit.data.hub import CONVERTED
from tests.data.reading import SHARDED, Job, jsonl, parquet, read
from tests.hub_server import HubServer

OLD = ["Which bird sings at dusk?", "How deep is the village well?"]
NEW = ["Which bird sings at dawn?", "How deep is the new well?", "Who dug it?"]
LITERAL = b"""---
configs:
- config_name: main
  data_files:
  - split: test
    path: test.jsonl
  - split: train
    path: train.jsonl
---
"""


def sharded(*shards: bytes) -> dict[str, bytes]:
    """A repository whose test split has these shards, beside a train split."""
    names = [f"data/test-{at:05d}-of-{len(shards):05d}.parquet" for at in range(len(shards))]
    train = {"data/train-00000-of-00001.parquet": parquet("What is for practice?")}
    return {"README.md": SHARDED} | train | dict(zip(names, shards, strict=True))


@pytest.mark.slow
def test_the_revision_asked_for_is_what_is_read(tmp_path: Path) -> None:
    """Main has moved; offline, another revision is never taken for it."""
    with HubServer() as hub:
        old = hub.publish("acme/birds", sharded(*map(parquet, OLD)))
        new = hub.publish("acme/birds", sharded(*map(parquet, NEW)))
        hub.tag("acme/birds", "v1", old)
        older = hub.publish("acme/lines", {"README.md": LITERAL, "test.jsonl": jsonl(*OLD)})
        lines = {"README.md": LITERAL, "test.jsonl": jsonl(*NEW), "train.jsonl": jsonl(*OLD)}
        newer = hub.publish("acme/lines", lines)
        bare = hub.publish("acme/bare", {"test.jsonl": jsonl(*OLD)})
        pinned, tag, main, lined, plain = read(
            Job("acme/birds", old),
            Job("acme/birds", other_revision="v1"),
            Job("acme/birds", old, other_revision="main"),
            Job("acme/lines", newer),
            Job("acme/bare", bare, config="default"),
            endpoint=hub.url,
            home=tmp_path,
        )
        assert not hub.paths(part="train"), "only the split asked for is downloaded"
        assert pinned.questions == tag.questions == plain.questions == OLD
        assert main.questions == lined.questions == NEW
        assert (pinned.count, lined.count) == (2, 3)
        assert (pinned.origin["revision"], main.origin["revision"]) == (old, new)
        assert tag.origin["revision"] == old
        assert pinned.origin["where"] == f"{hub.url}/datasets/acme/birds/tree/{old}"
        asked = len(hub.asked)
        offline = [
            Job("acme/birds", old),
            Job("acme/birds", other_revision="main"),
            Job("acme/lines", newer),
            Job("acme/bare", bare, config="default"),
            Job("acme/lines", older),
            Job("acme/birds", old, split="train"),
            Job("acme/birds", other_revision="never-seen"),
        ]
        got = read(*offline, endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
        assert len(hub.asked) == asked
    assert [one.questions for one in got[:4]] == [OLD, NEW, NEW, OLD]
    assert [one.origin["revision"] for one in got[:4]] == [old, new, newer, bare]
    for refused in got[4:]:
        assert "HF_HUB_OFFLINE is set" in refused.error
    # The Hub is gone now, though nobody said so: what is pinned and cached needs no Hub.
    package = ("no-such-package", "a.jsonl")
    pinned, lost = read(
        Job("acme/birds", old), Job("acme/other", package=package), endpoint=hub.url, home=tmp_path
    )
    assert pinned.questions == OLD
    for fix in ("--data builtin", "--data DIR", "HF_ENDPOINT", "pip install no-such-package", hub.url):
        assert fix in lost.error


@pytest.mark.slow
def test_the_hubs_own_conversion_needs_no_card(tmp_path: Path) -> None:
    """A data set whose main branch is a script: the conversion's folders are the configs and splits."""
    with HubServer() as hub:
        sha = hub.publish(
            "acme/script",
            {
                "calm/test/0000.parquet": parquet(OLD[0]),
                "calm/test/0001.parquet": parquet(OLD[1]),
                "calm/partial-train/0000.parquet": parquet("What is for practice?"),
                "rough/test/0000.parquet": parquet(*NEW),
            },
        )
        hub.publish(
            "acme/script", {"README.md": b"---\nlicense: mit\n---\n", "script.py": b"raise SystemExit"}
        )
        hub.tag("acme/script", CONVERTED, sha)
        calm, rough, none = read(
            Job("acme/script", CONVERTED, "calm"),
            Job("acme/script", CONVERTED, "rough"),
            Job("acme/script", CONVERTED, "wild"),
            endpoint=hub.url,
            home=tmp_path,
        )
        assert not hub.paths(part="train")
    assert (calm.questions, rough.questions) == (OLD, NEW), calm.error
    assert calm.origin["revision"] == sha
    assert "no config 'wild': it has calm, rough" in none.error


@pytest.mark.slow
def test_a_mirror_may_be_below_a_path_of_its_server(tmp_path: Path) -> None:
    """With or without a slash at its end; folders are configs here too if no card states any."""
    with HubServer(prefix="/mirrors/hf") as hub:
        files = {"calm/test-00000-of-00001.parquet": parquet(*OLD), "rough/test.parquet": parquet(*NEW)}
        sha = hub.publish("acme/tides", files)
        jobs = (Job("acme/tides", sha, "calm"), Job("acme/tides", "main", "rough"))
        for endpoint in (hub.url, f"{hub.url}/"):
            calm, rough = read(*jobs, endpoint=endpoint, home=tmp_path / endpoint[-1])
            assert (calm.questions, rough.questions) == (OLD, NEW), calm.error
            assert calm.origin["where"] == f"{hub.url}/datasets/acme/tides/tree/{sha}"
        assert {one.path.startswith("/mirrors/hf/") for one in hub.asked} == {True}


CONFIGS = b"""---
configs:
- config_name: easy
  data_files:
  - split: test
    path: easy/test-*
- config_name: hard
  data_files:
  - split: test
    path: hard.parquet
  - split: dev
    path: dev.parquet
---
"""


@pytest.mark.slow
def test_several_configs_follow_each_other(tmp_path: Path) -> None:
    """In the order they were asked for, all of the same commit, online and offline; one alone is as ever."""
    with HubServer() as hub:
        files = {"README.md": CONFIGS, "hard.parquet": parquet(*NEW), "dev.parquet": parquet(*OLD)}
        names = [f"easy/test-{at:05d}-of-00002.parquet" for at in range(2)]
        sha = hub.publish("acme/levels", files | dict(zip(names, map(parquet, OLD), strict=True)))
        jobs = [
            Job("acme/levels", sha, config=("easy", "hard")),
            Job("acme/levels", sha, config=("hard", "easy")),
            Job("acme/levels", sha, config=("hard",)),
            Job("acme/levels", sha, config="hard"),
            Job("acme/levels", sha, config=("easy", "hrad")),
            Job("acme/levels", sha, config=("hard", "easy"), split="dev"),
        ]
        online = read(*jobs, endpoint=hub.url, home=tmp_path)
        assert not hub.paths(part="dev.parquet"), "only the split asked for is downloaded"
        assert read(*jobs[:4], endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1") == online[:4]
    both, reverse, one, alone, unknown, missing = online
    assert (both.questions, both.count) == ([*OLD, *NEW], 5)
    assert (reverse.questions, reverse.count) == ([*NEW, *OLD], 5)
    assert (both.origin["config"], reverse.origin["config"]) == ("easy+hard", "hard+easy")
    assert both.origin["revision"] == sha
    assert one == alone
    assert (alone.questions, alone.origin["config"]) == (NEW, "hard")
    assert "no config 'hrad': it has easy, hard" in unknown.error
    assert "no split 'dev' in config 'easy': it has test" in missing.error


@pytest.mark.slow
def test_an_interrupted_download_goes_on_and_is_never_read_as_the_whole(tmp_path: Path) -> None:
    """A cut connection resumes by range; after a failed run the finished files stay, and none is missed."""
    noise = random.Random(7).randbytes(6 << 20).hex()
    first, second = parquet("What is written here?", noise, compression="none"), parquet("And there?")
    names = [f"data/test-0000{at}-of-00002.parquet" for at in range(2)]
    with HubServer() as hub:
        sha = hub.publish("acme/long", sharded(first, second))
        # huggingface_hub writes in steps of 10 MiB, so that is what it keeps of 11.
        hub.cut(names[0], after=11 << 20)
        large = f"/large/acme/long/{sha}/{names[1]}"
        hub.fail(3, large)
        (failed,) = read(Job("acme/long", sha), endpoint=hub.url, home=tmp_path)
        assert "503" in failed.error
        ranges = [one.range for one in hub.asked if one.method == "GET" and names[0] in one.path]
        assert f"bytes={10 << 20}-" in ranges
        (offline,) = read(Job("acme/long", sha), endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
        assert "not completely" in offline.error
        before = len(hub.asked)
        hub.fail(1, large)
        (whole,) = read(Job("acme/long", sha), endpoint=hub.url, home=tmp_path)
        assert whole.questions == ["What is written here?", noise[:80], "And there?"]
        assert not [one for one in hub.asked[before:] if names[0] in one.path]
    blob = next(tmp_path.glob(f"hub/*/snapshots/{sha}/{names[1]}")).resolve()
    blob.write_bytes(second[:-8])
    (damaged,) = read(Job("acme/long", sha), endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
    assert f"bytes instead of {len(second)}: delete {blob}" in damaged.error


@pytest.mark.slow
def test_what_cannot_be_read_says_why_and_what_helps(tmp_path: Path) -> None:
    with HubServer() as hub:
        sha = hub.publish("acme/birds", sharded(*map(parquet, OLD)))
        partial = sharded(*map(parquet, NEW))
        del partial["data/test-00001-of-00003.parquet"]
        broken = jsonl(*OLD) + b'{"question": "Where does this'
        repos = {
            "gated": sharded(parquet(*OLD)),
            "renamed": sharded(parquet(*OLD, column="prompt")),
            "partial": partial,
            "torn": sharded(parquet(*OLD)[:-9]),
            "broken": {"README.md": LITERAL, "test.jsonl": broken, "train.jsonl": b""},
            "card": {"README.md": b"---\nconfigs: [\n---\n", "test.jsonl": jsonl(*OLD)},
            "outside": {"README.md": LITERAL, "../../outside.jsonl": jsonl(*OLD)},
        }
        for name, files in repos.items():
            hub.publish(f"acme/{name}", files)
        hub.gate("acme/gated")
        expected = [
            (Job("acme/missing", sha), "no data set acme/missing on"),
            (Job("acme/birds", "f" * 40), f"has no revision {'f' * 40!r}: "),
            (Job("acme/birds", other_revision="v9"), "`--set revision=main`"),
            (Job("acme/birds", sha, config="mian"), "no config 'mian': it has main"),
            (Job("acme/birds", sha, split="dev"), "no split 'dev' in config 'main': it has test, train"),
            (Job("acme/gated", other_revision="main"), "is gated: accept its terms"),
            (Job("acme/renamed", other_revision="main"), "no column question among id, prompt"),
            (Job("acme/partial", other_revision="main"), "data/test-00001-of-00003"),
            (Job("acme/torn", other_revision="main"), "data/test-00000-of-00001.parquet cannot be read"),
            (Job("acme/broken", other_revision="main"), "cannot be read"),
            (Job("acme/card", other_revision="main"), "cannot be read"),
            (Job("acme/outside", other_revision="main"), "lists a file outside of itself"),
        ]
        got = read(*(job for job, _ in expected), endpoint=hub.url, home=tmp_path)
        for (job, words), one in zip(expected, got, strict=True):
            assert words in one.error
            assert job.name in one.error or job.name == "acme/torn"
        (allowed,) = read(
            Job("acme/gated", other_revision="main"), endpoint=hub.url, home=tmp_path, HF_TOKEN="hf_test"
        )
        assert allowed.questions == OLD
