"""Opens the model that a name such as `openai/NAME` or `hf/PATH?dtype=bfloat16` means."""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from evalkit.errors import UsageError, unknown
from evalkit.models.options import parse_options, read_options, take_options
from evalkit.models.registry import BACKENDS, Backend, Named

if TYPE_CHECKING:
    from evalkit.models.base import Model

_COPIES = "evalkit.copies.opening:open_copies"
"""The function that opens a model with the option `copies`, which every backend in this process has."""
_WITH_COLON = ("python:", "command:")
"""What follows these is a path or a command, which may contain slashes."""


def open_model(
    spec: str,
    *,
    base_url: str | Sequence[str] = "",
    timeout: float = 600.0,
    key_env: str = "",
    ray_address: str = "",
) -> Model:
    """The model that `backend/name?option=value` names. Raises `UsageError` if it cannot be opened.

    `base_url`: the address of its endpoint, or a file with addresses; several are replicas of one model.
    `key_env`: the variable of the environment with the endpoint's key, which must be set; the backend's own,
    such as OPENAI_API_KEY, if none is named. `ray_address`: of the Ray cluster for `ray/…`, as
    `--ray-address`.
    """
    backend, mark, rest = spec.partition(":" if spec.startswith(_WITH_COLON) else "/")
    row = find_backend(backend)
    if not mark or not rest:
        raise UsageError(f"{spec!r} names a backend but no model: write {row.usage}")
    if not row.installed:
        raise UsageError(f"{backend} is not installed: {row.install}")
    urls = _addresses(base_url)
    if urls and not row.address:
        takers = [re.split(r"[ \[]", other.usage)[0] for other in BACKENDS.values() if other.address]
        raise UsageError(f"--base-url can be used with {_listed(takers)}, not with {backend}/")
    if key_env:
        _check_key(key_env, backend, row)
    if row.copied:
        spec, typed = take_options(spec, ("copies",))
        rest = spec.partition(mark)[2]
        if typed and len(urls) < 2:
            return factory_at(_COPIES)(Named(spec, rest, typed, "".join(urls), timeout))
    name, _, query = (rest, "", "") if row.whole else rest.partition("?")
    options = read_options(f"{backend}/{name}", parse_options(query), row.options, backend)
    factory = _opener(row)
    key_env = key_env or row.key_env
    named = (Named(spec, name, options, url, timeout, key_env, ray_address) for url in urls or [""])
    opened = [*map(factory, named)]
    if len(opened) == 1:
        return opened[0]
    if row.plugin is not None:
        from evalkit.models.plugged import at_addresses

        return at_addresses(opened, urls, row.plugin)
    if not row.key:
        takers = [f"{other}/" for other, known in BACKENDS.items() if known.key and known.address]
        raise UsageError(f"{backend} takes one --base-url: replicas can be used with {_listed(takers)}")
    from evalkit.models.replicas import Replica, Replicas

    unlike = {cast("Replica", model).base_url: cast("Replica", model) for model in opened}
    return Replicas([*unlike.values()]) if len(unlike) > 1 else opened[0]


def _listed(names: Sequence[str]) -> str:
    """The first of the names, and how many others there are."""
    return f"{', '.join(names[:3])} and {len(names) - 3} others (evalkit models lists them)"


def find_backend(name: str) -> Backend:
    """The backend of evalkit, or of an installed package, with that name. Raises `UsageError`."""
    if name in BACKENDS:
        return BACKENDS[name]
    from evalkit.models.plugged import plugged_backend
    from evalkit.plugins import plugin_names

    if (found := plugged_backend(name)) is None:
        raise unknown("backend", name, (*BACKENDS, *plugin_names("models")))
    return found


def _opener(row: Backend) -> Callable[[Named], Model]:
    if row.plugin is None:
        return factory_at(row.factory)
    from evalkit.models.plugged import open_plugged

    return functools.partial(open_plugged, row)


def factory_at(place: str) -> Callable[[Named], Model]:
    """The function at `module:function`."""
    module, _, function = place.partition(":")
    found: Callable[[Named], Model] = getattr(importlib.import_module(module), function)
    return found


def _addresses(base_url: str | Sequence[str]) -> list[str]:
    """The addresses that `--base-url` was given; [] for none. Raises `UsageError`."""
    if not base_url:
        return []
    from evalkit.models.replicas import addresses

    return addresses(base_url)


def _check_key(key_env: str, backend: str, row: Backend) -> None:
    if not row.key:
        takers = [f"{name}/" for name, other in BACKENDS.items() if other.key]
        raise UsageError(f"--api-key-env can be used with {_listed(takers)}, not with {backend}/")
    if not os.environ.get(key_env, "").strip():
        raise UsageError(f"the environment has no key in the variable {key_env}: set it, or name another one")
