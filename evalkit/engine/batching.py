"""Decides before its first request whether a run is sent by batch routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.engine.client import Stopped
from evalkit.engine.plan import Plan
from evalkit.errors import ProviderError, UsageError, counted
from evalkit.models.batch_routes import BatchRoutes, has_batches
from evalkit.models.http import Refusal
from evalkit.runfile.batches import open_batches, set_requests
from evalkit.runfile.store import Store

if TYPE_CHECKING:
    from evalkit.engine.run import Options

_MOST = 20_000
"""Requests that wait for a batch at once: what they are made of is kept in memory."""
_MOST_WITH_MEDIA = 1_000
"""The same where each has pictures or clips."""
_OVER = (400, 404, 409)
"""The statuses of a provider that is asked to cancel a batch that has ended, or that it does not have."""


async def waiting_at_once(plan: Plan, store: Store, options: Options) -> int:
    """How many requests of a run wait at once for batches; 0 if they are sent one by one.

    Raises `UsageError` if the run cannot be sent as `options.batch` says. With False, batches that are not
    finished are cancelled, and nothing is expected of them any more; raises `Stopped` if that fails.
    """
    model, found = plan.model, open_batches(store)
    if options.batch:
        if not has_batches(model):
            raise UsageError(
                f"--batch: {model.name} has no batch routes: run the command without it, or a model of "
                "openai/, anthropic/, azure/ or groq/ at one address"
            )
        model.batch_routes()
        if other := next((one.endpoint for one, _ in found if one.endpoint != model.base_url), ""):
            raise UsageError(
                f"{store.path} has requests in batches at {other}: give that as --base-url, or send them "
                "again with --no-batch"
            )
        if options.verify:
            raise UsageError("--verify-fraction asks one request after the other: leave it or --batch out")
        return _MOST_WITH_MEDIA if any(cell.task.media for cell in plan.cells) else _MOST
    if found and options.batch is None:
        count = sum(len(custom_ids) for _, custom_ids in found)
        raise UsageError(
            f"{store.path} has {counted(count, 'request')} in batches at the provider: add --batch to join "
            "their responses, or --no-batch to cancel the batches and send the requests one by one"
        )
    for stored, _ in found:
        if stored.batch and has_batches(model) and stored.endpoint == model.base_url:
            await _cancel(model.batch_routes(), stored.batch)
        set_requests(store, stored.mark, ())
    store.commit()
    return 0


async def _cancel(routes: BatchRoutes, batch: str) -> None:
    """Cancels a batch, unless it has ended or is not known any more."""
    try:
        await routes.cancel(batch)
    except ProviderError as error:
        if not isinstance(error, Refusal) or error.status not in _OVER:
            raise Stopped(f"{batch} could not be cancelled: {error}", usage=error.fatal) from None
