"""What code is, in a signature: by a declared version, or by a digest of what it reaches.

Code of evalkit that decides a figure (extractors, scorers, prompts, solvers, metrics) declares a name and a
version with `versioned`. A change that moves any output raises the version, and nothing else does: renaming,
moving and tidying up leave every signature as it is. Golden files in `tests/golden/` hold the versions: an
output that changed under an old version fails there.

Code of users has no version, so it is known by a digest over everything that it reaches
(`evalkit.identity.reach`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")
_ATTRIBUTE = "__evalkit_identity__"
OWN = "own#"
"""How the identity of code begins that is no part of evalkit; its digest follows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """`packages`: distributions whose version has a say in the output, such as a parser's.

    `given`: what else has, in words, of an object that says so itself.
    """

    name: str
    version: int
    packages: tuple[str, ...] = ()
    given: str = ""

    def text(self) -> str:
        """`symbolic@2`, with packages `symbolic@2{sympy 1.14.0}`, `learned@1(model=bert@3)`."""
        used = ", ".join(f"{name} {version_of(name)}" for name in self.packages)
        packages, given = f"{{{used}}}" if used else "", f"({self.given})" if self.given else ""
        return f"{self.name}@{self.version}{packages}{given}"


def versioned(name: str, version: int, *, packages: Sequence[str] = ()) -> Callable[[_T], _T]:
    """Declares the identity of a function or class of evalkit.

    `name` is unique and stays when the function is renamed or moved. `version` rises with every change of an
    output for any input.
    """

    def mark(thing: _T) -> _T:
        setattr(thing, _ATTRIBUTE, Declared(name, version, tuple(packages)))
        return thing

    return mark


def declared(thing: object) -> Declared | None:
    """What `versioned` declared of a function, class or instance; None where it did not."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    found = getattr(thing, _ATTRIBUTE, None)
    # A subclass, or a copy of a function's attributes, is other code.
    owner = thing if isinstance(thing, type) or hasattr(thing, "__code__") else type(thing)
    if isinstance(owner, type) and _ATTRIBUTE not in vars(owner):
        return None
    return found if isinstance(found, Declared) else None


def code_identity(thing: Any) -> str:
    """The identity of a function, or of an object with its parameters that are not at their defaults.

    `number@1`, `accuracy@1(variant='strict')`, `own#1f2e3d4c`. Raises `UsageError` for code without a source
    file, such as one typed at a prompt.
    """
    if isinstance(thing, functools.partial):
        inner = [_parameter(a) for a in thing.args]
        inner += [f"{key}={_parameter(value)}" for key, value in sorted(thing.keywords.items())]
        return f"{code_identity(thing.func)}({','.join(inner)})"
    known = declared(thing)
    if known is None:
        from evalkit.identity.reach import reach_digest

        return f"{OWN}{reach_digest(thing)}"
    shown = ""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        shown = ",".join(f"{name}={_parameter(value)}" for name, value in parameters(thing).items())
    return known.text() + (f"({shown})" if shown else "")


def parameters(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults."""
    return {
        field.name: value
        for field in dataclasses.fields(thing)
        if field.init and (value := getattr(thing, field.name)) != field.default
    }


def _parameter(value: object) -> str:
    if callable(value) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return code_identity(value)
    return repr(value)


@functools.cache
def version_of(package: str) -> str:
    """The installed version of a distribution, "none" where it is missing."""
    import importlib.metadata  # it takes longer to import than a task does

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
