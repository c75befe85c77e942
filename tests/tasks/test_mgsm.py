"""MGSM: its prompts in eleven languages, its numbers, its languages alone, its figures on the small set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from evalkit.tasks.mgsm import (
    FEW_SHOT,
    PROBLEM,
    ZERO_SHOT,
    Numbered,
    last_number,
    prompt,
    score_as_harness,
    stated_number,
    to_sample,
)
from evalkit.tasks.mgsm_languages import LANGUAGES

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions, Record, Records
from evalkit.data.parts import PART
from evalkit.engine.check import check
from evalkit.errors import UsageError
from evalkit.samples import Sample
from evalkit.session import run

SMALL = DataOptions(small_sets=True)
PROTOCOLS = {protocol.name: protocol for protocol in load_task("mgsm").protocols}


def sample(language: str, question: str = "How many?", solution: str | None = None, **more: object) -> Sample:
    record = {PART: language, "question": question, "answer": solution, "answer_number": 11, **more}
    found: Sample = to_sample(record)
    return found


def sent(asked: Sample, name: str) -> str:
    text = prompt(asked, dataclasses.replace(PROTOCOLS[name], api="completion"))
    assert isinstance(text, str)
    return text


def test_the_prompt_has_the_exemplars_under_their_labels() -> None:
    """As the authors write them: "Question: …", "Step-by-Step Answer: …", a blank line between."""
    shots = tuple(sample("en", f"Question: {n}?", f"Step-by-Step Answer: It is {n}.") for n in range(9))
    asked = dataclasses.replace(sample("en"), shots=shots)
    shown = "".join(f"Question: {n}?\nStep-by-Step Answer: It is {n}.\n\n" for n in range(8))
    assert sent(asked, FEW_SHOT) == f"{shown}Question: How many?\nStep-by-Step Answer:"
    bare = dataclasses.replace(asked, shots=(sample("en", "One?", "It is 1."),))
    assert sent(bare, FEW_SHOT) == (
        "Question: One?\nStep-by-Step Answer: It is 1.\n\nQuestion: How many?\nStep-by-Step Answer:"
    )
    japanese = dataclasses.replace(sample("ja", "何個？"), shots=(sample("ja", "一個？", "一個です。"),))
    assert sent(japanese, FEW_SHOT) == (
        "問題：一個？\nステップごとの答え：一個です。\n\n問題：何個？\nステップごとの答え："
    )
    french = sent(sample("fr", "Combien ?"), FEW_SHOT)
    assert french == "Question : Combien ?\nRéponse étape par étape :"


def test_a_chat_is_asked_for_the_language_s_word() -> None:
    for code, language in LANGUAGES.items():
        assert sent(sample(code), ZERO_SHOT).endswith(
            f'"{language.answer}: N", where N is the number asked for.'
        )
    assert not isinstance(prompt(sample("sw"), PROTOCOLS[ZERO_SHOT]), str)


def test_a_response_stops_at_any_language_s_next_question() -> None:
    stops = PROTOCOLS[FEW_SHOT].stop
    assert len(stops) == 11
    for language in LANGUAGES.values():
        assert any(f"\n\n{language.question}?".find(stop) >= 0 for stop in stops)


NUMBERS = [
    ("en", "Answer: 3. Answer: 4", "4", "4"),
    ("en", "First 3, then 4.", None, "4"),
    ("en", "The answer: 1,250.50", "1250.5", "1250.5"),
    ("de", "Antwort: 1.250.000", "1250000", "1250000"),
    ("de", "Antwort: 1.250,50", "1250.5", "1250.5"),
    ("de", "Antwort: 1.25", "1.25", "1.25"),
    ("de", "Antwort: 0,5", "0.5", "0.5"),
    ("de", "Antwort: 1,250", "1250", "1250"),
    ("en", "Answer: 1.250", "1.25", "1.25"),
    ("es", "Respuesta: 2.125 km", "2125", "2125"),
    ("ru", "Ответ: 3,5", "3.5", "3.5"),
    ("fr", "Réponse : 3\u202f500", "3500", "3500"),
    ("ja", "答えは１８個です", "18", "18"),
    ("bn", "উত্তর: ১৮", "18", "18"),
    ("te", "౧౮", None, "18"),
    ("th", "The answer is 18.", "18", "18"),
    ("zh", "", None, None),
]


def test_numbers_of_all_scripts_and_spellings() -> None:
    for language, text, stated, last in NUMBERS:
        asked = sample(language)
        assert (stated_number(text, asked), last_number(text, asked)) == (stated, last), text
    for given, right in (("11.", True), ("1,1", True), ("-11", True), ("12", False), (".", False)):
        assert score_as_harness(given, sample("en")).correct is right


def test_a_problem_is_one_cluster_in_all_languages() -> None:
    rows: list[Record] = [{PART: "sw", "question": q, "answer": None, "answer_number": 4} for q in "ab"]

    class Two:
        def open(self, options: DataOptions | None = None) -> Records:
            return Records({"name": "two"}, 2, lambda: iter(rows))

    read = list(Numbered(Two()).open())
    assert [row[PROBLEM] for row in read] == [0, 1]
    assert [to_sample(row).cluster for row in read] == ["0", "1"]
    one, other = (sample(code, problem=7) for code in ("sw", "te"))
    assert one.cluster == other.cluster == "7"
    assert (one.id == other.id, one.group, one.target) == (False, "sw", ("11",))
    assert sample("sw").cluster == ""
    with pytest.raises(ValueError, match="answer_number 'many' of 'How many"):
        to_sample({PART: "sw", "question": "How many?", "answer": None, "answer_number": "many"})


def test_some_languages_alone() -> None:
    task = load_task("mgsm", {"languages": "sw,te,sw"})
    assert (task.size, dict(task.group_sizes)) == (500, {"sw": 250, "te": 250})
    assert load_task("mgsm").size == 2750
    with pytest.raises(UsageError, match="language of MGSM"):
        load_task("mgsm", {"languages": "xx"})


@pytest.mark.slow
def test_references_score_all_and_wrong_responses_nothing(tmp_path: Path) -> None:
    results = list(check("mgsm", SMALL))
    assert [(r.protocol, r.samples, r.gold, r.wrong) for r in results] == [
        (name, 33, 100.0, 0.0) for name in (FEW_SHOT, ZERO_SHOT)
    ]
    assert all(result.passed for result in results)
    # Of the exemplars' phrases, English, Spanish and French ones do not have simple-evals' word in capitals.
    assert results[0].others["accuracy (simple-evals, macro)"] == pytest.approx(100 * 8 / 11)
    table = run("fake/gold", "mgsm", output=tmp_path / "r.db", data="builtin", limit=2)
    assert [(cell.metric, cell.n) for cell in table.cells][:2] == [("accuracy (macro)", 22), ("accuracy", 22)]
    task = load_task("mgsm")
    assert task.dev is not None
    exemplars = [task.sample(record) for record in task.dev.open(SMALL)]
    assert len(exemplars) == 88
    assert all(stated_number(str(one.meta["solution"]), one) == one.target[0] for one in exemplars)
