"""`evalkit tasks`."""

from __future__ import annotations

import fnmatch

import click

from evalkit.benchmark.names import is_lm_eval
from evalkit.benchmark.plugged import plugged_tasks
from evalkit.benchmark.task import Task, all_tasks, find_task, index
from evalkit.cli.options import json_option
from evalkit.cli.output import echo_document
from evalkit.errors import UsageError, counted, unknown
from evalkit.report.documents import to_json
from evalkit.reports import reserved
from evalkit.samples import JSON


@click.command()
@click.argument("pattern", default="*")
@json_option
def command(pattern: str, as_json: bool) -> None:
    """List the tasks with their protocols, metrics, data and row in the report.

    PATTERN is a name or a part of one; * stands for any characters. lm-eval:PATTERN lists the tasks of the
    installed lm-evaluation-harness.
    """
    if is_lm_eval(pattern):
        _list_lm_eval(pattern, as_json)
        return
    wanted = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    plugged, problems = plugged_tasks(index())
    known = [*all_tasks(), *plugged]
    found = [task for task in known if fnmatch.fnmatch(task.name, wanted)]
    for problem in problems:
        click.echo(f"evalkit: {problem}", err=True)
    if not found:
        if pattern in reserved():
            find_task(pattern)  # raises an error that says what the name is reserved for
        raise unknown("task", pattern, (task.name for task in known))
    if as_json:
        echo_document(to_json([_describe(task) for task in found]))
        return
    for task in found:
        where = f" — {task.report}" if task.report else ""
        package = task.notes(task.protocols[0]).get("package") if task in plugged else ""
        where += f" — {package}" if package else ""
        click.echo(f"{click.style(task.name, bold=True)}  {task.summary}{where}")
        for protocol in task.protocols:
            first = protocol is task.protocols[0] and protocol.source.startswith("Gemini 1.0 report")
            mark = "  (the report's)" if first else ""
            drawn = ""
            if protocol.draws > 1:
                drawn = f", {protocol.draws} draws at temperature {protocol.temperature:g}"
            shots = counted(protocol.shots, "shot")
            click.echo(f"    {task.name}:{protocol.name}  {protocol.api}, {shots}{drawn}{mark}")
        metrics = ", ".join(metric.name for metric in task.metrics)
        click.echo(f"    metric {metrics}; data {_data(task)['name']}")


def _list_lm_eval(pattern: str, as_json: bool) -> None:
    from evalkit.lmeval import listed

    found = listed(pattern)
    if not found:
        raise UsageError(f"no task of lm-eval matches {pattern!r}")
    if as_json:
        echo_document(to_json(found))
        return
    for one in found:
        click.echo(f"{click.style(one['name'], bold=True)}  {one['kind']}")


def _describe(task: Task) -> dict[str, JSON]:
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
        "data": dict(_data(task)),
    }


def _data(task: Task) -> dict[str, str]:
    """Returns the name, config, split and revision of a data set on the Hub, or only the kind of data."""
    fields = ("name", "config", "split", "revision")
    found = {field: getattr(task.data, field) for field in fields if hasattr(task.data, field)}
    plain = {k: "+".join(v) if isinstance(v, tuple) else str(v) for k, v in found.items()}
    return {"name": type(task.data).__name__, **plain}
