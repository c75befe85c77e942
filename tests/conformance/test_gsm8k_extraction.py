"""GSM8K's final number beside lm-evaluation-harness's `flexible-extract`, case by case.

The table's harness column is checked against the pattern in the installed package, so that it cannot
come to say what the harness does not do.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.answers import final_number

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("gsm8k_flexible.json").read_text("utf-8"))
CASES: list[dict[str, str | None]] = TABLE["cases"]
NONE = "[invalid]"


@pytest.fixture(scope="module")
def harness() -> Callable[[str], str]:
    """What the installed harness compares with the reference: its own filter, under its own configuration."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "tasks/gsm8k/gsm8k-cot.yaml"
    config = yaml.safe_load(file.read_text("utf-8"))
    (filters,) = [entry["filter"] for entry in config["filter_list"] if entry["name"] == "flexible-extract"]
    (metric,) = config["metric_list"]
    options = {key: value for key, value in filters[0].items() if key != "function"}
    regex_filter: Any = importlib.import_module("lm_eval.filters.extraction").RegexFilter(**options)

    def compared(response: str) -> str:
        ((text,),) = regex_filter.apply([[response]], [{}])
        for ignored in metric["regexes_to_ignore"]:
            text = re.sub(ignored, "", text)
        return str(text.lower() if metric["ignore_case"] else text)

    return compared


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["response"]))
def test_the_answer_is_the_harness_s_or_the_reason_is_named(
    case: dict[str, str], harness: Callable[[str], str]
) -> None:
    ours, theirs = final_number(case["response"]), harness(case["response"])
    assert theirs == case["harness"]
    assert ours == case["answer"]
    assert ((ours or NONE) != theirs) is ("differs" in case)


def test_the_table_is_whole() -> None:
    assert len(CASES) >= 40
    assert len({case["response"] for case in CASES}) == len(CASES)
    assert {case["differs"] for case in CASES if "differs" in case} == set(TABLE["reasons"])
    assert "EleutherAI/lm-evaluation-harness 0.4.13" in TABLE["oracle"]
