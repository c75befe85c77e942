"""`evalkit doctor`."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.doctor import Finding

_PREFIX = "openai/"


@click.command()
@click.option(
    "--base-url",
    "base_urls",
    multiple=True,
    metavar="URL",
    help="Check this endpoint instead: reachable, TLS, key, models, clock, and the latency of five requests "
    "for one token.",
)
@click.option(
    "-m",
    "--model",
    default="",
    metavar="openai/NAME",
    help="The model of the endpoint that is asked. Default: the first that it lists.",
)
@click.option(
    "--api-key-env",
    "key_env",
    default="",
    metavar="NAME",
    help="Variable of the environment with the endpoint's key. Default: OPENAI_API_KEY.",
)
@json_option
def command(base_urls: tuple[str, ...], model: str, key_env: str, as_json: bool) -> int:
    """Show what works on this machine, what does not, and how to fix it.

    The exit code is 2 if something is missing that evalkit needs for every run.
    """
    from evalkit.doctor import endpoints, examine

    if (model or key_env) and not base_urls:
        raise UsageError(f"{'-m' if model else '--api-key-env'} needs --base-url URL, the endpoint to check")
    name = model.removeprefix(_PREFIX)
    findings = asyncio.run(endpoints(base_urls, name, key_env)) if base_urls else examine()
    if as_json:
        from evalkit.report.documents import to_json

        echo_document(to_json([dataclasses.asdict(f) for f in findings]))
    else:
        _show(findings)
    return 0 if all(finding.works or not finding.needed for finding in findings) else 2


def _show(findings: Iterable[Finding]) -> None:
    # What servers say stays on its line.
    lines = [(f, [" ".join(text.split()) for text in (f.what, f.detail, f.fix)]) for f in findings]
    width = max(len(texts[0]) for _, texts in lines)
    for finding, (what, detail, fix) in lines:
        if finding.works:
            mark = click.style("ok     ", fg="green")
        elif finding.needed:
            mark = click.style("MISSING", fg="red")
        else:
            mark = click.style("no     ", fg="yellow")
        click.echo(f"{mark} {what:<{width}}  {detail}")
        if not finding.works and fix:
            click.echo(f"        {'':<{width}}  fix: {fix}")
