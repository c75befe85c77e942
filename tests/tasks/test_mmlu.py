"""MMLU: its prompts to the letter, its fields, its protocols, its figures on the small set."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import orjson
import pytest
from evalkit.tasks.mmlu import continued, original, to_sample
from evalkit.tasks.mmlu_fields import FIELDS, field_of

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.data.mmlu_cot import mmlu_cot
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, UsageError
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.samples import JSON, Sample
from evalkit.session import run

NOBODY = FakeModel(lambda request, draw: "")
SMALL = DataOptions(small_sets=True)
ROWS = [
    {"question": question, "subject": "high_school_us_history", "choices": choices, "answer": answer}
    for question, choices, answer in [
        ("Which is red? ", list("wxyz"), 2),
        ("Which\nis blue?", ["1", "", "b", "c"], 0),
    ]
]


def sample(shots: int = 1) -> Sample:
    import dataclasses

    first, second = (to_sample(row) for row in ROWS)
    found: Sample = dataclasses.replace(second, shots=(first,) * shots)
    return found


def test_the_original_prompt() -> None:
    """hendrycks/test at 4450500: two spaces before the subject, nothing stripped, one blank line between."""
    assert original(sample(), 5) == (
        "The following are multiple choice questions (with answers) about  high school us history.\n\n"
        "Which is red? \nA. w\nB. x\nC. y\nD. z\nAnswer: C\n\n"
        "Which\nis blue?\nA. 1\nB. \nC. b\nD. c\nAnswer:"
    )
    assert original(sample(), 0) == (
        "The following are multiple choice questions (with answers) about  high school us history.\n\n"
        "Which\nis blue?\nA. 1\nB. \nC. b\nD. c\nAnswer:"
    )
    assert original(sample(7), 5).count("Which is red?") == 5


def test_the_chat_prompt() -> None:
    assert continued(sample(), 5) == (
        "Continue the following text without adding any additional information or formatting:\n\n"
        "Which is red? \n(A) w\n(B) x\n(C) y\n(D) z\nAnswer: C\n\n"
        "Which\nis blue?\n(A) 1\n(B) \n(C) b\n(D) c\nAnswer:"
    )


def test_the_chain_of_thought_prompt() -> None:
    cells = {c.protocol.name: c for c in make_plan(NOBODY, ["mmlu:cot32"], data=SMALL).cells}
    cell = cells["cot32"]
    (_, asked), *_ = cell.samples()
    sent = cell.task.prompt(asked, cell.protocol)
    assert isinstance(sent, tuple)
    text = sent[0].text
    subject = asked.group.replace("_", " ")
    header = f"The following are multiple choice questions (with answers) about {subject}."
    assert text.startswith(f"{header}\n\nQ: ")
    exemplars = mmlu_cot(asked.group)
    at = [text.index(f"\n\nQ: {shot.question}\nA: {shot.target}\n\n") for shot in exemplars[:4]]
    assert at == sorted(at)
    choices = " ".join(f"({letter}) {choice}" for letter, choice in zip("ABCD", asked.choices, strict=True))
    assert text.endswith(f"\n\nQ: {asked.input}\n{choices}\nA: Let's think step by step.")
    assert text.count("Let's think step by step.") == 5


def test_every_subject_has_a_field_and_exemplars() -> None:
    subjects = [subject for group in FIELDS.values() for subject in group]
    assert len(subjects) == len(set(subjects)) == 57
    assert {name: len(group) for name, group in FIELDS.items()} == {
        "STEM": 18, "humanities": 13, "social sciences": 12, "other (business, health, misc.)": 14
    }  # fmt: skip
    assert all(len(mmlu_cot(subject)) >= 4 for subject in subjects)
    assert field_of("virology").startswith("other")
    with pytest.raises(ValueError, match="no subject 'alchemy'"):
        field_of("alchemy")


def test_the_shots_are_the_dev_split_s_own_subject_in_order() -> None:
    (cell,) = make_plan(NOBODY, ["mmlu:5-shot"], data=SMALL).cells
    assert cell.task.dev is not None
    dev = [cell.task.sample(record) for record in cell.task.dev.open(SMALL)]
    for _, asked in cell.samples():
        assert [shot.id for shot in asked.shots] == [s.id for s in dev if s.group == asked.group]
        assert len(asked.shots) == 5


@pytest.mark.slow
def test_references_score_all_and_other_letters_nothing() -> None:
    results = list(check("mmlu", SMALL))
    assert [(r.protocol, r.gold, r.wrong) for r in results] == [
        (p.name, 100.0, 0.0) for p in load_task("mmlu").protocols
    ]
    assert all(result.passed for result in results)
    assert results[0].others == {"accuracy (majority)": 100.0, "accuracy (greedy)": 100.0}


@pytest.mark.slow
def test_three_bars_a_threshold_and_a_curve(tmp_path: Path) -> None:
    table = run("fake/gold?wrong=0.5&seed=3", "mmlu:cot8-routed", output=tmp_path / "r.db", data="builtin")
    assert [cell.metric for cell in table.cells] == ["accuracy", "accuracy (majority)", "accuracy (greedy)"]
    found = table.cells[0].found
    assert found["validation_samples"] == 12
    thresholds = [point["threshold"] for point in found["validation_curve"]]
    assert thresholds == [*(i / 8 for i in range(9)), "never"]
    assert any("chosen on 12 validation samples" in note for note in table.notes)
    assert {"STEM", "humanities", "world_religions"} <= table.cells[0].groups.keys()


@pytest.mark.slow
def test_without_likelihoods_there_are_other_protocols() -> None:
    silent = FakeModel(lambda request, draw: "", logprobs=False)
    with pytest.raises(UsageError, match="does not support logprobs, which mmlu:5-shot needs"):
        make_plan(silent, ["mmlu:5-shot"], data=SMALL)
    with pytest.raises(UsageError, match=r"protocols that it can run: .*, mmlu:5-shot-chat$"):
        make_plan(silent, ["mmlu:5-shot"], data=SMALL)
    plan = make_plan(silent, ["mmlu:5-shot-chat,mmlu:cot8-routed"], data=SMALL)
    assert plan.cells[-1].protocol.fallback == ("5-shot-chat",)


def test_strict_refuses_another_greedy_leg(tmp_path: Path) -> None:
    silent = FakeModel(lambda request, draw: "", logprobs=False)
    with pytest.raises(UsageError, match="the report falls back to 5-shot, not to 5-shot-chat"):
        make_plan(silent, ["mmlu"], data=SMALL, strict=True)


def test_an_endpoint_that_leaves_them_out_ends_the_run_in_words(tmp_path: Path) -> None:
    class Forgetful:
        name = "forgetful"
        capabilities = NOBODY.capabilities
        parallel: int | None = None

        @property
        def identity(self) -> dict[str, JSON]:
            return {"backend": "forgetful"}

        async def generate(self, request: Request, *, draw: int = 0) -> Response:
            return Response(" A")

        async def aclose(self) -> None:
            return None

    from evalkit.engine.client import Stopped

    with pytest.raises(Stopped, match="returned no log-probabilities") as stopped:
        run(Forgetful(), "mmlu:5-shot", output=tmp_path / "r.db", data="builtin")
    assert stopped.value.usage


def test_a_record_that_does_not_fit_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="no subject"):
        to_sample({**ROWS[0], "subject": "alchemy"})


def test_a_subject_without_solved_examples_is_no_zero_shot_question(tmp_path: Path) -> None:
    small = Path(str(importlib.resources.files("evalkit.data"))) / "small_sets" / "cais" / "mmlu"
    folder = tmp_path / "cais" / "mmlu" / "all"
    folder.mkdir(parents=True)
    (folder.parent / "README.md").write_bytes((small / "README.md").read_bytes())
    rows = {"dev": [{**ROWS[0], "subject": "virology"}], "test": ROWS, "validation": ROWS}
    for split, records in rows.items():
        lines = "".join(orjson.dumps(record).decode() + "\n" for record in records)
        (folder / f"{split}.jsonl").write_text(lines, "utf-8")
    with pytest.raises(
        DataError, match="mmlu has no solved examples of 'high_school_us_history' for the prompt"
    ):
        make_plan(NOBODY, ["mmlu:5-shot"], data=DataOptions(tmp_path))
