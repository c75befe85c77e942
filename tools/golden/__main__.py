"""The command line: `python -m tools.golden --help`."""

from __future__ import annotations

import sys

import click

from tools.golden.files import compare, leftovers, renew
from tools.golden.found import identities


@click.command()
@click.argument("names", nargs=-1)
@click.option("--check", is_flag=True, help="Only compare, and write nothing.")
def main(names: tuple[str, ...], check: bool) -> None:
    """Renews the golden files of the identities whose names begin with one of NAMES, or of all identities.

    A changed output is not written until the version in `@versioned` rises; the exit code is then 1.
    """
    chosen = [name for name in sorted(identities()) if not names or name.startswith(names)]
    failed = not chosen
    for name in chosen:
        seen = compare(name) if check else renew(name)
        for line in seen.lines:
            click.echo(line)
        failed |= bool(seen.changed) or (check and bool(seen.outdated))
    for path in leftovers():
        click.echo(f"{path.name} belongs to no declared identity" + ("" if check else ": removed"))
        failed |= check
        if not check:
            path.unlink()
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
