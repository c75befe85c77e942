"""`evalkit data`: pins what tasks read, brings it onto this machine, and checks it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evalkit.cli.options import json_option, parse_settings, set_option
from evalkit.cli.output import write
from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.data.lock import Lock, Source

_EVERY = 10.0
"""Seconds between two lines of progress where standard error is not a terminal."""
_PATH = click.Path(path_type=Path)
_LOCK = "evalkit.lock"
_F = TypeVar("_F", bound=Callable[..., Any])


def _lock_option(function: _F) -> _F:
    return click.option(
        "--lock", "path", type=_PATH, default=_LOCK, show_default=True, metavar="FILE", help="The lock file."
    )(function)


def _tasks_argument(function: _F) -> _F:
    return click.argument("tasks", nargs=-1)(function)


@click.group()
def command() -> None:
    """Pin the files that tasks read, bring them onto this machine, and check them.

    `evalkit run --lock FILE` then reads nothing else.
    """


@command.command("lock")
@click.argument("tasks", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    default=_LOCK,
    show_default=True,
    metavar="FILE",
    help="The file to write.",
)
@set_option
def lock_command(tasks: tuple[str, ...], output: Path, settings: tuple[str, ...]) -> None:
    """Write a lock file: each file that TASKS read, with revision, size, SHA-256 and licence.

    TASKS are as for evalkit run. Large files are not downloaded for it. Commit the lock file.
    """
    from evalkit.data.lock import lock_text
    from evalkit.engine.locking import make_lock

    lock = make_lock(tasks, parse_settings(settings), lambda name: click.echo(f"locking {name} …", err=True))
    write(output, lock_text(lock))
    for task in lock.task:
        if not task.source:
            click.echo(
                f"warning: {task.name} names no file: its data is generated, or read by code of its own",
                err=True,
            )
    click.echo(f"{output}: {_counted(lock, lock.sources())}", err=True)


@command.command("fetch")
@_tasks_argument
@_lock_option
def fetch_command(tasks: tuple[str, ...], path: Path) -> None:
    """Download what a lock file names, or what TASKS of it read, for runs without a network.

    Each file is compared with the lock. A killed download goes on where it stopped.
    """
    from evalkit.data.fetch import fetch

    lock, sources = _read(path, tasks)
    with _progress("fetching", sources) as tell:
        left = fetch(sources, tell)
    _tell_left(left)
    click.echo(f"all there: {_counted(lock, [one for one in sources if one not in left])}", err=True)


@command.command("verify")
@_tasks_argument
@_lock_option
@json_option
def verify_command(tasks: tuple[str, ...], path: Path, as_json: bool) -> int:
    """Compare every byte on this machine with a lock file. Exit code 1 if anything differs.

    It names each file that is missing, has changed, or is additional.
    """
    from evalkit.data.verify import problems

    lock, sources = _read(path, tasks)
    with _progress("verifying", sources) as tell:
        found = [one for source in sources for one in problems(source, lambda file: tell(file.size, 1))]
    if as_json:
        rows = [
            {
                "problem": one.kind,
                "kind": one.source.kind,
                "name": one.source.name,
                "revision": one.source.revision,
                "file": one.file,
                "text": one.what,
            }
            for one in found
        ]
        click.echo(json.dumps({"ok": not found, "problems": rows}, indent=2, ensure_ascii=False))
    for one in () if as_json else found:
        click.echo(one.line())
    if not found:
        click.echo(f"as locked: {_counted(lock, sources)}", err=True)
    return 1 if found else 0


@command.command("pack")
@_tasks_argument
@_lock_option
@click.option("-o", "--output", type=_PATH, required=True, metavar="BUNDLE.tar", help="The bundle to write.")
def pack_command(tasks: tuple[str, ...], path: Path, output: Path) -> None:
    """Write a bundle of what a lock file names, for machines without a network.

    The files must be on this machine: evalkit data fetch brings them. The same lock gives the same bytes.
    """
    from evalkit.data.bundle import pack, packed

    _, sources = _read(path, tasks)
    with _progress("packing", packed(sources)) as tell:
        count = pack(sources, output, tell)
    _tell_left([one for one in sources if one not in packed(sources)])
    click.echo(f"{output}: {counted(count, 'content')}, {output.stat().st_size:,} bytes", err=True)


@command.command("unpack")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_lock_option
def unpack_command(bundle: Path, path: Path) -> None:
    """Put the files of a BUNDLE where runs find them: into the caches of this machine.

    The lock file decides which contents are taken and where they are stored; it must be the one that the
    bundle was packed with, from a place that you trust.
    """
    from evalkit.data.bundle import packed, unpack

    _, sources = _read(path, ())
    with _progress("unpacking", packed(sources)) as tell:
        count = unpack(bundle, sources, tell)
    _tell_left([one for one in sources if one not in packed(sources)])
    click.echo(f"{count:,} contents unpacked; evalkit run --lock {path} reads them", err=True)


def _read(path: Path, tasks: Sequence[str]) -> tuple[Lock, list[Source]]:
    """Returns the lock of the tasks, which may be separated by commas, and its sources."""
    from evalkit.data.lock import read_lock

    names = [name.strip() for text in tasks for name in text.split(",") if name.strip()]
    lock = read_lock(path).only(names)
    return lock, lock.sources()


def _counted(lock: Lock, sources: Sequence[Source]) -> str:
    sizes = [file.size for source in sources for file in source.files]
    tasks, files = counted(len(lock.task), "task"), counted(len(sizes), "file")
    return f"{tasks}, {files}, {sum(sizes):,} bytes"


def _tell_left(sources: Sequence[Source]) -> None:
    """Says which sources can neither be downloaded nor packed."""
    for source in sources:
        package = f"pip install {source.name}=={source.revision}"
        fix = package if source.kind == "package" else "copy it yourself"
        click.echo(f"not included: {source.shown} ({fix})", err=True)


@contextmanager
def _progress(what: str, sources: Sequence[Source]) -> Iterator[Callable[[int, int], object]]:
    """Shows the progress on standard error, and yields what takes (bytes, files) that are done."""
    sizes = [file.size for source in sources for file in source.files]
    size, number, one_by_one = sum(sizes), len(sizes), threading.Lock()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn(f"{{task.fields[files]}} of {number:,} files"),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task(what, total=size, files=0)

            def show(more: int, files: int) -> None:
                with one_by_one:
                    there = progress.tasks[0].fields["files"]
                    progress.update(bar, advance=more, files=there + files)

            yield show
        return
    done, last = [0, 0], time.monotonic()

    def tell(more: int, files: int) -> None:
        nonlocal last
        with one_by_one:
            done[0], done[1] = done[0] + more, done[1] + files
            if time.monotonic() - last >= _EVERY:
                last = time.monotonic()
                line = f"{what}: {done[0]:,} of {size:,} bytes, {done[1]:,} of {number:,} files"
                click.echo(line, err=True)

    yield tell
