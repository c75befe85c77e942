"""Which run files are which column of a report: `RUN`, `RUN=NAME`, `RUN+RUN=NAME`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """The run files of one column. `name`: what the column is called; "" for the name of their model."""

    paths: tuple[Path, ...]
    name: str = ""


def source_of(text: str, folder: Path = Path()) -> Source:
    """Reads `RUN`, or several runs joined by `+`, with `=NAME` behind them; relative to `folder`.

    Names of files may have both signs: as much of the text as names existing files is the files' part. If no
    part does, the first `+` and `=` divide it, so that opening the files says which one is missing.
    """
    ends = [len(text), *(i for i in range(len(text) - 1, 0, -1) if text[i] == "=")]
    for end in ends:
        if files := _files(text[:end], folder):
            return Source(files, text[end + 1 :].strip())
    files_part, _, name = text.partition("=")
    return Source(tuple(folder / part for part in files_part.split("+")), name.strip())


def _files(text: str, folder: Path) -> tuple[Path, ...]:
    """The files that a text of paths joined by `+` names; () if one does not exist."""
    if text and (folder / text).exists():
        return (folder / text,)
    for i, sign in enumerate(text):
        if sign == "+" and i and (folder / text[:i]).exists() and (rest := _files(text[i + 1 :], folder)):
            return (folder / text[:i], *rest)
    return ()
