"""Renders the page from a template, a style sheet and scripts, with a policy that allows nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

import evalkit
from evalkit.report.html.about import Card, RunCard
from evalkit.report.html.browser import Browser
from evalkit.report.tabular import Tabular
from evalkit.report.tabular import parts as name_parts

if TYPE_CHECKING:
    from evalkit.report.charts import Chart

SCRIPTS = (
    "data.js", "latex.js", "mathml.js", "markdown.js", "failure.js", "spoken.js", "sample.js", "query.js",
    "source.js", "list.js", "tables.js", "theme.js", "page.js",
)  # fmt: skip
"""The scripts in the order of the page; each uses those before it."""
_SERVED = (*SCRIPTS[:-1], "served.js", SCRIPTS[-1])
"""Those of a page whose samples are at a server."""
_FORMULAS = {"latex.js", "mathml.js"}
"""Those that a page without formulas does not need."""


def render(
    *,
    title: str,
    tables: Sequence[Tabular],
    charts: Sequence[Chart],
    parts: Sequence[Tabular],
    browser: Browser | None,
    cards: Sequence[Card],
    runs: Sequence[RunCard],
    home: str = "",
) -> str:
    """The whole file. `home`: the address of the page that lists all runs, "" if there is none. Every
    text is escaped, except evalkit's own code and base64.
    """
    served = browser is not None and bool(browser.source)
    formulas = browser is not None and browser.formulas
    return filled(
        "page.html.j2",
        styles=("page.css",),
        scripts=[name for name in (_SERVED if served else SCRIPTS) if formulas or name not in _FORMULAS],
        connects=served,
        title=title,
        tables=tables,
        charts=charts,
        parts=parts,
        browser=browser,
        cards=cards,
        runs=runs,
        home=home,
    )


def filled(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    package: str = __package__,
    connects: bool = False,
    **values: object,
) -> str:
    """A whole page from a template, style sheets and scripts, which are files of `package` or of this one.

    The template puts them into the page, and `policy` with them. `connects`: as for `policy`.
    """
    import jinja2

    from evalkit.report.charts.style import CSS

    read = functools.partial(_file, package)
    style = CSS + "".join(map(read, styles))
    script = "\n".join(["'use strict';", *map(read, scripts)])
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(read),
    )
    environment.filters["name_parts"] = name_parts
    return environment.get_template(template).render(
        policy=policy(style, script, connects=connects),
        style=style,
        script=script,
        version=evalkit.__version__,
        **values,
    )


def policy(style: str, script: str, *, connects: bool = False) -> str:
    """A content security policy: only this style, this script, and media from the page; no network.

    `connects`: whether the page's own server may be asked, for data and for media.
    """
    own = " 'self'" if connects else ""
    connected = f"connect-src{own}; " if connects else ""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; {connected}"
        f"img-src data:{own}; media-src data:{own}; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _file(package: str, name: str) -> str:
    own = resources.files(package).joinpath(name)
    return (own if own.is_file() else resources.files(__package__).joinpath(name)).read_text("utf-8")
