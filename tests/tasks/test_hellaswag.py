"""HellaSwag: its prompts, its shots, its groups, and what it says of data that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from evalkit.tasks.hellaswag import first_of_either_half, gold, prompt, to_sample

from evalkit.benchmark.readers import BY_BYTES, WHOLE
from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.samples import Message
from evalkit.session import run

TASK = load_task("hellaswag")
ROW: dict[str, Any] = {
    "ind": 3, "activity_label": "Juggling", "ctx_a": "A man holds three [red] balls.", "ctx_b": "he BOWS and",
    "endings": ["[substeps] throws one.", "eats. [title] Sleep.", "is  a ball.", "é."],
    "source_id": "activitynet~v_1", "split_type": "zeroshot", "label": "1",
}  # fmt: skip


def test_a_record_is_a_story_with_four_endings() -> None:
    sample = to_sample(ROW)
    assert sample.input == "Juggling: A man holds three balls. He bows and"
    assert sample.choices == (" throws one.", "eats.. Sleep.", "is a ball.", "é.")
    assert (sample.target, sample.group, sample.tags) == (("B",), "activitynet", ("zeroshot",))
    assert sample.cluster == "activitynet~v_1"
    assert to_sample({**ROW, "label": ""}).target == ()  # the test split
    assert to_sample({**ROW, "label": 3}).target == ("D",)
    assert to_sample({**ROW, "ind": 4}).id != sample.id
    with pytest.raises(ValueError, match="source_id is 'books~1': it must begin with activitynet or wikihow"):
        to_sample({**ROW, "source_id": "books~1"})


def test_the_prompts() -> None:
    import dataclasses

    sample = dataclasses.replace(to_sample(ROW), shots=(to_sample({**ROW, "label": "3"}),) * 12)
    story = sample.input
    letters = f"{story}\nA)  throws one. B) eats.. Sleep. C) is a ball. D) é.\nWhat is the right option?"
    by_name = {protocol.name: protocol for protocol in TASK.protocols}
    asked = prompt(sample, by_name["10-shot"])
    assert asked == f"{letters} D\n\n" * 10 + letters
    assert prompt(sample, by_name["10-shot-chat"]) == (Message("user", asked),)
    assert prompt(sample, by_name["0-shot-continuation"]) == story
    assert prompt(sample, by_name["10-shot-continuation"]) == f"{story} é.\n\n" * 10 + story
    assert gold(sample, by_name["10-shot-continuation"]) == "eats.. Sleep."


def test_the_shots_are_of_ten_sources_in_turn() -> None:
    def record(source: str, ind: int) -> dict[str, Any]:
        return {**ROW, "source_id": source, "ind": ind}

    data = [record("activitynet~a", 0), record("activitynet~a", 1)]
    data += [record(f"activitynet~{n}", n) for n in range(9)] + [record("other~1", 1)]
    data += [record(f"wikihow~{n}", n) for n in range(9)]
    read: list[str] = []

    def watched() -> Any:
        for one in data:
            read.append(one["source_id"])
            yield one

    found = [one["source_id"] for one in first_of_either_half(watched())]
    assert found == [
        "activitynet~a", "wikihow~0", "activitynet~0", "wikihow~1", "activitynet~1", "wikihow~2",
        "activitynet~2", "wikihow~3", "activitynet~3", "wikihow~4",
    ]  # fmt: skip
    assert read[-1] == "wikihow~4"  # the rest is not read
    assert next(first_of_either_half(data))["ind"] == 0


@pytest.mark.slow
def test_references_score_all_and_other_endings_nothing() -> None:
    results = list(check("hellaswag", DataOptions(small_sets=True)))
    assert [(r.protocol, r.gold, r.wrong) for r in results] == [(p.name, 100.0, 0.0) for p in TASK.protocols]
    assert all(result.passed for result in results)


@pytest.mark.slow
def test_three_figures_and_two_halves_by_continuation(tmp_path: Any) -> None:
    table = run(
        "fake/gold?wrong=0.5", "hellaswag:0-shot-continuation", output=tmp_path / "r.db", data="builtin"
    )
    names = ["accuracy", f"accuracy ({BY_BYTES})", f"accuracy ({WHOLE})"]
    assert [cell.metric for cell in table.cells] == names
    assert {"activitynet", "wikihow", "indomain", "zeroshot"} == table.cells[0].groups.keys()
