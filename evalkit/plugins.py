"""Plugins: backends, tasks, metrics and papers of installed packages, found by their entry points.

Entry points are read only for a name that evalkit itself does not have, and for lists. No plugin takes the
place of what evalkit has. A plugin that cannot be used is named and left out, and everything else works.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from evalkit.errors import UsageError, one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from importlib.resources.abc import Traversable

Kind: TypeAlias = Literal["models", "tasks", "metrics", "papers"]
"""The part of the name of the entry points' group after `evalkit.`."""
_T = TypeVar("_T")
_SHOWN = 200


class PluginError(UsageError):
    """A plugin that cannot be used; the message names it and its package."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point. `package`: the distribution that declares it, with its version."""

    kind: Kind
    name: str
    package: str
    point: EntryPoint

    def __str__(self) -> str:
        return f"the plugin {self.name!r} of {self.package} (evalkit.{self.kind}: {self.point.value})"

    def load(self) -> Any:
        """The object that the entry point names. Raises `PluginError` if it cannot be imported."""
        try:
            return self.point.load()
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self} fails on import: {one_line(error, _SHOWN)}") from error

    def wrong(self, problem: str) -> PluginError:
        """The error for a plugin that is not what its kind needs."""
        return PluginError(f"{self} cannot be used: {problem}")


def paper_folder(plugin: Plugin) -> Traversable:
    """The folder of a plugin of the kind papers. Raises `PluginError` if it has no `paper.toml`."""
    from importlib import resources

    module = plugin.load()
    if not isinstance(module, ModuleType) or not hasattr(module, "__path__"):
        raise plugin.wrong("it is no package with a paper.toml")
    folder = resources.files(module)
    if not folder.joinpath("paper.toml").is_file():
        raise plugin.wrong("its folder has no paper.toml")
    return folder


@functools.cache
def _declared(kind: Kind) -> Mapping[str, tuple[Plugin, ...]]:
    """The plugins by name; several packages may declare one name."""
    from importlib.metadata import entry_points  # slow to import

    found: dict[str, dict[tuple[str, str], Plugin]] = {}
    for point in entry_points(group=f"evalkit.{kind}"):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
        found.setdefault(point.name, {})[package, point.value] = Plugin(kind, point.name, package, point)
    return {name: tuple(same.values()) for name, same in sorted(found.items())}


def find_plugin(kind: Kind, name: str) -> Plugin | None:
    """The plugin with that name; None if there is none. Raises `PluginError` if two packages declare it."""
    same = _declared(kind).get(name, ())
    if len(same) > 1:
        packages = " and ".join(plugin.package for plugin in same)
        raise PluginError(
            f"{packages} both have a plugin {name!r} (evalkit.{kind}): uninstall one of the packages"
        )
    return same[0] if same else None


def working(
    kind: Kind, taken: Collection[str], use: Callable[[Plugin], _T]
) -> tuple[dict[str, _T], list[str]]:
    """What `use` makes of each plugin of a kind, by name, and why others are left out.

    `taken`: the names that evalkit itself has. `use` may raise anything.
    """
    usable: dict[str, _T] = {}
    problems: list[str] = []
    for name, same in _declared(kind).items():
        if name in taken:
            problems += [f"{plugin} is refused: evalkit itself has {name!r}" for plugin in same]
            continue
        try:
            if (plugin := find_plugin(kind, name)) is not None:
                usable[name] = use(plugin)
        except PluginError as error:
            problems.append(str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 — whatever it raises, the others are used
            problems.append(str(same[0].wrong(one_line(error, _SHOWN))))
    return usable, problems


def plugin_names(kind: Kind) -> tuple[str, ...]:
    """The names of all plugins of a kind, also of those that cannot be used."""
    return tuple(_declared(kind))
