"""Routing by agreement, whole: validation, threshold, test, resuming; and variants, shots and groups."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Model, Request
from evalkit.models.fake import GOLD, FakeModel, Hinted, Hints
from evalkit.report.disputes import disputes
from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store
from tests.quiz import quiz

QUICK = RetryPolicy(attempts=1)


def chance(*what: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8]) / 2**64


def question(request: Request) -> str:
    text = request.prompt[-1].text if isinstance(request.prompt, tuple) else str(request.prompt)
    return text.rpartition("\n")[2].rstrip(":")


def think(request: Request, draw: int, hints: Hints) -> str:
    """Known behaviour: reasons well about some questions, guesses the others with its draws all over.

    Where it reasons badly its greedy letter is better than its draws, so routing pays.
    """
    asked = question(request)
    sure = chance("sure", asked) < 0.5
    if request.logprobs or request.temperature == 0:
        return hints.gold() if chance("greedy", asked) < 0.6 else hints.wrong()
    if chance("drawn", asked, draw) < (0.9 if sure else 0.1):
        return f"so it is {hints.gold()}"
    if chance("lost", asked, draw) < 0.2:
        return "no idea"
    return f"so it is {'ABCD'[int(4 * chance('guess', asked, draw))]}"


student = Hinted(think)


def run(model: Model, task: str, path: Path, protocol: str, **settings: str) -> Table:
    plan = make_plan(model, [f"{task}:quiz:{protocol}"], settings=settings)
    store = open_run(path, plan)
    try:
        asyncio.run(execute(plan, store, Options(8, QUICK)))
        return build_table([store])
    finally:
        store.close()


def figures(table: Table) -> dict[str, float | None]:
    return {cell.metric: cell.value for cell in table.cells}


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def drawn(path: Path, split: str) -> dict[str, tuple[float, str | None, str | None, str]]:
    """question → (agreement, majority, greedy letter, right letter), counted from the bare responses."""
    rows = query(
        path,
        "SELECT draw.sample, json_extract(body, '$.temperature'), draw.draw, draw.text, target "
        "FROM draw JOIN request ON request.id = draw.request "
        "JOIN sample ON sample.id = draw.sample ORDER BY draw.sample, draw.draw",
    )
    said: dict[str, list[str | None]] = {}
    greedy: dict[str, str | None] = {}
    right: dict[str, str] = {}
    for name, temperature, _, text, target in rows:
        if not name.startswith(split):
            continue
        last = text.strip()[-1:]
        letter = last if last in {"A", "B", "C", "D"} else None
        (right[name],) = json.loads(target)
        if temperature > 0:
            said.setdefault(name, []).append(letter)
        else:
            greedy[name] = letter
    found = {}
    for name, letters in said.items():
        votes = Counter(letter for letter in letters if letter)
        top = max(votes.values(), default=0)
        winner = next((letter for letter in letters if letter and votes[letter] == top), None)
        found[name] = (top / len(letters), winner, greedy[name], right[name])
    return found


def accuracy(rows: dict[str, tuple[float, str | None, str | None, str]], threshold: float) -> float:
    right = sum((m if share >= threshold else g) == target for share, m, g, target in rows.values())
    return 100 * right / len(rows)


@pytest.mark.parametrize(("protocol", "draws"), [("routed", 8), ("routed-greedily", 4)])
def test_routing_equals_a_direct_computation(tmp_path: Path, protocol: str, draws: int) -> None:
    path = tmp_path / "r.db"
    task = quiz(tmp_path, test=150, validation=100)
    table = run(FakeModel(student), task, path, protocol)
    validation, test = drawn(path, "validation"), drawn(path, "test")
    assert (len(validation), len(test)) == (100, 150)
    candidates = [*(i / draws for i in range(draws + 1)), math.inf]
    best = max(candidates, key=lambda threshold: accuracy(validation, threshold))

    found = figures(table)
    assert found["accuracy"] == pytest.approx(accuracy(test, best))
    assert found["accuracy (majority)"] == pytest.approx(accuracy(test, 0))
    assert found["accuracy (greedy)"] == pytest.approx(accuracy(test, math.inf))
    assert {cell.n for cell in table.cells} == {150}

    known = table.cells[0].found
    assert known["threshold"] == best
    assert known["validation_samples"] == 100
    curve = {point["threshold"]: point["accuracy"] for point in known["validation_curve"]}
    assert curve == {
        "never" if math.isinf(t) else t: pytest.approx(accuracy(validation, t)) for t in candidates
    }
    # The routed answer is at least as good as both branches where the threshold was chosen, and this model
    # was made so that it is better than either.
    assert 0 < best < math.inf
    assert curve[best] > max(curve[0.0], curve["never"])


def test_the_signature_says_what_was_chosen_and_how(tmp_path: Path) -> None:
    routed = run(FakeModel(student), quiz(tmp_path), tmp_path / "r.db", "routed").cells[0]
    parts = routed.signature.parts
    assert parts["threshold"] == "chosen on the validation split"
    assert str(parts["fallback"]).startswith("likely ")
    assert f"|threshold:{routed.found['threshold']:g}|" in routed.signature.line()
    other = run(FakeModel(GOLD), quiz(tmp_path), tmp_path / "o.db", "routed")
    assert other.cells[0].found["threshold"] == 0.0
    assert other.cells[0].signature.short == routed.signature.short  # another model, the same questions
    (tmp_path / "fewer").mkdir()
    short = quiz(tmp_path / "fewer", validation=12)
    fewer = run(FakeModel(student), short, tmp_path / "f.db", "routed").cells[0]
    assert fewer.signature.parts["questions"] == parts["questions"]
    assert fewer.signature.parts["validation"] != parts["validation"]


def test_without_likelihoods_the_greedy_letter_is_generated(tmp_path: Path) -> None:
    model = FakeModel(student, logprobs=False)
    cell = run(model, quiz(tmp_path), tmp_path / "r.db", "routed").cells[0]
    assert str(cell.signature.parts["fallback"]).startswith("said ")
    with pytest.raises(UsageError, match="does not support logprobs, which likely needs"):
        make_plan(model, [f"{quiz(tmp_path)}:quiz:routed"], settings={"fallback": "likely"})
    with pytest.raises(UsageError, match="does not support logprobs"):
        make_plan(model, [f"{quiz(tmp_path)}:quiz:likely"])


def test_a_threshold_by_hand_needs_no_validation(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    for threshold, metric in (("0", "accuracy (majority)"), ("never", "accuracy (greedy)")):
        table = run(FakeModel(student), quiz(tmp_path), tmp_path / threshold, "routed", threshold=threshold)
        assert figures(table)["accuracy"] == figures(table)[metric]
        assert "threshold" not in table.cells[0].found
    run(FakeModel(student), quiz(tmp_path), path, "routed", threshold="0.5")
    assert query(path, "SELECT count(*) FROM sample WHERE id LIKE 'validation%'") == [(0,)]
    with pytest.raises(UsageError, match="threshold must be between 0 and 1, or never"):
        make_plan(FakeModel(student), [f"{quiz(tmp_path)}:quiz:routed"], settings={"threshold": "1.5"})


def test_legs_are_measured_where_they_are_and_validation_is_no_row(tmp_path: Path) -> None:
    table = run(FakeModel(student), quiz(tmp_path), tmp_path / "r.db", "routed")
    assert [cell.metric for cell in table.cells] == [
        "accuracy", "accuracy (majority)", "accuracy (greedy)", "accuracy (first)"
    ]  # fmt: skip
    assert {cell.protocol for cell in table.cells} == {"routed"}
    assert [c.role for c in Store.open(tmp_path / "r.db").cells()] == ["validation", ""]
    plain = run(FakeModel(student), quiz(tmp_path), tmp_path / "p.db", "plain")
    assert [cell.metric for cell in plain.cells] == ["accuracy", "accuracy (first)"]
    assert figures(plain)["accuracy"] == figures(table)["accuracy (majority)"]


def test_resumed_it_asks_nothing_twice_and_finds_the_same(tmp_path: Path) -> None:
    whole = run(FakeModel(student), quiz(tmp_path), tmp_path / "whole.db", "routed")
    path, asked = tmp_path / "r.db", 0

    def dying(request: Request, draw: int, hints: Hints) -> str:
        nonlocal asked
        asked += 1
        if asked > 300:
            raise ProviderError("gone", fatal=True)
        return think(request, draw, hints)

    with pytest.raises(Stopped, match="gone"):
        run(FakeModel(Hinted(dying)), quiz(tmp_path), path, "routed")
    (stored,) = query(path, "SELECT count(*) FROM draw")[0]
    assert stored == 300
    again = FakeModel(student)
    assert run(again, quiz(tmp_path), path, "routed").as_json() == whole.as_json()
    assert stored + again.asked == (24 + 40) * 9


def test_a_validation_sample_fixed_later_judges_the_test_anew(tmp_path: Path) -> None:
    """The threshold is that of all validation samples, also when some of them failed at first."""

    def flaky(request: Request, draw: int, hints: Hints) -> str:
        if question(request).startswith("validation") and chance("fails", question(request)) < 0.3:
            raise ProviderError("not now")
        return think(request, draw, hints)

    path = tmp_path / "r.db"
    task = quiz(tmp_path, test=60, validation=60)
    before = run(FakeModel(Hinted(flaky)), task, path, "routed")
    after = run(FakeModel(student), task, path, "routed")
    whole = run(FakeModel(student), task, tmp_path / "whole.db", "routed")
    assert before.cells[0].found["validation_samples"] < 60
    assert before.cells[0].found != whole.cells[0].found
    assert after.as_json() == whole.as_json()


def test_with_no_validation_sample_answered_there_is_no_threshold(tmp_path: Path) -> None:
    def broken(request: Request, draw: int) -> str:
        raise ProviderError("not now")

    with pytest.raises(Stopped, match="every validation sample failed"):
        run(FakeModel(broken), quiz(tmp_path, validation=2), tmp_path / "r.db", "routed")


# -- shots ---------------------------------------------------------------------------------------------


class Small:
    """A model whose context holds so many characters, and what it was sent of that length."""

    def __init__(self, characters: int) -> None:
        self.characters = characters
        self.prompts: list[str] = []
        self.model = FakeModel(Hinted(self._answer))

    def _answer(self, request: Request, draw: int, hints: Hints) -> str:
        assert isinstance(request.prompt, str)
        if len(request.prompt) > self.characters:
            raise ProviderError("too long", too_long=True)
        self.prompts.append(request.prompt)
        return f" {hints.gold()}"


def test_shots_come_from_the_sample_s_group_in_order(tmp_path: Path) -> None:
    model = Small(1000)
    run(model.model, quiz(tmp_path, test=2), tmp_path / "r.db", "likely")
    assert sorted(model.prompts) == [
        "dev 0: A\ndev 2: C\ndev 4: A\ntest 0:",
        "dev 1: B\ndev 3: D\ndev 5: B\ntest 1:",
    ]


@pytest.mark.parametrize(
    ("characters", "left", "noted"), [(34, 3, False), (33, 2, True), (16, 1, True), (7, 0, True)]
)
def test_shots_are_dropped_while_the_prompt_is_too_long(
    tmp_path: Path, characters: int, left: int, noted: bool
) -> None:
    model = Small(characters)
    table = run(model.model, quiz(tmp_path, test=3), tmp_path / "r.db", "likely")
    assert table.cells[0].value == 100.0
    assert {prompt.count("dev") for prompt in model.prompts} == {left}
    note = "fake/callable on quiz: 3 samples were asked with fewer shots, because the prompt did not fit"
    assert any(found.startswith(note) for found in table.notes) is noted
    asked = query(tmp_path / "r.db", "SELECT count(DISTINCT asked) FROM sample")
    assert asked == [(3,)]


def test_a_prompt_that_is_too_long_without_shots_fails(tmp_path: Path) -> None:
    table = run(Small(6).model, quiz(tmp_path, test=3), tmp_path / "r.db", "likely")
    assert table.cells[0].outcomes["failed"] == 3


def test_the_signature_sees_dropped_shots(tmp_path: Path) -> None:
    whole = run(Small(1000).model, quiz(tmp_path), tmp_path / "w.db", "likely").cells[0].signature
    short = run(Small(20).model, quiz(tmp_path), tmp_path / "s.db", "likely").cells[0].signature
    assert [d.partition(":")[0] for d in whole.differences(short)] == ["the prompts sent"]


# -- variants and groups ----------------------------------------------------------------------------------


def test_a_variant_reads_the_same_responses_again(tmp_path: Path) -> None:
    def mixed(request: Request, draw: int, hints: Hints) -> str:
        return f"{'A' if int(question(request).split()[1]) % 2 else hints.gold()} then {hints.gold()}"

    path = tmp_path / "r.db"
    model = FakeModel(Hinted(mixed))
    table = run(model, quiz(tmp_path), path, "said")
    assert model.asked == 40
    assert figures(table) == {"accuracy": 100.0, "accuracy (first)": 50.0}
    store = Store.open(path)
    found = list(disputes([store]))
    store.close()
    assert [dispute.sample for dispute in found] == [f"test {i}" for i in range(40) if i % 2]
    assert [reading["value"] for reading in found[0].readings["headline"]] == ["B"]
    assert list(found[0].lines()) == [
        "quiz:said  fake/callable  sample test 1",
        "    headline: right, 'B'",
        "    first: wrong, 'A'",
    ]


def test_a_vote_is_taken_anew_in_a_variant(tmp_path: Path) -> None:
    def mixed(request: Request, draw: int, hints: Hints) -> str:
        return f"{hints.gold() if draw < 3 else 'D'} then {hints.gold()}"

    model = FakeModel(Hinted(mixed))
    table = run(model, quiz(tmp_path, test=20), tmp_path / "r.db", "plain")
    assert model.asked == 160
    assert figures(table) == {"accuracy": 100.0, "accuracy (first)": 25.0}


def test_figures_by_group_and_by_tag(tmp_path: Path) -> None:
    def half(request: Request, draw: int, hints: Hints) -> str:
        return hints.gold() if hints.gold() in "AB" else "A"

    cell = run(FakeModel(Hinted(half)), quiz(tmp_path), tmp_path / "r.db", "said").cells[0]
    assert [(name, group.value, group.n) for name, group in cell.groups.items()] == [
        ("a", 50.0, 20), ("b", 50.0, 20), ("high", 0.0, 20), ("low", 100.0, 20)
    ]  # fmt: skip
    for group in cell.groups.values():
        assert group.low is not None
        assert group.high is not None
        assert group.low <= group.value <= group.high
    assert cell.as_json()["group_values"] == {"a": 50.0, "b": 50.0, "high": 0.0, "low": 100.0}
