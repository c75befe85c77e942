"""Concurrent calls reach a function that blocks in few large batches, in one thread, and fail apart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from evalkit.errors import ProviderError
from evalkit.models.batches import Batches


class Loud:
    """Says texts in capitals, and notes each call; fails as the key or the text says."""

    def __init__(self, most: int = 256) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.threads: set[str] = set()
        self.began, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self.batches = Batches[str, str, str](self.say, most=most, length=len, name="loud")

    def say(self, key: str, texts: Sequence[str]) -> Sequence[str | Exception]:
        self.calls.append((key, [*texts]))
        self.threads.add(threading.current_thread().name)
        self.began.set()
        assert self.gate.wait(10)
        if key == "stop":
            raise StopIteration
        if key == "broken":
            raise RuntimeError("the cable\nis loose")
        if key == "busy":
            raise ProviderError("busy", retryable=True)
        found = [ValueError("empty") if text == "?" else text.upper() for text in texts]
        return found[1:] if key == "short" else found

    async def ask(self, *texts: str, key: str = "") -> list[str | BaseException]:
        return await asyncio.gather(*(self.batches.ask(key, text) for text in texts), return_exceptions=True)


def test_many_calls_are_few_sorted_batches_in_one_thread() -> None:
    async def run() -> Loud:
        loud = Loud(most=128)
        texts = ["x" * (1 + number * 37 % 200) for number in range(200)]
        many, two = await asyncio.gather(loud.ask(*texts, key="a"), loud.ask("one", "three", key="b"))
        assert (many, two) == ([text.upper() for text in texts], ["ONE", "THREE"])
        await loud.batches.aclose()
        return loud

    loud = asyncio.run(run())
    assert [(key, len(texts)) for key, texts in loud.calls] == [("a", 128), ("a", 72), ("b", 2)]
    assert all(texts == sorted(texts, key=len, reverse=True) for _, texts in loud.calls)
    assert len(loud.threads) == 1
    assert not any(thread.name in loud.threads for thread in threading.enumerate())


def test_calls_that_come_while_the_thread_works_are_the_next_batch() -> None:
    async def run() -> Loud:
        loud = Loud()
        loud.gate.clear()
        first = asyncio.create_task(loud.ask("first"))
        await asyncio.to_thread(loud.began.wait, 10)
        rest = asyncio.create_task(loud.ask("b", "cc", "d"))
        await asyncio.sleep(0)
        loud.gate.set()
        assert [*await first, *await rest] == ["FIRST", "B", "CC", "D"]
        await loud.batches.aclose()
        return loud

    assert [texts for _, texts in asyncio.run(run()).calls] == [["first"], ["cc", "b", "d"]]


def test_what_fails_fails_apart() -> None:
    async def run() -> list[list[str | BaseException]]:
        loud = Loud()
        keys = ("fine", "broken", "busy", "short", "stop")
        found = await asyncio.gather(*(loud.ask("a", "?", key=key) for key in keys))
        await loud.batches.aclose()
        return found

    fine, broken, busy, short, stop = asyncio.run(run())
    assert fine[0] == "A"
    for (error, *_), message in (
        (fine[1:], "loud: ValueError: empty"),
        (broken, "loud: RuntimeError: the cable is loose"),
        (busy, "busy"),
        (short, "loud gave 1 result for 2 requests"),
        (stop, "loud: StopIteration"),
    ):
        assert isinstance(error, ProviderError)
        assert (str(error), error.retryable, error.fatal) == (message, message == "busy", False)
    assert broken[0] is not broken[1], "each call has an error of its own"


def test_a_cancelled_call_leaves_its_batch() -> None:
    async def run() -> Loud:
        loud = Loud()
        loud.gate.clear()
        first = asyncio.create_task(loud.ask("first"))
        await asyncio.to_thread(loud.began.wait, 10)
        leaving, staying = (asyncio.create_task(loud.batches.ask("", text)) for text in ("leaves", "stays"))
        await asyncio.sleep(0)
        leaving.cancel()
        first.cancel()  # its batch is in the thread
        loud.gate.set()
        assert await staying == "STAYS"
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await loud.batches.aclose()
        return loud

    assert [texts for _, texts in asyncio.run(run()).calls] == [["first"], ["stays"]]


def test_closing_drops_what_waits_and_a_later_call_starts_anew() -> None:
    loud = Loud()

    async def run() -> None:
        loud.gate.clear()
        inside = asyncio.create_task(loud.batches.ask("", "inside"))
        await asyncio.to_thread(loud.began.wait, 10)
        waits = asyncio.create_task(loud.batches.ask("", "waits"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(loud.batches.aclose())
        await asyncio.sleep(0)
        loud.gate.set()
        await closing
        for task in (inside, waits):
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert loud.calls == [("", ["inside"])]

    async def again() -> str:
        found = await loud.batches.ask("", "again")
        await loud.batches.aclose()
        return found

    assert asyncio.run(again()) == "AGAIN", "another event loop"
