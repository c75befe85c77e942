"""What the requests of a run cost, and `--max-cost`: a run stops before the amount is passed.

Before a request is sent, the most that it can cost is reserved: one token for each byte of its texts, and
`max_tokens` of output. The response's own numbers replace that. A request that does not fit waits for those
in flight, so that fewer are in flight as the rest gets small; one that does not fit although none is in
flight ends the run.

An attempt that was refused with an HTTP status costs nothing. One to which no response came, after a timeout
or a broken connection, may have been answered and billed: it counts with all that was reserved.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from evalkit.engine.client import ModelClient, Stopped
from evalkit.engine.commits import Commits
from evalkit.engine.flights import Sending
from evalkit.engine.plan import Plan
from evalkit.engine.progress import Progress
from evalkit.errors import ProviderError, counted
from evalkit.models.base import Model, Request, Response
from evalkit.models.prices import Price, Prices
from evalkit.models.request_tokens import has_audio, input_tokens, most_input_tokens, most_output_tokens
from evalkit.models.text_tokens import estimated_tokens
from evalkit.runfile.records import FAILED
from evalkit.runfile.spent import set_spent, spent_in
from evalkit.runfile.store import Store


class Spent(Stopped):
    """The run stopped because the next request might pass `--max-cost`. All responses are stored."""

    exit_code = 4


def check_prices(plan: Plan, prices: Prices, most: float | None) -> None:
    """Raises `UsageError` if a run is to stop at a cost, and the price of one of its models is not known."""
    if most is not None:
        prices.check(_models(plan))


def usd(amount: float) -> str:
    """An amount with as many digits as matter, such as `USD 12.35` or `USD 0.00042`."""
    return f"USD {amount:,.2f}" if amount >= 1 or amount == 0 else f"USD {amount:.2g}"


class Budget:
    """The money of one run. `spent`: US dollars, those of earlier parts of the run included.

    `unsaid`: how many responses had no number of tokens and were counted by an estimate.
    """

    def __init__(self, plan: Plan, prices: Prices, most: float | None, commits: Commits) -> None:
        found = {model.name: price for model in _models(plan) if (price := prices.of(model)) is not None}
        by_role = {role: found.get(judge.name) for role, judge in plan.judges.items()}
        self._prices, self._most, self._commits = found, most, commits
        self.spent = spent_in(commits.store, found.get(plan.model.name), by_role)
        self.unsaid = 0
        self._held, self._flying = 0.0, 0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    def charge(self, clients: Iterable[ModelClient]) -> None:
        """Has the requests of all clients whose model has a price counted."""
        for client in clients:
            if (price := self._prices.get(client.model.name)) is not None:
                batched = bool(client.lanes.providers)
                price = price.in_batch() if batched else price
                client.flights.charge = partial(self._charged, price, client.model.name, batched)

    def tell(self, progress: Progress) -> None:
        """Tells `progress` what was spent, if a model has a price."""
        tell = getattr(progress, "news", None)
        if tell is None or not self._prices:
            return
        most = "" if self._most is None else f" of at most {usd(self._most)}"
        unsaid = counted(self.unsaid, "response had no usage and is", "responses had no usage and are")
        unsaid = f"; {unsaid} estimated" if self.unsaid else ""
        tell(f"cost: {usd(self.spent)}{most}{unsaid}")

    async def _charged(
        self, price: Price, model: str, batched: bool, request: Request, work: Callable[[], Sending]
    ) -> Sending:
        """Waits until a request may be sent; returns what sends it and counts its cost. Raises `Spent`."""
        most = price.most(
            most_input_tokens(request, model), most_output_tokens(request), audio=has_audio(request)
        )
        await self._reserve(most)
        return self._paid(price, model, request, most, work, 0.0 if batched else most)

    async def _paid(
        self,
        price: Price,
        model: str,
        request: Request,
        most: float,
        work: Callable[[], Sending],
        lost: float,
    ) -> Response:
        """`lost`: the cost if the run ends first. The result of a batch is not lost: it is joined later."""
        try:
            response = await work()
        except ProviderError as error:
            self._settle(most, most if _may_be_billed(error) else 0.0)
            raise
        except BaseException:  # it was on its way when the run ended
            self._settle(most, lost)
            raise
        counts = [draw.completion_tokens for draw in response.draws]
        known = [count for count in counts if count is not None]
        whole = sum(known) if len(known) == len(counts) else None
        prompt = output = 0.0  # estimated only where the response has no number of its own
        if response.prompt_tokens is None:
            prompt = input_tokens(request, model)
        if whole is None:
            output = sum(estimated_tokens(draw.reasoning + draw.text) for draw in response.draws)
        self.unsaid += response.prompt_tokens is None or whole is None
        billed = dataclasses.replace(response, completion_tokens=whole)
        self._settle(most, price.paid(billed, prompt, output, audio=has_audio(request)))
        return response

    async def _reserve(self, amount: float) -> None:
        if not self._waiting and self._fits(amount):
            self._hold(amount)
            return
        if not self._flying:
            raise self._exhausted(amount)
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self._settle(amount, 0.0)  # it is not sent
            raise

    def _fits(self, amount: float) -> bool:
        return self._most is None or self.spent + self._held + amount <= self._most

    def _hold(self, amount: float) -> None:
        self._held += amount
        self._flying += 1

    def _settle(self, held: float, cost: float) -> None:
        self._flying -= 1
        self._held = self._held - held if self._flying else 0.0
        if cost:
            self.spent += cost
            set_spent(self._commits.store, self.spent)
            self._commits.soon()
        self._admit()

    def _admit(self) -> None:
        """Lets those go on that wait, in their order; none of them if the first one will never fit."""
        while self._waiting:
            amount, admitted = self._waiting[0]
            if admitted.done():  # cancelled
                self._waiting.popleft()
            elif self._fits(amount):
                self._waiting.popleft()
                self._hold(amount)
                admitted.set_result(None)
            elif self._flying:
                return
            else:
                self._waiting.popleft()
                admitted.set_exception(self._exhausted(amount))

    def _exhausted(self, amount: float) -> Spent:
        return Spent(
            f"--max-cost {self._most:g}: {usd(self.spent)} were spent, and the next request may cost up to "
            f"{usd(amount)}"
        )


def left_to_ask(plan: Plan, store: Store) -> str:
    """How many samples of each task have no answer yet, for a person."""
    cells = {(cell.task, cell.protocol, cell.role): cell for cell in store.cells()}
    found = []
    for planned in plan.cells:
        outcomes = store.outcomes(cells[planned.task.name, planned.protocol.name, planned.role])
        done = sum(count for outcome, count in outcomes.items() if outcome != FAILED)
        if planned.count is None:
            found.append(f"{planned.name}: {counted(done, 'sample is', 'samples are')} done")
        elif done < planned.count:
            found.append(f"{planned.name}: {planned.count - done:,} of {planned.count:,} samples are left")
    return "; ".join(found)


def _models(plan: Plan) -> tuple[Model, ...]:
    return (plan.model, *plan.judges.values())


def _may_be_billed(error: ProviderError) -> bool:
    """Whether a request may have been answered although no response came."""
    return not (error.unsent or error.fatal) and getattr(error, "status", None) is None
