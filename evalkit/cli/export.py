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
    help="Output format: jsonl, csv, parquet; trn or trn-references, the answers or references for sclite; "
    "ctm or stm, the same with times; "
    "or submission, the format of the benchmark's own server.  "
    "[default: by the extension of -o, else jsonl]",
)
@output_option
@click.option(
    "--slim",
    is_flag=True,
    help="Write a run file with only what tables and comparisons need, such as a baseline to commit.",
)
@click.option(
    "--texts", is_flag=True, help="With --slim: keep questions and responses, so that rescoring works."
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
    """Export samples, answers and verdicts of run files, or a submission to a benchmark's server.

    No request is sent to a model. A submission is refused while samples are missing or failed.
    """
    from evalkit.report.export import FORMATS, submission
    from evalkit.runfile.measured import check_task_files
    from evalkit.runfile.store import Store

    if texts and not slim:
        raise UsageError("--texts needs --slim")
    if slim:
        _slim(runs, name, output, texts)
        return
    name = format_of(output, name, {f".{name}": name for name in FORMATS}, "jsonl")
    if name not in (*FORMATS, SUBMISSION):
        raise unknown("format", name, (*FORMATS, SUBMISSION))
    if name == SUBMISSION and len(runs) > 1:
        raise UsageError(f"a submission needs exactly one run file, not {len(runs)}")
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
            "--slim needs one run file and -o, and no --format: evalkit export RUN.db --slim -o BASE.db"
        )
    write_slim(runs[0], output, texts=texts)
    click.echo(f"{output}: {output.stat().st_size / 1024:.0f} kB", err=True)
