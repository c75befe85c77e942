"""Parameters of a request beyond those that every protocol has: how they are typed and what they may be.

`SAMPLING` are the parameters that a server may otherwise take from a model's own file (vLLM and SGLang read
`generation_config.json`). `extra` holds anything else that a server's body takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.errors import UsageError
from evalkit.samples import JSON

EXTRA = "extra."
"""The beginning of the settings that put something into the body: `extra.KEY=VALUE`."""
SAMPLING = ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What lm-eval's tasks call the most tokens of a response (lm-eval's models/utils.py)."""
_OWN: Mapping[str, str] = {
    "model": "-m",
    "messages": "a protocol's prompt",
    "prompt": "a protocol's prompt",
    "tools": "a protocol's solver",
    "echo": "--set likelihood",
    "stream": "nothing: a stream is read where the endpoint gives no other answer",
    "n": "--set draws",
    "seed": "--seed",
    "max_completion_tokens": "--set max_tokens",
    "top_logprobs": "--set logprobs",
    "system": "--set system",
    **{
        name: f"--set {name}"
        for name in ("temperature", "top_p", "max_tokens", "stop", "logprobs", *SAMPLING)
    },
}
"""The fields of a body that evalkit decides itself, and what sets them."""


def typed_value(setting: str, value: object) -> str:
    """The value of a setting given from Python as it is typed on the command line: JSON after `extra.`."""
    return json.dumps(value) if setting.startswith(EXTRA) and not isinstance(value, str) else str(value)


def read_extra(typed: Mapping[str, str]) -> dict[str, JSON]:
    """The object that settings such as `extra.chat_template_kwargs.enable_thinking=false` describe.

    A dot begins an object inside. A value is JSON if it can be read as such, and otherwise a text. Raises
    `UsageError` for a field that evalkit sets itself, and for two settings that contradict each other.
    """
    found: dict[str, Any] = {}
    for setting, text in typed.items():
        path = setting.removeprefix(EXTRA).split(".")
        if not all(path):
            raise UsageError(f"--set {setting}={text}: must be extra.KEY=VALUE, such as extra.top_a=0.5")
        if path[0] in _OWN:
            raise UsageError(f"--set {setting}={text}: {path[0]} is decided by {_OWN[path[0]]}")
        place = found
        for key in path[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {setting}={text}: {key} already has the value {place!r}")
        if path[-1] in place:
            raise UsageError(f"--set {setting}={text}: {path[-1]} already has a value")
        place[path[-1]] = _value(text)
    return found


def _value(text: str) -> JSON:
    def refuse(name: str) -> float:
        raise ValueError(name)  # NaN and Infinity are not JSON: they are texts

    try:
        value: JSON = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return text
    return value
