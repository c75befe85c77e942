"""Runs a plan for `evalkit run`: signals, the table, the samples of `--only`, and the command to resume."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.output import write
from evalkit.errors import StorageError, counted

if TYPE_CHECKING:
    from evalkit.engine.plan import Plan
    from evalkit.engine.run import Options
    from evalkit.engine.watch import Watching
    from evalkit.report.table import Table


def run_plan(plan: Plan, path: Path, options: Options, again: str, as_json: bool, verbose: bool) -> int:
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

    try:
        table = asyncio.run(go())
    except asyncio.CancelledError:
        click.echo(f"interrupted; all responses so far are in {path}. To resume: {again}", err=True)
        return 130
    except Stopped as stopped:
        raise type(stopped)(
            f"{stopped}. All responses so far are in {path}; to resume: {again}", usage=stopped.usage
        ) from None
    except StorageError as error:
        raise StorageError(f"the run stopped: {error}. When this is fixed, to resume: {again}") from None
    if watching is not None:
        _show(plan, path, watching, to_stderr=as_json)
    write(None, run_text(table, as_json=as_json, colour=sys.stdout.isatty()), shown=not as_json)
    if table.failed:
        click.echo(f"{counted(table.failed, 'sample')} failed; {advice(table.causes, again)}", err=True)
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


def resuming(path: Path, add_output: bool) -> str:
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
