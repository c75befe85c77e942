"""Sequences in a prefix tree, and the tree in passes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.hf.tree import LEVELS, SHARED, passes

PIECES = [
    list(range(start, start + size)) for start, size in ((0, 40), (100, 25), (200, 17), (300, 3), (400, 1))
]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), min_size=1, max_size=25),
    st.integers(1, 300),
)
def test_every_sequence_is_in_one_pass_as_it_is(parts: list[list[list[int]]], most: int) -> None:
    sequences = [np.concatenate(part) for part in parts]
    seen = []
    for packed in passes(sequences, most):
        distinct = {sequences[number].tobytes() for number in packed.paths}
        assert len(packed.tokens) <= most or len(distinct) == 1
        assert max(packed.levels) <= LEVELS
        for number in packed.paths:
            places = packed.places(number, 0)
            assert packed.tokens[places].tolist() == sequences[number].tolist()
            assert packed.positions[places].tolist() == list(range(len(sequences[number])))
            seen.append(number)
    assert sorted(seen) == list(range(len(sequences)))


def test_what_is_above_a_node_stands_right_before_its_descendants() -> None:
    shots, first, second = (np.arange(start, start + 50) for start in (0, 100, 200))
    ends = [np.array([number, 7]) for number in range(4)]
    sequences = [np.concatenate([shots, question, end]) for question in (first, second) for end in ends]
    (packed,) = passes(sequences, 1000)
    assert len(packed.tokens) == 50 + 2 * (50 + 4 * 2)
    assert packed.levels.tolist() == [0, 1, 2, 2, 2, 2, 1, 2, 2, 2, 2]
    assert packed.last.tolist()[:2] == [166, 108]


def test_equal_sequences_and_beginnings_of_others_cost_nothing() -> None:
    whole = np.arange(60)
    (packed,) = passes([whole, whole[:40], whole, whole[:40]], 1000)
    assert len(packed.tokens) == 60
    assert packed.places(1, 38).tolist() == packed.places(3, 38).tolist() == [38, 39]


def test_a_few_tokens_in_common_are_not_worth_a_node() -> None:
    start = np.arange(SHARED - 1)
    (packed,) = passes([np.append(start, 90), np.append(start, 91)], 1000)
    assert packed.levels.tolist() == [0, 0]
    assert len(packed.tokens) == 2 * SHARED


def test_the_next_pass_has_what_its_sequences_begin_with() -> None:
    start = np.arange(100)
    found = list(passes([np.append(start, [500 + n] * 30) for n in range(6)], 200))
    assert [len(packed.tokens) for packed in found] == [190, 190]
