"""`evalkit check`."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import data_option, json_option, unsafe_option

if TYPE_CHECKING:
    from evalkit.engine.check import CheckResult

_SHOWN = 10
"""Problems printed for one protocol."""


@click.command()
@click.argument("tasks", default="")
@data_option
@click.option(
    "--limit",
    type=int,
    metavar="N",
    help="Only the first N samples of each task, or of each group where the figure is the mean over groups.",
)
@unsafe_option
@json_option
def command(tasks: str, data: str | None, limit: int | None, as_json: bool) -> int:
    """Gold self-test: with references as responses every sample scores 1, with wrong ones 0.

    TASKS as for `evalkit run`; all of them when left out. Exits 1 when a scorer is wrong, 2 when a task's
    data, or what scoring it needs, cannot be had; the others are checked all the same.
    """
    from evalkit.benchmark.task import index
    from evalkit.data.base import data_options
    from evalkit.engine.check import check
    from evalkit.engine.plan import expand
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
        except UsageError as error:  # the others are checked all the same
            if tasks and not isinstance(error, DataError):
                raise
            missing += 1
            click.echo(f"evalkit: {task}: {error}", err=True)
    if as_json:
        import orjson

        click.echo(orjson.dumps([dataclasses.asdict(r) for r in results], option=orjson.OPT_INDENT_2))
    if not all(result.passed for result in results):
        return 1
    return 2 if missing else 0


def _show(result: CheckResult) -> None:
    verdict = click.style("pass", fg="green") if result.passed else click.style("FAIL", fg="red")
    unit = f" {result.unit}".rstrip()
    click.echo(
        f"{verdict}  {result.task}:{result.protocol}  {result.samples} samples: "
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
