"""The arguments of `evalkit report` that say what its tables show: run files, columns, rows, titles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.report.sources import Source


def runs_argument(function: Callable[..., None]) -> Callable[..., None]:
    """`RUNS`: run files with names, as `sources`; or one TOML file, whose other keys preset the options."""

    def read(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[Source]:
        from evalkit.report.recipe import given, read_recipe
        from evalkit.report.sources import source_of

        recipes = [text for text in value if text.endswith(".toml")]
        if not recipes:
            return [source_of(text) for text in value]
        if len(value) > 1:
            raise UsageError(f"{recipes[0]}: a report's .toml file has its own runs, and is given alone")
        path = Path(recipes[0])
        recipe = read_recipe(path)
        joined = {
            name: ",".join(entry) if name in ("columns", "rows") else entry
            for name, entry in given(recipe).items()
        }
        context.default_map = {**joined, "name": recipe.format, "task_files": recipe.task_file}
        return [source_of(text, path.parent) for text in recipe.runs]

    return click.argument(
        "sources", nargs=-1, required=True, is_eager=True, metavar="RUN[=NAME]... | FILE.toml", callback=read
    )(function)


def choice_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the function gets a `report.choice.Choice` as `choice`."""

    @click.option("--title", default="", metavar="TEXT", help="Title of the table.")
    @click.option(
        "--columns",
        default="",
        metavar="NAME,…|all",
        help="Columns in their order: a paper's, and runs; runs that are not named follow.  [default: all "
        "runs, and of a paper's columns the most telling ones that fit]",
    )
    @click.option(
        "--rows",
        default="",
        metavar="NAME,…|all",
        help="Rows in their order, by their label, task or task:protocol.  [default: a paper's rows, and the "
        "headlines of other benchmarks]",
    )
    @click.option("--signatures", is_flag=True, help="Show long lists of signatures whole, at the end.")
    @click.option("--caption", default="", metavar="TEXT", help="Caption in LaTeX.  [default: title]")
    @click.option("--label", default="", metavar="NAME", help="Label in LaTeX.")
    @functools.wraps(function)
    def with_choice(
        title: str, columns: str, rows: str, signatures: bool, caption: str, label: str, **others: Any
    ) -> None:
        from evalkit.report.choice import Choice

        columns_, rows_ = (tuple(text.split(",")) if text else () for text in (columns, rows))
        function(choice=Choice(columns_, rows_, title, signatures, caption, label), **others)

    return with_choice
