"""BIG-Bench-Hard's answer beside lm-evaluation-harness's `get-answer`, case by case.

The authors publish no scorer, but the outputs of code-davinci-002 and each task's accuracy. On these 13,022
outputs (suzgunmirac/BIG-Bench-Hard at 9ee07bd) evalkit's rules give the published accuracy on 27 of 27
tasks, with chains of thought and without; the means over 23 tasks are 73.93 and 56.61, where the paper
prints 73.9 and 56.6. The harness's filter gives another accuracy on some tasks: dyck_languages 55.6 for 56.8.
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
from evalkit.tasks.bbh import stated_answer

NONE = "[invalid]"


@functools.cache
def harness() -> Callable[[str], str]:
    """What the installed harness compares with the reference, by its own configuration."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "tasks/bbh/cot_fewshot")
    config = yaml.safe_load((folder / "_cot_fewshot_template_yaml").read_text("utf-8"))
    ((found, *_),) = [entry["filter"] for entry in config["filter_list"] if entry["name"] == "get-answer"]
    options = {key: value for key, value in found.items() if key != "function"}
    regex_filter: Any = importlib.import_module("lm_eval.filters.extraction").RegexFilter(**options)
    return lambda response: str(regex_filter.apply([[response]], [{}])[0][0])


def test_the_answer_is_the_harness_s_or_the_reason_is_named() -> None:
    table = json.loads(Path(__file__).with_name("bbh.json").read_text("utf-8"))
    cases = table["cases"]
    assert len({case["response"] for case in cases}) == len(cases) >= 40
    for case in cases:
        ours, theirs = stated_answer(case["response"]), harness()(case["response"])
        assert (ours, theirs) == (case["answer"], case["harness"]), case["response"]
        assert ((ours or NONE) != theirs) is ("differs" in case), case["response"]
    assert {case["differs"] for case in cases if "differs" in case} == set(table["reasons"])
    assert "EleutherAI/lm-evaluation-harness 0.4.13" in table["oracle"]
