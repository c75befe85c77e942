"""The options of `evalkit run` that say how requests are sent."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import click

from evalkit.cli.options import NumberRange
from evalkit.errors import UsageError

_DIGITS = 40


def sending_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds the options; the function gets an `engine.run.Options` as `sending`."""

    @click.option(
        "--concurrency",
        default="auto",
        metavar="N|auto",
        show_default=True,
        help="Maximum number of requests in flight.",
    )
    @click.option(
        "--retries",
        type=int,
        default=5,
        metavar="N",
        show_default=True,
        help="Number of further attempts if a request fails.",
    )
    @click.option(
        "--verify-fraction",
        type=NumberRange(0, 1),
        default=0.0,
        metavar="F",
        help="Send this share of the greedy requests twice and report how many answers changed.",
    )
    @click.option(
        "--batch/--no-batch",
        default=None,
        help="Send the requests by the provider's batch routes, at half the price and within a day "
        "(docs/batch.md). --no-batch cancels what is not finished.",
    )
    @click.option(
        "--draws-per-request",
        default="auto",
        metavar="N|auto",
        show_default=True,
        help="The most draws of one prompt that one request asks for, if evalkit models --probe found that "
        "the endpoint returns several; 1: each has a request and a seed of its own.",
    )
    @functools.wraps(function)
    def with_options(
        concurrency: str,
        retries: int,
        verify_fraction: float,
        batch: bool | None,
        draws_per_request: str,
        **others: Any,
    ) -> int:
        from evalkit.engine.bounds import bounded
        from evalkit.engine.run import Options
        from evalkit.engine.waits import RetryPolicy

        policy = RetryPolicy(attempts=1 + bounded("retries", retries, "--retries"))
        limit = _number(concurrency, "concurrency")
        together = _number(draws_per_request, "draws-per-request")
        sending = Options(limit, policy, verify_fraction, batch, together)
        return function(sending=sending, **others)

    return with_options


def _number(text: str, name: Literal["concurrency", "draws-per-request"]) -> int | None:
    """The number that the option was given; None for auto."""
    if text == "auto":
        return None
    from evalkit.engine.bounds import bounded

    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise UsageError(f"--{name} must be an integer of at least 1 or auto, not {text[:_DIGITS]}")
    return bounded(name, int(text), f"--{name}")
