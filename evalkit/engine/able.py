"""What a model must be capable of for a task under a protocol, and what it lacks."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Task
from evalkit.errors import unknown
from evalkit.models.base import CAPABILITIES, Capability, Model


def needed_for(task: Task, protocol: Protocol, capabilities: Collection[Capability]) -> list[Capability]:
    """Returns the capabilities that the task needs under `protocol` of a model with these `capabilities`."""
    needed: list[Capability] = [protocol.api]
    if protocol.api == "chat":
        needed += task.media
    if protocol.likelihood == "backend":
        needed.append("likelihood")
    elif protocol.likelihood == "prompt" and "likelihood" not in capabilities:
        needed.append("echo")
    elif protocol.likelihood == "next-token" and protocol.logprobs:
        needed.append("logprobs")
    if protocol.parameters:
        needed.append("extra")
    for name in protocol.needs:
        if name not in CAPABILITIES:
            raise unknown(f"capability that {task.name}:{protocol.name} needs", name, CAPABILITIES)
        needed.append(cast("Capability", name))
    return needed


def missing_for(task: Task, protocol: Protocol, model: Model) -> list[Capability]:
    """Returns the capabilities that the task needs under `protocol` and that `model` does not have."""
    has = able(model.capabilities)
    return [one for one in needed_for(task, protocol, model.capabilities) if one not in has]


def able(capabilities: Collection[Capability]) -> set[Capability]:
    """Adds `video` to a model that takes pictures, because it is sent a video's frames."""
    return {*capabilities, "video"} if "image" in capabilities else {*capabilities}
