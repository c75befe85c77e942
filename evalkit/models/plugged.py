"""Backends of installed packages: entry points of the group `evalkit.models`, each a `Backend`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from evalkit.identity.package import package_digest
from evalkit.models.base import Model
from evalkit.models.opening import factory_at
from evalkit.models.python_file import made_of
from evalkit.models.registry import Backend, Named
from evalkit.plugins import Plugin, find_plugin, working
from evalkit.samples import JSON


def plugged_backend(name: str) -> Backend | None:
    """The backend of an installed package; None if there is none. Raises `PluginError`."""
    plugin = find_plugin("models", name)
    return None if plugin is None else backend_of(plugin)


def plugged_backends(taken: Collection[str]) -> tuple[dict[str, Backend], list[str]]:
    """The backends of installed packages by name, and why others are left out."""
    return working("models", taken, backend_of)


def backend_of(plugin: Plugin) -> Backend:
    """The backend of an entry point. Raises `PluginError`."""
    backend = plugin.load()
    if not isinstance(backend, Backend):
        raise plugin.wrong(f"it is a {type(backend).__name__}, not an evalkit.api.Backend")
    if not backend.usage.startswith(f"{plugin.name}/"):
        raise plugin.wrong(f"its usage is {backend.usage!r}, which must begin with {plugin.name}/")
    return replace(backend, plugin=plugin)


def open_plugged(backend: Backend, named: Named) -> Model:
    """The model of a plugin. Its identity has the package with its version, and the digest of its code.

    Raises `UsageError`.
    """
    plugin = backend.plugin
    assert plugin is not None
    module = backend.factory.partition(":")[0]
    try:
        made = factory_at(backend.factory)(named)
    except (ImportError, AttributeError) as error:
        raise plugin.wrong(f"its factory {backend.factory!r} is not found: {error}") from error
    decides: dict[str, JSON] = {
        "backend": plugin.name,
        "package": plugin.package,
        "code": package_digest(module),
    }
    return made_of(made, named.typed, {}, "", decides)
