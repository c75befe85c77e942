"""`evalkit new`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.skeletons import KINDS, write_skeleton


@click.command()
@click.argument("kind", metavar="|".join(KINDS))
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(), help="Where to write (default: here)."
)
def command(kind: str, name: str, folder: Path) -> None:
    """Write a working task, model, metric or paper's table, and its test.

    The files are called after NAME, as in my_task.py and test_my_task.py for my-task. Nothing is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = write_skeleton(kind, name, folder)
    click.echo(f"wrote {' and '.join(map(str, written.files))}; next{_in(folder)}:")
    for line in written.commands:
        click.echo(f"  {line}")


def _in(folder: Path) -> str:
    return "" if folder == Path() else f", in {folder}"
