"""`evalkit rescore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import (
    data_option,
    json_option,
    parse_settings,
    task_file_option,
    use_workers,
    workers_option,
)
from evalkit.cli.output import echo_document
from evalkit.errors import UsageError

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
@click.option(
    "-t",
    "--task",
    "tasks",
    default="",
    metavar="TASKS",
    help="For imported results: the task whose rules score the responses, as TASK, TASK:PROTOCOL or "
    "IMPORTED=TASK, where IMPORTED is an imported task or a pattern such as bbh_*; several with commas.",
)
@data_option
@click.option(
    "--set",
    "settings",
    metavar="K=V",
    multiple=True,
    help="With -t: set an option of the task, or the data's revision.",
)
@click.option(
    "--unmatched",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="With -t: how many imported samples may be left out because the task does not have them.",
)
@task_file_option
@workers_option
@json_option
def command(
    run: Path,
    output: Path,
    rule: str,
    changes: int,
    tasks: str,
    data: str | None,
    settings: tuple[str, ...],
    unmatched: int,
    task_files: tuple[Path, ...],
    workers: str,
    ray_address: str,
    as_json: bool,
) -> None:
    """Read, score and measure the stored responses of a run again, with the current code.

    No request is sent to a model. The command lists the samples whose verdict changed, with both verdicts.
    With -t, it scores the responses of imported results by the rules of a task.
    """
    from evalkit.data.base import data_options
    from evalkit.engine.rescore import rescore
    from evalkit.engine.rescore_imported import rescore_imported
    from evalkit.runfile.measured import check_task_files

    use_workers(workers, ray_address)
    if tasks:
        if rule or task_files:
            given = "--rule" if rule else "--task-file"
            raise UsageError(f"-t names the task and its protocol: leave out {given}")
        found = list(
            rescore_imported(
                run,
                output,
                tasks,
                data=data_options(data),
                settings=parse_settings(settings),
                unmatched=unmatched,
            )
        )
    elif data is not None or settings or unmatched:
        raise UsageError("--data, --set and --unmatched are for imported results: add -t TASK")
    else:
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
    for note in one.notes:
        click.echo(printable(f"  {note}"))
    for change in one.changed[:most]:
        said = [
            f"{outcome} {answer[:60]!r}"
            for outcome, answer in zip(change.outcomes, change.answers, strict=True)
        ]
        click.echo(printable(f"  {change.sample}: {' → '.join(said)}"))
    if len(one.changed) > most:
        click.echo(f"  and {len(one.changed) - most:,} more: --changes {len(one.changed)}")
