"""Writes docs/cli.md from the commands' own help: `python -m docs.reference`. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.cli.main import COMMANDS, cli

TARGET = Path(__file__).with_name("cli.md")
_HEAD = """# Command-line reference

Written by `make docs` from the commands' own help; do not edit.

Exit codes: 0 done · 1 a comparison found a regression, or a check failed · 2 the usage or the input is
wrong, and no request was sent · 3 the run finished with failed samples, or stopped because the endpoint is
gone or the run file cannot be written · 4 a run stopped at --max-cost · 130 interrupted.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD, _block("evalkit", cli)]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        parts.append(f"## evalkit {name}\n\n{_block(f'evalkit {name}', command)}")
        if isinstance(command, click.Group):
            parts += [
                _block(f"evalkit {name} {one}", inner) for one, inner in sorted(command.commands.items())
            ]
    return "\n".join(parts)


def _block(name: str, command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=name,
        terminal_width=100,
        help_option_names=cli.context_settings["help_option_names"],
    )
    return f"```text\n{command.get_help(context).rstrip()}\n```\n"


def main() -> int:
    """0 when docs/cli.md is, or now is, what the commands say."""
    text = render()
    if "--check" in sys.argv:
        fresh = TARGET.is_file() and TARGET.read_text("utf-8") == text
        if not fresh:
            print("docs/cli.md is stale: make docs", file=sys.stderr)  # noqa: T201
        return 0 if fresh else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
