"""Inputs written for evalkit: the edges of every rule that reads or compares an answer.

They lie in `tests/golden/inputs/`, a file for each kind. A text there is a string, or a list of strings and
of [string, how often]. `texts` are given as they are, and so are those of `any.json` to everything; `pieces`
are joined at random, always in the same way; `pairs` are an answer and its references.
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
    texts: tuple[str, ...]
    pieces: tuple[str, ...]
    samples: tuple[Sample, ...]
    pairs: tuple[tuple[str, tuple[str, ...]], ...]
    most_pieces: int

    def made(self, count: int) -> Iterator[tuple[str, Sample]]:
        """`count` texts of some pieces, each with a sample."""
        chance = random.Random(_SEED)  # noqa: S311 — inputs of tests, no secret
        for _ in range(count):
            pieces = chance.choices(self.pieces, k=chance.randint(1, self.most_pieces))
            yield "".join(pieces), chance.choice(self.samples)

    def made_pairs(self, count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Answers with one to four references, which differ from the answer by at most three pieces."""
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
    held = _read(name)
    return Theme(
        tuple(dict.fromkeys(map(_text, [*_read("any")["texts"], *held["texts"]]))),
        tuple(map(_text, held["pieces"])),
        tuple(_sample(one) for one in held["samples"]),
        tuple((_text(answer), tuple(map(_text, references))) for answer, references in held["pairs"]),
        held["most_pieces"],
    )


def _read(name: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((INPUTS / f"{name}.json").read_text("utf-8"))
    return held


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
