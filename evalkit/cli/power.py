"""`evalkit power`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.options import Number, NumberRange, data_option, json_option, parse_settings, set_option
from evalkit.cli.output import echo_document
from evalkit.errors import UsageError


@click.command()
@click.option("-t", "--task", required=True, metavar="TASK", help="Task, as name or name:protocol.")
@click.option(
    "--effect",
    type=Number(),
    required=True,
    metavar="POINTS",
    help="Difference to be detected, beyond the margin if there is one.",
)
@click.option(
    "--from",
    "runs",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="RUN.db",
    help="Measure the samples' spread in this run. Given twice: in two runs of the same samples.",
)
@click.option(
    "--alpha",
    type=Number(),
    default=0.05,
    show_default=True,
    metavar="A",
    help="False-alarm rate over all benchmarks together.",
)
@click.option(
    "--benchmarks",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="K",
    help="Number of benchmarks in the comparison. They share alpha.",
)
@click.option(
    "--power",
    "wanted",
    type=Number(),
    default=0.8,
    show_default=True,
    metavar="P",
    help="Probability that a difference of this size is detected.",
)
@click.option(
    "--correlation",
    type=NumberRange(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    metavar="R",
    help="Correlation between the two runs' results on a sample, if two runs do not show it.",
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
    """Compute how many samples, or draws of each sample, are needed to detect a difference between two runs.

    Without --from, the spread of an accuracy of 50 % is assumed, the widest possible one. With one run, the
    spread is measured in that run. In both cases --correlation says how much the two runs agree. With two
    runs, the spread of their differences is measured.
    """
    from evalkit.compare.power import plan_samples
    from evalkit.report.documents import to_json

    for label, share in (("--alpha", alpha), ("--power", wanted)):
        if not 0 < share < 1:
            raise UsageError(f"{label} must be between 0 and 1, not {share:g}")
    if not effect:
        raise UsageError(
            "--effect must not be 0, which no number of samples shows: give a difference such as 1.0"
        )
    if len(runs) > 2:
        raise UsageError(f"--from must be given at most twice, not {len(runs)} times")
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
        echo_document(to_json(found.as_json()))
    else:
        click.echo("\n".join(found.lines()))
