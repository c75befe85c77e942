"""A made benchmark of three languages for tests: sums in parts, whose figure is the mean over languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_TEMPLATE = '''"""Sums in three languages, made for a test."""

from evalkit.scoring import final_number, same_number
from evalkit.api import (
    PART, Accuracy, averages, Hub, Mapped, Message, Parts, Protocol, Records, Sample, Task, Verdict, ask_once,
    sample_id, task,
)

SIZES = {sizes}
READ = []


class Made:
    """`count` sums that nobody counts, and a note of each that is read."""

    def __init__(self, name, count):
        self.name, self.count = name, count

    def open(self, options=None):
        def read():
            for i in range(self.count):
                READ.append((self.name, i))
                yield {{"q": f"{{i}} + 1", "a": str(i + 1), "g": self.name}}

        return Records({{"kind": "made", "name": self.name, "where": "here"}}, {counted}, read)


class Mixed:
    """The same in turn, one of each language after the other."""

    def open(self, options=None):
        def read():
            for i in range(max(SIZES.values())):
                for name, count in SIZES.items():
                    if i < count:
                        READ.append((name, i))
                        yield {{"q": f"{{i}} + 1", "a": str(i + 1), "g": name}}

        return Records({{"kind": "made", "name": "mixed", "where": "here"}}, None, read)


def first_words(records):
    yield from ({{**record, "q": record["q"].strip()}} for record in records)


def to_sample(record):
    group = record.get(PART) or record["g"]
    return Sample(id=f"{{group}} {{record['q']}}", input=record["q"], target=(record["a"],), group=group)


@task("tongues")
def tongues(*, kind: str = "hub", stated: str = "yes"):
    """Sums in three languages"""
    columns = ("q", "a")
    data = {{
        "hub": Parts({{g: Hub("made/tongues", g, "test", "main", columns) for g in SIZES}}),
        "parts": Parts({{g: Made(g, n) for g, n in SIZES.items()}}),
        "mixed": Mixed(),
    }}
    data["mapped"] = Mapped(data["hub"], first_words)
    data["nested"] = Parts({{
        g: Mapped(Hub("made/tongues", g, "test", "main", columns), first_words, "same") for g in SIZES
    }})
    data = data[kind]
    return Task(
        data=data,
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", "What is " + sample.input),),
        answer=final_number,
        scorer=lambda answer, sample: Verdict(same_number(answer, sample.target[0])),
        metrics=averages(Accuracy()),
        protocols=(Protocol(name="once", solver=ask_once),),
        size=sum(SIZES.values()) if stated == "yes" else None,
        group_sizes=SIZES if stated == "yes" else {{}},
        submission=lambda answers: [one.id for one in answers],
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1", ""),
    )
'''
SIZES = {"de": 5, "en": 2, "fr": 4}


def tongues(
    folder: Path, sizes: Mapping[str, int] = SIZES, *, counted: bool = False, there: Mapping[str, int] = {}
) -> str:
    """Writes the task file, and `folder/made/tongues` with as many records as `sizes`, or `there`, say.

    Returns the task's path, as `-t` takes it. `--set kind=` chooses where it reads from: that folder (`hub`,
    with --data; `mapped` and `nested`, by way of a generator), parts that are made (`parts`; `counted`:
    whether these say how many they are) or one stream of all languages in turn (`mixed`).
    `--set stated=no`: the task states no sizes.
    """
    path = folder / "tongues.py"
    text = _TEMPLATE.format(sizes=repr(dict(sizes)), counted="self.count" if counted else "None")
    path.write_text(text, encoding="utf-8")
    records = {
        language: [{"q": f"{i} + 1", "a": str(i + 1)} for i in range(there.get(language, count))]
        for language, count in sizes.items()
    }
    hub_folder(folder / "made" / "tongues", records)
    return str(path)


def hub_folder(place: Path, records: Mapping[str, list[dict[str, str]]]) -> None:
    """A data set's folder as the Hub has it: a card, and JSON lines of split test for each config."""
    card = ["---", "configs:"]
    for config, rows in records.items():
        card += [f"- config_name: {config}", "  data_files:", "  - split: test", f"    path: {config}.jsonl"]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{config}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (place / "README.md").write_text("\n".join([*card, "---", ""]), "utf-8")
