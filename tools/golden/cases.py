"""Collects all golden cases of an identity."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import cast

from tools.golden import answers, asking, parts
from tools.golden.calls import Case, distinct
from tools.golden.found import identities
from tools.golden.tables import conformance

PROMPTS = {"gsm8k.prompt": ("lm-eval",), "math.prompt": ("lm-eval",), "mmlu.prompt": ("lm-eval",)}
"""Packages that prompts take exemplars from. Identities do not name them; signatures have the prompts."""


@functools.cache
def cases_of(name: str) -> tuple[Case, ...]:
    """The cases of the identity `name`, with unique keys."""
    return tuple(distinct(generated(name)))


def generated(name: str) -> Iterator[Case]:
    """Yields the cases of the identity `name`, the cheapest first. A key may occur twice."""
    _, thing = identities()[name]
    if name.startswith("lm_eval_"):
        from tools.golden import harness

        yield from harness.cases(name)
        return
    if isinstance(thing, type):
        from tools.golden import measures

        yield from measures.cases(name)
        return
    function = cast(Callable[..., object], thing)
    yield from conformance(name, function)
    yield from answers.cases(name, function)
    yield from asking.cases(name, function)
    yield from parts.cases(name)


def packages_of(name: str) -> tuple[str, ...]:
    """The distributions whose versions may affect an output of the identity."""
    return (*identities()[name][0].packages, *PROMPTS.get(name, ()))
