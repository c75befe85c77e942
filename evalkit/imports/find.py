"""Finds out which tool wrote a file, and what a folder holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.errors import UsageError, unknown
from evalkit.imports import helm, inspect_ai, lighteval, lm_eval, table
from evalkit.imports.results import Results
from evalkit.imports.stream import members, opened

TOOLS = {
    "lm-eval": lm_eval,
    "inspect": inspect_ai,
    "lighteval": lighteval,
    "helm": helm,
    "table": table,
}
_KINDS = (
    "lm-eval's results and samples, Inspect's .eval and .json logs, lighteval's details, HELM's run folders, "
    "CSV and JSON lines"
)


def found_in(paths: Sequence[Path], tool: str = "") -> Iterator[Results]:
    """Yields the results in files and folders. `tool`: what wrote them, if the files do not tell.

    Raises `UsageError` for a file of no known kind, and for a folder without results.
    """
    if tool and tool not in TOOLS:
        raise unknown("tool", tool, TOOLS)
    for path in paths:
        if not path.exists():
            raise UsageError(f"no file or folder {str(path)!r}")
        groups = (
            {tool: [path]} if tool and path.is_file() else _of_folder(path) if path.is_dir() else _of(path)
        )
        wanted = {name: files for name, files in groups.items() if not tool or name == tool}
        if not wanted:
            raise UsageError(
                f"{path} holds no results{f' of {tool}' if tool else ''}: evalkit import reads {_KINDS}"
            )
        for name, files in wanted.items():
            yield from TOOLS[name].read(files)


def _of(path: Path) -> dict[str, list[Path]]:
    """Returns a file by the tool that wrote it."""
    kind = _kind(path)
    if not kind and path.suffix == ".json" and _beginning(path) == b"{" and inspect_ai.is_log(path):
        kind = "inspect"
    if not kind and path.name in (helm.SPEC, helm.STATE, helm.INSTANCES, helm.FIGURES):
        return {"helm": [path.parent]}
    if not kind and path.suffix in table.ENDINGS:
        kind = "table"
    if not kind:
        raise UsageError(
            f"{path} is of no known kind: evalkit import reads {_KINDS}; --from says what wrote it"
        )
    return {kind: [path]}


def _kind(path: Path) -> str:
    """Returns the tool whose files have such a name; "" if the name does not tell."""
    if lm_eval.is_samples(path):
        return "lm-eval"
    if lm_eval.is_results(path):
        return "" if _of_lighteval(path) else "lm-eval"
    if lighteval.is_details(path):
        return "lighteval"
    return "inspect" if path.suffix == ".eval" else ""


def _of_lighteval(path: Path) -> bool:
    """Whether a results file is lighteval's, which the details beside it are read with."""
    return any(True for _ in members(path, lambda name: name == "config_general"))


def _beginning(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _of_folder(folder: Path) -> dict[str, list[Path]]:
    """Returns the results in a folder, at any depth, by tool. Tables are read only if they are named."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.name == helm.SPEC:
            found.setdefault("helm", []).append(path.parent)
        elif kind := _kind(path):
            found.setdefault(kind, []).append(path)
        elif path.suffix == ".json" and _beginning(path) == b"{" and _is_log(path):
            found.setdefault("inspect", []).append(path)
    return found


def _is_log(path: Path) -> bool:
    try:
        return inspect_ai.is_log(path)
    except UsageError:  # another file in the folder
        return False
