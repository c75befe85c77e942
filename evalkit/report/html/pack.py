"""Packs the samples of a page into compressed pieces, in script elements that the page opens when needed.

Each element is base64 of gzip of JSON, so nothing in it can end the element or be executed; pictures and
clips are base64 of their files. `index`: the columns of the list, for all samples. `a0`, `a1`, …: questions,
answers and verdicts. `p0`, `p1`, …: the prompts of the same samples. These are separate because a few-shot
prompt is long, is the same in most samples, and is not searched.
"""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from evalkit.report.html.entries import ListEntry
from evalkit.report.html.records import BrowserRecord
from evalkit.runfile.records import natural

PIECE = 1 << 19
"""The number of bytes of answers at which a piece is full, before compression."""
_LEVEL = 5
_FORMULA = re.compile(rb"\$[^$]+\$|\\\\(?:[(\[]|boxed|begin|d?frac|sqrt)")
"""In JSON, where a backslash is written twice."""


@dataclass(frozen=True, slots=True)
class Block:
    """A script element with base64 content. `kind`: the media type of the decoded content."""

    id: str
    content: str
    kind: str = "application/gzip"


@dataclass
class Packer:
    """Packs records into blocks, one by one. `index` must be called after the last record."""

    runs: Sequence[str]
    parts: Sequence[str]
    media: dict[str, int] = field(default_factory=dict)
    """The keys of pictures and clips that are shown, each with the number of a run that has it."""
    formulas: bool = False
    """Whether a text may have a formula: two dollar signs, or a command of LaTeX."""
    _lines: list[ListEntry] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    def blocks(self, records: Iterable[BrowserRecord]) -> Iterator[Block]:
        answers: list[bytes] = []
        prompts: list[bytes] = []
        size = 0
        for record in records:
            if not answers:
                self._starts.append(len(self._lines))
            self._lines.append(record.line)
            self.media |= {key: run for key, run in record.media.items() if key not in self.media}
            answers.append(orjson.dumps(record.answers))
            prompts.append(orjson.dumps(record.prompts))
            self.formulas = self.formulas or any(map(_FORMULA.search, (answers[-1], prompts[-1])))
            size += len(answers[-1])
            if size >= PIECE:
                yield from self._piece(answers, prompts)
                answers, prompts, size = [], [], 0
        if answers:
            yield from self._piece(answers, prompts)

    def _piece(self, answers: list[bytes], prompts: list[bytes]) -> Iterator[Block]:
        number = len(self._starts) - 1
        for letter, rows in (("a", answers), ("p", prompts)):
            yield Block(f"{letter}{number}", packed(b"[" + b",".join(rows) + b"]"))

    def index(self) -> Block:
        """The block with the columns of all samples; repeated values are numbers."""
        lines = self._lines
        groups = sorted({group for line in lines for group in line.groups}, key=natural)
        outcomes = list(dict.fromkeys(["", *(run.outcome for line in lines for run in line.runs)]))
        group_numbers, outcome_numbers = (
            {name: number for number, name in enumerate(names)} for names in (groups, outcomes)
        )
        columns: dict[str, object] = {
            "runs": self.runs,
            "parts": self.parts,
            "groups": groups,
            "outcomes": outcomes,
            "starts": self._starts,
            "id": [line.id for line in lines],
            "part": [line.part for line in lines],
            "group": [[group_numbers[group] for group in line.groups] for line in lines],
            "disputed": [int(line.disputed) for line in lines],
            "question": [line.question for line in lines],
            "outcome": [[outcome_numbers[run.outcome] for run in line.runs] for line in lines],
            "value": [[run.value for run in line.runs] for line in lines],
            "figure": [[run.figure.text for run in line.runs] for line in lines],
            "score": [[run.figure.score for run in line.runs] for line in lines],
            "merit": [[run.figure.merit for run in line.runs] for line in lines],
            "tokens": [[run.tokens for run in line.runs] for line in lines],
            "seconds": [[run.seconds for run in line.runs] for line in lines],
            "error": [[run.error for run in line.runs] for line in lines],
        }
        return Block("index", packed(orjson.dumps(columns)))


def packed(data: bytes) -> str:
    return b64encode(gzip.compress(data, _LEVEL, mtime=0)).decode()
