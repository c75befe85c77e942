"""`evalkit report`."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.choice_options import choice_options, runs_argument
from evalkit.cli.options import json_option, output_option, task_file_option
from evalkit.cli.output import format_of, write
from evalkit.errors import UsageError, unknown

if TYPE_CHECKING:
    from evalkit.report.choice import Choice
    from evalkit.report.sources import Source
    from evalkit.runfile.store import Store


@click.command()
@runs_argument
@click.option(
    "--format",
    "name",
    default="",
    metavar="FORMAT",
    help="Output format: terminal, markdown, latex, csv, json or html.  "
    "[default: by the extension of -o, else terminal]",
)
@output_option
@click.option(
    "--paper",
    default="",
    metavar="PAPER[/TABLE]",
    help="Show a paper's printed figures beside the runs': gemini-1.0, gemini-1.0/table-2, or the path of "
    "your own .toml file or folder.",
)
@choice_options
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    metavar="N",
    help="Maximum number of samples in an HTML page; 0 for none.  [default: 50000, fewer if they are long]",
)
@click.option(
    "--capabilities",
    default="",
    metavar="PAPER|FILE.toml",
    help="Instead of the table, show the mean ratio of each run to a base run over groups of benchmarks, as "
    "in figure 3 of gemini-1.0; your own groups are a .toml file.",
)
@click.option(
    "--relative-to",
    default="",
    metavar="MODEL",
    help="Model whose run is the base of a paper's ratios and differences, and of --capabilities (default "
    "there: the first run); with --paper in HTML, also any model that the chart of capabilities is relative "
    "to.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="MODEL=IN/OUT",
    help="Prices of a million prompt tokens and a million completion tokens, for the charts of costs in "
    "HTML.  [default: what the runs have spent]",
)
@click.option("--no-charts", is_flag=True, help="Write HTML without charts.")
@click.option("--strict", is_flag=True, help="Refuse to put results into one row if they are not comparable.")
@click.option("--breakdown", is_flag=True, help="Also show the figures by subject, language or level.")
@click.option(
    "--disputes",
    is_flag=True,
    help="Instead of the table, list the samples whose verdict depends on the extractor or the scorer.",
)
@click.option(
    "--alignments",
    is_flag=True,
    help="Instead of the table, show speech transcripts aligned with the reference texts, and the most "
    "confused words.",
)
@click.option(
    "--private",
    is_flag=True,
    help="Keep addresses of endpoints, local paths and facts about the machine in what is written; only the "
    "table in the terminal has them anyway.",
)
@task_file_option
@json_option
def command(
    sources: list[Source],
    choice: Choice,
    task_files: tuple[Path, ...],
    name: str,
    output: Path | None,
    as_json: bool,
    private: bool,
    **others: Any,
) -> None:
    """Make a table from one or more run files, side by side if they have the same signature.

    A column can have a NAME, and several files of one model: RUN+RUN=NAME. A FILE.toml has runs and options.
    No request is sent to a model. A run that is still going on can be read too.
    """
    from evalkit.exports import shared
    from evalkit.report.build import ENDINGS
    from evalkit.report.markdown import COMMENT
    from evalkit.runfile.measured import check_task_files
    from evalkit.runfile.store import Store

    asked = _Asked(**others)
    name = "json" if as_json else format_of(output, name, ENDINGS, "terminal")
    _check(asked, choice, name)
    runs = [path for source in sources for path in source.paths]
    stays = private or (name == "terminal" and output is None)
    opened = Store.open if stays else functools.partial(shared.opened, report=True)
    stores = [opened(path, check_task_files(task_files)) for path in runs]
    try:
        text = _text(stores, sources, name, asked, choice, output is None and sys.stdout.isatty())
    finally:
        for store in stores:
            store.close()
    write(output, text, runs, shown=name == "terminal")
    if name == "markdown" and len(text) > COMMENT:
        click.echo(
            f"evalkit: {len(text):,} characters; a comment on GitHub has at most {COMMENT:,}: choose tables "
            "with --paper PAPER/TABLE, or --rows and --columns",
            err=True,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that say what is made of the runs, by their names."""

    paper: str
    capabilities: str
    samples: int | None
    relative_to: str
    prices: tuple[str, ...]
    no_charts: bool
    strict: bool
    breakdown: bool
    disputes: bool
    alignments: bool

    @property
    def instead(self) -> str:
        """The option that replaces the table by a list of samples; "" if there is none."""
        return "--disputes" if self.disputes else "--alignments" if self.alignments else ""


def _check(asked: _Asked, choice: Choice, name: str) -> None:
    """Raises `UsageError` for options that cannot be used together, and for an unknown format."""
    from evalkit.report.build import FORMATS

    instead = asked.instead
    known = ("terminal", "json") if instead else FORMATS
    for other, given in (("--paper", asked.paper), ("--breakdown", asked.breakdown), (instead, instead)):
        if asked.capabilities and given:
            raise UsageError(f"--capabilities replaces the table and cannot be used with {other}")
    if instead and asked.paper:
        raise UsageError(f"{instead} replaces the table and cannot be used with --paper")
    replaced = instead or ("--capabilities" if asked.capabilities else "")
    if replaced and (chosen := choice.named):
        raise UsageError(f"{replaced} replaces the table and cannot be used with --{chosen[0]}")
    if name not in known:
        raise unknown(f"format of {instead}" if instead else "format", name, known)


def _text(
    stores: Sequence[Store], sources: Sequence[Source], name: str, asked: _Asked, choice: Choice, colour: bool
) -> str:
    from evalkit.report.build import MOST, Page, render_capabilities, render_report

    if asked.instead:
        for store in stores:
            store.needs_texts(asked.instead)
        return (_disputes if asked.disputes else _alignments)(stores, name)
    most = MOST if asked.samples is None else asked.samples
    page = Page(most, _prices(asked.prices), not asked.no_charts)
    if asked.capabilities:
        return render_capabilities(
            stores,
            name,
            asked.capabilities,
            relative_to=asked.relative_to,
            strict=asked.strict,
            colour=colour,
            page=page,
            sources=sources,
        )
    return render_report(
        stores,
        name,
        paper=asked.paper,
        strict=asked.strict,
        breakdown=asked.breakdown,
        colour=colour,
        page=page,
        relative_to=asked.relative_to,
        choice=choice,
        sources=sources,
    )


def _prices(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Parses `MODEL=IN/OUT`: the prices of a million tokens, by model. Raises `UsageError`."""
    found = {}
    for text in texts:
        model, _, price = text.rpartition("=")
        try:
            prompt, completion = map(float, price.split("/"))
        except ValueError:
            raise UsageError(
                f"--price {text}: must be MODEL=IN/OUT, such as openai/my-model=0.5/1.5"
            ) from None
        found[model] = (prompt, completion)
    return found


def _disputes(stores: Sequence[Store], name: str) -> str:
    from evalkit.report.disputes import disputes
    from evalkit.report.documents import to_json
    from evalkit.report.tabular import printable

    found = list(disputes(stores))
    if name == "json":
        return to_json({"disputes": [dispute.as_json() for dispute in found]})
    lines = [printable(line) for dispute in found for line in dispute.lines()]
    return "\n".join([*lines, f"{len(found)} disputed samples", ""])


def _alignments(stores: Sequence[Store], name: str) -> str:
    from evalkit.report.alignments import alignments, most_confused, text_lines
    from evalkit.report.documents import to_json
    from evalkit.report.tabular import printable

    found = list(alignments(stores))
    confused = most_confused(found)
    if name == "json":
        return to_json({"alignments": [one.as_json() for one in found], "confused": confused})
    lines = [printable(line) for line in text_lines(found, shutil.get_terminal_size((100, 24)).columns)]
    lines.append(f"{sum(one.edited for one in found)} of {len(found)} clips have edits; most confused:")
    lines += [
        f"    {count} x  {said or '(nothing)'} → {heard or '(nothing)'}" for said, heard, count in confused
    ]
    return "\n".join([*lines, ""])
