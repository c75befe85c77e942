"""`evalkit export`."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import click

from evalkit.cli.options import output_option, task_file_option
from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError, unknown

SUBMISSION = "submission"
CARD = "hf-leaderboard"
TRACKERS = ("mlflow", "wandb", "trackio")
TOOLS = {
    "lm-eval": "lm_eval",
    "inspect": "inspect_ai",
    CARD: "hf_leaderboard",
    **{name: name for name in TRACKERS},
}
"""Formats of other tools, and the module of `evalkit.exports` that writes each."""


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    default="",
    metavar="FORMAT",
    help="jsonl, csv, parquet; trn, trn-references, ctm, stm for sclite; submission; lm-eval, inspect "
    "(folders), hf-leaderboard (a model card); mlflow, wandb, trackio.  [default: by -o, else jsonl]",
)
@output_option
@click.option("--project", default="", help="The experiment of MLflow, or the project of W&B or Trackio.")
@click.option("--slim", is_flag=True, help="Write a run file with only what tables and comparisons need.")
@click.option("--texts", is_flag=True, help="With --slim: keep texts, so that rescoring works.")
@task_file_option
def command(
    runs: tuple[Path, ...],
    name: str,
    output: Path | None,
    project: str,
    slim: bool,
    texts: bool,
    task_files: tuple[Path, ...],
) -> None:
    """Export samples and answers, or results for other tools and trackers.

    No request is sent to a model. A submission is refused if it lacks samples.
    """
    if texts and not slim:
        raise UsageError("--texts needs --slim")
    if project and name not in TRACKERS:
        raise UsageError(f"--project needs --format {', '.join(TRACKERS[:-1])} or {TRACKERS[-1]}")
    if slim:
        _slim(runs, name, output, texts)
    elif name in TOOLS:
        _to_tool(runs, name, output, project, task_files)
    else:
        _document(runs, name, output, task_files)


def _document(runs: tuple[Path, ...], name: str, output: Path | None, task_files: tuple[Path, ...]) -> None:
    from evalkit.report.export import FORMATS, submission
    from evalkit.runfile.measured import check_task_files
    from evalkit.runfile.store import Store

    name = format_of(output, name, {f".{name}": name for name in FORMATS}, "jsonl")
    if name not in (*FORMATS, SUBMISSION):
        raise unknown("format", name, (*FORMATS, SUBMISSION, *TOOLS))
    if name == SUBMISSION and len(runs) > 1:
        raise UsageError(f"a submission needs exactly one run file, not {len(runs)}")
    stores = [Store.open(path, check_task_files(task_files)) for path in runs]
    try:
        document = submission(stores[0]) if name == SUBMISSION else FORMATS[name](stores)
    finally:
        for store in stores:
            store.close()
    write(output, document, runs)


def _to_tool(
    runs: tuple[Path, ...], name: str, output: Path | None, project: str, task_files: tuple[Path, ...]
) -> None:
    """Writes files of another tool, or logs the runs to a tracker, without addresses and local paths."""
    from evalkit.exports.shared import opened
    from evalkit.report.tabular import printable
    from evalkit.runfile.measured import check_task_files

    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(opened(path, check_task_files(task_files))) for path in runs]
        module = importlib.import_module(f"evalkit.exports.{TOOLS[name]}")
        if name == CARD:
            document = module.to_model_index(stores)
            if output is not None and output.is_file():
                raise UsageError(
                    f"{output} already exists: name another file, and copy its entries into your card"
                )
            write(output, document, runs)
            return
        more = {"project": project} if name in TRACKERS else {}
        for line in module.export(stores, output, **more):
            click.echo(printable(line), err=True)


def _slim(runs: tuple[Path, ...], name: str, output: Path | None, texts: bool) -> None:
    from evalkit.runfile.slim import write_slim

    if output is None or len(runs) > 1 or name:
        raise UsageError(
            "--slim needs one run file and -o, and no --format: evalkit export RUN.db --slim -o BASE.db"
        )
    write_slim(runs[0], output, texts=texts)
    click.echo(f"{output}: {output.stat().st_size / 1024:.0f} kB", err=True)
