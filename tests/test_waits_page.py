"""The table of all waits on the page about faults, and what `python -m bench waits` measures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bench import waits
from evalkit.models import connections, http
from evalkit.processes import ray_cluster
from evalkit.runfile import reader, runlock

_PAGE = Path(__file__).parent.parent / "docs/faults.md"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _rows() -> dict[str, list[str]]:
    """The cells of each row by the first one: at most, measured, then, test."""
    table = _PAGE.read_text("utf-8").partition("| wait | at most | measured |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]
    return {first: others for first, *others in cells}


def _numbers(cell: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(cell.replace(",", ""))]


def test_the_page_has_every_wait_in_its_order() -> None:
    assert list(_rows()) == [wait.what for wait in waits.WAITS]


@pytest.mark.parametrize("wait", waits.WAITS, ids=lambda wait: wait.what)
def test_its_bounds_are_those_of_the_code(wait: waits.Wait) -> None:
    at_most, measured, _, _ = _rows()[wait.what]
    if "`--timeout`" in at_most and not _numbers(at_most):
        return
    assert wait.most in _numbers(at_most)
    assert bool(measured) >= (wait.measure is not None)
    if measured:
        took, *bounds = _numbers(measured)
        assert took <= (bounds or [wait.most])[0] + 1.5  # an end of processes is part of it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "constant", "measure"),
    [
        (http, "_REACHED", waits._reached),
        (http, "_LISTING", waits._listed),
        (connections, "CONNECT", waits._connected),
        (runlock, "_PATIENCE", waits._locked_run),
        (reader, "PATIENCE", waits._locked_file),
        (ray_cluster, "_REACH", waits._ray_reached),
    ],
)
def test_each_bound_is_kept(
    module: ModuleType,
    constant: str,
    measure: Callable[[], tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is waited for once: of the run file that another program has locked, it was twice."""
    before = getattr(module, constant)
    monkeypatch.setattr(module, constant, 0.3)
    most, took = measure()
    assert most == 0.3
    assert 0.29 <= took < before, "the wait has another bound"


def test_a_lock_of_another_program_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []
    real = reader.Reader.cursor

    def counted(self: reader.Reader, *arguments: object) -> object:
        begun.append(1)
        return real(self)

    monkeypatch.setattr(reader, "PATIENCE", 0.05)
    monkeypatch.setattr(reader.Reader, "cursor", counted)
    waits._locked_file()
    assert len(begun) == 1
