"""Decides before its first request whether a run is sent by batch routes."""

from __future__ import annotations

from evalkit.engine.plan import Plan
from evalkit.errors import UsageError
from evalkit.models.batch_routes import has_batches
from evalkit.runfile.batches import open_batches, set_requests
from evalkit.runfile.store import Store

_MOST = 20_000
"""Requests that wait for a batch at once: what they are made of is kept in memory."""
_MOST_WITH_MEDIA = 1_000
"""The same where each has pictures or clips."""


def most_waiting(plan: Plan) -> int:
    """How many requests of a plan wait at once in batches."""
    return _MOST_WITH_MEDIA if any(cell.task.media for cell in plan.cells) else _MOST


def check_batch(plan: Plan, store: Store, batch: bool | None, verify: float) -> None:
    """Checks whether a run can be sent as `batch` says (`engine.run.Options`). Raises `UsageError`.

    With `batch` False, what is still in batches is given up.
    """
    if batch:
        if not has_batches(plan.model):
            raise UsageError(
                f"--batch: {plan.model.name} has no batch routes: run the command without it, or a model of "
                "openai/, anthropic/, azure/ or groq/"
            )
        plan.model.batch_routes()
        if verify:
            raise UsageError("--verify-fraction asks one request after the other: leave it or --batch out")
        return
    found = open_batches(store)
    if not found:
        return
    if batch is None:
        count = sum(len(custom_ids) for _, custom_ids in found)
        raise UsageError(
            f"{store.path} has {count:,} requests in batches at the provider: add --batch to join their "
            "responses, or --no-batch to give them up and send the requests again"
        )
    for one, _ in found:
        set_requests(store, one.mark, ())
    store.commit()
