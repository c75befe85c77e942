"""The identity of code in a signature: a declared version, or a digest of the code that it reaches.

Code of evalkit that decides a figure (extractors, scorers, prompts, solvers, metrics) declares a name and a
version with `versioned`. The version rises with every change of an output, and with no other change:
renaming, moving and tidying up leave every signature as it is. The golden files in `tests/golden/` record the
versions, and their tests fail if an output changes without a new version.

Code of users has no version, so its identity is a digest of everything that it reaches
(`evalkit.identity.reach`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from evalkit.needs import installed

_T = TypeVar("_T")
ATTRIBUTE = "__evalkit_identity__"
"""Where `versioned` keeps a `Declared`. An instance may have its own, with `given`."""
OWN = "own#"
"""The prefix of the identity of code that is not part of evalkit; a digest follows it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """A declared identity.

    `packages`: distributions whose versions affect the output, such as a parser. `given`: a text with further
    properties that affect the output, for an object that has its own identity.
    """

    name: str
    version: int
    packages: tuple[str, ...] = ()
    given: str = ""

    def text(self) -> str:
        """The identity as text: `symbolic@2`, `symbolic@2{sympy 1.14.0}` or `learned@1(model=bert@3)`."""
        used = ", ".join(f"{name} {version_of(name)}" for name in self.packages)
        packages, given = f"{{{used}}}" if used else "", f"({self.given})" if self.given else ""
        return f"{self.name}@{self.version}{packages}{given}"


def versioned(name: str, version: int, *, packages: Sequence[str] = ()) -> Callable[[_T], _T]:
    """Declares the identity of one of evalkit's functions or classes.

    `name` is unique and does not change if the function is renamed or moved. `version` rises with every
    change of an output for any input. `packages`: distributions whose versions affect the output.
    """

    def mark(thing: _T) -> _T:
        setattr(thing, ATTRIBUTE, Declared(name, version, tuple(packages)))
        return thing

    return mark


def declared(thing: object) -> Declared | None:
    """What `versioned` declared for a function, class or instance; None if it was not applied to it."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    found = getattr(thing, ATTRIBUTE, None)
    # A subclass, or a function with copied attributes, is different code.
    owner = thing if isinstance(thing, type) or hasattr(thing, "__code__") else type(thing)
    if isinstance(owner, type) and ATTRIBUTE not in vars(owner):
        return None
    return found if isinstance(found, Declared) else None


def code_identity(thing: Any) -> str:
    """The identity of a function, or of an object with its parameters that are not at their defaults.

    For example `number@1`, `accuracy@1(variant='strict')` or `own#1f2e3d4c`. Raises `UsageError` for code
    without a source file, such as code typed at a prompt.
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
    """The fields of a dataclass instance that are not at their defaults, by name."""
    return {
        field.name: value
        for field in dataclasses.fields(thing)
        if field.init and (value := getattr(thing, field.name)) != field.default
    }


def _parameter(value: object) -> str:
    described = dataclasses.is_dataclass(value) and not isinstance(value, type)
    address = type(value).__repr__ is object.__repr__  # its text differs from run to run
    if callable(value) or described or address or declared(value) is not None:
        return code_identity(value)
    return repr(value)


@functools.cache
def version_of(package: str) -> str:
    """The installed version of a distribution; "none" if it is not installed."""
    return installed(package) or "none"
