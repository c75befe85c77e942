"""`evalkit merge`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.options import task_file_option
from evalkit.errors import counted

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("shards", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, metavar="RUN.db", help="The run file to write.")
@click.option(
    "--partial",
    is_flag=True,
    help="Merge although shards or samples are missing. The run is then unfinished; `evalkit run` with the "
    "merged file as -o asks for the rest.",
)
@task_file_option
def command(shards: tuple[Path, ...], output: Path, partial: bool, task_files: tuple[Path, ...]) -> None:
    """Put the run files of all shards (evalkit run --shard I/N) together into one.

    The merged run has the table, the signatures and the figures of a run without shards. No request is sent.
    The shards must be of one model, with the same settings; their endpoints may have different addresses.
    """
    from evalkit.engine.merge import merge
    from evalkit.runfile.measured import check_task_files

    found = merge(shards, output, partial=partial, task_files=check_task_files(task_files))
    if found.lacking:
        click.echo(f"warning: {found.lacking}", err=True)
    for name, samples in found.samples.items():
        click.echo(f"{name}: {counted(samples, 'sample')} of {counted(len(shards), 'file')}", err=True)
    click.echo(f"written: {output}", err=True)
