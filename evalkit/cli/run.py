"""`evalkit run`."""

from __future__ import annotations

import asyncio
import gc
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
from evalkit.samples import JUDGE

if TYPE_CHECKING:
    from evalkit.engine.plan import Plan
    from evalkit.engine.run import Options
    from evalkit.models.base import Model
    from evalkit.report.table import Table

_SILENT = 3.0
_DIGITS = 40
_ROLE = re.compile(r"([a-z][\w-]*)=")
"""Matches the role in ROLE=MODEL. A model's name or a URL has a slash or a colon before any equals sign."""


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
    help="Variable of the environment with the endpoint's key. Default: OPENAI_API_KEY.",
)
@click.option(
    "--judge-api-key-env",
    "judge_keys",
    multiple=True,
    metavar="[ROLE=]NAME",
    help="The same for the judge's endpoint. Default: JUDGE_API_KEY if it is set, or else OPENAI_API_KEY.",
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
    from evalkit.engine.plan import make_plan
    from evalkit.engine.run import Options
    from evalkit.engine.waits import RetryPolicy
    from evalkit.models import open_model
    from evalkit.session import default_output

    use_workers(workers, ray_address)
    attempts = 1 + bounded("retries", retries, "--retries")
    options = Options(_concurrency(concurrency), RetryPolicy(attempts=attempts), verify_fraction)
    timeout = bounded("timeout", timeout, "--timeout")
    plan = make_plan(
        open_model(model, base_url=base_urls, timeout=timeout, key_env=key_env, ray_address=ray_address),
        tasks,
        settings=parse_settings(settings),
        data=data_options(data),
        limit=limit,
        seed=seed,
        strict=strict,
        judges=_judges(judges, judge_urls, judge_keys, timeout, ray_address),
        same_model=same_model,
        shard=shard,
        lock=None if lock_file is None else read_lock(lock_file),
        tell=_teller(),
    )
    for line in plan.warnings():
        click.echo(f"warning: {line}", err=True)
    path = output or default_output(plan)
    return _run(plan, path, options, _again(path, output is None), as_json)


def _teller() -> Callable[[str], None]:
    """Says which task is being prepared, if nothing has been said for `_SILENT` seconds."""
    last = time.monotonic()

    def tell(name: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SILENT:
            last = time.monotonic()
            click.echo(f"preparing {name} …", err=True)

    return tell


def _run(plan: Plan, path: Path, options: Options, again: str, as_json: bool) -> int:
    """Runs the plan, prints the table and, if work is left, the command to resume; returns the exit code."""
    from evalkit.engine.client import Stopped
    from evalkit.engine.progress import make_progress
    from evalkit.report.build import run_text
    from evalkit.runfile.causes import advice, told
    from evalkit.session import execute_plan

    async def go() -> Table:
        stop_on_signals()
        try:
            return await execute_plan(plan, path, options, make_progress())
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
    write(None, run_text(table, as_json=as_json, colour=sys.stdout.isatty()), shown=not as_json)
    if table.failed:
        click.echo(f"{table.failed} samples failed; {advice(table.causes, again)}", err=True)
        for line in told(table.causes):
            click.echo(f"  {line}", err=True)
    _tell_replicas(path)
    click.echo(f"run file: {path}", err=True)
    return 3 if table.failed else 0


def _tell_replicas(path: Path) -> None:
    """Says how many requests each replica answered, if the model has several."""
    from evalkit.runfile.replica_use import called, replica_uses
    from evalkit.runfile.store import Store

    with Store.open(path) as store:
        for use in replica_uses(store):
            click.echo(called(use.address) + use.line().removeprefix(use.address), err=True)


def _judges(
    typed: tuple[str, ...], urls: tuple[str, ...], keys: tuple[str, ...], timeout: float, ray_address: str
) -> dict[str, Model]:
    """Returns the judge models by role. Raises `UsageError`."""
    from evalkit.benchmark.task import judge_argument
    from evalkit.models import judge_key, open_model

    models, addresses = _by_role("--judge", typed), _all_by_role(urls)
    for role in addresses.keys() - models.keys():
        named = judge_argument(role, "MODEL")
        raise UsageError(f"--judge-base-url {addresses[role][0]} needs --judge {named}")
    named_keys = _by_role("--judge-api-key-env", keys)
    for role in named_keys.keys() - models.keys():
        named = judge_argument(role, "MODEL")
        raise UsageError(f"--judge-api-key-env {named_keys[role]} needs --judge {named}")
    return {
        role: open_model(
            name,
            base_url=addresses.get(role, ""),
            timeout=timeout,
            key_env=named_keys.get(role) or judge_key(name),
            ray_address=ray_address,
        )
        for role, name in models.items()
    }


def _by_role(option: str, typed: tuple[str, ...]) -> dict[str, str]:
    found = _all_by_role(typed)
    for role, values in found.items():
        if len(values) > 1:
            raise UsageError(f"{option} {values[1]}: the role {role} already has {values[0]}")
    return {role: value for role, (value,) in found.items()}


def _all_by_role(typed: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in typed:
        match = _ROLE.match(text)
        role, value = (match[1], text[match.end() :]) if match else (JUDGE, text)
        found.setdefault(role, []).append(value)
    return found


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
