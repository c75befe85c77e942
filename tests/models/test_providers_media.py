"""Pictures and clips of a whole run through the providers that take them; their stand-ins decode each."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.models import open_model
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from tests.album import COLOURS, album, square
from tests.anthropic_server import AnthropicServer
from tests.bedrock_server import BedrockServer
from tests.gemini_server import GeminiServer
from tests.models.asking import only_key
from tests.openai_server import OpenAIServer

SERVERS: dict[str, type[OpenAIServer]] = {
    "gemini": GeminiServer,
    "anthropic": AnthropicServer,
    "bedrock": BedrockServer,
    "mistral": OpenAIServer,
}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch)


def run(name: str, server: OpenAIServer, task: str, path: Path, **limits: Any) -> TableCell:
    async def go() -> TableCell:
        model = open_model(f"{name}/tiny", base_url=server.url, timeout=10)
        plan = make_plan(model, [task], **limits)
        store = open_run(path, plan)
        try:
            await execute(plan, store, Options(1, RetryPolicy(1)))
            return build_table([store]).cells[0]
        finally:
            store.close()
            await model.aclose()

    return asyncio.run(go())


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_model_that_sees_the_last_picture_scores_full_marks(name: str, tmp_path: Path) -> None:
    def look(payload: dict[str, Any], route: str) -> str:
        with PIL.Image.open(BytesIO(server.seen[-1].data)) as picture:
            seen: Any = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        return min(
            COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], seen, strict=True))
        )

    pictures = {
        f"{colour}.{kind.lower()}": square(colour, kind=kind)
        for colour, kind in zip(COLOURS, ("PNG", "JPEG", "WEBP", "TIFF"), strict=True)
    }
    rows = [(name, name.partition(".")[0], [*pictures, name]) for name in pictures]
    task = album(tmp_path, pictures, rows)
    with SERVERS[name](look) as server:
        cell = run(name, server, task, tmp_path / "r.db")
    assert (cell.value, cell.n) == (100.0, 4)
    assert len(server.seen) == 4 * 5
    assert {seen.mime for seen in server.seen} == {"image/png", "image/jpeg"}
    assert server.seen[0].data == pictures["red.png"]


@pytest.mark.slow
def test_gemini_hears_each_clip(tmp_path: Path) -> None:
    with GeminiServer(lambda payload, route: f"It lasts {server.heard[-1].seconds:.0f} seconds.") as server:
        cell = run(
            "gemini", server, "librispeech:0-shot", tmp_path / "r.db",
            data=DataOptions(small_sets=True), limit=2,
        )  # fmt: skip
    assert cell.outcomes["failed"] == 0
    assert len(server.heard) == 2
    assert {(heard.said, heard.format, heard.channels) for heard in server.heard} == {("audio/wav", "WAV", 1)}
