"""`evalkit models --probe`: asks an endpoint, or shows what was found within the last day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from evalkit.cli.output import echo_document
from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.engine.probed import Use
    from evalkit.models.http_model import HTTPModel
    from evalkit.probing import Probe, Verdict

_COLOURS: Mapping[Verdict, str] = {"yes": "green", "no": "red", "unclear": "yellow"}
_WIDTH = 110


def show_probe(
    spec: str, base_url: str, key_env: str, timeout: float, *, refresh: bool, as_json: bool
) -> None:
    """Raises `UsageError` for a model that cannot be probed, and what `evalkit.probing.run.probe` raises."""
    from evalkit.benchmark.task import all_tasks
    from evalkit.engine.bounds import bounded
    from evalkit.engine.probed import uses
    from evalkit.models import open_model
    from evalkit.probing.cache import cached_probe
    from evalkit.probing.run import probed

    timeout = bounded("timeout", timeout, "--timeout")
    model = probed(open_model(spec, base_url=base_url, key_env=key_env))
    known = None if refresh else cached_probe(model)
    probe = known or _probe(model, timeout)
    found = [*uses(probe, model, all_tasks())]
    if as_json:
        from evalkit.convert import to_json
        from evalkit.report.documents import to_json as document

        echo_document(document({"probe": to_json(probe), "protocols": [to_json(use) for use in found]}))
        return
    again = "; --refresh asks again" if known else ""
    click.echo(f"{probe.model} at {probe.endpoint}, probed {probe.when}{again}")
    _show_answers(probe)
    _show_uses(found)
    click.echo(
        f"asked {counted(probe.requests, 'request')}, {counted(probe.prompt_tokens, 'prompt token')}, "
        f"{counted(probe.completion_tokens, 'generated token')}",
        err=True,
    )


def _probe(model: HTTPModel, timeout: float) -> Probe:
    from evalkit.probing.asking import Bounds
    from evalkit.probing.cache import keep
    from evalkit.probing.run import REQUESTS, probe

    click.echo(f"probing {model.name} at {model.base_url}: about {REQUESTS} small requests …", err=True)

    async def go() -> Probe:
        try:
            return await probe(model, Bounds(timeout, 3 * timeout))
        finally:
            await model.aclose()

    found = asyncio.run(go())
    try:
        keep(model, found)
    except OSError as error:  # what was asked and paid for is shown all the same
        click.echo(
            f"evalkit: runs cannot use this: cannot write {error.filename}: {error.strerror}", err=True
        )
    return found


def _show_answers(probe: Probe) -> None:
    names = [answer.name.replace("_", " ") for answer in probe.answers]
    width = max(map(len, names))
    for name, answer in zip(names, probe.answers, strict=True):
        click.echo(f"  {name:<{width}}  {_mark(answer.verdict)}  {answer.reason}")


def _show_uses(found: Iterable[Use]) -> None:
    """The benchmarks by what their protocols need: for which of them the endpoint can be used."""
    classes: dict[tuple[str, Verdict, str], dict[str, None]] = {}
    for use in found:
        task = use.protocol.partition(":")[0]
        classes.setdefault((use.needs, use.verdict, use.reason), {})[task] = None
    width = max(len(needs) for needs, _, _ in classes)
    click.echo("benchmarks, by what their protocols need (--json has each protocol)")
    for (needs, verdict, reason), tasks in classes.items():
        first, *others = wrap(", ".join(tasks), _WIDTH - width - len("    unclear  "), break_on_hyphens=False)
        click.echo(f"  {needs:<{width}}  {_mark(verdict)}  {first}")
        for line in [*others, *([reason] if reason else [])]:
            click.echo(f"  {'':<{width}}           {line}")


def _mark(verdict: Verdict) -> str:
    return click.style(f"{verdict:<7}", fg=_COLOURS[verdict])
