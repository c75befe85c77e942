"""`evalkit export-metrics`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write evalkit's metrics as modules of the `evaluate` library.

    Then `evaluate.load("FOLDER/wer")` loads one of them in any program where evalkit is installed.
    """
    from evalkit.evaluate_modules import write

    for path in write(folder):
        click.echo(f"{path.parent}")
