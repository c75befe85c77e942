"""`evalkit`: imports the command's module, runs it, and turns an error into one line and an exit code.

Exit codes: 0 done; 1 a comparison found a regression, or a check failed; 2 the usage or the input is wrong,
and no request was sent; 3 the run finished with failed samples, or stopped because the endpoint is gone or
the run file cannot be written; 4 a run stopped at --max-cost; 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import sys

import click

import evalkit
from evalkit.cli import streams
from evalkit.errors import EvalkitError, UsageError, unknown

COMMANDS = {
    "run": "evaluate a model on benchmarks",
    "tasks": "list the tasks and their protocols",
    "preview": "show the exact prompt of a sample and its reference answers",
    "check": "check that references score 1 and wrong responses 0",
    "new": "write a task, model, metric or paper's table to start from",
    "data": "pin what tasks read, bring it here, and check it",
    "models": "list the backends, their capabilities and requirements",
    "report": "make tables from run files",
    "view": "look at runs in a browser, also while they go on",
    "compare": "compare two runs; fail if the second one is worse",
    "merge": "put the shards of a run together",
    "import": "make a run file of another tool's results",
    "verify": "check a run file, and save what is whole",
    "rescore": "score the stored responses of a run again",
    "power": "compute how many samples or draws a comparison needs",
    "export": "export samples, submissions, and results for other tools",
    "export-metrics": "write evalkit's metrics as modules of the evaluate library",
    "doctor": "show what works on this machine and how to fix the rest",
    "demo": "run a real model on real problems, in minutes",
}


class Commands(click.Group):
    """The commands by name. Only the module of the called command is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        name = "import_results" if cmd_name == "import" else cmd_name.replace("-", "_")
        module = importlib.import_module(f"evalkit.cli.{name}")
        command: click.Command = module.command
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Only the commands: the two options stand in the line of the usage."""
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=False,
    options_metavar="[-h | --version]",
)
@click.version_option(evalkit.__version__, prog_name="evalkit")
def cli() -> None:
    """Evaluate models on the Gemini report's benchmarks. Start with: evalkit demo"""


def main(arguments: list[str] | None = None) -> None:
    """The entry point: runs a command and exits with its code."""
    streams.prepare()
    try:
        code = _run(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    try:
        streams.finish()
    except OSError as error:
        code = code or _complain(f"cannot write the output: {error.strerror}", 3)
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
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
        code = _complain(error, getattr(error, "exit_code", 2 if getattr(error, "usage", False) else 3))
    except OSError as error:
        if error.filename is not None:
            code = _complain(f"{str(error.filename)[:200]}: {error.strerror}", 2)
        elif error.errno == errno.ENOSPC:  # about standard output
            code = _complain(f"cannot write the output: {error.strerror}", 3)
        else:
            raise
    return code if isinstance(code, int) else 0


def _complain(error: EvalkitError | str, code: int) -> int:
    shown = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(error))
    click.echo(f"evalkit: {shown}", err=True)
    return code
