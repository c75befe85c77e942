"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    `needed`: whether evalkit does not work without it; otherwise only one of its features is missing.
    """

    what: str
    works: bool
    detail: str
    fix: str = ""
    needed: bool = False
