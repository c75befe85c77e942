"""`evalkit tasks`."""

from __future__ import annotations

import fnmatch

import click

from evalkit.cli.options import json_option


@click.command()
@click.argument("pattern", default="*")
@json_option
def command(pattern: str, as_json: bool) -> None:
    """What can be run: tasks, their protocols, metric, data and row in the report.

    PATTERN is a name or a part of one, with * for anything.
    """
    from evalkit.errors import unknown
    from evalkit.task import all_tasks

    wanted = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    found = [task for task in all_tasks() if fnmatch.fnmatch(task.name, wanted)]
    if not found:
        raise unknown("task", pattern, (task.name for task in all_tasks()))
    if as_json:
        import orjson

        click.echo(orjson.dumps([_describe(task) for task in found], option=orjson.OPT_INDENT_2))
        return
    for task in found:
        click.echo(
            f"{click.style(task.name, bold=True)}  {task.summary}"
            + (f" — {task.report}" if task.report else "")
        )
        for protocol in task.protocols:
            mark = "  (the report's)" if protocol is task.protocols[0] and task.report else ""
            drawn = (
                f", {protocol.draws} draws at temperature {protocol.temperature:g}"
                if protocol.draws > 1
                else ""
            )
            click.echo(
                f"    {task.name}:{protocol.name}  {protocol.api}, {protocol.shots} shots{drawn}{mark}"
            )
        click.echo(
            f"    metric {', '.join(metric.name for metric in task.metrics)}; data {_data(task)['name']}"
        )


def _describe(task: object) -> dict[str, object]:
    from evalkit.task import Task

    assert isinstance(task, Task)
    return {
        "name": task.name,
        "summary": task.summary,
        "report": task.report,
        "protocols": [
            {
                "name": p.name,
                "api": p.api,
                "shots": p.shots,
                "draws": p.draws,
                "temperature": p.temperature,
                "max_tokens": p.max_tokens,
                "source": p.source,
            }
            for p in task.protocols
        ],
        "metrics": [metric.name for metric in task.metrics],
        "data": _data(task),
    }


def _data(task: object) -> dict[str, str]:
    """The data card's facts that the declaration holds; other kinds than `Hub` have a name at most."""
    data = getattr(task, "data", None)
    fields = ("name", "config", "split", "revision", "distribution", "path")
    found = {field: str(getattr(data, field)) for field in fields if hasattr(data, field)}
    return {"name": found.get("distribution", type(data).__name__), **found}
