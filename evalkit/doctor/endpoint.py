"""Checks an endpoint: whether it is there, takes the key, lists models, answers, and how fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

from evalkit.doctor.finding import Finding
from evalkit.errors import ProviderError, unknown
from evalkit.models.base import Request
from evalkit.models.http import Endpoint
from evalkit.models.openai import OpenAIModel
from evalkit.models.registry import KEY
from evalkit.samples import Message

_ASKED = 5
"""Requests whose latency is measured. Each asks for one token."""
_TIMEOUT = 30.0
_SKEW = 30.0
"""Seconds by which two clocks may differ; a Date header has whole seconds."""
_SHOWN = 5
_WIDEST = 80
_REFUSED = (401, 403)


async def endpoint(base_url: str, model: str = "", key_env: str = "") -> list[Finding]:
    """The checks of one endpoint, which end at the first that makes the others meaningless.

    `model`: the model that is asked; "" for the first that is listed. `key_env`: the variable with the key.
    Sends six requests. Raises `UsageError` for an invalid address.
    """
    asked = Endpoint(base_url, timeout=_TIMEOUT, key_env=key_env or KEY)
    where = asked.base_url
    try:
        try:
            await asked.reach()
        except ProviderError as error:
            return [Finding(where, False, str(error).removeprefix(f"{where}: "), needed=True)]
        secure = "with TLS, its certificate is trusted" if where.startswith("https:") else "without TLS"
        findings = [Finding(where, True, f"it is there, {secure}")]
        names = await asked.models()
    finally:
        await asked.aclose()
    listed = asked.listed
    findings += _clock(where, listed.date, listed.at) if listed else []
    if listed and listed.status in _REFUSED:
        findings.append(_key_is_refused(where, key_env, f"HTTP {listed.status}"))
        return findings
    findings.append(_listed(where, names, listed.status if listed else None, model))
    name = model or min(names or (), default="")
    return findings + (await _answers(base_url, where, name, key_env) if name else [])


def _listed(where: str, names: frozenset[str] | None, status: int | None, model: str) -> Finding:
    what = f"{where}: models"
    if names is None:
        said = "nothing came" if status is None else f"HTTP {status}"
        detail = f"it lists none ({said}); it may work without a list"
        return Finding(what, bool(model), detail, "name the model to ask with -m openai/NAME")
    first = (" ".join(name.split())[:_WIDEST] for name in sorted(names)[:_SHOWN])
    shown = ", ".join(first) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    if model and model not in names:
        return Finding(what, False, str(unknown("model", model, names)), "give the name that it lists")
    return Finding(what, bool(names), f"{len(names)}: {shown}" if names else "none", "load a model")


async def _answers(base_url: str, where: str, name: str, key_env: str) -> list[Finding]:
    """Whether the model answers, and the latency of a few small requests, one after the other."""
    model = OpenAIModel(name, base_url, timeout=_TIMEOUT, key_env=key_env or KEY)
    request = Request((Message("user", "Say yes."),), max_tokens=1, temperature=0.0)
    seconds = []
    try:
        for _ in range(_ASKED):
            began = time.perf_counter()
            await model.generate(request)
            seconds.append(time.perf_counter() - began)
    except ProviderError as error:
        if getattr(error, "status", None) in _REFUSED:
            return [_key_is_refused(where, key_env, str(error))]
        return [Finding(f"{where}: {name}", False, str(error), "look at the server's log", needed=True)]
    finally:
        await model.aclose()
    detail = (
        f"{_ASKED} small requests in {min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms, "
        f"median {statistics.median(seconds) * 1000:.0f} ms"
    )
    return [Finding(f"{where}: {name}", True, f"it answers: {detail}")]


def _key_is_refused(where: str, key_env: str, said: str) -> Finding:
    name = key_env or KEY
    fix = f"export {name}=…, a key of this endpoint"
    return Finding(f"{where}: key", False, f"refused: {said}", fix, needed=True)


def _clock(where: str, date: str, at: float) -> Iterator[Finding]:
    """How far this machine's clock is from the endpoint's. `date`: its Date header, which came at `at`."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:  # none, or not one
        return
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    skew = at - theirs.timestamp()
    near = abs(skew) <= _SKEW
    shown = "within a few seconds of this machine's" if near else f"{_apart(skew)} this machine's"
    detail = f"{theirs:%Y-%m-%d %H:%M:%S} UTC, {shown}"
    yield Finding(f"{where}: clock", near, detail, "set this machine's clock")


def _apart(skew: float) -> str:
    minutes = abs(skew) / 60
    size = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
    return f"{size} {'behind' if skew > 0 else 'ahead of'}"
