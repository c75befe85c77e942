"""`evalkit demo`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("reports-out"),
    metavar="FOLDER",
    show_default=True,
    help="Folder for the run files and the reports.",
)
def command(output: Path) -> int:
    """Run a real model on real problems, in minutes: SmolLM2-135M-Instruct on the CPU.

    The model answers a slice of HumanEval and evalkit's own small data set in the form of GSM8K. The first
    call downloads 98 MB of weights. The command prints the table and writes demo.html and demo.md.
    """
    from evalkit.cli.output import write
    from evalkit.cli.running import stop_on_signals
    from evalkit.demo import demo
    from evalkit.engine.progress import make_progress
    from evalkit.report.build import render_report
    from evalkit.report.table import build_table
    from evalkit.runfile.store import Store

    output.mkdir(parents=True, exist_ok=True)

    async def go() -> int:
        stop_on_signals()
        stores = [Store.open(path) for path in await demo(output, make_progress())]
        try:
            for ending, name in (("html", "html"), ("md", "markdown")):
                write(output / f"demo.{ending}", render_report(stores, name))
            click.echo(render_report(stores, "terminal", colour=sys.stdout.isatty()), nl=False)
            failed = build_table(stores).failed
        finally:
            for store in stores:
                store.close()
        click.echo(f"written: {output / 'demo.html'}, {output / 'demo.md'}", err=True)
        return 3 if failed else 0

    try:
        return asyncio.run(go())
    except asyncio.CancelledError:
        click.echo("interrupted", err=True)
        return 130
