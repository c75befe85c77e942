"""The tasks of the index, with variants, and the samples of evalkit's small sets."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from evalkit.benchmark.task import Task, all_tasks, load_task
from evalkit.samples import Sample
from tools.golden.records import read

MOST = 6
"""The number of samples that are used of each task: more languages and subjects would show nothing new."""
VARIANTS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "asr": ({"unit": "character"}, {"unit": "whisper", "normaliser": "whisper-basic"}),
    "ast": ({"target": "zh"}, {"target": "th", "tokeniser": "13a"}),
    "mathvista": ({"quick": "no"},),
    "narrativeqa": (
        {"characters": "500"}, {"characters": "1207", "keep": "end"}, {"characters": "601", "keep": "ends"},
    ),
    "nll-by-position": ({"shortest": "1766"},),
    "tydiqa": ({"languages": "authors"},),
    "vqa": ({"metric": "vqa"}, {"metric": "anls"}, {"metric": "relaxed"}, {"instruction": "Look."}),
}  # fmt: skip
"""Options of tasks that choose other functions or parameters."""

NARROWED: Mapping[str, Mapping[str, str]] = {
    "covost2": {"languages": "de,ja"},
    "fleurs": {"languages": "de_de,ja_jp"},
    "fleurs-ast": {"languages": "de_de,ja_jp"},
    "mgsm": {"languages": "de,ja"},
    "wmt23": {"pairs": "en-zh,he-en"},
}
"""Options that read fewer languages, because each is a file."""


@functools.cache
def tasks() -> tuple[tuple[str, Task], ...]:
    """(label, task) of the tasks of the index and their variants."""
    found = [(task.name, task) for task in all_tasks()]
    for name, settings in VARIANTS.items():
        found += [(_label(name, one), load_task(name, one)) for one in settings]
    return tuple(found)


def _label(name: str, settings: Mapping[str, str]) -> str:
    return f"{name}[{','.join(f'{key}={value}' for key, value in settings.items())}]"


@functools.cache
def samples(name: str) -> tuple[Sample, ...]:
    """The first samples of the index's task `name`, with their shots."""
    task = load_task(name, NARROWED.get(name, {}))
    found = tuple(map(task.sample, read(name, "test", task.data, MOST)))
    if task.dev is None:
        return found
    shots = list(map(task.sample, read(name, "dev", task.dev, 10_000)))
    shown: dict[str, list[Sample]] = {}
    for shot in shots:
        shown.setdefault(task.shots_by(shot), []).append(shot)
    return tuple(dataclasses.replace(one, shots=tuple(shown.get(task.shots_by(one), ()))) for one in found)
