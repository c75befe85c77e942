"""Models that are given in Python, as functions or objects; `python:FILE.py:NAME` opens those of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity
from evalkit.models.base import Model
from evalkit.models.opening import open_model
from evalkit.models.python_file import is_model, made_of
from evalkit.models.python_user import check_members
from evalkit.samples import JSON

ModelLike: TypeAlias = "str | Model | Callable[..., Any]"
"""A name as on the command line, a model, or a function (prompt) → text."""


def as_model(
    value: Model | Callable[..., Any],
    *,
    name: str = "",
    identity: Mapping[str, JSON] | None = None,
    base_url: str = "",
) -> Model:
    """A function (prompt) → text, plain or async, as a model; or anything else that a model file may define.

    `name`: its name in tables; default: `python:` and the function's own name. `identity`: plain JSON on
    which its answers depend (weights, settings), and which must not change when a run is resumed; default: a
    digest of the function and of everything that it reaches. `base_url`: its argument of that name. An object
    with `generate` is already a model, and is returned unchanged unless a name or an identity is given.

    Raises `UsageError` if `value` is not a model, and, unless `identity` is given, for a function whose
    source is not available.
    """
    ready = is_model(value) and not isinstance(value, type)
    if not (ready or callable(value)):
        raise UsageError(
            f"{value!r} is not a model: give a name, a function (prompt) → text, or an evalkit.api.Model"
        )
    called = name or name_of(value)
    if ready and not name and identity is None:
        check_members(value, called)
        if base_url:
            raise UsageError(f"{called} is already made: base_url is for the name of a model")
        return cast("Model", value)
    decides: dict[str, JSON] = {"backend": "python"}
    if identity is not None:
        decides["given"] = {**identity}
    elif not ready:
        decides["code"] = _code(value, called)
    return made_of(value, called, {}, base_url, decides)


def model_of(
    given: ModelLike,
    *,
    base_url: str | Sequence[str] = "",
    timeout: float = 600.0,
    key_env: str = "",
    ray_address: str = "",
) -> Model:
    """The given model; a name is opened. Raises `UsageError`."""
    if isinstance(given, str):
        return open_model(given, base_url=base_url, timeout=timeout, key_env=key_env, ray_address=ray_address)
    if key_env:
        raise UsageError(f"{name_of(given)} is already made: key_env is for the name of a model")
    if not isinstance(base_url, str):
        raise UsageError(f"{name_of(given)} is already made: replicas are for the name of a model")
    return as_model(given, base_url=base_url)


def name_of(given: ModelLike) -> str:
    """The model's name in tables: a given name, a model's own, or `python:` and the name of a function."""
    if isinstance(given, str):
        return given
    name = getattr(given, "name", None) or getattr(given, "__name__", None) or type(given).__name__
    return str(name) if is_model(given) else f"python:{name}".replace("<lambda>", "lambda")


def _code(value: Any, name: str) -> str:
    try:
        return code_identity(value)
    except UsageError as error:
        raise UsageError(
            f"{name}: {error}, or give what its answers depend on: evalkit.as_model(…, identity={{…}})"
        ) from None
