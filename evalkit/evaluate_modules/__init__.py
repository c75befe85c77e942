"""Metrics for the `evaluate` library: `evalkit export-metrics` writes the modules beside this file.

Each one is a script that `evaluate.load` reads from its own folder. It imports evalkit, so its scores are
those of evalkit's benchmarks. evalkit itself never imports these modules, because `evaluate` takes seconds to
import. Like the metrics of `evaluate`, they return shares between 0 and 1 where evalkit's tables print
percent.
"""

from __future__ import annotations

import builtins
import symtable
from pathlib import Path

from evalkit.errors import UsageError

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("[!_]*.py")))


def write(folder: Path) -> list[Path]:
    """Writes each module to `folder`/NAME/NAME.py and returns these files.

    A file that is there already is replaced if it was written by this function, of whatever version. Raises
    `UsageError` if `folder` is a file or another file would be replaced.
    """
    wanted = {folder / name / f"{name}.py": (FOLDER / f"{name}.py").read_bytes() for name in NAMES}
    mark = b"for the `evaluate` library (evalkit)."
    for path in (*wanted, *(path.parent for path in wanted), folder):
        if path.is_file() and mark not in path.read_bytes():
            raise UsageError(f"{path} is there and is not a metric that evalkit wrote: name another folder")
    for path, script in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script)
    return list(wanted)


def used(tests: str) -> tuple[str, ...]:
    """The global names that `tests` use without defining them, sorted; built-in names are left out.

    Raises `ValueError` if `tests` are not Python.
    """
    try:
        tables = [symtable.symtable(tests, "tests", "exec")]
    except SyntaxError as error:
        raise ValueError(f"the tests {tests[:60]!r} are not Python: {error}") from None
    found, own = set[str](), set(dir(builtins))
    for table in tables:
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table is tables[0] or symbol.is_global():
                defined = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
                (own if defined else found).add(symbol.get_name())
    return tuple(sorted(found - own))
