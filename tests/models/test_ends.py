"""Every mark that ends a turn is found, also where a text has no other sign of one."""

from __future__ import annotations

import pytest

from evalkit.models.ends import _ENDS, one_turn, without_marks
from evalkit.models.reasoning import MARKS, split_reasoning


@pytest.mark.parametrize("mark", _ENDS)
def test_a_mark_at_the_end_and_within_is_found(mark: str) -> None:
    assert without_marks(f"Paris{mark}", lambda asked: False) == ("Paris", mark)
    assert one_turn(f"Paris{mark}user: and", lambda asked: False) == ("Paris", mark)


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks.opener)
def test_the_reasoning_of_each_family_is_found_in_any_case(marks: tuple[str, str, bool]) -> None:
    opener, closer, _ = marks
    for one, other in ((opener, closer), (opener.upper(), closer.lower())):
        split = split_reasoning(f"{one} 6 times 7 {other}42")
        assert (split.answer, split.reasoning) == ("42", "6 times 7")
