"""BLEURT beside its authors' encoding and bleurt-pytorch's model: the table has their ids and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.scoring.bleurt_model import Loaded, Tokeniser, batches, joined, load, score, tokeniser, truncated
from tests.bleurt_checkpoints import TABLE, written

KINDS = ("pieces", "words")


def texts(case: dict[str, Any]) -> tuple[str, str]:
    return case["candidate"], case["reference"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_the_authors_ids_and_segments(kind: str, tmp_path: Path) -> None:
    split, most = tokeniser(written(tmp_path, kind)), TABLE[kind]["max_tokens"]
    loaded = Loaded(split, encoder=None, most=most)  # type: ignore[arg-type]
    for case in TABLE[kind]["cases"]:
        ids, segments = loaded.input(*texts(case))
        assert ids == case["ids"], case
        assert segments == [0] * (len(ids) - case["second"]) + [1] * case["second"], case


def test_the_table_is_whole() -> None:
    for kind in KINDS:
        cases, most = TABLE[kind]["cases"], TABLE[kind]["max_tokens"]
        assert len({texts(case) for case in cases}) == len(cases) >= 38
        assert len({case["score"] for case in cases}) > 25
        cut = [case for case in cases if len(case["ids"]) == most]
        assert len(cut) >= 8
        assert any(case["second"] * 2 - most == -1 - (most % 2 == 0) for case in cut)  # both sides are cut
        assert any(not case["candidate"] for case in cases)
        unknown = 1
        assert sum(unknown in case["ids"] for case in cases) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_score_is_that_of_bleurt_pytorch(kind: str, pickled: bool, tmp_path: Path) -> None:
    cases = TABLE[kind]["cases"]
    loaded = load(str(written(tmp_path, kind, pickled=pickled)), "float32", TABLE[kind]["max_tokens"], [])
    together = score(loaded, [texts(case) for case in cases])
    assert together == pytest.approx([case["score"] for case in cases], abs=5e-6)
    alone = [value for case in cases for value in score(loaded, [texts(case)])]
    assert together == pytest.approx(alone, abs=1e-6)
    assert score(loaded, []) == []
    near = score(
        load(str(tmp_path), "bfloat16", TABLE[kind]["max_tokens"], []), [texts(case) for case in cases]
    )
    assert near == pytest.approx(together, abs=0.05)
    assert near != together


def popped(reference: list[int], candidate: list[int], most: int) -> tuple[list[int], list[int]]:
    """As encoding.py does it: one token after the other."""
    while len(reference) + len(candidate) > most:
        (reference if len(reference) > len(candidate) else candidate).pop()
    return reference, candidate


def test_the_longer_side_is_cut_and_the_candidate_at_a_tie() -> None:
    for most in range(1, 9):
        for one in range(14):
            for other in range(14):
                reference, candidate = list(range(one)), list(range(100, 100 + other))
                expected = popped([*reference], [*candidate], most)
                assert truncated(reference, candidate, most) == expected, (most, one, other)
    assert joined([5] * 600, [6] * 600, 512, 2, 3)[0] == [2, *[5] * 255, 3, *[6] * 254, 3]
    ids, segments = joined([5], [], 512, 2, 3)
    assert (ids, segments) == ([2, 5, 3, 3], [0, 0, 0, 1])


def test_batches_are_of_similar_length_and_none_is_too_large() -> None:
    lengths = [30, 2, 512, 3, 29, 511, 2, 600]
    found = list(batches(lengths, together=60))
    assert sorted(number for batch in found for number in batch) == list(range(len(lengths)))
    assert [sorted(lengths[number] for number in batch) for batch in found] == [
        [2, 2, 3], [29, 30], [511], [512], [600],
    ]  # fmt: skip
    assert list(batches([])) == []
    assert [len(batch) for batch in batches([512] * 40)] == [16, 16, 8]


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    split = Tokeniser(lambda text: [ord(sign) for sign in text], 2, 3)
    loaded = Loaded(split, encoder=None, most=9)  # type: ignore[arg-type]
    assert loaded.input("\ud83d", "a")[0] == [2, 97, 3, ord("?"), 3]
