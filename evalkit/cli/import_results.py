"""`evalkit import`."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document
from evalkit.errors import counted

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, metavar="RUN.db", help="The run file to write.")
@click.option(
    "--from",
    "tool",
    default="",
    metavar="TOOL",
    help="What wrote the files: lm-eval, inspect, lighteval, helm, or table for CSV and JSON lines of your "
    "own.  [default: by their names and contents]",
)
@click.option(
    "--model", default="", metavar="NAME", help="The model's name in tables.  [default: the files']"
)
@click.option("--task", default="", metavar="NAME", help="The name of a table's task.  [default: the file's]")
@json_option
def command(files: tuple[Path, ...], output: Path, tool: str, model: str, task: str, as_json: bool) -> None:
    """Make a run file of the results of lm-eval, Inspect, lighteval or HELM, or of a table of scores.

    A folder stands for all results in it. The run file has the scores, the answers and the prompts, as far as
    they were logged; `evalkit report` and `compare` read it as they read a run's. No request is sent.
    """
    from evalkit.imports.find import found_in
    from evalkit.imports.write import write

    found = list(write(found_in(files, tool), output, model, task))
    if as_json:
        import dataclasses

        from evalkit.report.documents import to_json

        echo_document(to_json({"tasks": [dataclasses.asdict(one) for one in found]}))
        return
    from evalkit.report.tabular import printable

    for one in found:
        failed = f", {one.failed:,} of them failed" if one.failed else ""
        click.echo(printable(f"{one.task}:{one.protocol}: {counted(one.samples, 'sample')}{failed}"))
        for note in one.notes:
            click.echo(printable(f"  {note}"))
    click.echo(f"written: {output}", err=True)
