"""The signatures below the tables of a report: whole while they are few, else their digests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evalkit.report.tabular import Tabular

FEW = 3
"""The highest number of signatures in a report that are always shown whole."""


def with_signatures(tables: Sequence[Tabular], *, whole: bool) -> list[Tabular]:
    """The tables with signatures as a reader can take them.

    Up to `FEW` lines stay where they are. If there are more, each table has a sentence with the digests;
    `whole` puts the lines below the last table instead.
    """
    every = tuple(dict.fromkeys(line for table in tables for line in table.signatures))
    if len(every) <= FEW:
        return list(tables)
    shown = [
        dataclasses.replace(table, signatures=(), hints=(*table.hints, *_digests(table, whole)))
        for table in tables
    ]
    if whole:
        shown[-1] = dataclasses.replace(shown[-1], signatures=every)
    return shown


def _digests(table: Tabular, whole: bool) -> list[str]:
    if whole or not table.signatures:
        return []
    short = (f"{line.partition('  ')[0]} {line.rpartition('|sig:')[2]}" for line in table.signatures)
    return [f"Signatures (whole with evalkit report --signatures): {', '.join(short)}"]
