"""Inputs written for evalkit: the edge cases of every rule that reads or compares an answer.

They are in `tests/golden/inputs/`, one file for each kind. A text there is a string, or a list of strings
and of [string, number of repetitions]. `texts` are used as they are, and those of `any.json` for every kind.
`pieces` are joined at random with a fixed seed. `pairs` are answers with their references.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.samples import Sample

INPUTS = Path(__file__).parents[2] / "tests" / "golden" / "inputs"
_SEED = 20231206
_MOST_REFERENCES, _MOST_CHANGES = 4, 3


@dataclass(frozen=True, slots=True)
class Theme:
    """The inputs of one kind. `most_pieces`: the highest number of pieces in a generated text."""

    texts: tuple[str, ...]
    pieces: tuple[str, ...]
    samples: tuple[Sample, ...]
    pairs: tuple[tuple[str, tuple[str, ...]], ...]
    most_pieces: int

    def made(self, count: int) -> Iterator[tuple[str, Sample]]:
        """Yields `count` texts of random pieces, each with a sample."""
        chance = random.Random(_SEED)  # noqa: S311 — inputs of tests, no secret
        for _ in range(count):
            pieces = chance.choices(self.pieces, k=chance.randint(1, self.most_pieces))
            yield "".join(pieces), chance.choice(self.samples)

    def made_pairs(self, count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yields `count` answers, each with one to four references that differ by at most three pieces."""
        chance = random.Random(_SEED)  # noqa: S311
        for _ in range(count):
            pieces = chance.choices(self.pieces, k=chance.randint(1, self.most_pieces))
            references = []
            for _ in range(chance.randint(1, _MOST_REFERENCES)):
                other = list(pieces)
                for _ in range(chance.randint(0, _MOST_CHANGES)):
                    other[chance.randrange(len(other))] = chance.choice(self.pieces)
                references.append("".join(other))
            yield "".join(pieces), tuple(references)


@functools.cache
def theme(name: str) -> Theme:
    """The inputs of `tests/golden/inputs/NAME.json`."""
    document = _read(name)
    return Theme(
        tuple(dict.fromkeys(map(_text, [*_read("any")["texts"], *document["texts"]]))),
        tuple(map(_text, document["pieces"])),
        tuple(_sample(one) for one in document["samples"]),
        tuple((_text(answer), tuple(map(_text, references))) for answer, references in document["pairs"]),
        document["most_pieces"],
    )


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((INPUTS / f"{name}.json").read_text("utf-8"))
    return document


def _text(written: str | list[str | list[Any]]) -> str:
    parts = [written] if isinstance(written, str) else written
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)


def _sample(written: dict[str, Any]) -> Sample:
    return Sample(
        "own",
        "Which one?",
        tuple(written["target"]),
        choices=tuple(written.get("choices", ())),
        group=written.get("group", ""),
        meta=written.get("meta", {}),
    )
