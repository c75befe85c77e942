"""`evalkit check`."""

from __future__ import annotations

import dataclasses

import click

from evalkit.cli.options import data_option, json_option


@click.command()
@click.argument("tasks", default="")
@data_option
@click.option("--limit", type=int, metavar="N", help="Only the first N samples of each task.")
@json_option
def command(tasks: str, data: str | None, limit: int | None, as_json: bool) -> int:
    """Gold self-test: with references as responses every sample scores 1, with spoiled ones 0.

    TASKS as for `evalkit run`; all of them when left out. Exits 1 when a scorer is wrong.
    """
    from evalkit.check import check
    from evalkit.engine.plan import expand
    from evalkit.session import data_options
    from evalkit.tasks import INDEX

    results = []
    for task in expand(tasks) if tasks else sorted(INDEX):
        for result in check(task, data_options(data), limit):
            results.append(result)
            if as_json:
                continue
            verdict = click.style("pass", fg="green") if result.passed else click.style("FAIL", fg="red")
            click.echo(
                f"{verdict}  {result.task}:{result.protocol}  {result.samples} samples: "
                f"references {result.gold:g} %, spoiled {result.spoiled:g} %"
            )
            for problem in result.problems[:10]:
                click.echo(f"      {problem}")
            if len(result.problems) > 10:
                click.echo(f"      and {len(result.problems) - 10} more")
    if as_json:
        import orjson

        click.echo(orjson.dumps([dataclasses.asdict(r) for r in results], option=orjson.OPT_INDENT_2))
    return 0 if all(result.passed for result in results) else 1
