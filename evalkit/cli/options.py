"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from evalkit.benchmark.protocol import SETTINGS
from evalkit.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


class _Finite(click.ParamType[float]):
    """Not nan, which no comparison refuses, and not infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Number(_Finite, click.types.FloatParamType):
    pass


class NumberRange(_Finite, click.FloatRange):
    pass


def data_option(function: F) -> F:
    return click.option(
        "--data",
        metavar="DIR",
        help="Read data from a folder laid out like the Hub, or `builtin`: evalkit's own small data sets.",
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
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Returns the values of `--set k=v …` as a dict. Raises `UsageError`."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: must be key=value, such as --set shots=4")
        settings[key.strip()] = value
    return settings


def set_option(function: F) -> F:
    return click.option(
        "--set",
        "settings",
        metavar="K=V",
        multiple=True,
        help=f"Override a field of the protocol ({', '.join(SETTINGS)}), an option of the task, or the "
        "data's revision; TASK:K=V is for one of several tasks. extra.K=V puts any other parameter of an "
        "endpoint into each request, such as extra.chat_template_kwargs.enable_thinking=false.",
    )(function)


def task_file_option(function: F) -> F:
    return click.option(
        "--task-file",
        "task_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE.py",
        help="Task file of yours that a run was made with. No other file is imported to read a run.",
    )(function)


def workers_option(function: F) -> F:
    """`--workers` and `--ray-address`, which `use_workers` takes."""
    function = click.option(
        "--ray-address",
        default="",
        metavar="ADDRESS",
        help="The Ray cluster: the address of its head node, auto or local. Default: RAY_ADDRESS, or else a "
        "cluster on this machine.",
    )(function)
    return click.option(
        "--workers",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where programs and heavy scorers run: on this machine, or on the nodes of a Ray cluster.",
    )(function)


def use_workers(workers: str, ray_address: str) -> None:
    """Lets programs and heavy scorers run where `--workers` says. Raises `UsageError`."""
    if workers == "ray":
        from evalkit.processes.ray_workers import work_on_ray

        work_on_ray(ray_address)


def unsafe_option(function: F) -> F:
    """`--unsafe-execution` takes effect as soon as the option is parsed, before any task is loaded."""

    def allow(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            from evalkit.sandbox import allow_unsafe

            allow_unsafe(True)

    return click.option(
        "--unsafe-execution",
        is_flag=True,
        expose_value=False,
        callback=allow,
        help="Run programs that a model wrote without a sandbox and with your own rights. Use it only on a "
        "machine where nothing can be lost.",
    )(function)
