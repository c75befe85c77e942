"""Report definitions: the tables of a paper, their printed figures and protocols."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources


@functools.cache
def reserved() -> Mapping[str, str]:
    """Descriptions of the benchmarks that printed rows name and evalkit has no task for yet, by name."""
    text = resources.files(__name__).joinpath("reserved.toml").read_text("utf-8")
    return tomllib.loads(text)
