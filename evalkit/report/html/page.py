"""Renders the page from a template, a style sheet and scripts, with a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

import evalkit
from evalkit.report.html.about import Card, RunCard
from evalkit.report.html.browser import Browser
from evalkit.report.tabular import Tabular

if TYPE_CHECKING:
    from evalkit.report.charts import Chart

SCRIPTS = ("data.js", "markdown.js", "failure.js", "sample.js", "query.js", "list.js", "tables.js", "page.js")
"""The scripts in the order of the page; each uses those before it."""


def render(
    *,
    title: str,
    tables: Sequence[Tabular],
    charts: Sequence[Chart],
    parts: Sequence[Tabular],
    browser: Browser | None,
    cards: Sequence[Card],
    runs: Sequence[RunCard],
) -> str:
    """The whole file. Every text is escaped, except evalkit's own code and base64."""
    import jinja2

    from evalkit.report.charts.style import CSS

    style = CSS + _file("page.css")
    script = "\n".join(["'use strict';", *map(_file, SCRIPTS)])
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("page.html.j2")).render(
        title=title,
        policy=policy(style, script),
        style=style,
        script=script,
        tables=tables,
        charts=charts,
        parts=parts,
        browser=browser,
        cards=cards,
        runs=runs,
        version=evalkit.__version__,
    )


def policy(style: str, script: str) -> str:
    """A content security policy: only this style, this script, and media from the page; no network."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
