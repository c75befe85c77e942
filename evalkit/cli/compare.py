"""`evalkit compare`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import Number, json_option, output_option, task_file_option
from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.compare.policy import Policy
    from evalkit.compare.verdicts import Comparison

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=_PATH, metavar="BASE HEAD…")
@click.option(
    "--margin", type=Number(), metavar="POINTS", help="Loss that HEAD may have, in the metric's unit."
)
@click.option("--alpha", type=Number(), metavar="A", help="False-alarm rate over all benchmarks together.")
@click.option(
    "--policy",
    "policy_file",
    type=_PATH,
    metavar="FILE",
    help="File with the margins and the blocking benchmarks.  [default: ./evalkit.toml, if it exists]",
)
@click.option("--allow-different", is_flag=True, help="Also compare benchmarks whose signatures differ.")
@click.option("--allow-missing", is_flag=True, help="HEAD may lack benchmarks that BASE or the policy has.")
@click.option("--allow-subset", is_flag=True, help="HEAD may have only a part of BASE's samples.")
@click.option(
    "--flips",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Number of changed samples to list, worst first.",
)
@click.option(
    "--format", "name", default="", metavar="FORMAT", help="Output format: terminal, markdown or json."
)
@click.option("--junit", type=_PATH, metavar="FILE", help="Also write a JUnit report to this file.")
@output_option
@task_file_option
@json_option
def command(
    runs: tuple[Path, ...],
    task_files: tuple[Path, ...],
    margin: float | None,
    alpha: float | None,
    policy_file: Path | None,
    allow_different: bool,
    allow_missing: bool,
    allow_subset: bool,
    flips: int,
    name: str,
    junit: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Decide whether HEAD is better or worse than BASE, no worse within a margin, or has too few samples.

    The last run is compared with the first on the samples that are scored in both. Runs between them are
    shown as a trend. BASE may be a slim run file (`evalkit export --slim`).

    The exit code is 1 if a blocking benchmark is worse; else 2 if a benchmark was not run in the same way in
    both; else 3 if HEAD lacks something that BASE or the policy has, or if samples failed; else 0.
    """
    from evalkit.compare.policy import policy_of
    from evalkit.report.ci import add_to_summary, github_commands, to_junit
    from evalkit.report.comparison import ENDINGS, comparison_text
    from evalkit.runfile.measured import check_task_files

    name = "json" if as_json else format_of(output, name, ENDINGS, "terminal")
    if len(runs) < 2:
        raise UsageError("compare needs at least two runs: evalkit compare BASE.db HEAD.db")
    policy = policy_of(
        policy_file,
        margin=margin,
        alpha=alpha,
        allow_different=allow_different,
        allow_missing=allow_missing,
        allow_subset=allow_subset,
    )
    comparisons = _comparisons(runs, policy, flips, check_task_files(task_files))
    text = comparison_text(comparisons, name, colour=output is None and sys.stdout.isatty())
    write(output, text, runs, shown=name == "terminal")
    if junit is not None:
        write(junit, to_junit(comparisons[-1]), runs)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in github_commands(comparisons[-1]):
            click.echo(line, err=True)
        add_to_summary(comparisons[-1])
    if comparisons[-1].exit_code:
        sys.exit(comparisons[-1].exit_code)


def _comparisons(
    runs: Sequence[Path], policy: Policy, flips: int, task_files: tuple[Path, ...]
) -> list[Comparison]:
    """Returns the comparison of each later run with the first."""
    from evalkit.compare.runs import compare
    from evalkit.runfile.store import Store

    with ExitStack() as stack:
        stores = []
        for path in runs:
            stores.append(Store.open(path, task_files))
            stack.callback(stores[-1].close)
        return [compare(stores[0], store, policy, flips=flips) for store in stores[1:]]
