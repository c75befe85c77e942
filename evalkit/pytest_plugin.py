"""A pytest plugin for quality gates in tests.

    from evalkit.pytest_plugin import assert_no_regression

    def test_the_model_is_no_worse(evalkit_run):
        head = evalkit_run("openai/my-model", "gsm8k:8-shot-cot", base_url="http://127.0.0.1:8000/v1")
        assert_no_regression("baselines/gsm8k.db", head, margin=1.0)

Run files are stored in the test's temporary folder, or in `--evalkit-runs DIR`. There, a second run of the
tests resumes them instead of repeating the requests, and CI can keep them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import counted

if TYPE_CHECKING:
    from evalkit.engine.chosen import TaskLike
    from evalkit.models.python_given import ModelLike

__all__ = ["EvalkitRun", "assert_no_regression", "evalkit_run"]

EvalkitRun = Callable[..., Path]
"""(model, tasks, **settings of `evalkit.evaluate`) → the finished run file."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("evalkit")
    group.addoption("--evalkit-runs", metavar="DIR", help="Folder in which run files are kept and resumed.")


@pytest.fixture
def evalkit_run(request: pytest.FixtureRequest, tmp_path: Path) -> EvalkitRun:
    """Evaluates a model: `evalkit_run(model, tasks, base_url=…, limit=…, settings=…, data=…)`.

    It takes the arguments of `evalkit.evaluate` and returns the path of the run file. It fails the test if
    samples failed.
    """
    kept = request.config.getoption("--evalkit-runs")

    def run(model: ModelLike, tasks: TaskLike | Sequence[TaskLike], **settings: Any) -> Path:
        from evalkit.engine.chosen import named, wanted
        from evalkit.models.python_given import name_of
        from evalkit.runfile.causes import told
        from evalkit.session import run as evaluate

        asked = tasks if isinstance(tasks, str) else "+".join(named(one.given) for one in wanted(tasks))
        slug = re.sub(r"[^\w.+-]+", "-", f"{request.node.name}_{name_of(model)}_{asked}")[:120].strip("-")
        path = Path(settings.pop("output", None) or Path(kept or tmp_path, f"{slug}.db"))
        table = evaluate(model, tasks, output=path, **settings)
        if table.failed:
            why = "; ".join(told(table.causes))
            pytest.fail(
                f"{counted(table.failed, 'sample')} failed: {why} (evalkit report {path} has the details)",
                pytrace=False,
            )
        return path

    return run


def assert_no_regression(
    base: str | Path,
    head: str | Path,
    *,
    margin: float | None = None,
    alpha: float | None = None,
    policy: str | Path | None = None,
    allow_different: bool = False,
    allow_missing: bool = False,
    allow_subset: bool = False,
) -> None:
    """Fails, with the comparison as the message, if `evalkit compare` would not exit with code 0.

    The arguments have the meaning of the options of `evalkit compare`; as there, the default policy is
    `evalkit.toml` in the current folder.
    """
    from evalkit.compare.policy import policy_of
    from evalkit.compare.runs import compare
    from evalkit.report.comparison import comparison_text
    from evalkit.runfile.store import Store

    rules = policy_of(
        Path(policy) if policy else None,
        margin=margin,
        alpha=alpha,
        allow_different=allow_different,
        allow_missing=allow_missing,
        allow_subset=allow_subset,
    )
    stores = Store.open(Path(base)), Store.open(Path(head))
    try:
        found = compare(*stores, rules)
    finally:
        for store in stores:
            store.close()
    if found.exit_code:
        raise AssertionError("\n" + comparison_text([found], "terminal", width=100))
