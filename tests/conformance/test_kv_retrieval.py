"""Lost-in-the-middle's rule and prompt, case by case, with the values of its own script."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from evalkit.tasks.kv_retrieval import prompt_json, response, score, score_exactly

from evalkit.benchmark.task import load_task
from evalkit.samples import Sample

TABLE = json.loads(Path(__file__).with_name("kv_retrieval.json").read_text("utf-8"))


def test_the_rule_is_that_of_the_official_script() -> None:
    """A blank response, which it counts as wrong, has no answer here: wrong, too, and shown as unparsable."""
    cases = TABLE["cases"]
    assert len(cases) >= 40
    assert {case["official"] for case in cases} == {0.0, 1.0}
    for case in cases:
        sample = Sample("s", "key", (case["value"],))
        answer = response(case["response"], sample)
        right = answer is not None and score(answer, sample).correct
        assert right == (case["official"] == 1.0), case["response"]
        exact = answer is not None and score_exactly(answer, sample).correct
        assert exact is case["exact"], case["response"]
    assert "29b8a6d" in TABLE["oracle"]


def test_the_prompt_is_the_official_one() -> None:
    protocol = load_task("kv-retrieval-json").protocol()
    for case in TABLE["prompts"]:
        sample = Sample("s", case["key"], (case["pairs"][1][1],), meta={"pairs": case["pairs"]})
        asked = prompt_json(sample, protocol)
        assert isinstance(asked, tuple)
        (message,) = asked
        assert hashlib.sha256(message.text.encode()).hexdigest() == case["sha256"]
        assert prompt_json(sample, protocol.override({"api": "completion"})) == message.text
