"""The command line: `python -m tools.mutate --help`."""

from __future__ import annotations

import ast
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

import click

from tools.golden.found import ROOT
from tools.mutate.mutants import Mutant, mutants, unchanged
from tools.mutate.reached import definitions, identities
from tools.mutate.trial import Result, prepare, tried

ALLOWED = ROOT / "tests" / "golden" / "equivalent.toml"


def listed() -> dict[str, str]:
    """The mutants that no golden case catches, with the reasons; a reason may be the test that catches it."""
    held: dict[str, dict[str, str]] = tomllib.loads(ALLOWED.read_text("utf-8"))
    return {
        f"{place}: {change}": reason for place, changes in held.items() for change, reason in changes.items()
    }


def one_each() -> Iterator[Mutant]:
    """Yields for each identity the first mutant of its own code that is not equivalent."""
    left = {name for names in identities().values() for name in names}
    allowed = listed()
    for mutant in mutants():
        own = {name for name in left if _declares(mutant, name)}
        if own and mutant.name not in allowed and "→ None" not in mutant.change and "§" not in mutant.change:
            left -= own
            yield mutant


def _declares(mutant: Mutant, name: str) -> bool:
    marks = getattr(definitions()[mutant.place], "decorator_list", ())
    return any(repr(name) in ast.unparse(mark) for mark in marks)


def _named(mutant: Mutant, parts: tuple[str, ...]) -> bool:
    name = f"{mutant.place.module}.{mutant.place.name}"
    return not parts or any(part in name for part in parts)


def _useless(chosen: list[Mutant], jobs: int, tests: dict[str, str]) -> Iterator[Result]:
    """Yields the tests that also fail without a mutant, and so detect nothing."""
    by_test = {tests[mutant.name]: unchanged(mutant) for mutant in chosen if mutant.name in tests}
    for test, mutant in by_test.items():
        results = tried([mutant], jobs, {mutant.name: test})
        yield from (result for result in results if result.fate != "survived")


@click.command()
@click.option("--one-each", "few", is_flag=True, help="Try one mutant for each identity.")
@click.option("--only", multiple=True, help="Only try modules and definitions whose name contains this.")
@click.option("--again", type=click.File(), help="Only try the survivors in this output of an earlier run.")
@click.option("--jobs", default=len(os.sched_getaffinity(0)), help="Number of processes.")
def main(few: bool, only: tuple[str, ...], again: TextIO | None, jobs: int) -> None:
    """Tries mutants. The exit code is 1 if one survives that is not known to be equivalent."""
    began = time.monotonic()
    known = listed()
    tests = {name: reason for name, reason in known.items() if reason.startswith("tests/")}
    allowed = known.keys() - tests.keys()
    chosen = [one for one in (one_each() if few else mutants()) if _named(one, only)]
    if again is not None:
        left = {line.removeprefix("survived: ").rpartition(" (line")[0] for line in again}
        chosen = [one for one in chosen if one.name in left]
    prepare()
    fates: Counter[str] = Counter()
    survivors: list[Result] = []
    for result in _useless(chosen, jobs, tests):
        survivors.append(result)
        click.echo(f"a test of {result.mutant.place.name} fails without a mutation")
    for result in tried((one for one in chosen if one.name not in allowed), jobs, tests):
        fates[result.fate] += 1
        if result.fate == "survived":
            survivors.append(result)
            click.echo(f"survived: {result.mutant.name} (line {result.mutant.line})")
    fates["equivalent"] = sum(one.name in allowed for one in chosen)
    counts = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
    click.echo(f"{len(chosen)} mutants in {time.monotonic() - began:.0f} s: {counts}")
    if not (few or only or again):
        for name in sorted(known.keys() - {one.name for one in chosen}):
            click.echo(f"equivalent.toml lists {name}, which is not a mutant")
            survivors.append(result)
    sys.exit(int(bool(survivors)))


if __name__ == "__main__":
    main()
