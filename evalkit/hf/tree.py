"""Token sequences packed so that what several of them begin with is computed once.

The five shots of MMLU are the same for every question of a subject, and the four endings of HellaSwag follow
the same context. Sequences are put into a prefix tree, and the tree into passes: a pass is one row of tokens
in depth-first order, in which each node stands once, right before its descendants. A token sees its own node
up to itself, and all of the nodes above it. This is the layout of tree attention (Hydragen, Juravsky et al.
2024, arXiv 2402.05099; "cascade" attention in FlashInfer), and it needs no padding and no cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int64]
SHARED = 16
"""Fewer tokens in common are computed for each sequence: another node costs more than they do."""
LEVELS = 3
"""The most nodes above a token. What sequences share below that is computed for each of them."""


@dataclass(frozen=True, slots=True)
class Node:
    """The tokens `start` to `end` (depths in the sequence `of`, by its number) of a tree's node."""

    of: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One row of tokens for one call of the model.

    `tokens`, `positions`: of shape (tokens,). `starts`, `ends`, `last`: of shape (nodes,): where each node's
    own tokens begin and end, and where its last descendant's end. `levels`: (nodes,), 0 for a root. `paths`:
    for each sequence of the pass, by its number, where in the row its nodes' tokens are, as (start, end).
    """

    tokens: Ids
    positions: Ids
    starts: Ids
    ends: Ids
    last: Ids
    levels: Ids
    paths: dict[int, list[tuple[int, int]]]

    def places(self, sequence: int, first: int) -> Ids:
        """Where in the row the tokens of a sequence are, from its token `first` on."""
        found = np.concatenate([np.arange(start, end) for start, end in self.paths[sequence]])
        return found[first:]


@dataclass(slots=True)
class _Row:
    """A pass that is being filled. `open`: the nodes above the next one, with their numbers in the row."""

    pieces: list[Ids] = field(default_factory=list)
    positions: list[Ids] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    paths: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    open: list[tuple[Node, int]] = field(default_factory=list)
    size: int = 0

    def new(self, path: Sequence[Node]) -> Sequence[Node]:
        """The nodes of `path` that are not in the row yet. Closes those that are not above them."""
        shared = 0
        while shared < min(len(path), len(self.open)) and path[shared] is self.open[shared][0]:
            shared += 1
        return path[shared:]

    def add(self, path: Sequence[Node], sequences: Sequence[Ids], same: Sequence[int]) -> None:
        """Adds the last nodes of `path`, which the sequences `same` end with."""
        fresh = self.new(path)
        self.close(len(path) - len(fresh))
        for node in fresh:
            self.pieces.append(sequences[node.of][node.start : node.end])
            self.positions.append(np.arange(node.start, node.end))
            self.starts.append(self.size)
            self.size += node.end - node.start
            self.ends.append(self.size)
            self.last.append(self.size)
            self.levels.append(len(self.open))
            self.open.append((node, len(self.starts) - 1))
        at = [(self.starts[number], self.ends[number]) for _, number in self.open]
        self.paths.update(dict.fromkeys(same, at))

    def close(self, keep: int) -> None:
        for _, number in self.open[keep:]:
            self.last[number] = self.size
        del self.open[keep:]

    def done(self) -> Pass:
        self.close(0)
        numbers = (np.array(one, dtype=np.int64) for one in (self.starts, self.ends, self.last, self.levels))
        starts, ends, last, levels = numbers
        return Pass(
            np.concatenate(self.pieces),
            np.concatenate(self.positions),
            starts,
            ends,
            last,
            levels,
            self.paths,
        )


def passes(sequences: Sequence[Ids], most: int) -> Iterator[Pass]:
    """Yields the passes of non-empty `sequences`: each is in one of them, with at most `most` tokens.

    A sequence that is longer has a pass of its own. Sequences that begin alike are in the same pass as far as
    it has room; the next pass has what they begin with again.
    """
    keys = [sequence.astype(">u4").tobytes() for sequence in sequences]
    order = sorted(range(len(sequences)), key=keys.__getitem__)
    groups: list[list[int]] = []  # equal sequences are one
    for number in order:
        if groups and keys[groups[-1][0]] == keys[number]:
            groups[-1].append(number)
        else:
            groups.append([number])
    distinct = [sequences[same[0]] for same in groups]
    row = _Row()
    for number, path in _paths(distinct):
        cost = sum(node.end - node.start for node in row.new(path))
        if row.size and row.size + cost > most:
            yield row.done()
            row = _Row()
        row.add(path, distinct, groups[number])
    if row.size:
        yield row.done()


def _paths(sequences: Sequence[Ids]) -> Iterator[tuple[int, list[Node]]]:
    """Yields the nodes of each of the sorted, distinct `sequences`, with its number."""
    shared = np.array([0] + [_common(left, right) for left, right in itertools.pairwise(sequences)])
    yield from _below(sequences, shared, 0, len(sequences), [])


def _below(
    sequences: Sequence[Ids], shared: NDArray[np.int64], low: int, high: int, above: list[Node]
) -> Iterator[tuple[int, list[Node]]]:
    """The same for the sequences `low` to `high`, which have the nodes `above` in common."""
    depth = above[-1].end if above else 0
    if high - low == 1 or len(above) == LEVELS:
        for number in range(low, high):
            own = [Node(number, depth, len(sequences[number]))] if len(sequences[number]) > depth else []
            yield number, [*above, *own]
        return
    common = int(shared[low + 1 : high].min())
    if common - depth >= SHARED:
        above = [*above, Node(low, depth, common)]
    borders = [low, *(low + 1 + np.flatnonzero(shared[low + 1 : high] == common)).tolist(), high]
    for start, end in itertools.pairwise(borders):
        yield from _below(sequences, shared, start, end, above)


def _common(left: Ids, right: Ids) -> int:
    """How many tokens both begin with."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length
