"""The boxed integers of AIME and AMC beside lm-evaluation-harness's `aime24`, case by case."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

from evalkit.tasks.kit_contests import any_number, boxed_number, reference

from evalkit.data.exemplars import lm_eval_file

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("aime.json").read_text("utf-8"))


def harness() -> Any:
    spec = importlib.util.spec_from_file_location("aime_utils", lm_eval_file("aime/utils.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings(action="ignore"):  # it has an invalid escape sequence
        spec.loader.exec_module(module)
    return module


def test_a_response_is_right_as_in_the_harness_or_the_reason_is_named() -> None:
    theirs = harness()
    for case in TABLE["cases"]:
        response, target = case["response"], reference(case["reference"], "Find it.")
        assert (boxed_number(response), any_number(response)) == (case["answer"], case["flexible"]), case
        official = theirs.process_results({"answer": case["reference"]}, [response])["exact_match"] == 1
        assert official is case["harness"], case
        assert ((case["answer"] == target) is not official) is ("differs" in case), case
    assert {case["differs"] for case in TABLE["cases"] if "differs" in case} == set(TABLE["reasons"])
    assert len(TABLE["cases"]) >= 40
