"""Metrics of installed packages: entry points of the group `evalkit.metrics`, each a frozen dataclass.

A run file stores such a metric by its name and arguments, so that figures of the run are computed again
without the code of the task, as those of evalkit's own metrics are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from evalkit.convert import to_json
from evalkit.identity.declared import parameters
from evalkit.metrics.base import Metric
from evalkit.plugins import Plugin, PluginError, find_plugin, plugin_names
from evalkit.samples import JSON

_PREFIX = "plugin:"
"""The beginning of the kind of such a metric in a run file; the name of its entry point follows."""


def is_plugged(kind: str) -> bool:
    return kind.startswith(_PREFIX)


def plugged_kind(metric: Metric) -> str:
    """The kind of a metric of an installed package; "" for any other, and if its arguments are no JSON."""
    kind = type(metric)
    if not dataclasses.is_dataclass(metric) or kind.__module__.partition(".")[0] == "evalkit":
        return ""
    place = f"{kind.__module__}:{kind.__qualname__}"
    for name in plugin_names("metrics"):
        try:
            plugin = find_plugin("metrics", name)
            if plugin is not None and plugin.point.value.replace(" ", "") == place:
                to_json(parameters(metric))
                return f"{_PREFIX}{name}"
        except (PluginError, TypeError):
            continue
    return ""


def metric_class(plugin: Plugin) -> type[Any]:
    """The class of an entry point. Raises `PluginError`."""
    code = plugin.load()
    if not (isinstance(code, type) and dataclasses.is_dataclass(code)):
        raise plugin.wrong("it is no class of a metric that is a dataclass")
    return code


def plugged_metric(kind: str, given: Mapping[str, JSON]) -> Metric | None:
    """The metric of that kind; None if no installed package has it, or does not accept `given`.

    A package that fails on import is as good as none here; `evalkit doctor` says why.
    """
    name = kind.removeprefix(_PREFIX)
    try:
        plugin = find_plugin("metrics", name)
        code = None if plugin is None else metric_class(plugin)
    except PluginError:
        return None
    if code is None:
        return None
    if not {field.name for field in dataclasses.fields(code) if field.init} >= given.keys():
        return None
    # A frozen dataclass has tuples, and JSON has lists.
    metric: Metric = code(**{key: tuple(one) if isinstance(one, list) else one for key, one in given.items()})
    return metric
