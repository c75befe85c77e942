"""Where a command's document goes: to standard output, or into a file that is there whole or not at all."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from evalkit.errors import UsageError
from evalkit.scratch import replacing


def format_of(output: Path | None, name: str, endings: Mapping[str, str], default: str) -> str:
    """The format called `name`, else that of the ending of `output`, else `default`.

    Raises `UsageError` for an ending that says nothing; a file without one gets the default.
    """
    if name or output is None or not output.suffix:
        return name or default
    if output.suffix not in endings:
        known = ", ".join(sorted(endings))
        raise UsageError(f"{output}: {output.suffix} is no ending of a format, {known} are: or give --format")
    return endings[output.suffix]


def echo_document(document: str | bytes) -> None:
    """Writes what another program reads to standard output: in UTF-8, unless that is a terminal."""
    if isinstance(document, str) and not sys.stdout.isatty():
        document = document.encode("utf-8", "replace")
    click.echo(document, nl=False)


def write(
    output: Path | None, document: str | bytes, inputs: Iterable[Path] = (), *, shown: bool = False
) -> None:
    """Writes it to `output`, in a folder that is made where there is none, or to standard output.

    `shown`: it is for a person, in the encoding of the terminal.
    Raises `UsageError` where that cannot be, and where `output` is one of `inputs`.
    """
    if output is None:
        if shown:
            click.echo(document, nl=False)
        else:
            echo_document(document)
        return
    try:
        if any(path.exists() and output.exists() and path.samefile(output) for path in inputs):
            raise UsageError(f"{output} is what was read: name another file with -o")
        _write(output, document.encode() if isinstance(document, str) else document)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None


def _write(output: Path, document: bytes) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists() and not output.is_file():  # a pipe or a device is not replaced, but written to
        output.write_bytes(document)
        return
    place = output.resolve()  # where a link points to
    with replacing(place) as part:
        part.write_bytes(document)
        if place.exists():
            shutil.copymode(place, part)
