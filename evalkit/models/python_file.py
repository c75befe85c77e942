"""`python:FILE.py:NAME?option=value`: a model in a user's Python file, run in this process.

`NAME` is a function from the prompt to the response's text, or from `prompts` to texts, or a `Model`
(`evalkit.models.base`), or a class or a function that returns one of these. Options, and `--base-url` as
`base_url`, are passed to it by name: once if it makes a model, at each call if it answers prompts. They are
texts, or an int, float or bool (on, off) if the parameter has that annotation.
The file is trusted like any imported code: name only files that you trust.
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
from evalkit.models.address import parse_address
from evalkit.models.base import BatchModel, Model, answers_by_id
from evalkit.models.options import Read, number, on_or_off, parse_options, read_options, whole_number
from evalkit.models.python_user import (
    USAGE,
    UserBatchFunction,
    UserBatchModel,
    UserByIdModel,
    UserFunction,
    UserModel,
    line_of,
    parameters,
)
from evalkit.models.registry import Named
from evalkit.samples import JSON

__all__ = ["UserFunction", "UserModel", "open_python"]

_READ: Mapping[str, Read] = {"int": whole_number, "float": number, "bool": on_or_off}
_PROMPT, _PROMPTS, _ADDRESS = "prompt", "prompts", "base_url"
_FROM_ENGINE = frozenset({"draw", "seed", "draws", "seeds"})
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def open_python(named: Named) -> Model:
    """Opens `python:FILE.py:NAME?option=value`. Raises `UsageError`."""
    path, mark, rest = named.name.partition(".py:")
    attribute, _, query = rest.partition("?")
    if not mark or not attribute:
        raise UsageError(f"{named.typed!r} names no function or object in a file: write {USAGE}")
    file = Path(f"{path}.py")
    if not file.is_file():
        raise UsageError(f"no model file {str(file)!r} in {Path.cwd()}: {USAGE} needs a Python file")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    module = vars(_imported(file, digest))
    folder = file.resolve().parent
    beside = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in neighbours(file)
    }
    if attribute not in module:
        public = (key for key, value in module.items() if callable(value) and not key.startswith("_"))
        raise unknown(f"model in {file}", attribute, public, f"{file} defines no {attribute}")
    options = parse_options(query)
    base_url = parse_address(named.base_url).text if named.base_url else ""
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
        raise UsageError(f"{name} is an object, not a class or function: it accepts no options or --base-url")
    if _batches(value):
        return UserBatchModel(value, name, decides)
    if is_model(value):
        if answers_by_id(value):
            return UserByIdModel(value, name, decides)
        return UserModel(value, name, decides)
    if next(iter(parameters(value)), "") == _PROMPTS:
        return UserBatchFunction(value, name, decides, given)
    return UserFunction(value, name, decides, given)


def _answers(function: Callable[..., Any], options: Mapping[str, str], name: str) -> bool:
    """Whether `function` answers prompts; otherwise it makes a model from options.

    The first parameter of a function that answers is the prompt: it has no option and no default.
    """
    known = parameters(function)
    first = next(iter(known.values()), None)
    if first is None:
        return not _has_signature(function)
    if first.name in (_PROMPT, _PROMPTS):
        return True
    if first.name in options:
        missing = [p.name for p in known.values() if _needed(p) and p.name not in options]
        if missing:
            raise UsageError(f"{name} cannot be made: it also needs {' and '.join(missing)}")
        return False
    return first.kind is first.VAR_POSITIONAL or _needed(first)


def _needed(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic and parameter.name != _ADDRESS


def _has_signature(function: Callable[..., Any]) -> bool:
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
    """The options as arguments by name. Raises `UsageError` for an option without a parameter."""
    known = parameters(function)
    open_ = any(p.kind is p.VAR_KEYWORD for p in known.values())
    accepted = [p for p in known.values() if p.kind in _BY_NAME]
    if answers:
        accepted = [p for p in accepted[1:] if p.name not in _FROM_ENGINE]
    if base_url and not open_ and _ADDRESS not in {p.name for p in accepted}:
        raise UsageError(f"--base-url {base_url}: {name} has no parameter base_url")
    readers: dict[str, Read] = dict.fromkeys(options, str) if open_ else {}
    readers |= {p.name: _READ.get(_annotation(p), str) for p in accepted}
    arguments = read_options(name.partition("?")[0], options, readers, name.partition("?")[0])
    return {**arguments, **({_ADDRESS: base_url} if base_url else {})}


def _annotation(parameter: inspect.Parameter) -> str:
    """The name of the annotation, such as `int`, even if annotations are texts."""
    return str(getattr(parameter.annotation, "__name__", parameter.annotation)).strip("'\"")


def _made(value: Callable[..., Any], name: str, given: Mapping[str, Any]) -> Any:
    """The object that a class or a function returns. Raises `UsageError` if it fails."""
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
    """The file as a module, imported again if it has changed since this process imported it."""
    module = import_file(file)
    if getattr(module, "__evalkit_digest__", digest) != digest:
        del sys.modules[module.__name__]
        module = import_file(file)
    setattr(module, "__evalkit_digest__", digest)  # noqa: B010 — modules have no such attribute
    return module
