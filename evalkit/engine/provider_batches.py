"""Sends the requests of a model by its provider's batch routes, and survives the end of the process.

A request waits for its result as any other does. Those that wait are gathered, and sent as one batch once no
further one has come for a while, or the batch is full: a solver with several turns makes a batch of each.
Before a batch is submitted, the run file says which requests it has, and afterwards its id, so that a later
process knows which requests wait at the provider, joins their results, and sends only the others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing

from evalkit.engine.commits import Commits
from evalkit.engine.one_batch import Answer, Batch, Patience, Result
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError, counted
from evalkit.models.base import Request, Response
from evalkit.models.batch_routes import BATCHED, BatchedModel, BatchState, Failed
from evalkit.models.bodies import error_message
from evalkit.models.http import Refusal
from evalkit.runfile.batches import (
    custom_id_of,
    key_and_draw,
    open_batches,
    set_batch,
    set_requests,
    stored_batches,
)
from evalkit.runfile.records import StoredBatch
from evalkit.samples import JSON

_CALM, _STEP = 5, 1.0
"""A batch is complete after so many steps, of so many seconds, without a further request."""
_FIRST_PAUSE, _LONGER, _LONGEST_PAUSE = 2.0, 1.5, 60.0
"""Seconds between the first two looks at a batch, the factor of each further pause, and its limit."""
_LONGEST = 3 * 86_400.0
"""Seconds in which a batch must end; providers promise a day."""
_READINGS = 3
"""How often results are read in which some are missing, such as those of a file that ends early."""


class ProviderBatches:
    """The batches of one model in one run."""

    def __init__(self, model: BatchedModel, commits: Commits, policy: RetryPolicy, most: int) -> None:
        """`most`: how many requests a batch has at most, if the provider allows that many."""
        self.address = model.base_url
        self.on_news: Callable[[str], None] | None = None
        self._model, self._routes = model, model.batch_routes()
        self._commits, self._store = commits, commits.store
        self._patience = Patience(policy, self._tell)
        self._most = min(most, self._routes.most_requests)
        self._gathered: dict[str, tuple[str, bytes]] = {}
        """Custom id → (route, line) of the requests for the next batches."""
        self._size = 0
        """The bytes of these lines."""
        self._gathering: asyncio.Task[None] | None = None
        self._waits: dict[str, asyncio.Future[Result]] = {}
        self._holders: dict[str, Batch] = {}
        """Custom id → the batch that has the request."""
        self._one_at_a_time = False
        self._batches = [
            Batch(stored, custom_ids, restored=True)
            for stored, custom_ids in open_batches(self._store)
            if stored.endpoint == self.address
        ]
        for batch in self._batches:
            self._holders |= dict.fromkeys(batch.left, batch)  # of two batches, the later one has it
        for batch in [*self._batches]:
            batch.left = {one for one in batch.left if self._holders[one] is batch and not self._stored(one)}
            if not batch.left:
                self._forget(batch)

    async def generate(self, request: Request, draw: int) -> Response:
        """The response to one request. Raises `ProviderError`: nothing about how busy the endpoint is."""
        custom_id = custom_id_of(request.encoded()[0], draw)

        async def post(
            route: str, request: Request, payload: dict[str, JSON], read: Callable[[bytes], Response]
        ) -> Response:
            return read(await self._body(custom_id, route, payload))

        try:
            response = await self._model.generate_by(post, request)
        except ProviderError as error:
            error.away = error.throttled = error.limited = False
            raise
        signs = (*response.signs, (BATCHED, ""))
        return dataclasses.replace(response, seconds=0.0, signs=signs)  # nobody knows how long it took

    def close(self) -> None:
        """Stops waiting; what was submitted goes on at the provider."""
        for task in filter(None, (self._gathering, *(batch.task for batch in self._batches))):
            task.cancel()

    @property
    def underway(self) -> list[str]:
        """The ids of the batches that the provider works on."""
        return [batch.stored.batch for batch in self._batches if batch.stored.batch and not batch.ended]

    def awaited(self) -> str:
        """What is waited for, as a line of progress."""
        known = [batch for batch in self._batches if batch.sent and not batch.ended]
        lines = [batch.line(number, len(known)) for number, batch in enumerate(known, 1)]
        if self._gathered:
            lines.append(f"{counted(len(self._gathered), 'request')} gathered for a batch")
        return " · ".join(lines)

    async def _body(self, custom_id: str, route: str, payload: dict[str, JSON]) -> bytes:
        """The body of the response to a request. Raises `ProviderError`."""
        for one in self._batches:
            if one.task is None:
                self._follow(one, ())
        while True:
            wait = self._waits.get(custom_id)
            if wait is None:
                wait = self._waits[custom_id] = asyncio.get_running_loop().create_future()
                if custom_id not in self._holders:
                    self._gather(custom_id, route, payload)
            found = await asyncio.shield(wait)
            batch, answer = found.batch, found.answer
            if self._waits.get(custom_id) is wait:
                del self._waits[custom_id]
                if batch is not None:
                    batch.left.discard(custom_id)
                    self._forget_if_done(batch)  # committed together with the response
            if isinstance(answer, bytes):
                return answer
            if answer is not None:
                raise self._error(answer)

    def _stored(self, custom_id: str) -> bool:
        """Whether the run file has the response to a request. It has those with files under another key."""
        return self._store.response(*key_and_draw(custom_id)) is not None

    def _error(self, answer: Failed | str) -> ProviderError:
        if isinstance(answer, str):
            return ProviderError(answer, fatal=True)
        if answer.status:
            return self._routes.endpoint.refusal(answer.status, {}, answer.body)
        said = error_message(answer.body)
        return ProviderError(f"the batch ended without an answer to this request ({said})", retryable=True)

    # -- gathering -----------------------------------------------------------------------------------

    def _gather(self, custom_id: str, route: str, payload: dict[str, JSON]) -> None:
        line = self._routes.line(custom_id, route, payload)
        self._gathered[custom_id] = route, line
        self._size += len(line) + 1
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._submit_gathered())

    async def _submit_gathered(self) -> None:
        while self._gathered:
            seen = calm = 0
            while calm < _CALM and len(self._gathered) < self._most and self._size < self._routes.most_bytes:
                calm = calm + 1 if len(self._gathered) == seen else 0
                seen = len(self._gathered)
                await self._patience.sleep(_STEP)
            gathered, self._gathered, self._size = self._gathered, {}, 0
            for route, lines in self._parts(gathered):
                stored = StoredBatch(secrets.token_hex(8), "", self.address, route, len(lines), time.time())
                batch = Batch(stored, lines, restored=False)
                self._batches.append(batch)
                self._holders |= dict.fromkeys(lines, batch)
                set_requests(self._store, stored.mark, [*lines])
                set_batch(self._store, stored)
                if not self._commits.now():
                    return  # the run ends with that error
                self._follow(batch, lines.values())

    def _parts(self, gathered: Mapping[str, tuple[str, bytes]]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yields (route, lines by custom id) of batches within the provider's limits."""
        for route in dict.fromkeys(where for where, _ in gathered.values()):
            part: dict[str, bytes] = {}
            size = 0
            for custom_id, (where, line) in gathered.items():
                if where != route:
                    continue
                if len(part) >= self._most or (part and size + len(line) >= self._routes.most_bytes):
                    yield route, part
                    part, size = {}, 0
                part[custom_id] = line
                size += len(line) + 1
            yield route, part

    # -- one batch -----------------------------------------------------------------------------------

    def _follow(self, batch: Batch, lines: Iterable[bytes]) -> None:
        batch.task = asyncio.create_task(self._followed(batch, [*lines]))

    async def _followed(self, batch: Batch, lines: list[bytes]) -> None:
        """Sees a batch through, from its submission to its results. Raises nothing."""
        try:
            names = await self._names(batch, lines)
            lines.clear()
            for name in names:
                state = await self._end_of(batch, name)
                if state is not None and await self._joined(batch, name, state, last=name == names[-1]):
                    return
            self._settle(batch, None)
        except ProviderError as error:
            self._settle(batch, str(error))
        except Exception as error:  # noqa: BLE001 — else its requests would wait for ever
            self._settle(batch, f"{type(error).__name__}: {error}")

    async def _names(self, batch: Batch, lines: list[bytes]) -> list[str]:
        """The ids under which the provider may have the batch: after a submission, the one."""
        if lines:
            await self._turn(batch)
            if len(lines) > self._most:  # it was gathered before the provider said how many it takes
                return []
            names = await self._submitted(batch, lines)
            self._tell(
                f"a batch of {counted(batch.stored.requests, 'request')} was submitted to {self.address}"
            )
        elif batch.stored.batch:
            names = [batch.stored.batch]
        else:
            names = await self._patience.result(lambda: self._found(batch))
        if len(names) == 1:
            batch.stored = dataclasses.replace(batch.stored, batch=names[0])
            set_batch(self._store, batch.stored)
            self._commits.now()
        return names

    async def _turn(self, batch: Batch) -> None:
        """Waits for the batches before it, once the provider said that it takes no more at a time."""
        while self._one_at_a_time and (others := self._others(batch)):
            await asyncio.wait([one.task for one in others if one.task], return_when=asyncio.FIRST_COMPLETED)
        batch.sent = True

    def _others(self, batch: Batch) -> list[Batch]:
        return [one for one in self._batches if one is not batch and one.sent and not one.ended]

    async def _submitted(self, batch: Batch, lines: list[bytes]) -> list[str]:
        """The id of a new batch. After a failure that may have come too late, it is looked for first."""
        doubt = False

        async def submit() -> list[str]:
            nonlocal doubt
            if doubt and (found := await self._found(batch)):
                return found
            try:
                return [await self._routes.submit(lines, batch.stored.route, batch.stored.mark)]
            except ProviderError as error:
                doubt = doubt or not (error.limited or error.unsent or not error.retryable)
                raise

        try:
            return await self._patience.result(submit)
        except ProviderError:
            if not doubt:
                self._forget(batch)
            raise

    async def _found(self, batch: Batch) -> list[str]:
        """The ids of the batches at the provider that may be this one."""
        stored = batch.stored
        found = await self._routes.find(stored.mark, stored.at, stored.requests)
        others = {one.batch for one in stored_batches(self._store)}
        return [name for name in found if name not in others]

    async def _end_of(self, batch: Batch, name: str) -> BatchState | None:
        """The last state of a batch; None if there is nothing to be expected of it."""
        pause = _FIRST_PAUSE
        while True:
            try:
                state = await self._patience.result(lambda: self._routes.state(name))
            except Refusal as refusal:
                if refusal.status != 404 or not batch.restored:
                    raise
                self._tell(f"{self.address} no longer has batch {name}: its requests are sent again")
                return None
            batch.answered = state.answered
            if state.ended:
                return state
            if state.full:
                self._make_room(batch, state.failed)
                return None
            if state.failed:
                self._forget(batch)
                if batch.restored:
                    return None
                raise ProviderError(f"{self.address} did not accept batch {name}: {state.failed}")
            if time.time() - batch.stored.at > _LONGEST:
                raise ProviderError(
                    f"batch {name} of {self.address} has not ended in {_LONGEST / 86_400:g} days: --no-batch "
                    "cancels it and sends its requests one by one"
                )
            await self._patience.sleep(pause)
            pause = min(_LONGEST_PAUSE, _LONGER * pause)

    def _make_room(self, batch: Batch, said: str) -> None:
        """Has batches sent one after the other, and smaller ones if this one was alone.

        Raises `ProviderError` if it has only one request.
        """
        if not self._others(batch):
            if batch.stored.requests == 1:
                self._forget(batch)
                raise ProviderError(said)
            self._most = min(self._most, -(-batch.stored.requests // 2))
        self._one_at_a_time = True
        most = counted(self._most, "request")
        self._tell(f"{self.address}: {said} Batches of at most {most} are submitted one after the other")

    async def _joined(self, batch: Batch, name: str, state: BatchState, *, last: bool) -> bool:
        """Hands the results to those who wait for them. False: the batch has none of these requests.

        `last`: there is no other that may have them; what it does not answer is sent again.
        """
        missing = {one for one in batch.left if self._holders.get(one) is batch}
        expected = len(missing)

        async def read() -> None:
            async with aclosing(self._routes.results(name, state)) as results:
                async for custom_id, answer in results:
                    if custom_id in missing:
                        missing.discard(custom_id)
                        self._hand(batch, custom_id, answer)

        for _ in range(_READINGS):
            await self._patience.result(read)
            if not missing:
                break
            await self._patience.sleep(_FIRST_PAUSE)
        if len(missing) == expected and not last:
            return False
        batch.ended = True
        for custom_id in missing:
            self._hand(batch, custom_id, Failed(0, b'{"error": "it is not among the results"}'))
        self._forget_if_done(batch)
        return True

    def _hand(self, batch: Batch, custom_id: str, answer: Answer) -> None:
        self._holders.pop(custom_id, None)
        wait = self._waits.setdefault(custom_id, asyncio.get_running_loop().create_future())
        if not wait.done():
            wait.set_result(Result(batch, answer))

    def _settle(self, batch: Batch, words: str | None) -> None:
        """Ends a batch of which nothing comes. `words`: why the run ends; None: send its requests again."""
        batch.ended = True
        for custom_id in [one for one in batch.left if self._holders.get(one) is batch]:
            del self._holders[custom_id]
            wait = self._waits.get(custom_id)
            if wait is not None and not wait.done():
                wait.set_result(Result(None, words))
        if words is None:
            self._forget(batch)

    def _forget_if_done(self, batch: Batch) -> None:
        if batch.ended and not batch.left:
            self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        """Expects nothing of a batch any more. The next commit stores that."""
        set_requests(self._store, batch.stored.mark, ())
        if batch in self._batches:
            self._batches.remove(batch)

    def _tell(self, text: str) -> None:
        if self.on_news is not None:
            self.on_news(text)
