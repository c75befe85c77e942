"""Makes the mutants of a definition, each with one change."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tools.mutate.reached import Place, definitions, identities, trees

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_SWAPPED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "find": "rfind", "rfind": "find",
    "partition": "rpartition",
    "rpartition": "partition", "startswith": "endswith", "endswith": "startswith", "lower": "upper",
    "upper": "lower",
    "lstrip": "rstrip", "rstrip": "lstrip", "search": "fullmatch", "fullmatch": "search", "match": "search",
}  # fmt: skip
_DROPPED = frozenset(
    ("strip", "lower", "casefold", "lstrip", "rstrip", "removesuffix", "replace", "cumsum", "mean")
)
"""Methods whose calls a mutant may leave out."""
_NOT_MUTATED = ("annotation", "returns", "decorator_list", "type_params")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant. `change`: "old → new", with a number if a definition has several with the same text."""

    place: Place
    line: int
    change: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.place.module}.{self.place.name}: {self.change}"


def mutants() -> Iterator[Mutant]:
    """Yields the mutants of all definitions that a declared identity reaches, in the order of the source."""
    seen: set[int] = set()
    for place, node in definitions().items():
        if place in identities() and id(node) not in seen:
            seen.add(id(node))
            yield from of(place)


def of(place: Place) -> Iterator[Mutant]:
    """The mutants of one definition."""
    node = definitions()[place]
    counts: Counter[str] = Counter()
    for path, shown in list(_sites(node)):
        for replacement in _replacements(shown):
            change = f"{_short(shown)} → {_short(replacement)}"
            counts[change] += 1
            if counts[change] > 1:
                change += f" ({counts[change]})"
            yield Mutant(
                place, getattr(shown, "lineno", node.lineno), change, _changed(place, node, path, replacement)
            )


def unchanged(mutant: Mutant) -> Mutant:
    """The same place as it is: a test that fails on that catches nothing."""
    return Mutant(mutant.place, mutant.line, "nothing", trees()[mutant.place.module])


Step = tuple[str, int | None]


def _sites(node: ast.AST, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], ast.AST]]:
    """Yields every node that may be changed, with the path to it."""
    yield path, node
    if isinstance(node, ast.Raise | ast.Assert):  # the text of an error is not an output
        return
    for name, value in ast.iter_fields(node):
        if name in _NOT_MUTATED:
            continue
        if isinstance(value, ast.AST):
            yield from _sites(value, (*path, (name, None)))
        elif isinstance(value, list):
            for index, one in enumerate(value):
                if isinstance(one, ast.AST) and not _is_docstring(one):
                    yield from _sites(one, (*path, (name, index)))


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _changed(place: Place, node: ast.stmt, path: tuple[Step, ...], replacement: ast.AST) -> ast.Module:
    tree = trees()[place.module]
    body = [copy.deepcopy(one) if one is node else one for one in tree.body]
    at: ast.AST = body[tree.body.index(node)]
    for name, index in path[:-1]:
        at = getattr(at, name) if index is None else getattr(at, name)[index]
    name, index = path[-1]
    if index is None:
        setattr(at, name, replacement)
    else:
        getattr(at, name)[index] = replacement
    return ast.fix_missing_locations(ast.Module(body, []))


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _COMPARED[type(op)]:
                yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _COMPUTED:
        yield _with(node, op=_COMPUTED[type(node.op)]())
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    else:
        yield from _statements(node)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node.value, str):
        yield ast.Constant(node.value + "§")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    called = node.func
    if isinstance(called, ast.Name) and called.id in _SWAPPED:
        yield _with(node, func=ast.Name(_SWAPPED[called.id], ast.Load()))
    elif isinstance(called, ast.Attribute):
        if called.attr in _SWAPPED:
            yield _with(node, func=ast.Attribute(called.value, _SWAPPED[called.attr], ast.Load()))
        if called.attr in _DROPPED:
            yield called.value


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        yield _with(node, test=ast.Constant(False))
    elif isinstance(node, ast.IfExp):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield _with(node, ifs=[*node.ifs[:index], *node.ifs[index + 1 :]])
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Break | ast.Continue | ast.Raise):
        yield ast.Pass()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: ast.AST, **changes: object) -> ast.AST:
    found = copy.copy(node)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.comprehension):
        return "".join(f" if {ast.unparse(one)}" for one in node.ifs).strip() or "no condition"
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:60]}…{text[-28:]}"
