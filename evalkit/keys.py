"""Keeps keys out of run files and off the screen.

Servers and libraries repeat the key they got: in errors, in an answer that shows the request, cut, escaped or
quoted. What they say is passed on without it: `redacted` replaces a key by its name in brackets. It is
applied to responses (`evalkit.runfile.encoding.checked`), to whatever is written to a run file, and to the
command's output.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The variables with the key of the Hub."""
PROXIES = tuple(form(f"{kind}_proxy") for kind in ("http", "https", "all") for form in (str.lower, str.upper))
"""The variables with the addresses of proxies."""
VARIABLES = (
    *HUB, "OPENAI_API_KEY", "JUDGE_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY",
    "AZURE_OPENAI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "COHERE_API_KEY", "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY", "OLLAMA_API_KEY", "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY", "XAI_API_KEY", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
)  # fmt: skip
"""The variables with the keys of endpoints, and of the libraries that evalkit uses."""
_API_KEY = "_API_KEY"
"""The end of the names of variables with keys of providers."""
_SECRET = re.compile(
    r"(^|_)(keys?|apikeys?|tokens?|secrets?|password|passwd|passphrase|credentials?|auth)(_|$)", re.IGNORECASE
)
_LOGIN = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*://)?([^/?#\s]+)@", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://[^/?#\s]+@", re.IGNORECASE)
"""The beginning of an address with a name and a password. Only a proxy's may lack the scheme."""
_LOGIN_LENGTH = 6
_LONGEST_TOKEN = 1000
_SHORTEST = 8
_LONG = 20
"""A key of that length is found even if only a part of it is repeated."""
_PIECE = 6
_PART = 2 * _PIECE
"""The shortest part that is found: each part of that length has a whole piece of the key."""

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")

_names: dict[str, str] = {}
_whole: set[str] = set()
"""Those of which no part is hidden: the name of a user may be a word."""


def hide(key: str, name: str) -> None:
    """Has `redacted` replace `key` by `[name]` from now on.

    A placeholder is not hidden: what is shorter than 8 characters, or is under 20 and has no digit or no
    letter ("not-needed"), may well be part of an answer.
    """
    if key not in _names and _is_secret(key):
        _names[key] = name


def hide_environment() -> None:
    """Hides the keys that evalkit and the libraries that it uses read from the environment.

    Also the passwords in addresses, such as `HTTPS_PROXY=http://name:password@proxy:3128`, and the key that
    `hf auth login` has stored.
    """
    hide(_stored_token(), HUB[0])
    for name, value in os.environ.items():
        if name in VARIABLES or name.endswith(_API_KEY):
            hide(value.strip(), name)
        elif _has_login(name, value) and (found := _LOGIN.match(value)) is not None:
            for login in (found[1], unquote(found[1])):
                user, colon, password = login.partition(":")
                hide(password or user, name)
                if colon and len(login) >= _LOGIN_LENGTH:  # also as the header that it becomes, in base64
                    _names.setdefault(login, name)
                    _whole.add(login)


def _stored_token() -> str:
    """The Hub's key in the file where huggingface_hub looks for it, or ""."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    place = os.environ.get("HF_TOKEN_PATH") or Path(os.environ.get("HF_HOME") or cache, "token")
    try:
        with Path(place).expanduser().open(encoding="utf-8") as file:
            return file.read(_LONGEST_TOKEN).strip()
    except (OSError, ValueError, RuntimeError):  # there is no file, no text in it, or no home
        return ""


def redacted(text: str) -> str:
    """`text` with the name of each hidden key in its place, also of a part of it, escaped or encoded."""
    for key, name in _names.items():
        forms = _forms(key, key in _whole)
        if "\\u00" in text or "&#" in text or ("%" in text and _PERCENT.search(text)):
            text = forms.escaped.sub(f"[{name}]", text)
        if any(piece in text for piece in forms.pieces):
            text = forms.removed(text, name)
    return text


def without_keys(environment: Mapping[str, str], kept: Collection[str] = ()) -> dict[str, str]:
    """The environment without variables that hold a secret, but for those in `kept`.

    These are variables whose names say so, and addresses with a password.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in kept or not (_SECRET.search(name) or _has_login(name, value))
    }


def _has_login(name: str, value: str) -> bool:
    """Whether the variable is an address with a name or a password in it."""
    return (_LOGIN if name in PROXIES else _ADDRESS).match(value) is not None


def _is_secret(key: str) -> bool:
    mixed = any(map(str.isdigit, key)) and any(map(str.isalpha, key))
    return len(key) >= _LONG or (len(key) >= _SHORTEST and mixed)


class _Forms:
    """What a key looks like in a text: `pieces` are strings of which every form that is found has one."""

    def __init__(self, key: str, whole: bool) -> None:
        in_parts = len(key) >= _LONG and not whole
        basic = base64.b64encode(key.encode()).decode().rstrip("=")
        self._forms = [*dict.fromkeys((key, json.dumps(key)[1:-1], quote(key, safe=""), basic))]
        self._places: dict[str, list[tuple[str, int]]] = {}
        for form in self._forms:
            size = _PIECE if in_parts and form is not basic else len(form)
            for start in range(0, len(form) - size + 1, size):
                self._places.setdefault(form[start : start + size], []).append((form, start))
        self._least = _PART if in_parts else 0
        self.pieces = tuple(self._places)
        self._found = re.compile("|".join(map(re.escape, self.pieces)))
        self.escaped = re.compile("".join(map(_escaped, key)))

    def removed(self, text: str, name: str) -> str:
        parts, kept, start = [], 0, 0
        while (found := self._found.search(text, start)) is not None:
            begin, end = max(
                (_widest(text, found.start(), form, place, kept) for form, place in self._places[found[0]]),
                key=lambda span: span[1] - span[0],
            )
            start = found.start() + 1
            if end - begin >= self._least:
                parts += [text[kept:begin], f"[{name}]"]
                kept = start = end
        return "".join([*parts, text[kept:]])


def _widest(text: str, at: int, form: str, place: int, first: int) -> tuple[int, int]:
    """The longest stretch of `text` around `at` that is a part of `form`, in which `at` is `place`."""
    begin, end = at, at
    while begin > first and place - (at - begin) > 0 and text[begin - 1] == form[place - (at - begin) - 1]:
        begin -= 1
    while end < len(text) and place + end - at < len(form) and text[end] == form[place + end - at]:
        end += 1
    return begin, end


def _escaped(character: str) -> str:
    code = ord(character)
    ways = rf"\\+u(?i:{code:04x})|%(?i:{code:02x})|&#0*{code};|&#[xX](?i:0*{code:x});"
    return f"(?:{re.escape(character)}|{ways})"


@lru_cache(maxsize=64)
def _forms(key: str, whole: bool) -> _Forms:
    return _Forms(key, whole)
