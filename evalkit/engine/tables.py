"""The benchmarks of a paper's table: `report:TABLE`, and `PAPER:TABLE` of an installed package's paper."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.benchmark.names import file_of, is_lm_eval, parse_spec
from evalkit.benchmark.task import Task, all_tasks, build, find_task, index
from evalkit.errors import UsageError, one_line, unknown
from evalkit.plugins import Plugin, find_plugin, paper_folder
from evalkit.reports import Printed, printed_rows, rows_in

REPORT = "report:"
_SHOWN = 200


def of_table(entry: str) -> list[str]:
    """The benchmarks of `report:TABLE`: those of the printed rows, then others that belong to the table.

    Each is asked under its first protocol if a figure of the row has that, else under the protocol of the
    row's first figure. So every row gets a figure: table 3 prints MMLU with 5 shots only. Raises `UsageError`
    for an unknown table, and for one without a benchmark that evalkit has.
    """
    table = entry.removeprefix(REPORT).strip().casefold()
    known = {task.name: task for task in all_tasks()}
    rows = printed_rows().get(table, ())
    names = [_under(known[row.task], row.protocols) for row in rows if row.task in known]
    asked = {parse_spec(name)[0] for name in names}
    names += [
        task.name for task in known.values() if task.report.casefold() == table and task.name not in asked
    ]
    if not names and rows:
        raise _without_tasks(entry, rows)
    if not names:
        raise unknown("report table", entry, [f"report:{name.capitalize()}" for name in printed_rows()])
    return list(dict.fromkeys(names))


def paper_of(entry: str) -> Plugin | None:
    """The paper that `PAPER:TABLE` begins with; None if `entry` is none, or begins with a task's name."""
    name, mark, _ = entry.partition(":")
    if not mark or is_lm_eval(entry) or file_of(entry) is not None or name in index():
        return None
    return None if find_plugin("tasks", name) is not None else find_plugin("papers", name)


def of_plugged_table(paper: Plugin, entry: str) -> list[str]:
    """The benchmarks of the printed rows of `PAPER:TABLE`, each under its row's protocol, as in `of_table`.

    Raises `UsageError` for an unknown table, and for one without a benchmark that evalkit or a package has.
    """
    try:
        tables = rows_in(paper_folder(paper))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise paper.wrong(f"its tables cannot be read ({one_line(error, _SHOWN)})") from error
    table = entry.partition(":")[2].strip().replace("-", " ").casefold()
    if table not in tables:
        known = [f"{paper.name}:{name.replace(' ', '-')}" for name in tables]
        raise unknown(f"table of {paper.name}", entry, known)
    names = [_under(task, row.protocols) for row in tables[table] if (task := _found(row)) is not None]
    if not names:
        raise _without_tasks(entry, tables[table])
    return list(dict.fromkeys(names))


def _found(row: Printed) -> Task | None:
    """The task of a row; None if neither evalkit nor a package has it. Raises `PluginError`."""
    if row.task not in index() and find_plugin("tasks", row.task) is None:
        return None
    return build(find_task(row.task))


def _without_tasks(entry: str, rows: Sequence[Printed]) -> UsageError:
    missing = ", ".join(dict.fromkeys(row.task for row in rows))
    return UsageError(f"{entry}: evalkit has no task yet for any of its rows ({missing}): see docs/tables.md")


def _under(task: Task, protocols: Sequence[str]) -> str:
    first = task.protocol().name
    return task.name if not protocols or first in protocols else f"{task.name}:{protocols[0]}"
