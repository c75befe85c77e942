"""Draws evalkit's own small sets of questions about pictures: `python -m tools.draw_small_sets`.

Everything is invented and drawn here, with Pillow and the font that comes with it, without randomness: with
the same versions of Pillow, pyarrow and datasets, every file is the same, byte for byte. Other versions may
smooth or compress pictures differently.

The files have the Hub's layout, one parquet file for each split of each config and a card, and the columns
of the data sets whose names they have.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value

from tools.draw_charts import charts
from tools.draw_diagrams import diagrams
from tools.draw_documents import documents, infographics
from tools.draw_maths import maths
from tools.draw_mmmu import PICTURES, subjects
from tools.draw_pictures import pictures
from tools.draw_scenes import signs, vqa

FOLDER = Path(__file__).parents[1] / "evalkit" / "data" / "small_sets"
Record = dict[str, Any]
TEXT, NUMBER, TEXTS, IMAGE = Value("string"), Value("int64"), List(Value("string")), Image()


@dataclass(frozen=True, slots=True)
class SmallSet:
    """A small set. `records`: by config and split."""

    name: str
    features: Mapping[str, Mapping[str, Any]]
    """The features by config; "" for all configs."""
    records: Mapping[str, Mapping[str, Sequence[Record]]]


def small_sets() -> list[SmallSet]:
    vote = {"answer": TEXT, "answer_confidence": TEXT, "answer_id": NUMBER}
    ids = {"question_id": NUMBER, "image_id": NUMBER}
    said = {"multiple_choice_answer": TEXT, "answers": List(vote), "image": IMAGE}
    read = {"answers": TEXTS, "ocr_tokens": TEXTS, "image": IMAGE}
    page = {"questionId": TEXT, "question": TEXT, "answers": TEXTS}
    multimodal = {
        **dict.fromkeys(("id", "question", "options", "answer"), TEXT),
        **{f"image_{number + 1}": IMAGE for number in range(PICTURES)},
        **dict.fromkeys(("img_type", "topic_difficulty", "question_type", "subfield"), TEXT),
    }
    return [
        SmallSet("lmms-lab-encoder/VQAv2", {"": {**ids, "question": TEXT, **said}}, {"default": vqa()}),
        SmallSet(
            "lmms-lab/textvqa",
            {"": {"image_id": TEXT, "question_id": NUMBER, "question": TEXT, **read}},
            {"default": signs()},
        ),
        SmallSet(
            "lmms-lab/DocVQA",
            {
                "DocVQA": {**page, "docId": NUMBER, "image": IMAGE},
                "InfographicVQA": {**page, "image_url": TEXT, "image": IMAGE},
            },
            {"DocVQA": documents(), "InfographicVQA": infographics()},
        ),
        SmallSet(
            "lmms-lab/ChartQA",
            {"": {**dict.fromkeys(("type", "question", "answer"), TEXT), "image": IMAGE}},
            {"default": charts()},
        ),
        SmallSet(
            "lmms-lab/ai2d",
            {"": {"question": TEXT, "options": TEXTS, "answer": TEXT, "image": IMAGE}},
            {"default": diagrams()},
        ),
        SmallSet("AI4Math/MathVista", {"": _mathvista()}, {"default": maths()}),
        SmallSet(
            "MMMU/MMMU",
            {"": multimodal},
            {subject: {"validation": rows} for subject, rows in subjects().items()},
        ),
        SmallSet(
            "evalkit/pictures",
            {"": {"question": TEXT, "image": IMAGE, "answers": TEXTS}},
            {"default": pictures()},
        ),
    ]


def _mathvista() -> dict[str, Any]:
    words = ("split", "language", "source", "category", "task", "context", "grade")
    return {
        **dict.fromkeys(("pid", "question", "image"), TEXT),
        "choices": TEXTS,
        "unit": TEXT,
        "precision": Value("float64"),
        **dict.fromkeys(("answer", "question_type", "answer_type"), TEXT),
        "metadata": {**dict.fromkeys(words, TEXT), "skills": TEXTS},
        "decoded_image": IMAGE,
    }


def write(small: SmallSet, folder: Path) -> None:
    """Writes the card and the parquet files of one set, below `folder`."""
    root = folder / small.name
    for config, splits in small.records.items():
        features = Features(small.features.get(config) or small.features[""])
        for split, records in splits.items():
            file = root / config / f"{split}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = [{key: _stored(features[key], value) for key, value in row.items()} for row in records]
            table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
            pq.write_table(table, file, write_statistics=False)
    (root / "README.md").write_text(_card(small), "utf-8")


def _stored(feature: object, value: Any) -> Any:
    if not isinstance(feature, Image) or value is None:
        return value
    return {"bytes": value, "path": None}


def _card(small: SmallSet) -> str:
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {config}/{split}.parquet\n" for split in splits)
        for config, splits in small.records.items()
    )
    count = sum(len(rows) for splits in small.records.values() for rows in splits.values())
    taken = f"none is taken from `{small.name}`, but the columns are the same as there"
    if small.name.startswith("evalkit/"):
        taken = "no benchmark asks them"
    return (
        f"---\nlicense: apache-2.0\nconfigs:\n{configs}---\n\n"
        f"These {count} questions were written, and their pictures drawn, for evalkit "
        f"(`tools/draw_small_sets.py`); {taken}.\n"
        "They are for trying evalkit out, not for results.\n"
    )


if __name__ == "__main__":
    for small_set in small_sets():
        write(small_set, Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
