"""Models given from Python: functions and objects, as `python:FILE.py:NAME` gives those of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity
from evalkit.models.base import Model
from evalkit.models.python_file import is_model, made_of
from evalkit.models.python_user import check_members
from evalkit.models.registry import open_model
from evalkit.samples import JSON

ModelLike: TypeAlias = "str | Model | Callable[..., Any]"
"""A name as on the command line, a model, or a function from a prompt to a text."""


def as_model(
    value: Model | Callable[..., Any],
    *,
    name: str = "",
    identity: Mapping[str, JSON] | None = None,
    base_url: str = "",
) -> Model:
    """A function (prompt) → text, plain or async, as a model; so whatever else a model file may hold.

    `name`: what tables call it; `python:` and the function's own name where it is left out. `identity`: plain
    JSON that decides its answers (weights, settings), to which a run that goes on is held; where it is left
    out, a digest of the function and of everything that it reaches. `base_url`: its argument of that name. An
    object with `generate` is a model already, and itself what is returned where it is given no other name.

    Raises `UsageError` for what is no model, and for a function whose source nobody kept, unless `identity`
    is given.
    """
    ready = is_model(value) and not isinstance(value, type)
    if not (ready or callable(value)):
        raise UsageError(
            f"{value!r} is no model: a name, a function (prompt) → text, or an evalkit.api.Model"
        )
    called = name or name_of(value)
    if ready and not name and identity is None:
        check_members(value, called)
        if base_url:
            raise UsageError(f"{called} is made already: base_url goes with a model's name")
        return cast("Model", value)
    decides: dict[str, JSON] = {"backend": "python"}
    if identity is not None:
        decides["given"] = {**identity}
    elif not ready:
        decides["code"] = _code(value, called)
    return made_of(value, called, {}, base_url, decides)


def model_of(given: ModelLike, *, base_url: str = "", timeout: float = 600.0, key_env: str = "") -> Model:
    """The model that was given, opened where it is a name. Raises `UsageError`."""
    if isinstance(given, str):
        return open_model(given, base_url=base_url, timeout=timeout, key_env=key_env)
    if key_env:
        raise UsageError(f"{name_of(given)} is made already: the variable of a key goes with a model's name")
    return as_model(given, base_url=base_url)


def name_of(given: ModelLike) -> str:
    """What tables call it: a name as it is, a function `python:` and its own name."""
    if isinstance(given, str):
        return given
    said = getattr(given, "name", None) or getattr(given, "__name__", None) or type(given).__name__
    return str(said) if is_model(given) else f"python:{said}".replace("<lambda>", "lambda")


def _code(value: Any, name: str) -> str:
    try:
        return code_identity(value)
    except UsageError as error:
        raise UsageError(
            f"{name}: {error}, or say what decides its answers: evalkit.as_model(…, identity={{…}})"
        ) from None
