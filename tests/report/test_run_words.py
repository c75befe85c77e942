"""Runs in words: what a manifest says, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from evalkit.report.html.run_words import in_words
from evalkit.runfile.store import Store
from tests.report.pages import page_of, run_of


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (
            {
                "model": {
                    "name": "openai/gpt-9",
                    "identity": {
                        "backend": "openai", "model": "gpt-9", "endpoint": "https://api.example.com/v1",
                    },
                },
                "judges": {"judge": "openai/judge-1"}, "seed": 3, "started": "2026-03-05T23:30:00-02:00",
                "spent": 1234.567,
            },
            "openai/gpt-9: the responses came over HTTP from the model gpt-9 at api.example.com, "
            "by the backend openai. Judged by openai/judge-1 (judge). The run began on 6 March "
            "2026 at 01:30 UTC, with seed 3 for its draws. Its responses cost 1,234.57 USD by the"
            " prices that evalkit knew.",
        ),
        (
            {
                "model": {
                    "name": "hf/some/model",
                    "identity": {
                        "backend": "hf", "weights": "0123456789abcdef", "dtype": "bfloat16", "bits": 4,
                        "adapter": "12", "transformers": "9.0", "torch": "3.0",
                    },
                },
                "seed": 0,
            },
            "hf/some/model: the responses were computed on the machine of the run with "
            "transformers 9.0, weights 0123456789ab, in bfloat16, quantised to 4 bits, with an "
            "adapter.",
        ),
        (
            {
                "model": {
                    "name": "vllm/m",
                    "identity": {
                        "backend": "vllm", "vllm": "0.9", "dtype": "auto",
                        "arguments": {"max_model_len": 8192, "quantization": "fp8"},
                    },
                },
                "spent": 0.0, "started": "yesterday",
            },
            "vllm/m: the responses were computed on the machine of the run with vLLM 0.9, "
            "quantised by fp8, with a context of 8192 tokens.",
        ),
        (
            {"model": {"name": "m", "identity": {"imported": "HELM", "model": "m", "deployment": "d"}}},
            "m: the responses were made by HELM and imported.",
        ),
        (
            {"model": {"name": "own/m", "identity": {"backend": "own"}}, "spent": 0.0123},
            "own/m: the backend own gave the responses. Its responses cost 0.012 USD by the "
            "prices that evalkit knew.",
        ),
    ],
)  # fmt: skip
def test_a_run_in_words(manifest: dict[str, Any], words: str) -> None:
    assert in_words(manifest) == words


def test_the_page_has_the_words_above_the_folded_facts(tmp_path: Path) -> None:
    path = run_of(tmp_path, "r", "gsm8k:8-shot-cot")
    page = page_of(path, charts=False)
    with Store.open(path) as store:
        words = in_words(store.manifest)
    assert re.fullmatch(
        r"fake/gold: evalkit's stand-in for a model gave the responses, .* data\. The run began on .* UTC\.",
        words,
    )
    before, _, after = page.partition(words.replace("'", "&#39;"))
    assert before.endswith("<p>")
    assert after.startswith("</p>\n<details><summary>Settings and versions</summary>")
