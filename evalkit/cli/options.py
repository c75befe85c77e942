"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from evalkit.benchmark.protocol import SETTINGS
from evalkit.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def data_option(function: F) -> F:
    return click.option(
        "--data",
        metavar="DIR",
        help="Read data from a folder shaped like the Hub; `builtin`: evalkit's own small sets.",
    )(function)


def output_option(function: F) -> F:
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write there instead of to standard output.",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(
        function
    )


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """`--set k=v …` as a dict."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: write it as key=value, such as --set shots=4")
        settings[key.strip()] = value
    return settings


def set_option(function: F) -> F:
    return click.option(
        "--set",
        "settings",
        metavar="K=V",
        multiple=True,
        help=f"Override the protocol: {', '.join(SETTINGS)}; the task's own options; or revision.",
    )(function)


def task_file_option(function: F) -> F:
    return click.option(
        "--task-file",
        "task_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE.py",
        help="A task file of yours that a run was made with. Reading a run imports no other.",
    )(function)


def unsafe_option(function: F) -> F:
    """`--unsafe-execution`: allowed as soon as it is read, before any task is."""

    def allow(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            from evalkit.sandbox import allow_unsafe

            allow_unsafe(True)

    return click.option(
        "--unsafe-execution",
        is_flag=True,
        expose_value=False,
        callback=allow,
        help="Run programs from a model without a sandbox, as you: only where nothing can be lost.",
    )(function)
