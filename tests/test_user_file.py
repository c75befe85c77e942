"""A user's Python file and the modules in its folder, as they are imported."""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.identity.user_file import import_file


def test_an_edit_in_the_same_second_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytecode of an earlier import names the file's time in seconds and its size: both are the same."""
    own, beside, within = (tmp_path / name for name in ("own.py", "beside_own.py", "of_own/deep/within.py"))
    within.parent.mkdir(parents=True)
    for folder in (within.parent, within.parent.parent):
        (folder / "__init__.py").write_text("", "utf-8")
    own.write_text("import beside_own\nfrom of_own.deep import within\nNUMBER = 1\n", "utf-8")
    beside.write_text("NUMBER = 1\n", "utf-8")
    within.write_text("NUMBER = 1\n", "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for file in (own, beside, within):
        os.utime(file, (1_000_000_000, 1_000_000_000))
        py_compile.compile(str(file), doraise=True)
        file.write_text(file.read_text("utf-8").replace("NUMBER = 1", "NUMBER = 2"), "utf-8")
        os.utime(file, (1_000_000_000, 1_000_000_000))
    module = import_file(own)
    assert (module.NUMBER, module.beside_own.NUMBER, module.within.NUMBER) == (2, 2, 2)


@pytest.mark.parametrize("name", ["own.txt", "own.pyc", "own"])
def test_a_file_that_is_no_python_source_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("", "utf-8")
    with pytest.raises(UsageError, match="cannot be imported: is it a Python file"):
        import_file(tmp_path / name)


def test_a_neighbour_of_an_installed_modules_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("mean = None\n", "utf-8")
    (tmp_path / "own.py").write_text("import statistics\n", "utf-8")
    with pytest.raises(
        UsageError, match=r"own.py imports statistics, and .*statistics.py has the same name as"
    ):
        import_file(tmp_path / "own.py")


def test_neighbours_of_one_name_in_two_folders_are_not_mixed_up(tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twice_named.py").write_text(f"NUMBER = {number}\n", "utf-8")
        (tmp_path / folder / "between_both.py").write_text("from twice_named import NUMBER\n", "utf-8")
        (tmp_path / folder / "own.py").write_text("def f():\n    import between_both\n", "utf-8")
    import_file(tmp_path / "a" / "own.py").f()
    with pytest.raises(UsageError, match=r"imports between_both, and .*/a/between_both.py has the same name"):
        import_file(tmp_path / "b" / "own.py")
