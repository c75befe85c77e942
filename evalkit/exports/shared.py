"""Opens run files to be shared: without addresses of endpoints, local paths, and facts about the machine.

Views in SQLite's temporary schema hide the tables of the same name, so that everything that reads the run,
tables and pages included, reads what may be shared. The run file itself stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import orjson

from evalkit.benchmark.names import file_of
from evalkit.runfile.store import Store
from evalkit.samples import JSON

_KEPT = ("format", "evalkit", "model", "judges", "seed", "started", "python", "packages", "slim")
"""Entries of the manifest that are shared. Others name endpoints, or the machine that evalkit ran on."""
_OF_MACHINE = ("processor", "cores", "platform")
"""Entries of the manifest about the machine that evalkit ran on."""
_OF_VERSIONS = ("evalkit", "packages", "python")
"""Entries with versions, some of which look like addresses."""
_SHARED = {
    "run": {"value": "shared_entry(key, value)"},
    "cell": {"spec": "shared_spec(spec)"},
    "sample": {"error": "without_places(error)"},
    "error": {"message": "without_places(message)"},
}
"""The columns that are shared in another form, by table."""
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>,)]+"
    r"|(?<![\w.])(?:localhost|(?:[\w-]+\.)+[\w-]+|\[[0-9a-f:]+\]):\d{1,5}\b"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"""(?P<quote>['"])(?:~|[A-Za-z]:)?[/\\][^'"\n]*(?P=quote)"""
    r"""|(?<![\w/.~])(?:~/|[A-Za-z]:[/\\]|/)(?:[^\s/\\'":,;()<>]+[/\\])+[^\s'":,;()<>]*"""
)


def opened(path: Path, task_files: tuple[Path, ...] = (), *, report: bool = False) -> Store:
    """Opens a run file to be shared. Raises `UsageError` as `Store.open` does.

    `report`: for a report, which needs all notes on a run, and the code of its tasks. It shows neither that
    code nor its folder.
    """
    store = Store.open(path, task_files)
    db = store.connection
    db.create_function("without_places", 1, without_places, deterministic=True)
    db.create_function("shared_spec", 1, _reported_spec if report else _spec, deterministic=True)
    db.create_function("shared_entry", 2, _reported_entry if report else _entry, deterministic=True)
    entries = f"key NOT IN {_OF_MACHINE}" if report else f"key IN {_KEPT}"
    for table, changed in _SHARED.items():
        names = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
        columns = ", ".join(f"{changed[name]} AS {name}" if name in changed else name for name in names)
        kept = f" WHERE {entries}" if table == "run" else ""
        db.execute(f"CREATE TEMP VIEW {table} AS SELECT {columns} FROM main.{table}{kept}")  # noqa: S608
    return store


def without_places(text: str) -> str:
    """Returns a message without addresses and absolute paths: `[address]` and `[path]` take their places."""
    return _PATH.sub("[path]", _ADDRESS.sub("[address]", text))


def hidden(value: JSON) -> JSON:
    """Returns `value` with `without_places` applied to every text in it."""
    if isinstance(value, str):
        return without_places(value)
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return {name: hidden(one) for name, one in value.items()} if isinstance(value, dict) else value


def _entry(key: str, value: str) -> str:
    if key != "model":
        return value
    model = orjson.loads(value)
    identity = {name: hidden(one) for name, one in model["identity"].items() if name != "endpoint"}
    return orjson.dumps({**model, "identity": identity}).decode()


def _reported_entry(key: str, value: str) -> str:
    if key in _OF_VERSIONS:
        return value
    found = orjson.loads(value)
    if key == "model":  # its name is that of a column
        return orjson.dumps({**found, "identity": hidden(found["identity"])}).decode()
    return orjson.dumps(hidden(found)).decode()


def _reported_spec(text: str) -> str:
    """Returns a spec without the place of its data."""
    spec = orjson.loads(text)
    data = spec.get("data") or {}
    if "where" in data:
        data["where"] = PurePath(data["where"]).name if spec.get("imported") else ""
    return orjson.dumps(spec).decode()


def _spec(text: str) -> str:
    """Returns a spec without the place of its data, and without the folder and the text of its task file."""
    spec = orjson.loads(_reported_spec(text))
    file = file_of(spec["source"])
    if file is not None:
        spec["source"] = f"./{file[0].name}:{file[1]}"
    spec["code"] = ""
    return orjson.dumps(spec).decode()
