"""Reads, compares and writes golden files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.identity.declared import version_of
from tools.golden.cases import cases_of, packages_of
from tools.golden.found import ROOT, identities

OUTPUTS = ROOT / "tests" / "golden" / "outputs"
_SHOWN = 10
"""The highest number of changed cases that a message names."""


@dataclass(frozen=True, slots=True)
class Golden:
    """The contents of a file. `outputs`: by the keys of the cases."""

    version: int
    packages: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between a file and the code, as lines of text."""

    name: str
    changed: tuple[str, ...] = ()
    """Outputs that changed although the version did not."""
    outdated: tuple[str, ...] = ()
    """Cases that the file does not have, or that no longer exist, and a version that rose."""

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self.changed, *self.outdated)


def path_of(name: str) -> Path:
    return OUTPUTS / f"{name}.json"


def read(name: str) -> Golden | None:
    """Reads the file of an identity; None if there is no file yet."""
    if not path_of(name).is_file():
        return None
    stored = json.loads(path_of(name).read_text("utf-8"))
    return Golden(stored["version"], stored["packages"], stored["outputs"])


def found(name: str) -> Golden:
    """The outputs of the current code."""

    async def outputs() -> dict[str, str]:
        return {case.key: await case.output() for case in cases_of(name)}

    packages = {package: version_of(package) for package in packages_of(name)}
    return Golden(identities()[name][0].version, packages, asyncio.run(outputs()))


def write(name: str, golden: Golden) -> None:
    """Writes the file of an identity, with one line per case."""
    lines = [f"  {_text(key)}: {_text(output)}" for key, output in golden.outputs.items()]
    head = f'{{\n "identity": {_text(name)},\n "version": {golden.version},\n "packages": '
    path_of(name).parent.mkdir(exist_ok=True)
    path_of(name).write_text(
        head + json.dumps(dict(golden.packages)) + ',\n "outputs": {\n' + ",\n".join(lines) + "\n }\n}\n",
        "utf-8",
    )


def _text(text: str) -> str:
    """A text as JSON, in printable characters."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)


def compare(name: str) -> Comparison:
    """Compares the file of `name` with the outputs of the current code."""
    stored = read(name)
    if stored is None:
        return Comparison(name, outdated=(f"{name} has no golden file: python -m tools.golden {name}",))
    now = found(name)
    if now.version < stored.version:
        return Comparison(name, (f"{name}: version {now.version} is below the file's {stored.version}",))
    if now.version > stored.version:
        line = f"{name} is at version {now.version}, its golden file at {stored.version}"
        return Comparison(name, outdated=(f"{line}: python -m tools.golden {name}",))
    return Comparison(name, tuple(_changed(name, stored, now)), tuple(_outdated(name, stored, now)))


def _changed(name: str, stored: Golden, now: Golden) -> Iterator[str]:
    differing = [key for key, was in stored.outputs.items() if now.outputs.get(key, was) != was]
    if not differing:
        return
    yield f"{name}@{stored.version}: {len(differing)} outputs changed and the version did not"
    for package, was in stored.packages.items():
        if now.packages.get(package, was) != was:
            yield f"  the file was made with {package} {was}, {now.packages[package]} is installed"
    places = {case.key: case.place for case in cases_of(name)}
    for key in differing[:_SHOWN]:
        yield f"  {key} ({places[key]})\n    was {stored.outputs[key]}\n    is  {now.outputs[key]}"


def _outdated(name: str, stored: Golden, now: Golden) -> Iterator[str]:
    new, gone = now.outputs.keys() - stored.outputs.keys(), stored.outputs.keys() - now.outputs.keys()
    if new or gone:
        first = ", ".join(sorted(new | gone)[:3])
        yield (
            f"{name}: {len(new)} cases are not in the golden file and {len(gone)} of its cases are gone "
            f"({first}): python -m tools.golden {name}"
        )


def renew(name: str) -> Comparison:
    """Writes the file again, unless an output changed although the version did not."""
    seen = compare(name)
    if not seen.changed and seen.outdated:
        write(name, found(name))
    return seen


def leftovers() -> list[Path]:
    """The files of identities that are no longer declared."""
    return [path for path in sorted(OUTPUTS.glob("*.json")) if path.stem not in identities()]
