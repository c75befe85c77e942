"""`hf/OWNER/NAME?trust_remote_code=on`: the Python files beside the weights, from a Hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from tests.hub_server import HubServer
from tests.tiny_llama import written

pytestmark = pytest.mark.slow  # each command imports transformers
CONFIG = """
from transformers import LlamaConfig


class MineConfig(LlamaConfig):
    model_type = "mine"
"""
MODEL = """
from transformers import LlamaForCausalLM

from .configuration_mine import MineConfig
from .scale_mine import SCALE


class MineForCausalLM(LlamaForCausalLM):
    config_class = MineConfig
    scale = SCALE
"""
ASKS = """
import asyncio, json, sys
from evalkit.errors import EvalkitError
from evalkit.models import open_model
from evalkit.models.base import Request
try:
    model = open_model(sys.argv[1])
    said = asyncio.run(model.generate(Request("Ann has 12 apples", 4)))
    print(json.dumps([model.identity["weights"], said.text]))
except EvalkitError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def asked(home: Path, url: str, typed: str) -> tuple[str, str]:
    """(digest of the weights, answer) in a process of its own; or (kind of the error, message)."""
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ASKS, typed], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    return first, second


def test_code_beside_the_weights_is_downloaded_and_in_the_digest(tmp_path: Path) -> None:
    folder = written(tmp_path / "mine")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    config = json.loads(files["config.json"])
    named = {
        "AutoConfig": "configuration_mine.MineConfig",
        "AutoModelForCausalLM": "modeling_mine.MineForCausalLM",
    }
    config |= {"model_type": "mine", "architectures": ["MineForCausalLM"], "auto_map": named}
    files |= {
        "config.json": json.dumps(config).encode(),
        "configuration_mine.py": CONFIG.encode(),
        "modeling_mine.py": MODEL.encode(),
        "scale_mine.py": b"SCALE = 1\n",
    }
    elsewhere = {key: f"acme/code--{value}" for key, value in named.items()}
    with HubServer() as hub:
        hub.publish("acme/mine", files)
        digest, text = asked(tmp_path / "home", hub.url, "hf/acme/mine?trust_remote_code=on")
        assert (len(digest), bool(text)) == (64, True), text
        kind, message = asked(tmp_path / "home", hub.url, "hf/acme/mine")
        assert kind == "ProviderError"
        assert "trust_remote_code" in message
        hub.publish("acme/mine", {**files, "scale_mine.py": b"SCALE = 2\n"})
        changed, same = asked(tmp_path / "home", hub.url, "hf/acme/mine?trust_remote_code=on")
        assert (changed != digest, same) == (True, text)

        code = {name: data for name, data in files.items() if name.endswith(".py")}
        hub.publish("acme/code", code)
        weights = {name: data for name, data in files.items() if name not in code}
        weights["config.json"] = json.dumps({**config, "auto_map": elsewhere}).encode()
        hub.publish("acme/weights", weights)
        first, text = asked(tmp_path / "home", hub.url, "hf/acme/weights?trust_remote_code=on")
        assert (len(first), text) == (64, same)
        hub.publish("acme/code", {**code, "scale_mine.py": b"SCALE = 3\n"})
        second, text = asked(tmp_path / "home", hub.url, "hf/acme/weights?trust_remote_code=on")
        assert (second != first, text) == (True, same)
        hub.publish(
            "acme/weights", {**weights, "config.json": weights["config.json"].replace(b"code--", b"no--")}
        )
        kind, message = asked(tmp_path / "home", hub.url, "hf/acme/weights?trust_remote_code=on")
        assert kind == "UsageError"
        assert "its code in acme/no is not had from the Hub" in message
