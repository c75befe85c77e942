"""What a run has cost so far: an entry of the manifest, in US dollars, written with each response."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.models.prices import Price
from evalkit.models.text_tokens import estimated_tokens
from evalkit.runfile.records import OF_JUDGE, OF_TOOL
from evalkit.runfile.store import Store
from evalkit.samples import JUDGE

SPENT = "spent"
"""The entry of the manifest."""
_DRAWS = """
SELECT judge, prompt_tokens, completion_tokens, instr(body, '{"audio":') > 0,
    iif(prompt_tokens IS NULL, body, ''), iif(completion_tokens IS NULL, reasoning || text, ''),
    iif(judge = ?, json_extract(body, '$.role'), NULL)
FROM draw JOIN request ON request.id = draw.request WHERE judge != ?
"""


def set_spent(store: Store, usd: float) -> None:
    """Sets what the run has cost. The caller commits."""
    store.set_entry(SPENT, usd)


def spent_in(store: Store, price: Price | None, judges: Mapping[str, Price | None]) -> float:
    """What the run in `store` has cost so far, in US dollars.

    The responses of a run that had no prices are counted now: by `price` those of the evaluated model, by
    `judges` those of each role; None: they cost nothing. What was read from a cache then counts in full,
    because a response does not keep that.
    """
    if isinstance(known := store.manifest.get(SPENT), int | float):
        return float(known)
    if price is None and not any(judges.values()):
        return 0.0
    total = 0.0
    for asked, prompt, output, audio, body, text, role in store.connection.execute(
        _DRAWS, (OF_JUDGE, OF_TOOL)
    ):
        rates = judges.get(role or JUDGE) if asked == OF_JUDGE else price
        if rates is not None:
            prompt = estimated_tokens(body) if prompt is None else prompt
            output = estimated_tokens(text) if output is None else output
            total += rates.cost(prompt, output, audio=bool(audio))
    return total
