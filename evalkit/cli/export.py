"""`evalkit export`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.options import output_option, task_file_option
from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError, unknown

SUBMISSION = "submission"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    default="",
    metavar="FORMAT",
    help="jsonl, csv, parquet, or submission: what the benchmark's own server takes.  "
    "[default: by the ending of -o, else jsonl]",
)
@output_option
@click.option(
    "--slim",
    is_flag=True,
    help="Instead, a run file with just what tables and comparisons need: a baseline to commit.",
)
@click.option(
    "--texts", is_flag=True, help="With --slim: keep questions and responses, to be rescored later."
)
@task_file_option
def command(
    runs: tuple[Path, ...],
    name: str,
    output: Path | None,
    slim: bool,
    texts: bool,
    task_files: tuple[Path, ...],
) -> None:
    """Samples, answers and verdicts of run files, or answers for a server that keeps the references.

    Nothing is asked. A submission is refused while samples are missing or failed.
    """
    from evalkit.report.export import FORMATS, submission
    from evalkit.runfile.measured import check_task_files
    from evalkit.runfile.store import Store

    if texts and not slim:
        raise UsageError("--texts goes with --slim")
    if slim:
        _slim(runs, name, output, texts)
        return
    name = format_of(output, name, {f".{name}": name for name in FORMATS}, "jsonl")
    if name not in (*FORMATS, SUBMISSION):
        raise unknown("format", name, (*FORMATS, SUBMISSION))
    if name == SUBMISSION and len(runs) > 1:
        raise UsageError("a submission is of one run: name one run file")
    stores = [Store.open(path, check_task_files(task_files)) for path in runs]
    try:
        document = submission(stores[0]) if name == SUBMISSION else FORMATS[name](stores)
    finally:
        for store in stores:
            store.close()
    write(output, document, runs)


def _slim(runs: tuple[Path, ...], name: str, output: Path | None, texts: bool) -> None:
    from evalkit.runfile.slim import write_slim

    if output is None or len(runs) > 1 or name:
        raise UsageError(
            "--slim takes one run and a file, and no --format: evalkit export RUN.db --slim -o BASE.db"
        )
    write_slim(runs[0], output, texts=texts)
    click.echo(f"{output}: {output.stat().st_size / 1024:.0f} kB", err=True)
