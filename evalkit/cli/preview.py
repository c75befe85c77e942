"""`evalkit preview`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from evalkit.cli.options import data_option, parse_settings, set_option
from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.benchmark.protocol import Protocol
    from evalkit.benchmark.task import Task
    from evalkit.samples import Prompt, Sample, Shown


@click.command()
@click.argument("task")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Number of samples."
)
@set_option
@data_option
def command(task: str, count: int, settings: tuple[str, ...], data: str | None) -> None:
    """Show the exact prompt of a sample and its reference answers. No request is sent to a model."""
    from evalkit.data.base import data_options
    from evalkit.engine.cell import branch_of
    from evalkit.engine.plan import make_plan
    from evalkit.models.fake import FakeModel

    nobody = FakeModel(lambda request, draw: "")
    plan = make_plan(
        nobody, [task], settings=parse_settings(settings), data=data_options(data), scoring=False
    )
    for cell in plan.cells:
        if cell.role:  # its prompts are those of the next cell
            continue
        protocol = cell.protocol
        _heading(f"{cell.task.name}:{protocol.name}")
        click.echo(
            f"{protocol.api}, {counted(protocol.shots, 'shot')}, {counted(protocol.draws, 'draw')}, "
            f"temperature {protocol.temperature:g}, at most {counted(protocol.max_tokens, 'token')}, "
            f"stop at {list(protocol.stop) or 'nothing'}"
        )
        if protocol.frames:
            click.echo(f"each video as {counted(protocol.frames, 'frame')} ({protocol.frame_rule})")
        click.echo(f"source: {protocol.source}")
        click.echo(
            "data: " + ", ".join(f"{key} {value}" for key, value in cell.records.origin.items() if value)
        )
        for _, sample in itertools.islice(cell.samples(), count):
            _heading(f"sample {sample.id}")
            _show(_prompt(cell.task, sample, protocol))
            for branch in protocol.fallback:
                _heading(f"and, to fall back to, under {branch}")
                _show(_prompt(cell.task, sample, branch_of(cell.task, protocol, branch)))
            _heading("counts as right")
            click.echo("\n".join(sample.target))


def _prompt(task: Task, sample: Sample, protocol: Protocol) -> Prompt:
    """Raises `DataError` for a prompt that cannot be built."""
    from evalkit.engine.cell import rendered
    from evalkit.errors import BoundaryError, DataError

    try:
        return rendered(task, sample, protocol)
    except BoundaryError as error:
        raise DataError(f"{task.name}: sample {sample.id}: {error}") from error


def _show(prompt: Prompt) -> None:
    from evalkit.samples import Speech

    if isinstance(prompt, str):
        click.echo(prompt)
        return
    if isinstance(prompt, Speech):
        click.echo(_shown(prompt.audio))
        click.echo(f"to be {'translated into English' if prompt.translate else 'written down'}")
        if prompt.language:
            click.echo(f"language: {prompt.language}")
        return
    for message in prompt:
        click.echo(click.style(f"[{message.role}]", dim=True))
        for part in message.parts:
            click.echo(part if isinstance(part, str) else _shown(part))


def _shown(file: Shown) -> str:
    kind = file.mime.rpartition("/")[2].upper() or "nothing that evalkit reads"
    digest, mark, clip = file.key.partition("#")
    return click.style(f"[{kind}, {file.size:,} bytes, {digest[:8]}{mark}{clip}]", dim=True)


def _heading(text: str) -> None:
    click.echo(click.style(f"── {text} " + "─" * max(0, 70 - len(text)), bold=True))
