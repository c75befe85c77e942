"""The pages about providers and batches: their commands run against stand-ins; the table is the code's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.keys import VARIABLES
from evalkit.models import BACKENDS
from evalkit.models.providers import PROVIDERS
from tests.batch_server import AnthropicBatchServer, OpenAIBatchServer
from tests.gemini_server import GeminiServer

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "providers.md"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "least"), [("providers", 5), ("batch", 3)])
def test_what_the_page_shows_works(page: str, least: int, tmp_path: Path) -> None:
    """Each model is asked at the stand-in of its provider; nothing else of a command is changed."""
    key = "pk-3f9a7c21d4e8b6505a1e"
    environment = {**os.environ, **dict.fromkeys(VARIABLES, key)}
    commands = re.findall(r"^\$ evalkit (.*)$", (DOCS / f"{page}.md").read_text("utf-8"), re.MULTILINE)
    with (
        GeminiServer(api_key=key) as gemini,
        AnthropicBatchServer(api_key=key) as anthropic,
        OpenAIBatchServer(api_key=key) as other,
    ):
        servers = {"gemini": gemini, "anthropic": anthropic}
        for command in commands:
            words = shlex.split(command)
            if words[0] == "run":
                backend = words[words.index("-m") + 1].partition("/")[0]
                words += ["--base-url", servers.get(backend, other).url]
            subprocess.run(
                [sys.executable, "-m", "evalkit", *words], cwd=tmp_path, env=environment, check=True
            )
        assert all(server.requests for server in (anthropic, other))
        assert bool(gemini.requests) is (page == "providers")
        assert bool(anthropic.batches and other.batches) is (page == "batch")
    assert len(commands) >= least


def test_the_table_is_that_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    for name in ["openai", *PROVIDERS]:
        can = ", ".join(BACKENDS[name].capabilities)
        address = f"`{PROVIDERS[name].service.url}`" if name in PROVIDERS else ".*"
        row = rf"^\| `{name}/` \| {re.escape(address) if name in PROVIDERS else address} \| "
        assert re.search(rf"{row}`{BACKENDS[name].key_env}` \| {can} \|$", text, re.MULTILINE), name
