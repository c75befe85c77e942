"""Small data sets in the columns of those that lm-eval's tasks read, made up for evalkit's tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, Any]]
NAMES = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay")
THINGS = ("pears", "stamps", "shells", "nails", "cards", "corks")


def write(root: Path, name: str, configs: Mapping[str, Mapping[str, Rows]]) -> None:
    """Writes a data set laid out like one on the Hub: config → split → rows."""
    folder = root / name
    card = ["---", "configs:"]
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            file = folder / config / f"{split}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist([*rows]), file)
            card += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]), "utf-8")


def sums(count: int, start: int = 2) -> Rows:
    """Problems of addition in GSM8K's columns."""
    rows = []
    for i in range(start, start + count):
        who, what = NAMES[i % 6], THINGS[i * 5 % 6]
        question = f"{who} has {i} {what} and finds {3 * i} more. How many {what} does {who} have?"
        rows.append({"question": question, "answer": f"{who} has {i} + {3 * i} = {4 * i}.\n#### {4 * i}"})
    return rows


def choices(count: int, subject: str) -> Rows:
    """Questions in MMLU's columns."""
    rows = []
    for i in range(count):
        options = [f"{THINGS[(i + j) % 6]} of {NAMES[j]}" for j in range(4)]
        question = f"In {subject}, what does {NAMES[i % 6]} count on day {i + 1}? "
        rows.append({"question": question, "subject": subject, "choices": options, "answer": i * 3 % 4})
    return rows


def stories(count: int) -> Rows:
    """Beginnings of stories with four endings in HellaSwag's columns."""
    return [
        {
            "ind": i,
            "activity_label": f"Sorting {THINGS[i % 6]}",
            "ctx_a": f"{NAMES[i % 6]} empties a box of {THINGS[i % 6]} on the table.",
            "ctx_b": "then she",
            "endings": [
                f"puts {i + j} of them back [step] into {('the box', 'a bag', 'her pocket', 'a jar')[j]}."
                for j in range(4)
            ],
            "source_id": f"wikihow~{i}",
            "split": "val",
            "split_type": "indomain",
            "label": str(i % 4),
        }
        for i in range(count)
    ]


def passages(count: int) -> Rows:
    """A passage with a question and its answers in DROP's columns."""
    blank = {"day": "", "month": "", "year": ""}
    rows = []
    for i in range(count):
        spans = [NAMES[i % 6]] if i % 2 else []
        number = "" if i % 2 else str(i + 4)
        answer = {"number": number, "date": blank, "spans": spans, "worker_id": "", "hit_id": ""}
        again = {
            "number": [number, ""],
            "date": [blank, blank],
            "spans": [spans, [f"{NAMES[i % 6]} and a friend"]],
            "worker_id": ["", ""],
            "hit_id": ["", ""],
        }
        rows.append(
            {
                "section_id": f"s{i}",
                "query_id": f"q{i}",
                "passage": f"On Monday {NAMES[i % 6]} sold {i + 4} {THINGS[i % 6]}, on Tuesday none.",
                "question": "Who sold them?" if i % 2 else "How many were sold on Monday?",
                "answer": answer,
                "validated_answers": again,
            }
        )
    return rows


def science(count: int) -> Rows:
    """Questions in ARC's columns."""
    texts = ("a cork", "an iron nail", "a stone", "wet sand")
    return [
        {
            "id": f"E{i}",
            "question": f"Which of these floats best if it weighs {i + 1} kg?",
            "choices": {"text": [*texts[: 3 + i % 2]], "label": [*"ABCD"[: 3 + i % 2]]},
            "answerKey": "ABC"[i % 3],
        }
        for i in range(count)
    ]  # fmt: skip


def pages(count: int) -> Rows:
    """Short pages in the column of WikiText, with its way of writing marks."""
    begun = [f" = {THINGS[i % 6].title()} = \n \n {NAMES[i % 6]} counted" for i in range(count)]
    return [{"page": f"{one} 1 @,@ {i}00 of them , then slept . \n"} for i, one in enumerate(begun)]


def gaps(count: int) -> Rows:
    """Sentences with a gap in WinoGrande's columns."""
    return [
        {
            "sentence": f"{NAMES[i % 6]} kept the {i + 2} {THINGS[i % 6]} because _ was too full.",
            "option1": "the bag",
            "option2": "the box",
            "answer": "12"[i % 2],
        }
        for i in range(count)
    ]


def everything(root: Path) -> Path:
    """Writes all data sets below `root` and returns it."""
    write(root, "openai/gsm8k", {"main": {"train": sums(9, 40), "test": sums(7)}})
    mmlu = {
        subject: {"dev": choices(5, f"{subject} dev"), "test": choices(6, subject)}
        for subject in ("anatomy", "astronomy")
    }  # fmt: skip
    write(root, "cais/mmlu", mmlu)
    write(root, "Rowan/hellaswag", {"default": {"train": stories(3), "validation": stories(6)}})
    logic = [{"input": f"not {'True' if i % 2 else 'False'} is", "target": str(not i % 2)} for i in range(5)]
    words = [{"input": f"List: {b} {a}", "target": f"{a} {b}"} for a, b in itertools.pairwise(NAMES)]
    write(root, "SaylorTwift/bbh", {"boolean_expressions": {"test": logic}, "word_sorting": {"test": words}})
    write(root, "EleutherAI/drop", {"default": {"train": passages(2), "validation": passages(6)}})
    write(
        root,
        "allenai/ai2_arc",
        {"ARC-Easy": {"train": science(2), "validation": science(2), "test": science(6)}},
    )
    told = [
        {"text": f"{row['question']} She said that they were hers and {row['answer'].split()[0]}"}
        for row in sums(6)
    ]
    write(root, "EleutherAI/lambada_openai", {"default": {"test": told}})
    wiki = {"train": pages(2), "validation": pages(2), "test": pages(5)}
    write(root, "EleutherAI/wikitext_document_level", {"wikitext-2-raw-v1": wiki})
    grade = [
        {"question": row["question"], "answer": None, "answer_number": 4 * (i + 2), "equation_solution": None}
        for i, row in enumerate(sums(5))
    ]
    solved = [
        {**row, "question": f"Question: {row['question']}", "answer": "Step-by-Step Answer: it is so."}
        for row in grade
    ]
    write(root, "juletxara/mgsm", {"en": {"train": solved, "test": grade}})
    write(root, "allenai/winogrande", {"winogrande_xl": {"train": gaps(2), "validation": gaps(6)}})
    judged = [{"sentence": f"{name} have {i} {THINGS[i]}.", "label": i % 2} for i, name in enumerate(NAMES)]
    alike = [
        {"sentence1": one["sentence"], "sentence2": f"{i} {THINGS[i]}.", "label": i % 2}
        for i, one in enumerate(judged)
    ]
    glue = {"cola": {"train": judged, "validation": judged}, "mrpc": {"train": alike, "validation": alike}}
    write(root, "nyu-mll/glue", glue)
    return root
