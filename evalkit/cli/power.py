"""`evalkit power`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.options import data_option, json_option, parse_settings, set_option
from evalkit.errors import UsageError


@click.command()
@click.option("-t", "--task", required=True, metavar="TASK", help="name or name:protocol.")
@click.option(
    "--effect",
    type=float,
    required=True,
    metavar="POINTS",
    help="The difference that should show, beyond the margin where there is one.",
)
@click.option(
    "--from",
    "runs",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="RUN.db",
    help="Take the samples' spread from this run; twice, from two runs of the same samples.",
)
@click.option("--alpha", type=float, default=0.05, show_default=True, metavar="A")
@click.option(
    "--benchmarks",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="K",
    help="That the comparison looks at: they share alpha.",
)
@click.option("--power", "wanted", type=float, default=0.8, show_default=True, metavar="P")
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    metavar="R",
    help="Between the two runs' results on a sample, where it cannot be measured.",
)
@set_option
@data_option
@json_option
def command(
    task: str,
    effect: float,
    runs: tuple[Path, ...],
    alpha: float,
    benchmarks: int,
    wanted: float,
    correlation: float,
    settings: tuple[str, ...],
    data: str | None,
    as_json: bool,
) -> None:
    """How many samples, or draws of each, show a difference between two runs.

    Without --from the spread of an accuracy of 50 % is assumed, the widest there is, and of two runs that
    agree as --correlation says. With one run its own spread is taken, with two that of their differences.
    """
    from evalkit.compare.power import plan_samples
    from evalkit.report.documents import to_json

    for label, share in (("--alpha", alpha), ("--power", wanted)):
        if not 0 < share < 1:
            raise UsageError(f"{label} {share:g} is no probability between 0 and 1")
    if not effect:
        raise UsageError(
            "--effect 0 needs no end of samples: name the difference that should show, such as 1.0"
        )
    if len(runs) > 2:
        raise UsageError("--from takes one run, or two of the same samples")
    found = plan_samples(
        task,
        abs(effect),
        runs,
        alpha=alpha,
        power=wanted,
        correlation=correlation,
        settings=parse_settings(settings),
        data=data,
        benchmarks=benchmarks,
    )
    if as_json:
        click.echo(to_json(found.as_json()), nl=False)
    else:
        click.echo("\n".join(found.lines()))
