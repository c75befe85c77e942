"""Run files as data frames."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Loaded:
    """The results in run files. The columns of its frames are the same for every run, imported or not."""

    table: Table

    def cells(self) -> pd.DataFrame:
        """Returns a frame with one row per figure, as `Table.to_pandas` describes it."""
        return self.table.to_pandas()

    def samples(self) -> pd.DataFrame:
        """Returns a frame with one row per sample, as `Table.samples` describes it."""
        return self.table.samples()


def load(*runs: str | Path, strict: bool = False) -> Loaded:
    """Reads run files. `strict`: as for `build_table`.

    Raises `UsageError` if one of `runs` is no run file, or if they hold no results.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(Store.open(run)) for run in runs]
        return Loaded(build_table(stores, strict=strict))
