"""The options of `evalkit run` about what it costs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.engine.run import Options
    from evalkit.models.prices import Prices


class CostOptions(NamedTuple):
    """`dry_run`: what is asked is only counted. `count_with`, `like`: how, and with which earlier runs."""

    max_cost: float | None
    prices: Prices
    dry_run: bool
    count_with: str
    like: tuple[Path, ...]

    def applied(self, options: Options) -> Options:
        """`options` with what ends the run at a cost."""
        return dataclasses.replace(options, max_cost=self.max_cost, prices=self.prices)


def cost_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds the options; the function gets `CostOptions` as `cost`."""

    @click.option(
        "--max-cost",
        type=float,
        metavar="USD",
        help="Stop before the run costs more than this (exit code 4). docs/cost.md says how it is counted.",
    )
    @click.option(
        "--prices",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help="Prices of models that evalkit's table lacks, or other ones.",
    )
    @click.option(
        "--dry-run",
        is_flag=True,
        help="Send nothing to a model: print how many requests and tokens the run takes, and their cost.",
    )
    @click.option(
        "--count-with",
        default="",
        metavar="endpoint|FILE",
        help="With --dry-run: count tokens by the endpoint's own counts of a sample of the prompts, or with "
        "a tokenizer.json. Default: estimate them from the text.",
    )
    @click.option(
        "--like",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="RUN.db",
        help="With --dry-run: expect responses as long as those of this run.",
    )
    @functools.wraps(function)
    def with_options(
        max_cost: float | None,
        prices: Path | None,
        dry_run: bool,
        count_with: str,
        like: tuple[Path, ...],
        **others: Any,
    ) -> int:
        from evalkit.engine.bounds import bounded
        from evalkit.models.prices import read_prices

        if (count_with or like) and not dry_run:
            raise UsageError(f"{'--count-with' if count_with else '--like'} needs --dry-run")
        most = None if max_cost is None else bounded("max_cost", max_cost, "--max-cost")
        cost = CostOptions(most, read_prices(prices), dry_run, count_with, like)
        return function(cost=cost, **others)

    return with_options
