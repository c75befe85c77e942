"""The options of `evalkit run` that name judge models."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from evalkit.errors import UsageError
from evalkit.samples import JUDGE

if TYPE_CHECKING:
    from evalkit.models.base import Model

_ROLE = re.compile(r"([a-z][\w-]*)=")
"""Matches the role in ROLE=MODEL. A model's name or a URL has a slash or a colon before any equals sign."""


@dataclass(frozen=True)
class JudgeOptions:
    """What was given: each of MODEL, URL and NAME may have ROLE= before it."""

    typed: tuple[str, ...]
    urls: tuple[str, ...]
    keys: tuple[str, ...]

    def models(self, timeout: float, ray_address: str) -> dict[str, Model]:
        """Returns the judge models by role. Raises `UsageError`."""
        from evalkit.benchmark.task import judge_argument
        from evalkit.models import judge_key, open_model

        models, addresses = _by_role("--judge", self.typed), _all_by_role(self.urls)
        for role in addresses.keys() - models.keys():
            named = judge_argument(role, "MODEL")
            raise UsageError(f"--judge-base-url {addresses[role][0]} needs --judge {named}")
        named_keys = _by_role("--judge-api-key-env", self.keys)
        for role in named_keys.keys() - models.keys():
            named = judge_argument(role, "MODEL")
            raise UsageError(f"--judge-api-key-env {named_keys[role]} needs --judge {named}")
        return {
            role: open_model(
                name,
                base_url=addresses.get(role, ""),
                timeout=timeout,
                key_env=named_keys.get(role) or judge_key(name),
                ray_address=ray_address,
            )
            for role, name in models.items()
        }


def judge_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds the options; the function gets a `JudgeOptions` as `judges`."""

    @click.option(
        "--judge",
        "judges",
        multiple=True,
        metavar="[ROLE=]MODEL",
        help="Model that scores answers, or reads them if a task's rules cannot (mathvista). The table names "
        "it. Give one for each role that a task has, or one for all roles.",
    )
    @click.option(
        "--judge-base-url",
        "judge_urls",
        multiple=True,
        metavar="[ROLE=]URL",
        help="URL of the judge's endpoint, or several.",
    )
    @click.option(
        "--judge-api-key-env",
        "judge_keys",
        multiple=True,
        metavar="[ROLE=]NAME",
        help="The same for the judge's endpoint. Default: JUDGE_API_KEY if it is set, or else the backend's.",
    )
    @functools.wraps(function)
    def with_judges(
        judges: tuple[str, ...], judge_urls: tuple[str, ...], judge_keys: tuple[str, ...], **others: Any
    ) -> int:
        return function(judges=JudgeOptions(judges, judge_urls, judge_keys), **others)

    return with_judges


def _by_role(option: str, typed: tuple[str, ...]) -> dict[str, str]:
    found = _all_by_role(typed)
    for role, values in found.items():
        if len(values) > 1:
            raise UsageError(f"{option} {values[1]}: the role {role} already has {values[0]}")
    return {role: value for role, (value,) in found.items()}


def _all_by_role(typed: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in typed:
        match = _ROLE.match(text)
        role, value = (match[1], text[match.end() :]) if match else (JUDGE, text)
        found.setdefault(role, []).append(value)
    return found
