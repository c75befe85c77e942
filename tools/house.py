"""What the house looks like: rooms, arrows between them, circles, what has grown long, names used twice.

    python -m tools.house            a page of text
    python -m tools.house --json     the same for machines
    python -m tools.house --page     writes the picture and the table of docs/architecture.md

A room is a module or package directly in evalkit/, with tasks/ and reports/; an arrow goes from one that
imports to one that is imported, anywhere in its files, also inside functions and for type checking.
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PLACES = (("evalkit", "evalkit"), ("tasks", "evalkit.tasks"), ("reports", "evalkit.reports"))


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module."""
    for folder, package in PLACES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


def room_of(module: str) -> str:
    """`engine` for `evalkit.engine.run`; "" for evalkit itself."""
    return module.partition(".")[2].partition(".")[0]


def arrows() -> dict[tuple[str, str], int]:
    """(room that imports, room that is imported) → in how many files."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for name, path in modules():
        there = {room_of(other) for other in _imported(path)} - {room_of(name), ""}
        for other in there:
            found[room_of(name), other] += 1
    return {pair: count for pair, count in found.items() if pair[0]}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("evalkit"):
            # `from evalkit import tables` names a module too.
            names = [f"evalkit.{alias.name}" for alias in node.names] if node.module == "evalkit" else []
            yield from names or [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("evalkit"))


def circles(edges: Mapping[tuple[str, str], int]) -> list[list[str]]:
    """Rooms that reach each other, the largest circle first (Tarjan 1972)."""
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
    """(lines, file) and (lines, function), the longest first."""
    files, functions = [], []
    for name, path in modules():
        text = path.read_text("utf-8")
        files.append((len(text.splitlines()), name))
        functions += [
            ((node.end_lineno or 0) - node.lineno + 1, f"{name}.{node.name}")
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    return sorted(files, reverse=True)[:count], sorted(functions, reverse=True)[:count]


def twice() -> dict[str, list[str]]:
    """Public classes and type aliases that are defined in more than one module."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
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
    """The rooms as a Mermaid flowchart: an arrow where none is implied by others; circles stand together."""
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
    """A row a room: what its docstring says, how many files it has."""
    files: dict[str, int] = defaultdict(int)
    says: dict[str, str] = {}
    for name, path in modules():
        room = room_of(name)
        files[room] += 1
        if name == f"evalkit.{room}":
            says[room] = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    rows = [f"| `{room}` | {says[room]} | {files[room]} |" for room in sorted(says) if room != "__main__"]
    return "\n".join(["| room | what it is | files |", "|---|---|---|", *rows])


def page() -> str:
    """docs/architecture.md with its picture and its table as they are now."""
    text = PAGE.read_text("utf-8")
    for mark, made in (("picture", f"```mermaid\n{picture()}\n```"), ("table", table())):
        start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{made}\n{end}{rest.partition(end)[2]}"
    return text


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--page", "as_page", is_flag=True, help="Writes the page.")
def main(as_json: bool, as_page: bool) -> None:
    """Rooms, arrows, circles, what is long, names that occur twice."""
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
