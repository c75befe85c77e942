"""Protocols: what they refuse, and how they are overridden."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import orjson
import pytest

from evalkit.benchmark.protocol import Protocol, ProtocolSettings
from evalkit.benchmark.solvers import ask_once
from evalkit.convert import from_json, to_json
from evalkit.errors import UsageError

PLAIN = Protocol(name="plain", solver=ask_once, shots=8, stop=("\nQ:",))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"api": "chatt"}, "unknown api 'chatt': did you mean chat?"),
        ({"shots": -1}, "shots must be at least 0, not -1"),
        ({"draws": 0, "temperature": 1.0}, "draws must be at least 1, not 0"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        ({"temperature": -0.1}, "temperature must be at least 0, not -0.1"),
        ({"temperature": float("nan")}, "temperature must be a finite number, not nan"),
        ({"temperature": float("inf")}, "temperature must be a finite number, not inf"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1, not 1.1"),
        ({"top_p": float("nan")}, "top_p must be above 0 and at most 1, not nan"),
        ({"draws": 2}, "draws=2 at temperature 0 sends the same request 2 times: add --set temperature=0.8"),
    ],
)
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        Protocol(**{"name": "bad", "solver": ask_once, **fields})
    assert str(error.value) == complaint


@pytest.mark.parametrize(
    ("settings", "label", "changes"),
    [
        ({}, "plain", {}),
        ({"shots": "8"}, "plain", {}),
        ({"shots": "4"}, "plain[shots=4]", {"shots": 4}),
        ({"shots": "8", "max_tokens": "5"}, "plain[max_tokens=5]", {"max_tokens": 5}),
        (
            {"temperature": "0.8", "draws": "200"},
            "plain[draws=200,temperature=0.8]",
            {"draws": 200, "temperature": 0.8},
        ),
        ({"top_p": "0.9"}, "plain[top_p=0.9]", {"top_p": 0.9}),
        ({"api": "completion"}, "plain[api=completion]", {"api": "completion"}),
        ({"stop": r"\n\n|END"}, r"plain[stop=\n\n|END]", {"stop": ("\n\n", "END")}),
        ({"stop": ""}, "plain[stop=]", {"stop": ()}),
        ({"stop": r"\nQ:"}, "plain", {}),
    ],
)
def test_an_override_changes_its_fields_and_the_name(
    settings: dict[str, str], label: str, changes: dict[str, Any]
) -> None:
    found = PLAIN.override(settings)
    overrides = {key: settings[key] for key in changes}
    assert found == dataclasses.replace(PLAIN, overrides=overrides, **changes)
    assert (found.name, found.label) == ("plain", label)


def test_an_override_may_hold_any_character() -> None:
    found = PLAIN.override({"stop": "a,b]|c=d"}, {"dataset": "x,y=[z]"})
    assert found.overrides == {"stop": "a,b]|c=d", "dataset": "x,y=[z]"}
    assert from_json(ProtocolSettings, to_json(found.settings()), "here") == found.settings()


def test_every_field_is_kept_in_a_file() -> None:
    routed = Protocol(
        name="r", solver=ask_once, draws=8, temperature=1.0, fallback=("one",), threshold=math.inf,
        stop=("\n",), language_hint=True, overrides={"threshold": "never"},
    )  # fmt: skip
    stored = orjson.loads(orjson.dumps(to_json(routed.settings())))
    assert from_json(ProtocolSettings, stored, "here") == routed.settings()
    with pytest.raises(UsageError, match="unknown key in here 'shot': did you mean shots"):
        from_json(ProtocolSettings, {**stored, "shot": 3}, "here")
    with pytest.raises(UsageError, match="here has no name"):
        from_json(ProtocolSettings, {}, "here")
    with pytest.raises(UsageError, match="here: shots = '3' must be an integer"):
        from_json(ProtocolSettings, {"name": "r", "shots": "3"}, "here")


def test_an_override_that_changes_nothing_is_the_same_protocol() -> None:
    assert PLAIN.override({"shots": "8", "api": "chat", "temperature": "0"}) is PLAIN


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"shot": "4"}, "unknown setting 'shot': did you mean shots?"),
        ({"name": "mine"}, "unknown setting 'name'"),
        ({"solver": "ask_once"}, "unknown setting 'solver'"),
        ({"shots": "four"}, "--set shots=four: must be an integer"),
        ({"shots": "4.0"}, "--set shots=4.0: must be an integer"),
        ({"temperature": "warm"}, "--set temperature=warm: must be a number"),
        ({"temperature": "nan"}, "temperature must be a finite number, not nan"),
        ({"api": "completions"}, "--set api=completions: must be chat or completion"),
        ({"draws": "4"}, "draws=4 at temperature 0"),
    ],
)
def test_an_override_that_makes_no_sense(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        PLAIN.override(settings)
    assert str(error.value).startswith(complaint)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fallback": "likely"}, "--set fallback=likely: protocol p is not routed"),
        ({"threshold": "0.5"}, "--set threshold=0.5: protocol p is not routed"),
        ({"logprobs": "5"}, "protocol p does not choose by likelihood"),
        ({"likelihood": "prompt"}, "protocol p does not choose by likelihood"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Protocol(name="p", solver=ask_once).override(settings)


def test_settings_of_likelihood_and_routing() -> None:
    likely = Protocol(name="p", solver=ask_once, api="completion", logprobs=20)
    assert (
        likely.override({"logprobs": "5", "likelihood": "prompt"}).label == "p[likelihood=prompt,logprobs=5]"
    )
    with pytest.raises(UsageError, match="a chat endpoint does not return the tokens of a prompt"):
        likely.override({"likelihood": "prompt", "api": "chat"})
    with pytest.raises(UsageError, match="must be next-token or prompt"):
        likely.override({"likelihood": "echo"})
    routed = Protocol(name="r", solver=ask_once, draws=8, temperature=1.0, fallback=("one", "two"))
    assert routed.calibrated
    assert routed.override({"fallback": "two"}).fallback == ("two",)
    assert routed.override({"threshold": "never"}).threshold == math.inf
    assert not routed.override({"threshold": "0.25"}).calibrated
