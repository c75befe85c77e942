"""Speech's normalisers where their packages are missing, or are others."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest

from evalkit.errors import UsageError
from evalkit.scoring import speech


class Blocked(importlib.abc.MetaPathFinder):
    """As on a machine without the package."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {self._package!r}", name=self._package)
        return None


@pytest.fixture
def fresh_rules() -> Iterator[None]:
    speech._rules.cache_clear()
    yield
    speech._rules.cache_clear()


@pytest.mark.parametrize(
    ("package", "fix"), [("jiwer", "whisper-english"), ("whisper_normalizer", "whisper-basic")]
)
@pytest.mark.usefixtures("fresh_rules")
def test_a_missing_package_is_named_with_what_to_install(
    package: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Blocked(package), *sys.meta_path])
    with pytest.raises(
        UsageError, match=rf"^speech needs the package '{package}': pip install 'evalkit\[speech\]'$"
    ):
        speech.edits("a word", "a work", fix, "word")


@pytest.mark.usefixtures("fresh_rules")
def test_a_package_with_other_tables_than_whispers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from whisper_normalizer.english import EnglishTextNormalizer

    class Later(EnglishTextNormalizer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.standardize_spellings.mapping = {**self.standardize_spellings.mapping, "colour": "color!"}

    assert speech.normalise("My colour", "whisper-english") == "my color"
    speech._rules.cache_clear()
    monkeypatch.setattr("whisper_normalizer.english.EnglishTextNormalizer", Later)
    with pytest.raises(
        UsageError, match=r"other tables than Whisper: pip install whisper-normalizer==0\.1\.15"
    ):
        speech.normalise("My colour", "whisper-english")
