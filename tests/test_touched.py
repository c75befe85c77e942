"""Which test files `make check` runs for what has changed."""

from __future__ import annotations

import pytest

from tools.touched import ALWAYS, touched


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("evalkit/scoring/number.py", {"tests/scoring/test_number.py"}),
        ("evalkit/identity/reach.py", {"tests/test_identity.py"}),  # by way of what imports it
        ("evalkit/runfile/measured.py", {"tests/test_metrics.py"}),
        ("tasks/mmlu.py", {"tests/tasks/test_mmlu.py"}),
        ("evalkit/cli/compare.py", {"tests/cli/test_compare.py", "tests/cli/test_gate.py"}),  # called by name
        ("evalkit/engine/judge_models.py", {"tests/engine/test_routed.py"}),  # by way of the plan
        ("tools/golden/measures.py", {"tests/golden/test_golden.py"}),
        ("tests/golden/outputs/mean_value.json", {"tests/golden/test_golden.py"}),
        ("tests/made.py", {"tests/cli/test_compare.py", "tests/test_runlock.py"}),
        ("tests/cli/conftest.py", {"tests/cli/test_faults.py", "tests/cli/test_power.py"}),
        ("tests/test_paired_statistics.py", {"tests/test_paired_statistics.py"}),
        ("docs/ci.md", {"tests/test_docs_ci.py"}),
    ],
)
def test_what_concerns_a_file_is_run(path: str, tests: set[str]) -> None:
    assert tests | {*ALWAYS} <= {*touched([path])}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "most"),
    [(".ci/run", 5), ("evalkit/scoring/number.py", 20), ("evalkit/cli/power.py", 10), ("docs/ci.md", 10)],
)
def test_what_does_not_is_not(path: str, most: int) -> None:
    assert len(touched([path])) <= most
