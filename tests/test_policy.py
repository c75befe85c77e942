"""`evalkit.toml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.compare.policy import Policy, Rule, Terms, policy_of, read_policy
from evalkit.errors import UsageError


def read(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "evalkit.toml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Policy()
    assert Policy().terms("gsm8k", "maj1@32") == Terms(0.0, True, "", False, False, False, named=False)


def test_a_benchmark_says_what_it_says_and_else_the_general_holds(tmp_path: Path) -> None:
    policy = read(
        tmp_path,
        """
        [compare]
        alpha = 0.01
        margin = 2
        allow_subset = true
        [benchmarks.gsm8k]
        margin = 0.5
        allow_subset = false
        allow_missing = true
        [benchmarks."gsm8k:maj1@32"]
        blocking = false
        metric = "accuracy (strict)"
        """,
    )
    assert policy.alpha == 0.01
    assert policy.terms("gsm8k", "8-shot-cot") == Terms(0.5, True, "", False, True, False, named=True)
    assert policy.terms("gsm8k", "maj1@32") == Terms(
        2.0, False, "accuracy (strict)", False, False, True, named=True
    )
    assert policy.terms("mmlu", "5-shot") == Terms(2.0, True, "", False, False, True, named=False)


def test_the_command_line_comes_on_top_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert policy_of(None) == Policy()
    Path("evalkit.toml").write_text("[compare]\nmargin = 2\nallow_missing = true\n", encoding="utf-8")
    found = policy_of(None, alpha=0.1, allow_missing=False, allow_subset=True)
    assert found == Policy(alpha=0.1, margin=2, allow_missing=True, allow_subset=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[compare]\nmargni = 1", "did you mean margin?"),
        ("[comparing]", "did you mean compare?"),
        ("[benchmarks.gsm8k]\nblock = true", "[benchmarks.gsm8k]"),
        ("[compare]\nalpha = 5", "alpha must be between 0 and 1, not 5"),
        ("[compare]\nmargin = -1", "at least 0"),
        ("[compare]\nmargin = nan", "at least 0"),
        ("[benchmarks.gsm8k]\nmargin = -0.1", "the margin of gsm8k"),
        ("[compare]\nmargin = true", "evalkit.toml, [compare]: margin = True must be a number"),
        ("[compare]\nallow_subsets = true", "did you mean allow_subset"),
        ('[compare]\nblocking = "yes"', "[compare]: blocking = 'yes' must be true or false"),
        ("compare = 1", "evalkit.toml, [compare] must be a table of alpha, margin, blocking"),
        ("benchmarks = 1", "benchmarks must be tables"),
        ("[benchmarks]\ngsm8k = 1.0", "[benchmarks.gsm8k] must be a table of margin, blocking, metric"),
        ("[benchmarks.gsm8k]\nmetric = 3", "[benchmarks.gsm8k]: metric = 3 must be a text in quotes"),
        (
            "[compare.benchmarks.gsm8k]\nmargin = 1",
            "outside of [compare], in tables such as [benchmarks.gsm8k]",
        ),
        ("[compare", "not valid TOML"),
    ],
)
def test_what_is_not_known_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_policy(tmp_path / "none.toml")
    assert Policy(benchmarks={"a": Rule(margin=1)}).terms("a", "b").margin == 1
