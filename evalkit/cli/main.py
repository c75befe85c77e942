"""`evalkit`: finds the command's module, runs it, and turns errors into one line and an exit code.

Exit codes: 0 done; 1 a comparison found a regression, or a check failed; 2 bad usage or input, nothing asked;
3 finished with failed samples, or stopped because the endpoint is gone or the run file cannot be written;
130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

import evalkit
from evalkit.errors import EvalkitError, UsageError, unknown

COMMANDS = {
    "run": "evaluate a model on benchmarks",
    "tasks": "what can be run",
    "preview": "exactly what a model is sent, and what counts as right",
    "check": "gold self-test: references score full marks, wrong answers none",
    "models": "backends, what they can do, what they need",
    "report": "tables from run files",
    "compare": "whether a run is worse than another; fails if it is",
    "rescore": "read, score and measure stored responses again",
    "power": "how many samples or draws a comparison needs",
    "export": "samples and answers, or a submission to a server",
    "doctor": "what works on this machine, what does not, and the fix",
    "demo": "a real model on real problems, in minutes",
}


class Commands(click.Group):
    """Commands by name; only the one that is called is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        module = importlib.import_module(f"evalkit.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=False,
    epilog="Start with:  evalkit demo    evalkit run -m fake/gold -t gsm8k:8-shot-cot --data builtin",
)
@click.version_option(evalkit.__version__, prog_name="evalkit")
def cli() -> None:
    """Evaluate any model on the benchmarks of the Gemini 1.0 report, comparably."""


def main(arguments: list[str] | None = None) -> None:
    """The entry point: runs and exits."""
    try:
        code = cli.main(arguments, prog_name="evalkit", standalone_mode=False)
    except click.exceptions.Exit as wanted:
        code = wanted.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except UsageError as error:
        code = _complain(error, 2)
    except EvalkitError as error:
        code = _complain(error, 2 if getattr(error, "usage", False) else 3)
    except BrokenPipeError:  # `evalkit … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(error: EvalkitError, code: int) -> int:
    click.echo(f"evalkit: {error}", err=True)
    return code
