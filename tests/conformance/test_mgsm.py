"""MGSM's numbers beside simple-evals' parser and lm-evaluation-harness's `strict-match`, case by case.

On 440 real problems, 40 of each language, and 14 ways to write an answer, `accuracy (simple-evals)` gave
simple-evals' verdict each time. The harness's column is checked against the installed package.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from evalkit.tasks.mgsm import harness_number, last_number, simple_evals_number, stated_number
from evalkit.tasks.mgsm_languages import LANGUAGES

from evalkit.samples import Sample

TABLE = json.loads(Path(__file__).with_name("mgsm.json").read_text("utf-8"))
NONE = "[invalid]"


@functools.cache
def harness(language: str) -> Callable[[str], str]:
    """The harness's own filter under its own configuration of the language."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "tasks/mgsm/native_cot")
    config = yaml.safe_load((folder / f"mgsm_native_cot_{language}.yaml").read_text("utf-8"))
    ((found, *_),) = [entry["filter"] for entry in config["filter_list"] if entry["name"] == "strict-match"]
    options = {key: value for key, value in found.items() if key != "function"}
    regex_filter: Any = importlib.import_module("lm_eval.filters.extraction").RegexFilter(**options)
    return lambda response: str(regex_filter.apply([[response]], [{}])[0][0])


def test_the_numbers_are_the_official_ones_or_the_reason_is_named() -> None:
    cases = TABLE["cases"]
    assert len({(case["language"], case["response"]) for case in cases}) == len(cases) >= 60
    assert {case["language"] for case in cases} == set(LANGUAGES)
    for case in cases:
        text, target = case["response"], case["target"]
        asked = Sample("own", "", (target,), group=case["language"])
        assert stated_number(text, asked) == case["answer"], case
        assert last_number(text, asked) == case["last"], case
        official = simple_evals_number(text, asked)
        assert (official == target) is case["right"], case
        zeros_off = case["parsed"].rstrip("0").rstrip(".") if "." in case["parsed"] else case["parsed"]
        assert (official or "") == zeros_off, case
        assert ((case["answer"] == target) != case["right"]) is ("differs" in case), case
        assert (harness_number(text, asked) or NONE) == case["harness"] == harness(case["language"])(text), (
            case
        )


def test_every_reason_is_needed_and_the_oracles_are_named() -> None:
    assert {case["differs"] for case in TABLE["cases"] if "differs" in case} == set(TABLE["reasons"])
    assert "openai/simple-evals at ee3b031" in TABLE["oracles"]["parsed"]
    assert "EleutherAI/lm-evaluation-harness 0.4.13" in TABLE["oracles"]["harness"]
