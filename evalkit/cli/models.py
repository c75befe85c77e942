"""`evalkit models`."""

from __future__ import annotations

import click

from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the backends: how to name a model, what each backend can do, and what must be installed."""
    from evalkit.models import BACKENDS
    from evalkit.models.plugged import plugged_backends

    plugged, problems = plugged_backends(BACKENDS)
    backends = {**BACKENDS, **plugged}
    for problem in problems:
        click.echo(f"evalkit: {problem}", err=True)
    if as_json:
        from evalkit.report.documents import to_json

        rows = [
            {
                "backend": name,
                "usage": backend.usage,
                "summary": backend.summary,
                "capabilities": list(backend.capabilities),
                "options": list(backend.option_names),
                "installed": backend.installed,
                "install": backend.install,
            }
            for name, backend in backends.items()
        ]
        echo_document(to_json(rows))
        return
    for backend in backends.values():
        click.echo(click.style(backend.usage, bold=True))
        package = f" — {backend.plugin.package}" if backend.plugin else ""
        click.echo(f"    {backend.summary}{package}")
        click.echo(f"    {', '.join(backend.capabilities)}")
        if names := backend.option_names:
            click.echo(f"    options: {', '.join(names)}, as in ?{names[0]}=…")
        if not backend.installed:
            click.echo(click.style(f"    not installed: {backend.install}", fg="yellow"))
