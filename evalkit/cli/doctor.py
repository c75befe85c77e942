"""`evalkit doctor`."""

from __future__ import annotations

import dataclasses

import click

from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Show what works on this machine, what does not, and how to fix it.

    The exit code is 2 if something is missing that evalkit needs for every run.
    """
    from evalkit.doctor import examine

    findings = examine()
    if as_json:
        from evalkit.report.documents import to_json

        echo_document(to_json([dataclasses.asdict(f) for f in findings]))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            if finding.works:
                mark = click.style("ok     ", fg="green")
            else:
                mark = (
                    click.style("MISSING", fg="red")
                    if finding.needed
                    else click.style("no     ", fg="yellow")
                )
            click.echo(f"{mark} {finding.what:<{width}}  {finding.detail}")
            if not finding.works and finding.fix:
                click.echo(f"        {'':<{width}}  fix: {finding.fix}")
    return 0 if all(finding.works or not finding.needed for finding in findings) else 2
