"""Shards: parts of one run, for machines that share nothing. `evalkit merge` makes the run of all of them.

A sample's shard depends on its benchmark and id alone, so that each shard finds its own samples without the
others. `--limit` is applied before: all shards together ask the samples of the run without shards.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from evalkit.errors import BoundaryError, UsageError
from evalkit.runfile.encoding import unread_id
from evalkit.samples import Sample

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `of`, counted from 1. Its text is such as `2/8`."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def has(self, task: str, position: int, found: Sample | BoundaryError) -> bool:
        """Whether a sample of a benchmark belongs to this shard.

        A record that gave no sample has no id, and is assigned by its `position`.
        """
        name = found.id if isinstance(found, Sample) else unread_id(position)
        digest = hashlib.sha256(f"{task}\0{name}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % self.of == self.index - 1


def parse_shard(text: str) -> Shard:
    """Parses `I/N`. Raises `UsageError` unless I is from 1 to N."""
    match = _SHARD.fullmatch(text.strip())
    index, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= of:
        hint = f": the first of {of} shards is 1/{of}" if match and not index and of else ""
        raise UsageError(f"--shard must be I/N with I from 1 to N, such as 2/8, not {text!r}{hint}")
    return Shard(index, of)
