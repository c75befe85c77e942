"""Texts from a file are scored as a model's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.report.sclite import to_ctm, to_stm, to_trn, to_trn_references
from evalkit.runfile.store import Store
from evalkit.session import run


def heard(folder: Path) -> tuple[bytes, bytes, list[tuple[str, float | None]]]:
    """(answers, references, figures) of a run on clips."""
    model = open_model("fake/gold?wrong=0.5")
    table = run(model, "asr", data="builtin", settings={"language": "en"}, output=folder / "a.db")
    with Store.open(folder / "a.db") as store:
        figures = [(cell.metric, cell.value) for cell in table.cells]
        for name, form in FORMATS.items():
            if "." in name:
                (folder / name).write_bytes(form([store]))
        return to_trn([store]), to_trn_references([store]), figures


def scored(path: Path) -> list[tuple[str, float | None]]:
    model = open_model(f"replay/{path}")
    output = path.with_suffix(f"{path.suffix}.db")
    table = run(model, "asr", data="builtin", settings={"language": "en"}, output=output)
    assert table.cells[0].evidence == ()
    return [(cell.metric, cell.value) for cell in table.cells]


FORMATS = {"hyp.trn": to_trn, "ref.trn": to_trn_references, "hyp.ctm": to_ctm, "ref.stm": to_stm}


def test_exported_answers_are_scored_alike(tmp_path: Path) -> None:
    _, _, figures = heard(tmp_path)
    assert scored(tmp_path / "hyp.trn") == scored(tmp_path / "hyp.ctm") == figures
    assert dict(scored(tmp_path / "ref.trn"))["WER"] == dict(scored(tmp_path / "ref.stm"))["WER"] == 0
    assert dict(figures)["WER"]


@pytest.mark.parametrize("form", ["{1}\t{0}", '{{"id": "{1}", "text": "{0}"}}'])
def test_other_forms(tmp_path: Path, form: str) -> None:
    _, references, _ = heard(tmp_path)
    rows = [line.removesuffix(")").rpartition(" (")[::2] for line in references.decode().splitlines()]
    path = tmp_path / ("b.tsv" if "\t" in form else "b.jsonl")
    path.write_text("\n".join(form.format(text, sample) for text, sample in rows), "utf-8")
    assert dict(scored(path))["WER"] == 0


def test_a_missing_id_fails_and_is_named(tmp_path: Path) -> None:
    _, references, _ = heard(tmp_path)
    lines = references.decode().splitlines(keepends=True)
    (tmp_path / "ref.trn").write_text("".join(lines[1:]), "utf-8")
    model = open_model(f"replay/{tmp_path / 'ref.trn'}")
    table = run(model, "asr", data="builtin", settings={"language": "en"}, output=tmp_path / "b.db")
    assert (table.cells[0].value, table.failed) == (0, 1)
    with Store.open(tmp_path / "b.db") as store:
        errors = [row["error"] for row in store.samples(store.cells()[0]) if row["error"]]
    assert len(errors) == 1
    assert f"has no text for the id {lines[0].strip().rpartition('(')[2][:-1]!r}" in errors[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("a.trn", "no id\n", "line 1: must be a text and its id"),
     ("a.trn", "a (x)\nb (x)\n", "line 2: the id 'x'"),
     ("a.tsv", "a b\n", "with a tab between"), ("a.jsonl", "{}\n", "must be an object"),
     ("a.trn", "\n", "has no texts")],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        open_model(f"replay/{tmp_path / name}")
    with pytest.raises(UsageError, match="cannot be read"):
        open_model(f"replay/{tmp_path / 'other.trn'}")
