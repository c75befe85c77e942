"""Writes a static site of runs for any web server: the index, a page a run, a benchmark, a comparison."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

import evalkit
from evalkit.compare.policy import policy_of
from evalkit.errors import UsageError
from evalkit.exports.shared import opened, without_places
from evalkit.report.build import Page, render_report
from evalkit.samples import JSON
from evalkit.scratch import replacing
from evalkit.site.folder import Run, RunFolder, stamp_of
from evalkit.site.history import compared_pairs
from evalkit.site.names import benchmark_name
from evalkit.site.pages import benchmark_page, compare_page, error_page, index_page
from evalkit.site.tables import benchmark_href, compare_href, run_href

MARKER = ".evalkit-site"
"""The file that tells an exported folder: JSON of its pages, each with the digest of what it was made of."""
_PAGE = re.compile(
    r"index\.html|(?:runs|benchmarks)/[a-z0-9_-]+\.html|compare/[a-z0-9-]+\.\.\.[a-z0-9-]+\.html"
)
"""The pages of a site. Nothing else is ever removed, whatever the marker says."""
_EVERY = 5.0
"""Seconds between two lines of progress."""


def export(places: Sequence[Path], directory: Path) -> None:
    """Writes the site of the runs in `places` into `directory`, which is empty, new, or an earlier site.

    Pages are written again only if what they show has changed; pages of runs that are gone are removed. Other
    files are left alone. Progress goes to the standard error. Raises `UsageError` if the folder is another's
    or cannot be written, and for a place that is not there.
    """
    folder = RunFolder(places)
    try:
        before = _claimed(directory)
        made = _Site(directory, before).write(folder)
    except OSError as error:
        raise UsageError(f"cannot write the site {directory}: {error.strerror}") from None
    print(f"evalkit: {directory / 'index.html'}: {made}", file=sys.stderr)  # noqa: T201


def _claimed(directory: Path) -> dict[str, str]:
    """The digests of the pages of an earlier site, by address. The folder is made if there is none."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is no folder: name an empty or a new one")
    directory.mkdir(parents=True, exist_ok=True)
    place = directory / MARKER
    if not place.exists():
        if any(not one.name.startswith(".") for one in directory.iterdir()):  # a checkout has .git
            raise UsageError(
                f"{directory} is not empty and no site of evalkit: name an empty or a new folder"
            )
        return {}
    with suppress(ValueError, AttributeError, KeyError):
        pages = orjson.loads(place.read_bytes())["pages"]
        return {page: str(digest) for page, digest in pages.items() if _PAGE.fullmatch(page)}
    raise UsageError(f"{place} cannot be read: remove the folder, or name another one")


class _Site:
    """The writing of a site. `before`: digests of the pages that are there, by address."""

    def __init__(self, directory: Path, before: dict[str, str]) -> None:
        self._directory, self._before = directory, before
        self._written, self._said = 0, time.monotonic()

    def write(self, folder: RunFolder) -> str:
        """Writes what has changed, and says in words what that was."""
        plan = {address: (digest, make) for address, digest, make in _planned(folder)}
        pages = {address: digest for address, (digest, _) in plan.items()}
        # Before the first page, so that an export that is killed can be told apart from another's folder.
        self._mark({**dict.fromkeys(pages, ""), **self._before})
        for number, (address, (digest, make)) in enumerate(plan.items(), 1):
            self._page(address, digest, make)
            if time.monotonic() - self._said > _EVERY:
                self._said = time.monotonic()
                print(f"evalkit: {number:,} of {len(plan):,} pages", file=sys.stderr)  # noqa: T201
        gone = self._before.keys() - pages.keys()
        for address in gone:
            (self._directory / address).unlink(missing_ok=True)
        self._mark(pages)
        return f"{len(plan):,} pages, {self._written:,} of them written, {len(gone):,} removed"

    def _page(self, address: str, digest: str, make: Callable[[], str]) -> None:
        place = self._directory / address
        if self._before.get(address) == digest and place.is_file():
            return
        text = make()
        place.parent.mkdir(exist_ok=True)
        with replacing(place) as part:
            part.write_text(text, "utf-8")
        self._written += 1

    def _mark(self, pages: dict[str, str]) -> None:
        document: JSON = {"evalkit": evalkit.__version__, "pages": {**pages}}
        with replacing(self._directory / MARKER) as part:
            part.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def _planned(folder: RunFolder) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Yields (address, digest of what the page is made of, the function that makes it) of each page."""
    runs = [run for run in folder.runs() if run.state != "damaged"]
    for run in runs:
        yield run_href(run), _digest([*stamp_of(run.path)]), functools.partial(_run_page, run)
    policy = repr(policy_of(None))
    for base, head in compared_pairs(runs):
        stamps: JSON = [[*stamp_of(run.path)] for run in (base, head)]
        yield (
            compare_href(base, head),
            _digest([stamps, policy]),
            functools.partial(compare_page, folder, base.name, head.name),
        )
    for task in sorted({one.task for run in runs for one in run.contents.headlines}):
        text = benchmark_page(folder, benchmark_name(task))
        yield benchmark_href(task), _digest(text), functools.partial(str, text)
    text = index_page(folder)
    yield "index.html", _digest(text), functools.partial(str, text)


def _run_page(run: Run) -> str:
    """The report of a run, without places, or why there is none."""
    try:
        with opened(run.path, report=True) as store:
            return render_report([store], "html", page=Page(home="../index.html"))
    except UsageError as error:
        return error_page(run, without_places(run.in_folder(str(error))))


def _digest(value: JSON) -> str:
    return hashlib.sha256(orjson.dumps([evalkit.__version__, value])).hexdigest()
