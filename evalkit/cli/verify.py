"""`evalkit verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.runfile.salvage import Saved
    from evalkit.runfile.verify import Verified

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_PATH, metavar="RUN.db")
@click.option("-o", "--output", type=_PATH, metavar="SAVED.db", help="Save what is whole in a new run file.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(run: Path, output: Path | None, as_json: bool) -> int:
    """Check every row and every page of a run file, and save what is whole.

    In the saved file, samples that are damaged, or whose responses are, count as not asked: `evalkit run`
    with it as -o asks for what was lost. Exit code: 0 whole, 1 damaged, 2 not a run file.
    """
    from evalkit.report.tabular import printable
    from evalkit.runfile.salvage import save
    from evalkit.runfile.verify import verify

    found = verify(run)
    saved = save(found, output) if output is not None else None
    if as_json:
        click.echo(json.dumps(_document(found, saved), indent=1, ensure_ascii=False))
    else:
        for line in _lines(found):
            click.echo(printable(line))
    if saved is not None:
        for name, count in saved.samples.items():
            ending = ", to be resumed" if name in saved.unfinished else ""
            click.echo(printable(f"{name}: {counted(count, 'sample')} saved{ending}"), err=True)
        click.echo(f"written: {output}", err=True)
    return 0 if found.whole else 1


def _lines(found: Verified) -> list[str]:
    width = max(map(len, found.tables))
    lines = []
    for name, state in found.tables.items():
        damaged = f", {state.damaged:,} damaged" if state.damaged else ""
        lines.append(f"{name:<{width}}  {state.whole:>9,} rows{damaged}")
        lines += [f"{'':<{width}}  damaged: {words}" for words in state.found]
    lines += [f"damaged: {words}" for words in (found.schema, *found.pages) if words]
    return [*lines, f"{found.path} is {'whole' if found.whole else 'damaged'}"]


def _document(found: Verified, saved: Saved | None) -> dict[str, object]:
    return {
        "run": str(found.path),
        "whole": found.whole,
        "tables": {
            name: {"whole": state.whole, "damaged": state.damaged, "found": state.found}
            for name, state in found.tables.items()
        },
        "schema": found.schema,
        "pages": found.pages,
        "saved": saved and {"samples": dict(saved.samples), "unfinished": list(saved.unfinished)},
    }
