"""Backends of installed packages: entry points of the group `evalkit.models`, each a `Backend`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from evalkit.identity.package import package_digest
from evalkit.models.address import parse_address
from evalkit.models.base import Capability, Model, Request, Response
from evalkit.models.opening import factory_at
from evalkit.models.python_file import made_of
from evalkit.models.registry import Backend, Named
from evalkit.models.replicas import Replicas
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


class _Addressed:
    """A plugin's model at one of several addresses (`evalkit.models.replicas.Replica`)."""

    def __init__(self, model: Model, base_url: str) -> None:
        self.name = model.name
        self.capabilities: frozenset[Capability] = model.capabilities
        self.parallel: int | None = model.parallel
        self.base_url = base_url
        self._model = model

    @property
    def identity(self) -> dict[str, JSON]:
        return self._model.identity

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        return await self._model.generate(request, draw=draw)

    async def served(self) -> None:
        """None: evalkit does not know how to ask a plugin's endpoint for its models."""

    async def aclose(self) -> None:
        await self._model.aclose()


def at_addresses(models: Sequence[Model], addresses: Sequence[str], plugin: Plugin) -> Model:
    """The models of a plugin, opened at several addresses, as replicas of one model.

    Raises `PluginError` for models that answer batches or by id, and for identities that have the address:
    then no response of one could be used for another.
    """
    unlike = {parse_address(url).text: model for url, model in zip(addresses, models, strict=True)}
    for url, model in unlike.items():
        if hasattr(model, "generate_batch") or hasattr(model, "answer_of"):
            raise plugin.wrong("several --base-url are for models with the method generate alone")
        if model.identity != models[0].identity:
            raise plugin.wrong(
                f"with several --base-url, the identity of its model must be the same at {addresses[0]} and "
                f"{url}: leave the address out of it"
            )
    if len(unlike) == 1:
        return models[0]
    return Replicas([_Addressed(model, url) for url, model in unlike.items()])
