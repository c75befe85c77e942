"""Forms of files with texts, and how their ids are compared with those of the samples."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalkit.data.base import data_options
from evalkit.engine.by_id import Ids, compare_ids
from evalkit.engine.plan import Plan, make_plan
from evalkit.engine.run import open_run
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import answers_by_id
from evalkit.runfile.evidence import evidence


def texts(path: Path) -> dict[str, str]:
    model = open_model(f"replay/{path}")
    assert answers_by_id(model)
    return {name: asyncio.run(model.answer_of(name)).text for name in model.ids}


BUILTIN = data_options("builtin")
FORMS: list[tuple[str, str, Mapping[str, str]]] = [
    ("a.trn", "\ufeffone two (a)\r\n(b)\r\n", {"a": "one two", "b": ""}),
    ("a.TRN", "one (a)\rtwo (b)\r", {"a": "one", "b": "two"}),
    ("b.trn", "he said (a) and (b) (c-1)\n;; a comment\n", {"c-1": "he said (a) and (b)"}),
    ("c.trn", "one (clip (1).wav)\n", {"clip (1).wav": "one"}),
    ("d.trn", "a { b (x)\nc / d (y)\n", {"x": "a { b", "y": "c / d"}),
    ("a.tsv", "id\ttext\na b\tone  two\nc\t\n", {"a b": "one  two", "c": ""}),
    ("a.jsonl", '{"id": 7, "text": "a\\tb"}\n\n{"id": "x", "text": ""}\n', {"7": "a\tb", "x": ""}),
    ("a.stm", ";; a\na%20b 1 s 2.0 3.0 <o> two\na%20b 1 s 0 1 one\nc 1 s 0 1\n", {"a b": "one two", "c": ""}),
    ("b.stm", "a 1 s 0 1 IGNORE_TIME_SEGMENT_IN_SCORING\nb 1 s 0 1 <o,f0> x\n", {"b": "x"}),
    ("a.ctm", "a 1 1.5 0.2 two 0.9\na 1 0.1 0.2 one\n;; no words: b\n", {"a": "one two", "b": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), FORMS)
def test_forms(tmp_path: Path, name: str, text: str, expected: Mapping[str, str]) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert texts(tmp_path / name) == expected
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert texts(packed) == expected
    assert open_model(f"replay/{packed}").identity == open_model(f"replay/{tmp_path / name}").identity


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("a.trn", "the { ship / boat } sails (a)\n", "line 1: has alternatives"),
     ("a.ctm", "a 1 * * <ALT_BEGIN>\n", "line 1: has alternatives"),
     ("a.ctm", "a 1 x 1 w\n", "line 1: must be"),
     ("a.stm", "a 1 s 0\n", "line 1: must be an id, a channel"), ("a.trn", "one a)\n", "line 1: must be"),
     ("a.trn", "one (a) b\n", "line 1: must be"), ("a.trn", "one ()\n", "line 1: must be"),
     ("a.tsv", "a\tb\tc\n", "line 1: must be"), ("a.tsv", "a\tb\na\tc\n", "line 2: the id 'a' has a text"),
     ("a.jsonl", '{"id": "a", "text": null}\n', "line 1: must be"), ("a.jsonl", "[1]\n", "line 1: must be"),
     ("a.trn.gz", "one (a)\n", "cannot be read as UTF-8: Not a gzipped file")],
)  # fmt: skip
def test_what_would_be_scored_otherwise_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        open_model(f"replay/{tmp_path / name}")


def planned(path: Path, **options: Any) -> Plan:
    settings = {"language": "en"}
    return make_plan(open_model(f"replay/{path}"), ["asr"], data=BUILTIN, settings=settings, **options)


def test_ids_are_compared_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.trn"
    first, second, *others = samples()
    near = f"clips/{first.upper()}.wav"
    path.write_text("\n".join(f"x ({name})" for name in (*others, near, "more")), "utf-8")
    plan = planned(path)
    assert plan.warnings() == [
        f"replay/a.trn: 2 samples without an answer: {first!r}, {second!r}; {first!r} may be {near!r}",
        f"replay/a.trn: 2 answers without a sample: {near!r}, 'more'",
    ]
    (told,) = planned(path, limit=3).warnings()
    assert "without an answer" in told, "with a limit an answer without a sample says nothing"
    with open_run(tmp_path / "a.db", plan) as store:
        assert evidence(store, store.cells()[0]) == tuple(
            line.removeprefix("replay/a.trn: ") for line in plan.warnings()
        )


def samples() -> list[str]:
    plan = make_plan(open_model("fake/gold"), ["asr"], data=BUILTIN, settings={"language": "en"})
    return [sample.id for _, sample in plan.cells[0].samples()]


def test_a_file_of_other_clips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.trn").write_text("x (a)\ny (b)\n")
    with pytest.raises(
        UsageError, match=r"has no answer to any of \d+ samples .* its ids are others \('a', 'b'\)"
    ):
        planned(tmp_path / "a.trn")


@pytest.mark.parametrize(
    ("mine", "other", "alike"),
    [("a.wav", "a", True), ("clips/a.flac", "A.WAV", True), ("c\\a", "a", True), ("a.1", "a.2", False),
     (" a", "a", True), ("a.b.wav", "a.b", True), ("ab", "a", False)],
)  # fmt: skip
def test_what_is_nearly_an_id(mine: str, other: str, alike: bool) -> None:
    from evalkit.engine.by_id import _near

    assert _near([mine], [other]) == ({mine: other} if alike else {})
    assert _near([mine], [other, other.upper() + ".mp3", other]) == {}, "two of them are no hint"


def test_messages_are_short() -> None:
    names = [f"s{number}" for number in range(2000)]
    notes = Ids(names, (), names[:1], {}).notes()
    assert notes[0].endswith("'s4' and 1,995 more")
    assert notes[1] == "1 id of several samples, which get the same answer: 's0'"


def test_other_models_are_not_compared(tmp_path: Path) -> None:
    assert compare_ids(open_model("fake/gold"), []) is None
