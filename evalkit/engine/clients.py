"""The clients of a run: one for the evaluated model, and one for each judge model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from evalkit.copies.model import Copies
from evalkit.engine.batch import taken_at_once
from evalkit.engine.client import ModelClient
from evalkit.engine.commits import Commits
from evalkit.engine.lanes import Lane, Lanes
from evalkit.engine.limiter import Limiter, make_limiter
from evalkit.engine.media import MediaCache
from evalkit.engine.probed import shared_draws
from evalkit.engine.progress import Progress
from evalkit.engine.provider_batches import ProviderBatches
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import counted
from evalkit.models.base import Model
from evalkit.models.batch_routes import has_batches
from evalkit.models.replicas import Replicas

_TOLD_EVERY = 10.0
"""Seconds between two lines that say what is waited for, if nothing else is said."""


def make_client(
    model: Model,
    concurrency: int | None,
    commits: Commits,
    retry: RetryPolicy,
    seed: int,
    media: MediaCache,
    *,
    judge: str = "",
    verify: float = 0.0,
    batch: int = 0,
    together: int | None = None,
) -> ModelClient:
    """The client of a model; the arguments are those of `ModelClient`, and `make_limiter`'s `concurrency`.

    `batch`: for a model that is asked by its provider's batch routes, how many requests wait at once unless
    `concurrency` says that. `together`: the most draws of one request, as `shared_draws` takes it; those of
    a judge, and in a batch, are sent one by one.
    """
    if batch and has_batches(model):
        most = concurrency or batch
        provider = ProviderBatches(model, commits, retry, most)
        return ModelClient(
            model, commits, Lanes([Lane(model, Limiter(most), provider)]), retry, seed, media, judge=judge
        )
    members = model.members if isinstance(model, Replicas | Copies) else (model,)
    lanes = [Lane(one, make_limiter(concurrency, one.parallel, taken_at_once(one))) for one in members]
    return ModelClient(
        model,
        commits,
        Lanes(lanes, concurrency),
        retry,
        seed,
        media,
        judge=judge,
        verify=verify,
        shared=None if judge else shared_draws(model, together),
    )


def listen(clients: Iterable[ModelClient], progress: Progress) -> None:
    """Has the clients tell `progress` what it has a method for; an object of the user's may have none."""
    for client in clients:
        client.on_wait, client.lanes.on_news = _method(progress, "waiting"), _method(progress, "news")
        client.on_sent = _method(progress, "on_sent")
        for provider in client.lanes.providers:
            provider.on_news = _method(progress, "news")


def _method(progress: Progress, name: str) -> Callable[..., None] | None:
    return getattr(progress, name, None)


async def tell_waits(clients: Iterable[ModelClient], progress: Progress, second: float) -> None:
    """Tells every ten seconds what the clients wait for. Ends when it is cancelled."""
    tell = getattr(progress, "awaiting", None)
    while tell is not None:
        await asyncio.sleep(_TOLD_EVERY * second)
        tell(" · ".join(filter(None, (client.flights.awaited() for client in clients))))


async def land(clients: Iterable[ModelClient], progress: Progress, *, stored: bool) -> None:
    """Lets the requests on their way arrive, for a few seconds: they are paid for.

    `stored`: whether their responses can be stored; otherwise they are cancelled at once. What waits in a
    batch at a provider goes on there.
    """
    clients, tell = [*clients], getattr(progress, "news", None)
    for client in clients:
        for provider in client.lanes.providers:
            await client.flights.land(0.0)
            if (names := provider.underway) and tell is not None:
                tell(f"{', '.join(names)} goes on at {provider.address}, and the resumed run joins it")
    found = [client for client in clients if client.flights.left]
    if not found:
        return
    if not stored:
        await asyncio.gather(*(client.flights.land(0.0) for client in found))
        return
    seconds = max(client.policy.grace * client.policy.second for client in found)
    count = sum(client.flights.left for client in found)
    if tell is not None:
        flying = counted(count, "request in flight has", "requests in flight have")
        tell(f"the run ends; {flying} {seconds:.3g} seconds left to arrive")
    await asyncio.gather(*(client.flights.land(seconds) for client in found))
