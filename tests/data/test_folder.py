"""Reading a folder shaped like the Hub."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.data import DataOptions, Hub, Records, folder
from evalkit.errors import DataError
from tests.data.reading import SHARDED, jsonl, parquet

ASKED = ["Where is the ferry moored?", "When does it leave?"]
NAMES = ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a sharded data set, and one of bare files without a card."""
    files = {
        "acme/ferry/README.md": SHARDED,
        "acme/ferry/data/train-00000-of-00001.parquet": parquet("Is this for practice?"),
        "acme/ferry/" + NAMES[0]: parquet(ASKED[0]),
        "acme/ferry/" + NAMES[1]: parquet(ASKED[1]),
        "acme/bare/test.jsonl": jsonl(*ASKED),
        "acme/bare/train.jsonl": jsonl("Is this another split?"),
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


def opened(
    tree: Path,
    name: str,
    config: str | tuple[str, ...] = "main",
    split: str = "test",
    columns: tuple[str, ...] = ("question",),
) -> Records:
    return Hub(name, config, split, "0" * 40, columns).open(DataOptions(folder=tree))


def questions(records: Records) -> list[str]:
    return [record["question"] for record in records]


def test_with_a_card_and_without(tree: Path) -> None:
    for records in (opened(tree, "acme/ferry"), opened(tree, "acme/bare", "default")):
        assert questions(records) == questions(records) == ASKED
        assert records.count == 2
        assert records.origin["kind"] == "folder"
        assert records.origin["where"] == str(tree)
        assert records.origin["revision"] == ""


def test_folders_are_configs_if_no_card_states_any(tree: Path) -> None:
    """Also beside what `modelscope download` leaves: its list of files, and infos in a form of its own."""
    files = {
        "README.md": b"---\nlicense: mit\n---\n",
        ".msc": b"a pickle, which nobody opens",
        ".mv": b"Revision:master,CreatedAt:1700000000",
        "dataset_infos.json": b'{"default": {"features": {"question": {"_type": "Value"}}}}',
        "calm/test.jsonl": jsonl(ASKED[0]),
        "rough/test-00000-of-00001.parquet": parquet(ASKED[1]),
        "rough/train.parquet": parquet("Is this another split?"),
    }
    for path, content in files.items():
        (tree / "acme/tide" / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / "acme/tide" / path).write_bytes(content)
    assert questions(opened(tree, "acme/tide", "calm")) == ASKED[:1]
    assert questions(opened(tree, "acme/tide", ("rough", "calm"))) == ASKED[::-1]
    (tree / "acme/tide/dataset_infos.json").unlink()
    with pytest.raises(DataError, match="no config 'wild': it has default, calm, rough"):
        opened(tree, "acme/tide", "wild")
    (tree / "acme/tide/README.md").write_bytes(
        b"---\nconfigs:\n- config_name: main\n  data_files: calm/*\n---\n"
    )
    with pytest.raises(DataError, match=r"no config .calm.: it has main$"):
        opened(tree, "acme/tide", "calm")
    assert questions(opened(tree, "acme/tide", split="train")) == ASKED[:1]


def test_links_are_followed_out_of_the_folder(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in the Hugging Face cache, where snapshots are links to blobs without a suffix."""
    elsewhere = tmp_path_factory.mktemp("blobs")
    for at, name in enumerate(NAMES):
        (tree / "acme/ferry" / name).rename(elsewhere / f"blob{at}")
        (tree / "acme/ferry" / name).symlink_to(elsewhere / f"blob{at}")
    (tree / "other").symlink_to(tree / "acme", target_is_directory=True)
    (tree / "one").mkdir()
    (tree / "one/linked").symlink_to(tree / "acme/ferry", target_is_directory=True)
    for name in ("acme/ferry", "other/ferry", "one/linked"):
        assert questions(opened(tree, name)) == ASKED


def test_the_small_sets_are_such_a_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "SMALL_SETS", tree)
    records = Hub("acme/ferry", "main", "test", "0" * 40).open(DataOptions(small_sets=True))
    assert questions(records) == ASKED
    assert records.origin["kind"] == "small sets"


def test_media_are_bytes(tree: Path) -> None:
    """Not decoded, also in lists: that would need pillow, or torch for sound."""
    kinds = {"image": {"_type": "Image"}, "pages": {"_type": "List", "feature": {"_type": "Image"}}}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema(
        [("image", image), ("pages", pa.list_(image))],
        metadata={"huggingface": json.dumps({"info": {"features": kinds}})},
    )
    picture = {"bytes": b"not quite a picture", "path": "a.png"}
    out = BytesIO()
    pq.write_table(pa.table({"image": [picture], "pages": [[picture, picture]]}, schema), out)
    (tree / "acme/album").mkdir()
    (tree / "acme/album/test.parquet").write_bytes(out.getvalue())
    (record,) = opened(tree, "acme/album", "default", columns=("image",))
    assert record == {"image": picture, "pages": [picture, picture]}


def test_lists_and_labels_are_plain_values(tree: Path) -> None:
    """MMLU's columns: a list of texts, and a label that is stored as its number."""
    choices = {"_type": "List", "feature": {"dtype": "string", "_type": "Value"}}
    kinds = {"choices": choices, "answer": {"names": ["A", "B"], "_type": "ClassLabel"}}
    schema = pa.schema(
        [("choices", pa.list_(pa.string())), ("answer", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": kinds}})},
    )
    rows = [{"choices": ["here", "there"], "answer": 1}, {"choices": [], "answer": 0}]
    out = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), out)
    files = {"ferries/test.parquet": out.getvalue()}
    files["lines/test.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    for path, content in files.items():
        (tree / "acme" / path).parent.mkdir()
        (tree / "acme" / path).write_bytes(content)
        found = list(opened(tree, f"acme/{path.partition('/')[0]}", "default", columns=("choices", "answer")))
        assert found == rows
        assert [(type(row["choices"]), type(row["answer"])) for row in found] == [(list, int)] * 2


def test_several_configs_follow_each_other(tree: Path) -> None:
    card = b"---\nconfigs:\n"
    for config in ("calm", "rough"):
        card += f"- config_name: {config}\n  data_files: [{{split: test, path: {config}.jsonl}}]\n".encode()
    (tree / "acme/waters").mkdir()
    (tree / "acme/waters/README.md").write_bytes(card + b"---\n")
    (tree / "acme/waters/calm.jsonl").write_bytes(jsonl(*ASKED))
    (tree / "acme/waters/rough.jsonl").write_bytes(jsonl("Is it safe?"))
    both = opened(tree, "acme/waters", ("rough", "calm"))
    assert questions(both) == questions(both) == ["Is it safe?", *ASKED]
    assert both.count == 3
    assert both.origin == {**opened(tree, "acme/waters", "calm").origin, "config": "rough+calm"}
    single = opened(tree, "acme/waters", ("calm",))
    assert (questions(single), single.origin["config"]) == (ASKED, "calm")
    (tree / "acme/waters/rough.jsonl").write_bytes(b'{"asked": "Is it safe?"}\n')
    with pytest.raises(DataError, match="changed schema, no column question among asked"):
        opened(tree, "acme/waters", ("calm", "rough"))


def test_a_card_is_parsed_once_however_many_configs_are_opened(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again when the card has changed, also one of the same size, or when there is another file."""
    from huggingface_hub import DatasetCard

    parsed: list[Path] = []
    load: Callable[[Path], DatasetCard] = DatasetCard.load

    def counted(path: Path) -> DatasetCard:
        parsed.append(path)
        return load(path)

    monkeypatch.setattr(DatasetCard, "load", counted)
    names = [f"c{number:02d}" for number in range(9)]
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/*.jsonl\n" for name in names
    )
    root = tree / "acme/many"
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "a.jsonl").write_bytes(jsonl(f"Which {name}?"))
    (root / "README.md").write_text(card + "---\n", "utf-8")
    for name in names:
        assert questions(opened(tree, "acme/many", name)) == [f"Which {name}?"]
    assert questions(opened(tree, "acme/many", tuple(names))) == [f"Which {name}?" for name in names]
    assert len(parsed) == 1
    (root / "c07/b.jsonl").write_bytes(jsonl("And this?"))
    assert questions(opened(tree, "acme/many", "c07")) == ["Which c07?", "And this?"]
    assert len(parsed) == 2
    (root / "README.md").write_text(card.replace("c07/*", "c08/*") + "---\n", "utf-8")
    assert questions(opened(tree, "acme/many", "c07")) == ["Which c08?"]
    assert len(parsed) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SaylorTwift/bbh", "mteb/fleurs", "cais/mmlu", "acme/bare", "acme/ferry"])
def test_a_builder_is_that_of_datasets(name: str, tree: Path, tmp_path: Path) -> None:
    from datasets import get_dataset_config_names, load_dataset_builder

    root = (tree if name.startswith("acme") else folder.SMALL_SETS) / name
    configs = get_dataset_config_names(str(root))[:5]
    theirs = [load_dataset_builder(str(root), config, cache_dir=str(tmp_path)) for config in configs]
    split = next(iter(theirs[0].config.data_files))
    ours = [plan.builder for plan in folder.plan(root, configs, split, name)]
    for our, their in zip(ours, theirs, strict=True):
        assert type(our).__mro__[1] is type(their).__mro__[1]
        assert our.info.features == their.info.features
        assert our.config.name == their.config.name
        assert vars(our.config).keys() == vars(their.config).keys()
        assert {**our.config.data_files} == {**their.config.data_files}


def test_memory_holds_a_part_of_a_file(tree: Path) -> None:
    """A parquet file of 40 MB, in pieces of 1 MB, takes a few MB to read."""
    (tree / "acme/long").mkdir()
    schema = pa.schema([("question", pa.string())])
    with pq.ParquetWriter(tree / "acme/long/test.parquet", schema, compression="none") as writer:
        for piece in range(40):
            texts = [f"{piece} {row} " + "long " * 2000 for row in range(100)]
            writer.write_table(pa.table({"question": texts}, schema))
    before = pa.total_allocated_bytes()
    taken = [pa.total_allocated_bytes() - before for _ in opened(tree, "acme/long", "default")]
    assert len(taken) == 4000
    assert max(taken) < 8 << 20


def test_json_of_mixed_kinds_stays_what_it_was(tree: Path) -> None:
    rows = [{"question": "How many?", "accepted": [3, "three"]}, {"question": "Any?", "accepted": None}]
    (tree / "acme/mixed").mkdir()
    (tree / "acme/mixed/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(opened(tree, "acme/mixed", "default")) == rows


def test_what_is_not_there_is_named_with_what_is(tree: Path) -> None:
    expected = {
        ("acme/fery", "main", "test"): f"{tree} has no data set acme/fery: did you mean acme/ferry?",
        ("some/thing", "main", "test"): f"{tree} has no data set some/thing: it has acme/bare, acme/ferry",
        ("acme/ferry", "easy", "test"): f"acme/ferry in {tree} has no config 'easy': it has main",
        ("acme/ferry", "main", "dev"): "has no split 'dev' in config 'main': it has test, train",
        ("acme/bare", "default", "dev"): "has no split 'dev' in config 'default': it has train, test",
    }
    for (name, config, split), words in expected.items():
        with pytest.raises(DataError) as raised:
            opened(tree, name, config, split)
        assert words in str(raised.value)
    with pytest.raises(DataError, match="no folder"):
        opened(tree / "nowhere", "acme/ferry")
    with pytest.raises(DataError, match="changed schema, no column answer, unit among id, question"):
        opened(tree, "acme/ferry", columns=("answer", "question", "unit"))
    with pytest.raises(DataError, match="a folder has no revisions"):
        Hub("acme/ferry", "main", "test", "0" * 40).open(DataOptions(folder=tree, revision="main"))


def test_a_missing_shard_is_not_read_over(tree: Path) -> None:
    (tree / "acme/ferry" / NAMES[1]).unlink()
    with pytest.raises(DataError, match="lacks 1 of its 2 files, the first is data/test-00001-of-00002"):
        opened(tree, "acme/ferry")


def test_damage_is_a_data_error_and_no_log_line(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tree / "acme/ferry" / NAMES[1]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{NAMES[1]} cannot be read .*: delete the damaged file"):
        opened(tree, "acme/ferry")
    # The footer is whole here, so the damage shows only when its page is read.
    file.write_bytes(whole[:4] + b"\xff" * 80 + whole[84:])
    with pytest.raises(DataError, match=f"acme/ferry in {tree} cannot be read"):
        questions(opened(tree, "acme/ferry"))
    (tree / "acme/bare/test.jsonl").write_bytes(jsonl(*ASKED) + b'{"question": "Where does')
    with pytest.raises(DataError, match=f"acme/bare in {tree} cannot be read"):
        questions(opened(tree, "acme/bare", "default"))
    assert capfd.readouterr().err == ""


def test_the_libraries_keep_their_voice_outside(capfd: pytest.CaptureFixture[str]) -> None:
    """Muting is undone, also when two threads' mutings overlap."""
    logger = logging.getLogger("datasets")
    one, two = folder.quiet(), folder.quiet()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    before = [list(handler.filters) for handler in logger.handlers]
    two.__exit__(None, None, None)
    assert all(len(filters) == 1 for filters in before)
    assert not any(handler.filters for handler in logger.handlers)
    assert capfd.readouterr().err == ""
