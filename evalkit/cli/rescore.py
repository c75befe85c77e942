"""`evalkit rescore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import json_option, task_file_option
from evalkit.cli.output import echo_document

if TYPE_CHECKING:
    from evalkit.engine.rescore import Rescored

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, metavar="NEW.db", help="The run file to write.")
@click.option(
    "--rule", default="", metavar="PROTOCOL", help="Read the answers with the rules of this protocol."
)
@click.option(
    "--changes",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="Maximum number of samples with a changed verdict to list.",
)
@task_file_option
@json_option
def command(
    run: Path, output: Path, rule: str, changes: int, task_files: tuple[Path, ...], as_json: bool
) -> None:
    """Read, score and measure the stored responses of a run again, with the current code.

    No request is sent to a model. The command lists the samples whose verdict changed, with both verdicts.
    """
    from evalkit.engine.rescore import rescore
    from evalkit.runfile.measured import check_task_files

    found = list(rescore(run, output, rule=rule, task_files=check_task_files(task_files)))
    if as_json:
        import dataclasses

        from evalkit.report.documents import to_json

        echo_document(to_json({"cells": [dataclasses.asdict(one) for one in found]}))
        return
    for one in found:
        _show(one, changes)
    click.echo(f"written: {output}", err=True)


def _show(one: Rescored, most: int) -> None:
    from evalkit.report.tabular import printable

    before, after = ("—" if value is None else f"{value:.4g}" for value in one.figures)
    unit = f" {one.unit}" if one.unit else ""
    click.echo(
        f"{one.name}: {one.metric} {before} → {after}{unit}; "
        f"{len(one.changed):,} of {one.samples:,} verdicts changed"
    )
    for change in one.changed[:most]:
        said = [
            f"{outcome} {answer[:60]!r}"
            for outcome, answer in zip(change.outcomes, change.answers, strict=True)
        ]
        click.echo(printable(f"  {change.sample}: {' → '.join(said)}"))
    if len(one.changed) > most:
        click.echo(f"  and {len(one.changed) - most:,} more: --changes {len(one.changed)}")
