"""`python:FILE.py:NAME?option=value`: a model in a Python file of the user's, run in this process.

`NAME` is a function from the prompt to the answer's text, or from `prompts` to texts, or a `Model`
(`evalkit.models.base`), or a class or a function that gives one of these. Options, and `--base-url` as
`base_url`, are its arguments by name: once where it makes a model, at each call where it answers. They are
texts, or an int, float or bool (on, off) where the parameter is annotated so.
What the file does is trusted like any code that is imported: only a file of one's own should be named.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from evalkit.errors import UsageError, unknown
from evalkit.identity.user_file import import_file, neighbours
from evalkit.models.base import BatchModel, Model
from evalkit.models.http import checked_address
from evalkit.models.python_user import (
    USAGE,
    UserBatchFunction,
    UserBatchModel,
    UserFunction,
    UserModel,
    line_of,
    parameters,
)
from evalkit.models.registry import Named, Read, number, on_or_off, parse_options, read_options, whole_number
from evalkit.samples import JSON

__all__ = ["UserFunction", "UserModel", "open_python"]

_READ: Mapping[str, Read] = {"int": whole_number, "float": number, "bool": on_or_off}
_PROMPT, _PROMPTS, _ADDRESS = "prompt", "prompts", "base_url"
_FROM_ENGINE = frozenset({"draw", "seed", "draws", "seeds"})
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def open_python(named: Named) -> Model:
    """The model that `python:FILE.py:NAME?option=value` stands for. Raises `UsageError`."""
    path, mark, rest = named.name.partition(".py:")
    attribute, _, query = rest.partition("?")
    if not mark or not attribute:
        raise UsageError(f"model {named.typed!r} names no model: {USAGE}, a function or an object in it")
    file = Path(f"{path}.py")
    if not file.is_file():
        raise UsageError(f"no model file {str(file)!r} in {Path.cwd()}: {USAGE} takes a Python file")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    module = vars(_imported(file, digest))
    folder = file.resolve().parent
    beside = {
        one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in neighbours(file)
    }
    if attribute not in module:
        public = (key for key, value in module.items() if callable(value) and not key.startswith("_"))
        raise unknown(f"model in {file}", attribute, public, f"{file} defines no {attribute}")
    options = parse_options(query)
    base_url = checked_address(named.base_url) if named.base_url else ""
    decides: dict[str, JSON] = {"backend": "python", "file": digest, "attribute": attribute}
    if beside:
        decides["imports"] = {**beside}
    if options:
        decides["options"] = dict(options)
    if base_url:
        decides[_ADDRESS] = base_url
    return made_of(module[attribute], named.typed, options, base_url, decides)


def made_of(
    value: Any, name: str, options: Mapping[str, str], base_url: str, decides: Mapping[str, JSON]
) -> Model:
    """A function, an object or what makes one, as a model called `name`. Raises `UsageError`."""
    answers = False
    given: Mapping[str, Any] = {}
    if callable(value) and (isinstance(value, type) or not is_model(value)):
        answers = not isinstance(value, type) and _answers(value, options, name)
        given = _read(value, name, options, base_url, answers=answers)
        if not answers:
            value, given = _made(value, name, given), {}
    elif options or base_url:
        raise UsageError(f"{name} is made already, and takes neither options nor --base-url")
    if _batches(value):
        return UserBatchModel(value, name, decides)
    if is_model(value):
        return UserModel(value, name, decides)
    if next(iter(parameters(value)), "") == _PROMPTS:
        return UserBatchFunction(value, name, decides, given)
    return UserFunction(value, name, decides, given)


def _answers(function: Callable[..., Any], options: Mapping[str, str], name: str) -> bool:
    """Whether it answers prompts; else it makes what does, from nothing but options.

    The first argument of one that answers is a prompt: there is no option for it, and no default.
    """
    known = parameters(function)
    first = next(iter(known.values()), None)
    if first is None:
        return not _is_told(function)
    if first.name in (_PROMPT, _PROMPTS):
        return True
    if first.name in options:
        missing = [one.name for one in known.values() if _needed(one) and one.name not in options]
        if missing:
            raise UsageError(f"{name} cannot be made: it needs {' and '.join(missing)} too")
        return False
    return first.kind is first.VAR_POSITIONAL or _needed(first)


def _needed(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic and parameter.name != _ADDRESS


def _is_told(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function)
    except (TypeError, ValueError):
        return False
    return True


def _read(
    function: Callable[..., Any],
    name: str,
    options: Mapping[str, str],
    base_url: str,
    *,
    answers: bool,
) -> dict[str, Any]:
    """The arguments by name for the options. Raises `UsageError` for what it has no parameter for."""
    known = parameters(function)
    open_ = any(one.kind is one.VAR_KEYWORD for one in known.values())
    taken = [one for one in known.values() if one.kind in _BY_NAME]
    if answers:
        taken = [one for one in taken[1:] if one.name not in _FROM_ENGINE]
    if base_url and not open_ and _ADDRESS not in {one.name for one in taken}:
        raise UsageError(f"--base-url {base_url}: {name} has no parameter base_url that could take it")
    readers: dict[str, Read] = dict.fromkeys(options, str) if open_ else {}
    readers |= {one.name: _READ.get(_annotation(one), str) for one in taken}
    found = read_options(name.partition("?")[0], options, readers, name.partition("?")[0])
    return {**found, **({_ADDRESS: base_url} if base_url else {})}


def _annotation(parameter: inspect.Parameter) -> str:
    """`int` of what is annotated so, also where annotations are texts."""
    return str(getattr(parameter.annotation, "__name__", parameter.annotation)).strip("'\"")


def _made(value: Callable[..., Any], name: str, given: Mapping[str, Any]) -> Any:
    """The object that a class or a function gives."""
    try:
        return value(**given)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{name} cannot be made: {line_of(error)}") from error


def is_model(value: object) -> TypeGuard[Model]:
    return callable(getattr(value, "generate", None))


def _batches(value: object) -> TypeGuard[BatchModel]:
    return callable(getattr(value, "generate_batch", None))


def _imported(file: Path, digest: str) -> Any:
    """The file as a module, once more where it has changed since this process imported it."""
    module = import_file(file)
    if getattr(module, "__evalkit_digest__", digest) != digest:
        del sys.modules[module.__name__]
        module = import_file(file)
    setattr(module, "__evalkit_digest__", digest)  # noqa: B010 — modules have no such attribute
    return module
