"""`evalkit models`."""

from __future__ import annotations

import click

from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document
from evalkit.errors import UsageError


@click.command()
@click.option(
    "--probe",
    "probed",
    default="",
    metavar="MODEL",
    help="Ask the endpoint of this model what it really does, by some 30 requests for a few tokens each, and "
    "show which benchmarks can use it. What was found is kept for a day, and runs use it.",
)
@click.option(
    "--base-url", default="", metavar="URL", help="With --probe: the endpoint. Default: the backend's."
)
@click.option(
    "--api-key-env",
    "key_env",
    default="",
    metavar="NAME",
    help="With --probe: variable of the environment with the endpoint's key. Default: the backend's.",
)
@click.option(
    "--timeout",
    type=float,
    default=10.0,
    metavar="S",
    show_default=True,
    help="With --probe: seconds per request; the whole probe ends after three times as many.",
)
@click.option("--refresh", is_flag=True, help="With --probe: ask again, although it was asked within a day.")
@json_option
def command(probed: str, base_url: str, key_env: str, timeout: float, refresh: bool, as_json: bool) -> None:
    """List the backends: how to name a model, what each backend can do, and what must be installed."""
    if probed:
        from evalkit.cli.probing import show_probe

        show_probe(probed, base_url, key_env, timeout, refresh=refresh, as_json=as_json)
        return
    for option, given in (("--base-url", base_url), ("--api-key-env", key_env), ("--refresh", refresh)):
        if given:
            raise UsageError(f"{option} needs --probe MODEL, the model whose endpoint is asked")
    _list_backends(as_json)


def _list_backends(as_json: bool) -> None:
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
