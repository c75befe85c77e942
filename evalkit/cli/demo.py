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
)
def command(output: Path) -> int:
    """A real model on real problems, in minutes: SmolLM2-135M-Instruct on the CPU.

    It answers a slice of HumanEval and evalkit's own small set in the form of GSM8K. Fetches 98 MB of
    weights the first time. Prints the table and writes demo.html and demo.md.
    """
    from evalkit.cli.run import stop_on_signals
    from evalkit.demo import demo
    from evalkit.engine.progress import make_progress
    from evalkit.report.render import to_html, to_markdown, to_terminal

    output.mkdir(parents=True, exist_ok=True)

    async def go() -> int:
        stop_on_signals()
        table = await demo(output, make_progress())
        for name, text in {"demo.html": to_html(table), "demo.md": to_markdown(table)}.items():
            (output / name).write_text(text, encoding="utf-8")
        click.echo(to_terminal(table, colour=sys.stdout.isatty()), nl=False)
        click.echo(f"written: {output / 'demo.html'}, {output / 'demo.md'}", err=True)
        return 3 if table.failed else 0

    try:
        return asyncio.run(go())
    except asyncio.CancelledError:
        click.echo("interrupted", err=True)
        return 130
