"""`evalkit run`."""

from __future__ import annotations

import asyncio
import gc
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.judge_options import judge_models
from evalkit.cli.options import (
    NumberRange,
    data_option,
    json_option,
    parse_settings,
    set_option,
    unsafe_option,
    use_workers,
    workers_option,
)
from evalkit.cli.output import write
from evalkit.errors import StorageError, UsageError

if TYPE_CHECKING:
    from evalkit.engine.plan import Plan
    from evalkit.engine.run import Options
    from evalkit.engine.waits import RetryPolicy
    from evalkit.engine.watch import Watching
    from evalkit.report.table import Table

_SILENT = 3.0
_DIGITS = 40


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
    "lm-eval:./file.yaml, lm-eval:./folder:NAME), or report:TABLE: every benchmark of a table of the report "
    "(report:Table 2), each under its row's protocol.",
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
    "--judge",
    "judges",
    multiple=True,
    metavar="[ROLE=]MODEL",
    help="Model that scores answers, or reads them if a task's rules cannot (mathvista). The table names it. "
    "Give one for each role that a task has, or one for all roles.",
)
@click.option(
    "--judge-base-url",
    "judge_urls",
    multiple=True,
    metavar="[ROLE=]URL",
    help="URL of the judge's endpoint, or several.",
)
@click.option(
    "--api-key-env",
    "key_env",
    default="",
    metavar="NAME",
    help="Variable of the environment with the endpoint's key. Default: the backend's, as OPENAI_API_KEY.",
)
@click.option(
    "--judge-api-key-env",
    "judge_keys",
    multiple=True,
    metavar="[ROLE=]NAME",
    help="The same for the judge's endpoint. Default: JUDGE_API_KEY if it is set, or else the backend's.",
)
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
@click.option(
    "--concurrency",
    default="auto",
    metavar="N|auto",
    show_default=True,
    help="Maximum number of requests in flight.",
)
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
@click.option(
    "--retries",
    type=int,
    default=5,
    metavar="N",
    show_default=True,
    help="Number of further attempts if a request fails.",
)
@click.option(
    "--verify-fraction",
    type=NumberRange(0, 1),
    default=0.0,
    metavar="F",
    help="Send this share of the greedy requests twice and report how many answers changed.",
)
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
    judges: tuple[str, ...],
    judge_urls: tuple[str, ...],
    key_env: str,
    judge_keys: tuple[str, ...],
    output: Path | None,
    limit: int | None,
    shard: str,
    only: tuple[str, ...],
    verbose: bool,
    ray_address: str,
    seed: int,
    settings: tuple[str, ...],
    concurrency: str,
    data: str | None,
    lock_file: Path | None,
    timeout: float,
    retries: int,
    verify_fraction: float,
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
    from evalkit.engine.run import Options
    from evalkit.models import open_model
    from evalkit.session import default_output

    use_workers(workers, ray_address)
    options = Options(_concurrency(concurrency), _policy(retries), verify_fraction)
    timeout = bounded("timeout", timeout, "--timeout")
    plan = make_plan(
        open_model(model, base_url=base_urls, timeout=timeout, key_env=key_env, ray_address=ray_address),
        tasks,
        settings=parse_settings(settings),
        data=data_options(data),
        limit=limit,
        seed=seed,
        strict=strict,
        judges=judge_models(judges, judge_urls, judge_keys, timeout, ray_address),
        same_model=same_model,
        shard=shard,
        lock=None if lock_file is None else read_lock(lock_file),
        tell=_teller(),
    )
    plan = _chosen(plan, only, verbose)
    path = output or default_output(plan)
    with log_to(log_file, path, lambda text: click.echo(text, err=True)):
        return _run(plan, path, options, _again(path, output is None), as_json, verbose)


def _policy(retries: int) -> RetryPolicy:
    from evalkit.engine.bounds import bounded
    from evalkit.engine.waits import RetryPolicy

    return RetryPolicy(attempts=1 + bounded("retries", retries, "--retries"))


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


def _run(plan: Plan, path: Path, options: Options, again: str, as_json: bool, verbose: bool) -> int:
    """Runs the plan, prints the table and, if work is left, the command to resume; returns the exit code."""
    from evalkit.engine.client import Stopped
    from evalkit.engine.progress import make_progress
    from evalkit.engine.watch import Watching
    from evalkit.report.build import run_text
    from evalkit.runfile.causes import advice, told
    from evalkit.session import execute_plan

    progress = make_progress()
    watching = Watching(progress) if verbose else None

    async def go() -> Table:
        stop_on_signals()
        try:
            return await execute_plan(plan, path, options, watching or progress)
        finally:
            for model in (plan.model, *plan.judges.values()):
                await model.aclose()

    gc.freeze()  # the collector need not scan the modules loaded so far: scanning them costs 5 % of the run
    try:
        table = asyncio.run(go())
    except asyncio.CancelledError:
        click.echo(f"interrupted; all responses so far are in {path}. To resume: {again}", err=True)
        return 130
    except Stopped as stopped:
        raise Stopped(
            f"{stopped}. All responses so far are in {path}; to resume: {again}", usage=stopped.usage
        ) from None
    except StorageError as error:
        raise StorageError(f"the run stopped: {error}. When this is fixed, to resume: {again}") from None
    if watching is not None:
        _show(plan, path, watching, to_stderr=as_json)
    write(None, run_text(table, as_json=as_json, colour=sys.stdout.isatty()), shown=not as_json)
    if table.failed:
        click.echo(f"{table.failed} samples failed; {advice(table.causes, again)}", err=True)
        for line in told(table.causes):
            click.echo(f"  {line}", err=True)
    _tell_replicas(path)
    click.echo(f"run file: {path}", err=True)
    return 3 if table.failed else 0


def _show(plan: Plan, path: Path, watching: Watching, *, to_stderr: bool) -> None:
    """Shows the samples of `--only`."""
    from evalkit.report.one_sample import sample_text
    from evalkit.runfile.sample_records import SampleRecords
    from evalkit.runfile.store import Store

    chosen = {(cell.task.name, cell.protocol.name): cell.only or () for cell in plan.cells}
    with Store.open(path) as store:
        for cell in store.cells():
            records = SampleRecords(store, cell)
            for position in sorted(chosen.get((cell.task, cell.protocol), ())):
                sample = records.read(position)
                sent = watching.sent.get((cell.id, sample.id), ())
                click.echo(sample_text(cell, sample, sent), err=to_stderr)


def _tell_replicas(path: Path) -> None:
    """Says how many requests each replica answered, if the model has several."""
    from evalkit.runfile.replica_use import called, replica_uses
    from evalkit.runfile.store import Store

    with Store.open(path) as store:
        for use in replica_uses(store):
            click.echo(called(use.address) + use.line().removeprefix(use.address), err=True)


def _concurrency(text: str) -> int | None:
    if text == "auto":
        return None
    from evalkit.engine.bounds import bounded

    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise UsageError(f"--concurrency must be an integer of at least 1 or auto, not {text[:_DIGITS]}")
    return bounded("concurrency", int(text), "--concurrency")


def _again(path: Path, add_output: bool) -> str:
    """Returns the shell command that resumes this run."""
    words = ["evalkit", *sys.argv[1:]]
    return shlex.join([*words, "-o", str(path)] if add_output else words)


def stop_on_signals() -> None:
    """On the first SIGINT or SIGTERM, ends the run, which stores what arrives within a few seconds.

    A second signal ends the process at once. A terminal that is closed (SIGHUP) does not end the run.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
