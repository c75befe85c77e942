"""`evalkit view`."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("places", nargs=-1, type=_PATH, metavar="[FOLDER|RUN.db]...")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to serve at, on this machine only.  [default: a free one]",
)
@click.option("--no-browser", is_flag=True, help="Only print the address; do not open it in a browser.")
@click.option(
    "--export",
    "directory",
    type=_PATH,
    metavar="DIR",
    help="Write the pages into a folder for any web server, instead of serving them.",
)
def command(places: tuple[Path, ...], port: int, no_browser: bool, directory: Path | None) -> None:
    """Look at run files in a browser: figures, samples, history, and runs that are still going on.

    All run files of a FOLDER and the folders in it are listed (default: of this folder). The pages are served
    to this machine only, at an address with a secret part. Run files are only read. Ctrl-C ends it.
    """
    found = list(places) or [Path()]
    if directory is not None:
        from evalkit.site.export import export

        export(found, directory)
        return
    from evalkit.view.server import serve

    serve(found, port, browser=not no_browser)
