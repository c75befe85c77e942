"""Uses what a probe found: what a plan needs and the endpoint lacks, and whether draws share requests."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Task
from evalkit.engine.able import missing_for, needed_for
from evalkit.engine.cell import CellPlan, branch_of
from evalkit.engine.shared_draws import MOST, SharedDraws
from evalkit.errors import UsageError
from evalkit.models.base import Model
from evalkit.models.http_model import HTTPModel
from evalkit.models.opening import find_backend
from evalkit.models.replicas import Replicas
from evalkit.probing.cache import cached_probe, place_of
from evalkit.probing.found import ROUTES, Answer, Probe, Verdict


@dataclass(frozen=True, slots=True)
class Use:
    """Whether a protocol can be used. `needs`: its capabilities, as `chat + image`. `reason`: why not."""

    protocol: str
    needs: str
    verdict: Verdict
    reason: str


def uses(probe: Probe, model: Model, tasks: Iterable[Task]) -> Iterator[Use]:
    """Yields for each protocol of `tasks` whether the probed model can be used for it."""
    for task in tasks:
        for protocol in task.protocols:
            yield _use(probe, model, task, protocol)


def _use(probe: Probe, model: Model, task: Task, protocol: Protocol) -> Use:
    name = f"{task.name}:{protocol.name}"
    needed = [one for one in needed_for(task, protocol, model.capabilities) if one != "extra"]
    needs = " + ".join(dict.fromkeys(needed))
    if missing := missing_for(task, protocol, model):
        return Use(name, needs, "no", f"the backend has no {' and no '.join(missing)}")
    unmet = [*probe.unmet(needed, protocol.api)]
    if not unmet:
        return Use(name, needs, "yes", "")
    verdict: Verdict = "no" if any(one.verdict == "no" for one in unmet) else "unclear"
    return Use(name, needs, verdict, _reasons(one for one in unmet if one.verdict == verdict))


def _reasons(answers: Iterable[Answer]) -> str:
    return "; ".join(f"{one.name.replace('_', ' ')}: {one.reason}" for one in answers)


def check_probed(model: Model, cells: Sequence[CellPlan]) -> None:
    """Raises `UsageError` if a probe of the last day found that a cell needs what the endpoint lacks.

    A model that was not probed is not refused, and no request is sent.
    """
    for member in _members(model):
        probe = cached_probe(member)
        if probe is None:
            continue
        for cell in cells:
            branches = (branch_of(cell.task, cell.protocol, name) for name in cell.protocol.fallback)
            for protocol in (cell.protocol, *branches):
                _check(probe, member, cell.task, protocol)


def _check(probe: Probe, model: HTTPModel, task: Task, protocol: Protocol) -> None:
    needed = needed_for(task, protocol, model.capabilities)
    lacked = [one for one in probe.unmet(needed, protocol.api) if one.verdict == "no"]
    if not lacked:
        return
    able = [use.protocol for use in uses(probe, model, [task]) if use.verdict == "yes"]
    fix = f"; protocols that it can run: {', '.join(able)}" if able else ""
    raise UsageError(
        f"{task.name}:{protocol.name} needs what {model.name} at {model.base_url} lacked when it was probed "
        f"({probe.when}): {_reasons(lacked)}{fix}; if this has changed: {_again(model)}; "
        f"to run without the probe, remove {place_of(model)}"
    )


def _again(model: HTTPModel) -> str:
    """The command that probes the model again."""
    words = ["evalkit", "models", "--probe", model.name, "--base-url", model.base_url, "--refresh"]
    key = model.endpoint.key_env
    own = key == find_backend(model.name.partition("/")[0]).key_env
    return shlex.join([*words, *(["--api-key-env", key] if key and not own else [])])


def shared_draws(model: Model, most: int | None) -> SharedDraws | None:
    """What gathers draws into requests with `n`; None if the model was not probed to take it.

    `most`: the most draws of one request; None: as many as there may be, 1: each draw is sent by itself. All
    replicas must take it, because a request may be sent to any of them.
    """
    most = MOST if most is None else most
    members = _members(model)
    if most < 2 or not members:
        return None
    probes = [cached_probe(member) for member in members]
    routes = [api for api in ROUTES if all(probe is not None and probe.takes_n(api) for probe in probes)]
    return SharedDraws(routes, most) if routes else None


def _members(model: Model) -> list[HTTPModel]:
    """The models at the endpoints of `model`; none if one of them cannot be probed."""
    members = model.members if isinstance(model, Replicas) else (model,)
    found = [member for member in members if isinstance(member, HTTPModel)]
    return found if len(found) == len(members) else []
