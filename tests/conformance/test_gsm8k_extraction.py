"""GSM8K's two numbers beside lm-evaluation-harness's `flexible-extract` and `strict-match`, case by case.

The tables' harness columns are checked against the patterns in the installed package, so that they cannot
come to say what the harness does not do.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.scoring import final_number, stated_number

Extract = Callable[[str], str | None]
NONE = "[invalid]"


def table(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name(f"gsm8k_{name}.json").read_text("utf-8"))
    return found


READERS: dict[str, tuple[str, Extract, dict[str, Any]]] = {
    "flexible": ("flexible-extract", final_number, table("flexible")),
    "strict": ("strict-match", stated_number, table("strict")),
}
CASES = [(name, case) for name, (_, _, found) in READERS.items() for case in found["cases"]]


@functools.cache
def harness(name: str) -> Callable[[str], str]:
    """What the installed harness compares with the reference: its own filter, under its own configuration."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "tasks/gsm8k/gsm8k-cot.yaml"
    config = yaml.safe_load(file.read_text("utf-8"))
    (filters,) = [entry["filter"] for entry in config["filter_list"] if entry["name"] == name]
    (metric,) = config["metric_list"]
    options = {key: value for key, value in filters[0].items() if key != "function"}
    regex_filter: Any = importlib.import_module("lm_eval.filters.extraction").RegexFilter(**options)

    def compared(response: str) -> str:
        ((text,),) = regex_filter.apply([[response]], [{}])
        for ignored in metric["regexes_to_ignore"]:
            text = re.sub(ignored, "", text)
        return str(text.lower() if metric["ignore_case"] else text)

    return compared


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda value: value if isinstance(value, str) else None)
def test_the_answer_is_the_harness_s_or_the_reason_is_named(name: str, case: dict[str, str]) -> None:
    filter_name, extract, _ = READERS[name]
    ours, theirs = extract(case["response"]), harness(filter_name)(case["response"])
    assert theirs == case["harness"]
    assert ours == case["answer"]
    assert ((ours or NONE) != theirs) is ("differs" in case)


@pytest.mark.parametrize("name", READERS)
def test_the_table_is_whole(name: str) -> None:
    _, _, found = READERS[name]
    cases = found["cases"]
    assert len({case["response"] for case in cases}) == len(cases) >= 35
    assert {case["differs"] for case in cases if "differs" in case} == set(found["reasons"])
    assert "EleutherAI/lm-evaluation-harness 0.4.13" in found["oracle"]
