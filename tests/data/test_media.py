"""Pictures and sounds that a data set keeps as files of their own."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.data import DataOptions, Hub, Records
from evalkit.errors import DataError

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8ffff3f0005fe02fea735810000000049454e44ae426082"
)


def opened(tree: Path, split: str = "test") -> Records:
    return Hub("acme/album", "default", split, "0" * 40, ("image",)).open(DataOptions(folder=tree))


def named(tree: Path, *paths: str) -> None:
    """A parquet file whose pictures are only named."""
    schema = pa.schema(
        [("image", pa.struct({"bytes": pa.binary(), "path": pa.string()}))],
        metadata={"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})},
    )
    out = BytesIO()
    rows = [{"bytes": None, "path": path} for path in paths]
    pq.write_table(pa.table({"image": rows}, schema), out)
    (tree / "acme/album").mkdir(parents=True, exist_ok=True)
    (tree / "acme/album/test.parquet").write_bytes(out.getvalue())


def test_a_folder_of_pictures_with_a_list_of_them(tmp_path: Path) -> None:
    """The shape that `datasets` calls an image folder: files, and metadata.jsonl beside them."""
    place = tmp_path / "acme/album/test"
    (place / "harbour").mkdir(parents=True)
    (place / "harbour/a.png").write_bytes(PNG)
    line = {"file_name": "harbour/a.png", "question": "Is it one pixel?", "answers": ["yes"]}
    (place / "metadata.jsonl").write_text(json.dumps(line) + "\n")
    (record,) = opened(tmp_path)
    assert record["image"]["bytes"] == PNG
    assert record["image"]["path"].endswith("harbour/a.png")
    assert (record["question"], record["answers"]) == ("Is it one pixel?", ["yes"])


def test_a_parquet_file_that_names_pictures(tmp_path: Path) -> None:
    named(tmp_path, "a.png", "lost.png")
    (tmp_path / "acme/album/a.png").write_bytes(PNG)
    there, lost = opened(tmp_path)
    assert there["image"]["bytes"] == PNG
    assert lost["image"]["bytes"] is None


@pytest.mark.parametrize("path", ["../../secret.png", "{outside}/secret.png", "a/../../../secret.png"])
def test_a_file_outside_is_not_read(tmp_path: Path, path: str) -> None:
    """Else a data set could have any file of this machine sent to an endpoint."""
    (tmp_path / "secret.png").write_bytes(PNG)
    named(tmp_path, path.format(outside=tmp_path))
    with pytest.raises(DataError, match=r"a file outside of itself, which was not read: .*secret\.png"):
        list(opened(tmp_path))


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    """The Hub's cache is made of links."""
    (tmp_path / "blob").write_bytes(PNG)
    named(tmp_path, "a.png")
    (tmp_path / "acme/album/a.png").symlink_to(tmp_path / "blob")
    (record,) = opened(tmp_path)
    assert record["image"]["bytes"] == PNG
