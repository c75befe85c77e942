"""`evalkit compare`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import json_option, output_option, task_file_option
from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.compare.policy import Policy
    from evalkit.compare.verdicts import Comparison

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=_PATH, metavar="BASE HEAD…")
@click.option("--margin", type=float, metavar="POINTS", help="What head may lose, in the metric's unit.")
@click.option("--alpha", type=float, metavar="A", help="Share of false alarms, over all benchmarks.")
@click.option(
    "--policy",
    "policy_file",
    type=_PATH,
    metavar="FILE",
    help="Margins and which benchmarks are blocking.  [default: ./evalkit.toml, where there is one]",
)
@click.option("--allow-different", is_flag=True, help="Compare also what was not asked the same way.")
@click.option("--allow-missing", is_flag=True, help="HEAD may lack benchmarks that BASE or the policy has.")
@click.option("--allow-subset", is_flag=True, help="HEAD may have been asked a part of BASE's samples.")
@click.option(
    "--flips", type=click.IntRange(0), default=10, show_default=True, help="Samples listed, worst first."
)
@click.option("--format", "name", default="", metavar="FORMAT", help="terminal, markdown or json.")
@click.option("--junit", type=_PATH, metavar="FILE", help="Also a JUnit report.")
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
    """Better, worse, no worse within a margin, or not enough samples to say.

    The last run is compared with the first on the samples that both judged; runs between them are shown as
    a trend. A baseline may be a slim run file (`evalkit export --slim`).

    Exits with 1 where a blocking benchmark is worse; else with 2 where one was not asked the same way in
    both, else with 3 where head lacks something that base or the policy has, or samples failed; else with 0.
    """
    from evalkit.compare.policy import policy_of
    from evalkit.report.ci import add_to_summary, github_commands, to_junit
    from evalkit.report.comparison import ENDINGS, comparison_text
    from evalkit.runfile.measured import check_task_files

    name = "json" if as_json else format_of(output, name, ENDINGS, "terminal")
    if len(runs) < 2:
        raise UsageError("compare takes two runs or more: evalkit compare BASE.db HEAD.db")
    policy = policy_of(
        policy_file,
        margin=margin,
        alpha=alpha,
        allow_different=allow_different,
        allow_missing=allow_missing,
        allow_subset=allow_subset,
    )
    comparisons = _comparisons(runs, policy, flips, check_task_files(task_files))
    write(output, comparison_text(comparisons, name, colour=output is None and sys.stdout.isatty()), runs)
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
    """Every later run against the first."""
    from evalkit.compare.runs import compare
    from evalkit.runfile.store import Store

    with ExitStack() as stack:
        stores = []
        for path in runs:
            stores.append(Store.open(path, task_files))
            stack.callback(stores[-1].close)
        return [compare(stores[0], store, policy, flips=flips) for store in stores[1:]]
