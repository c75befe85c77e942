"""Measures questions about pictures: memory, blocking of the event loop, and preparations per picture.

    python -m bench.pictures PICTURES QUESTIONS

asks QUESTIONS about each of PICTURES, over HTTP, and prints the figures as JSON. A picture has one megapixel;
every second one is a WebP, which must be encoded again, the others are JPEGs, which are sent as they are.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from bench.rows import Row, in_own_process, say
from bench.server import endpoint
from bench.watch import resident_megabytes
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.media import image as media_image
from evalkit.models.openai import OpenAIModel

SIDE = 1000
PAUSE, GROWTH = 50.0, 1.1
"""The budgets: ms of one callback on an idle machine, and the ratio of the last quarter's memory to the
second's that still counts as flat."""
LATENCY, CONCURRENCY = 0.05, 32
_TICK = 0.002


def measure(quick: bool) -> list[Row]:
    pictures, questions = (60, 5) if quick else (400, 5)
    found = in_own_process("bench.pictures", pictures, questions)
    resident = found["resident"]
    quarter = len(resident) // 4
    growth = median(resident[-quarter:]) / median(resident[quarter : 2 * quarter])
    asked = pictures * questions
    say(f"pictures: {asked} questions in {found['seconds']:.0f} s, {found['peak']:.0f} MB at most")
    return [
        Row(f"{asked} questions about {pictures} pictures: longest callback", found["callback"], "ms", PAUSE),
        Row("the same in CPU time, which does not depend on the load", found["cpu"], "ms", PAUSE),
        Row("longest wait for a turn of the event loop", found["pause"], "ms"),
        Row("preparations per picture", found["prepared"] / pictures, "×", 1.0),
        Row("ratio of the last quarter's resident memory to the second's", growth, "×", GROWTH),
        Row("peak resident", found["peak"], "MB"),
        Row("questions per second", asked / found["seconds"], "/s"),
    ]


def _picture(number: int) -> bytes:
    """A picture of soft shapes with some grain, which compresses about as well as a photograph."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 4, (SIDE, SIDE, 3))
    pixels = np.clip(np.asarray(soft.filter(ImageFilter.SMOOTH)) + grain, 0, 255).astype(np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "WEBP" if number % 2 else "JPEG", quality=85)
    return out.getvalue()


def _write(folder: Path, pictures: int, questions: int) -> None:
    """Writes the data set. Questions about one picture are not in a row, so that only a cache helps."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    kinds = {"image": {"_type": "Image"}}
    schema = pa.schema(
        [("question", pa.string()), ("answers", pa.string()), ("image", image)],
        metadata={"huggingface": json.dumps({"info": {"features": kinds}})},
    )
    files = [_picture(number) for number in range(pictures)]
    with pq.ParquetWriter(folder / "test.parquet", schema) as writer:
        for turn in range(questions):
            for start in range(0, pictures, 50):
                rows = [
                    {"question": f"{turn}?", "answers": "42", "image": {"bytes": data, "path": None}}
                    for data in files[start : start + 50]
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema))


class _Watch:
    """Records the longest callback of the event loop (ms, also CPU time), the longest wait for a turn (ms),
    and the resident memory (MB).

    A turn of the loop runs all callbacks that are ready, a hundred if 32 responses come at once, and between
    them other threads take the interpreter's lock. So the length of a turn is not that of a callback.
    """

    def __init__(self) -> None:
        self.callback = 0.0
        self.cpu = 0.0
        self.pause = 0.0
        self.resident: list[float] = []

    def spy(self) -> None:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            started, worked = time.perf_counter(), time.thread_time()
            run(handle)
            self.callback = max(self.callback, 1000 * (time.perf_counter() - started))
            self.cpu = max(self.cpu, 1000 * (time.thread_time() - worked))

        asyncio.Handle._run = timed  # type: ignore

    async def run(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK)
            now = time.perf_counter()
            self.pause = max(self.pause, 1000 * (now - last - _TICK))
            last = now
            self.resident.append(resident_megabytes())


async def _run(folder: Path, url: str) -> dict[str, float | Sequence[float]]:
    prepared = 0
    prepare = media_image.prepare

    def counted(*arguments: Any) -> media_image.Prepared:
        nonlocal prepared
        prepared += 1
        return prepare(*arguments)

    media_image.prepare = counted  # type: ignore[assignment]
    model = OpenAIModel("any", url)
    plan = make_plan(model, ["vqa"], settings={"dataset": str(folder)})
    store = open_run(folder / "run.db", plan)
    watch = _Watch()
    watch.spy()
    started = time.perf_counter()
    watching = asyncio.create_task(watch.run())
    try:
        await execute(plan, store, Options(CONCURRENCY))
    finally:
        watching.cancel()
        await model.aclose()
        store.close()
    step = max(1, len(watch.resident) // 400)
    return {
        "callback": watch.callback,
        "cpu": watch.cpu,
        "pause": watch.pause,
        "prepared": prepared,
        "resident": watch.resident[::step],
        "peak": max(watch.resident),
        "seconds": time.perf_counter() - started,
    }


def main(pictures: int, questions: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _write(place, pictures, questions)
        with endpoint(LATENCY) as url:
            print(json.dumps(asyncio.run(_run(place, url))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
