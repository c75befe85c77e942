"""`evalkit check`."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import data_option, json_option, unsafe_option
from evalkit.cli.output import echo_document
from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.engine.check import CheckResult

_SHOWN = 10
"""Number of problems printed for one protocol."""


@click.command()
@click.argument("tasks", default="")
@data_option
@click.option(
    "--limit",
    type=int,
    metavar="N",
    help="Use only the first N samples of each task, or of each group if the metric is a mean over groups.",
)
@unsafe_option
@json_option
def command(tasks: str, data: str | None, limit: int | None, as_json: bool) -> int:
    """Check that every sample scores 1 with its reference as the response, and 0 with a wrong response.

    TASKS are named as in `evalkit run`; without TASKS, all tasks are checked. The exit code is 1 if a scorer
    is wrong, and 2 if a task's data, or a program or package that its scoring needs, is not available. The
    other tasks are checked in any case.
    """
    from evalkit.benchmark.task import index
    from evalkit.data.base import data_options
    from evalkit.engine.check import check
    from evalkit.engine.chosen import expand
    from evalkit.errors import DataError, UsageError

    results: list[CheckResult] = []
    missing = 0
    for task in expand(tasks) if tasks else sorted(index()):
        if sys.stderr.isatty():
            click.echo(f"checking {task} …", err=True)
        try:
            for result in check(task, data_options(data), limit):
                results.append(result)
                if not as_json:
                    _show(result)
        except UsageError as error:  # the other tasks are still checked
            if tasks and not isinstance(error, DataError):
                raise
            missing += 1
            click.echo(f"evalkit: {task}: {error}", err=True)
    if as_json:
        from evalkit.report.documents import to_json

        echo_document(to_json([dataclasses.asdict(r) for r in results]))
    if not all(result.passed for result in results):
        return 1
    return 2 if missing else 0


def _show(result: CheckResult) -> None:
    verdict = click.style("pass", fg="green") if result.passed else click.style("FAIL", fg="red")
    unit = f" {result.unit}".rstrip()
    click.echo(
        f"{verdict}  {result.task}:{result.protocol}  {counted(result.samples, 'sample')}: "
        f"references {_figure(result.gold, unit)}, wrong {_figure(result.wrong, unit)}"
        + "".join(
            f"; {name} {_figure(value, ' ' + result.units[name])}".rstrip()
            for name, value in result.others.items()
        )
    )
    for words in result.unheld:
        click.echo(f"      not checked: {words}")
    for problem in result.problems[:_SHOWN]:
        click.echo(f"      {problem}")
    if len(result.problems) > _SHOWN:
        click.echo(f"      and {len(result.problems) - _SHOWN} more")


def _figure(value: float, unit: str) -> str:
    return "none" if math.isnan(value) else f"{value:g}{unit}"
