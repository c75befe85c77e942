"""Probes an endpoint: the routes first, then what each of them can do."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Model
from evalkit.models.http_model import HTTPModel
from evalkit.probing import texts
from evalkit.probing.asking import Asker, Bounds, Trial, tried
from evalkit.probing.context import context
from evalkit.probing.found import ROUTES, Answer, Probe
from evalkit.probing.shown import audio, image
from evalkit.samples import Api

REQUESTS = 30
"""About how many requests are sent, if the endpoint has everything."""
_WRONG_KEY = 401
_ORDER = (
    "chat", "completion", "system", "reasoning", "tools", "image", "audio", "stop", "seed", "chat_n",
    "completion_n", "chat_logprobs", "completion_logprobs", "echo", "context",
)  # fmt: skip
_OF_CHATS: Mapping[str, Trial] = {
    "system": texts.system,
    "reasoning": texts.reasoning,
    "tools": texts.tools,
    "image": image,
    "audio": audio,
}
_CAPABLE = ("tools", "image", "audio", "echo")
"""The features that a backend must have a way to ask for, by the names of its capabilities."""


def probed(model: Model) -> HTTPModel:
    """`model`, if it can be probed. Raises `UsageError`."""
    if isinstance(model, HTTPModel) and model.capabilities & {*ROUTES}:
        return model
    raise UsageError(
        f"{model.name} cannot be probed: only a model at one endpoint can, such as openai/NAME with "
        "--base-url URL, gemini/NAME or anthropic/NAME; evalkit models lists what each backend can do"
    )


async def probe(model: HTTPModel, bounds: Bounds | None = None) -> Probe:
    """Sends about `REQUESTS` small requests. A feature that was not tried within the time is unclear.

    The model stays open. Raises `UsageError` if nobody is there, or the endpoint refuses the key or each of
    its routes, and `ProviderError` if it fails on each.
    """
    bounds = bounds or Bounds()
    asker = Asker(model, 2 * bounds.request)
    end = time.monotonic() + bounds.total
    try:
        await model.reach()
    except ProviderError as error:
        raise UsageError(str(error)) from None
    if (listed := model.endpoint.listed) and listed.status == _WRONG_KEY:
        raise UsageError(
            f"{model.base_url} refuses the key: is {model.endpoint.key_env or 'the login'} right?"
        )
    routes = await _within(end, asker, {one: _route(one) for one in ROUTES if one in model.capabilities})
    answers = {one: _none_of(model, one) for one in ROUTES} | routes
    asker.seconds = bounds.request
    able = [one for one in ROUTES if answers[one].verdict == "yes"]
    if not able:
        refused = all(one.verdict == "no" for one in routes.values())
        message = f"{model.base_url} answered neither a chat nor a text to continue: {_why(routes)}"
        raise UsageError(message) if refused else ProviderError(message)
    answers |= await _within(end, asker, _trials(model, able))
    stops = answers["stop"].verdict == "yes"
    length = functools.partial(context, name=str(model.identity.get("model")), api=able[0], stops=stops)
    answers |= await _within(end, asker, {"context": length})
    answers |= {one: _none_of(model, one) for one in _CAPABLE if one not in model.capabilities}
    shown = tuple(answers.get(name) or _no_route(name) for name in _ORDER)
    counted = asker.prompt_tokens, asker.completion_tokens
    return Probe(model.name, model.base_url, time.time(), model.endpoint.sent, *counted, shown)


def _route(api: Api) -> Trial:
    return texts.chat if api == "chat" else texts.completion


def _trials(model: HTTPModel, able: list[Api]) -> dict[str, Trial]:
    """The trials on the routes that answer."""
    trials: dict[str, Trial] = {
        "stop": functools.partial(texts.stop, api=able[0]),
        "seed": functools.partial(texts.seed, api=able[0]),
    }
    for api in able:
        trials[f"{api}_n"] = functools.partial(texts.several, api=api)
        if "logprobs" in model.capabilities:
            trials[f"{api}_logprobs"] = functools.partial(texts.logprobs, api=api)
    if "chat" in able:
        trials |= _OF_CHATS
    if "completion" in able:
        trials["echo"] = texts.echo
    return {name: one for name, one in trials.items() if name not in _CAPABLE or name in model.capabilities}


async def _within(end: float, asker: Asker, trials: Mapping[str, Trial]) -> dict[str, Answer]:
    """The answers of the trials, which run at the same time until `end`."""
    tasks = {name: asyncio.ensure_future(tried(name, trial, asker)) for name, trial in trials.items()}
    if not tasks:
        return {}
    try:
        await asyncio.wait(tasks.values(), timeout=max(0.0, end - time.monotonic()))
        late = "it did not come to an end in the time of the probe"
        return {
            name: task.result() if task.done() else Answer(name, "unclear", late)
            for name, task in tasks.items()
        }
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def _none_of(model: HTTPModel, name: str) -> Answer:
    backend = model.name.partition("/")[0]
    return Answer(name, "no", f"{backend}/ has no way to ask for it")


def _no_route(name: str) -> Answer:
    return Answer(
        name, "no", "the route that it needs does not answer, or the backend has no way to ask for it"
    )


def _why(routes: Mapping[str, Answer]) -> str:
    return "; ".join(f"{name}: {answer.reason}" for name, answer in routes.items())
