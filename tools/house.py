"""Shows the structure of the code: rooms, their imports, import cycles, long files and repeated names.

    python -m tools.house            prints a text
    python -m tools.house --json     prints JSON
    python -m tools.house --page     writes the picture and the table of docs/architecture.md

A room is a module or package directly in evalkit/, or tasks/ or reports/. An arrow goes from a room that
imports to one that is imported, anywhere in its files, also inside functions and for type checking.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from evalkit.identity.source import tree_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PLACES = (("evalkit", "evalkit"), ("tasks", "evalkit.tasks"), ("reports", "evalkit.reports"))


def modules() -> Iterator[tuple[str, Path]]:
    """Yields (dotted name, file) of every module."""
    for folder, package in PLACES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


def room_of(module: str) -> str:
    """The room of a module: `engine` for `evalkit.engine.run`; "" for evalkit itself."""
    return module.partition(".")[2].partition(".")[0]


def arrows() -> dict[tuple[str, str], int]:
    """The number of importing files, by (room that imports, room that is imported)."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for name, path in modules():
        others = {room_of(other) for other in imported(name, path)} - {room_of(name), ""}
        for other in others:
            found[room_of(name), other] += 1
    return {pair: count for pair, count in found.items() if pair[0]}


def imported(module: str, path: Path) -> Iterator[str]:
    """Yields evalkit's modules that the file of `module` imports, also in functions and for type checking."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            source = imported_from(node, package)
            # In `from evalkit import tables`, the imported name is a module.
            names = [f"evalkit.{alias.name}" for alias in node.names] if source == "evalkit" else [source]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == "evalkit")


def imported_from(node: ast.ImportFrom, package: str) -> str:
    """The full name of the module that a `from … import` in `package` imports from."""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def circles(edges: Mapping[tuple[str, str], int]) -> list[list[str]]:
    """Groups of rooms that import each other in a cycle, the largest first (Tarjan 1972)."""
    after: dict[str, list[str]] = defaultdict(list)
    for start, end in edges:
        after[start].append(end)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(room: str) -> None:
        index[room] = low[room] = len(index)
        stack.append(room)
        for other in after[room]:
            if other not in index:
                visit(other)
                low[room] = min(low[room], low[other])
            elif other in stack:
                low[room] = min(low[room], index[other])
        if low[room] == index[room]:
            circle = stack[stack.index(room) :]
            del stack[-len(circle) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for room in list(after):
        if room not in index:
            visit(room)
    return sorted(found, key=len, reverse=True)


def longest(count: int = 10) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The longest files and functions, as (lines, name), the longest first."""
    files, functions = [], []
    for name, path in modules():
        text = path.read_text("utf-8")
        files.append((len(text.splitlines()), name))
        functions += [
            ((node.end_lineno or 0) - node.lineno + 1, f"{name}.{node.name}")
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    return sorted(files, reverse=True)[:count], sorted(functions, reverse=True)[:count]


def twice() -> dict[str, list[str]]:
    """Public classes and type aliases that are defined in more than one module."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in modules():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                defined = node.name
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
                defined = ast.unparse(node.target)
            else:
                continue
            if not defined.startswith("_"):
                found[defined].append(name)
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def picture() -> str:
    """The rooms as a Mermaid flowchart, without arrows that others imply; a cycle is one node."""
    edges = arrows()
    rooms = {room_of(name) for name, _ in modules()} - {"", "__main__"}
    circle_of = {room: " ".join(circle) for circle in circles(edges) for room in circle}
    node = {room: circle_of.get(room, room) for room in rooms}
    after: dict[str, set[str]] = {name: set() for name in node.values()}
    for start, end in edges:
        if start in rooms and node[start] != node[end]:
            after[node[start]].add(node[end])
    lines = ["flowchart TD"]
    number = {name: f"n{i}" for i, name in enumerate(sorted(after))}
    lines += [f'    {number[name]}["{name.replace(" ", "<br>")}"]' for name in sorted(after)]
    for name in sorted(after):
        implied = {far for near in after[name] for far in _below(near, after)}
        lines += [f"    {number[name]} --> {number[other]}" for other in sorted(after[name] - implied)]
    return "\n".join(lines)


def _below(name: str, after: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(after[name])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += after[one]
    return found


def table() -> str:
    """A Markdown table with one row per room: the first line of its docstring, and its number of files."""
    files: dict[str, int] = defaultdict(int)
    says: dict[str, str] = {}
    for name, path in modules():
        room = room_of(name)
        files[room] += 1
        if name == f"evalkit.{room}":
            says[room] = (ast.get_docstring(tree_of(path)) or "").partition("\n")[0]
    rows = [f"| `{room}` | {says[room]} | {files[room]} |" for room in sorted(says) if room != "__main__"]
    return "\n".join(["| room | what it is | files |", "|---|---|---|", *rows])


def page() -> str:
    """docs/architecture.md with its picture and its table renewed."""
    text = PAGE.read_text("utf-8")
    for mark, made in (("picture", f"```mermaid\n{picture()}\n```"), ("table", table())):
        start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{made}\n{end}{rest.partition(end)[2]}"
    return text


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--page", "as_page", is_flag=True, help="Write the picture and table of docs/architecture.md.")
def main(as_json: bool, as_page: bool) -> None:
    """Shows rooms, arrows, import cycles, long files and functions, and names that are defined twice."""
    if as_page:
        PAGE.write_text(page(), "utf-8")
        return
    edges = arrows()
    rooms = sorted({room_of(name) for name, _ in modules()} - {""})
    files, functions = longest()
    if as_json:
        document = {
            "rooms": rooms,
            "arrows": [[*pair, count] for pair, count in sorted(edges.items())],
            "circles": circles(edges),
            "files": files,
            "functions": functions,
            "twice": twice(),
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"{len(rooms)} rooms, {len(edges)} arrows: {', '.join(rooms)}")
    click.echo("\ncircles: " + ("; ".join(", ".join(circle) for circle in circles(edges)) or "none"))
    for title, rows in (("longest files", files), ("longest functions", functions)):
        click.echo(f"\n{title}:\n" + "\n".join(f"{lines:5} {name}" for lines, name in rows))
    click.echo("\nnames that occur twice:")
    for name, places in twice().items():
        click.echo(f"  {name}: {', '.join(places)}")


if __name__ == "__main__":
    main()
