"""`evalkit report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.cli.options import json_option
from evalkit.errors import UsageError, unknown


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    default="",
    metavar="FORMAT",
    help="terminal, markdown, csv, json or html.  [default: by the ending of -o, else terminal]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write there instead of to standard output.",
)
@click.option("--strict", is_flag=True, help="Refuse to put what is not comparable into one row.")
@json_option
def command(runs: tuple[Path, ...], name: str, output: Path | None, strict: bool, as_json: bool) -> None:
    """A table from one or more run files. Nothing is asked; a run still going on may be read too."""
    from evalkit.report.render import FORMATS, to_terminal
    from evalkit.report.table import build_table
    from evalkit.store import Store

    name = "json" if as_json else name or _by_ending(output)
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    stores = [Store.open(path) for path in runs]
    try:
        table = build_table(stores, strict=strict)
    finally:
        for store in stores:
            store.close()
    if output is None:
        text = to_terminal(table, colour=sys.stdout.isatty()) if name == "terminal" else FORMATS[name](table)
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(FORMATS[name](table), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None


def _by_ending(output: Path | None) -> str:
    endings = {".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html"}
    return endings.get(output.suffix, "terminal") if output else "terminal"
