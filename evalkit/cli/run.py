"""`evalkit run`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.cost_options import CostOptions, cost_options
from evalkit.cli.dry_run import dry_run
from evalkit.cli.judge_options import JudgeOptions, judge_options
from evalkit.cli.options import (
    data_option,
    json_option,
    parse_settings,
    set_option,
    unsafe_option,
    use_workers,
    workers_option,
)
from evalkit.cli.running import resuming, run_plan
from evalkit.cli.sending_options import sending_options
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.engine.plan import Plan
    from evalkit.engine.run import Options

_SILENT = 3.0


@click.command()
@click.option(
    "-m",
    "--model",
    required=True,
    help="Model, as backend/name, such as openai/gpt-4o; `evalkit models` lists the backends.",
)
@click.option(
    "-t",
    "--tasks",
    required=True,
    multiple=True,
    help="Tasks, separated by commas, each as name, name:protocol, ./file.py[:name], lm-eval:NAME (also "
    "lm-eval:./file.yaml, lm-eval:./folder:NAME), or report:TABLE or PAPER:TABLE: every benchmark of a "
    "paper's table (report:Table 2), each under its row's protocol.",
)
@click.option(
    "--base-url",
    "base_urls",
    multiple=True,
    metavar="URL|FILE",
    help="URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1. Give several, or a file "
    "with one on each line, if they serve the same model.",
)
@click.option(
    "--api-key-env",
    "key_env",
    default="",
    metavar="NAME",
    help="Variable of the environment with the endpoint's key. Default: the backend's, as OPENAI_API_KEY.",
)
@judge_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="RUN.db",
    help="The run file. The same command resumes an unfinished run.",
)
@click.option(
    "--limit",
    type=int,
    metavar="N",
    help="Use only the first N samples of each task, or of each group, such as a language, if the metric is "
    "a mean over groups.",
)
@click.option(
    "--shard",
    default="",
    metavar="I/N",
    help="Ask only part I of N of the samples, counted from 1. `evalkit merge` puts the parts together.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    help="Ask only the sample with this id, or whose id begins so; several may be given. The run stays "
    "unfinished: the same command without it asks the rest.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="With --only: show each sample's request, response, what was read from it, and the verdict.",
)
@click.option("--seed", type=int, default=0, metavar="N", show_default=True, help="Seed of sampled draws.")
@set_option
@data_option
@click.option(
    "--lock",
    "lock_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the files of a lock file (evalkit data lock), and refuse to run if one of them differs.",
)
@click.option(
    "--timeout",
    type=float,
    default=600.0,
    metavar="S",
    show_default=True,
    help="Seconds per request, or per call of a copy of a model (copies=N, ray/).",
)
@sending_options
@cost_options
@click.option(
    "--same-model",
    is_flag=True,
    help="Resume a run whose endpoint has another address now. The run file then lists both addresses.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append what happens to this file, one JSON document on each line: requests, retries, waits, "
    "failures, samples, figures.",
)
@click.option("--strict", is_flag=True, help="Refuse tasks whose results are not comparable with the report.")
@workers_option
@unsafe_option
@json_option
def command(
    model: str,
    tasks: tuple[str, ...],
    base_urls: tuple[str, ...],
    judges: JudgeOptions,
    key_env: str,
    output: Path | None,
    limit: int | None,
    shard: str,
    only: tuple[str, ...],
    verbose: bool,
    ray_address: str,
    seed: int,
    settings: tuple[str, ...],
    sending: Options,
    cost: CostOptions,
    data: str | None,
    lock_file: Path | None,
    timeout: float,
    same_model: bool,
    log_file: Path | None,
    strict: bool,
    workers: str,
    as_json: bool,
) -> int:
    """Evaluate a model on benchmarks and print the table.

    Every response is stored when it arrives. To resume after an interruption, run the same command with the
    same -o; requests that were answered are not sent again.
    """
    from evalkit.data.base import data_options
    from evalkit.data.lock import read_lock
    from evalkit.engine.bounds import bounded
    from evalkit.engine.log_file import log_to
    from evalkit.engine.plan import make_plan
    from evalkit.models import open_model
    from evalkit.session import default_output

    use_workers(workers, ray_address)
    timeout = bounded("timeout", timeout, "--timeout")
    plan = make_plan(
        open_model(model, base_url=base_urls, timeout=timeout, key_env=key_env, ray_address=ray_address),
        tasks,
        settings=parse_settings(settings),
        data=data_options(data),
        limit=limit,
        seed=seed,
        strict=strict,
        judges=judges.models(timeout, ray_address),
        same_model=same_model,
        shard=shard,
        lock=None if lock_file is None else read_lock(lock_file),
        tell=_teller(),
        scoring=not cost.dry_run,
    )
    plan = _chosen(plan, only, verbose)
    if cost.dry_run:
        return dry_run(plan, output, cost, bool(sending.batch), as_json)
    path = output or default_output(plan)
    with log_to(log_file, path, lambda text: click.echo(text, err=True)):
        return run_plan(plan, path, cost.applied(sending), resuming(path, output is None), as_json, verbose)


def _chosen(plan: Plan, only: tuple[str, ...], verbose: bool) -> Plan:
    """The plan with the samples of `--only`, after its warnings were shown."""
    from evalkit.engine.only import only as only_of

    if verbose and not only:
        raise UsageError("-v needs --only ID: it shows one sample after the other")
    for line in plan.warnings():
        click.echo(f"warning: {line}", err=True)
    return only_of(plan, only) if only else plan


def _teller() -> Callable[[str], None]:
    """Says which task is being prepared, if nothing has been said for `_SILENT` seconds."""
    last = time.monotonic()

    def tell(name: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SILENT:
            last = time.monotonic()
            click.echo(f"preparing {name} …", err=True)

    return tell
