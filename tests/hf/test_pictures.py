"""`hf/…` with models that read pictures, beside transformers on the same small models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError, UsageError  # noqa: E402
from evalkit.models import open_model  # noqa: E402
from evalkit.models.base import Request  # noqa: E402
from evalkit.samples import Audio, Image, Message  # noqa: E402
from tests import tiny_shown  # noqa: E402
from tests.cli.conftest import Cli, cli  # noqa: E402
from tests.hf.asking import answers, good, picture, plainly  # noqa: E402

__all__ = ["cli"]

pytestmark = pytest.mark.slow  # transformers takes seconds to import
CHATS = [
    (Message("user", (picture(1), "How many?")),),
    (Message("user", ("How many apples?", picture(2, 70, 30))),),
    (Message("user", ("Ann has", picture(3), "and finds", picture(4, 30, 90), "How many?")),),
    (Message("system", "Be brief."), Message("user", (picture(5, 33, 80), "How many?"))),
    (
        Message("user", (picture(1), "How many?")),
        Message("assistant", "Ann has 12 apples"),
        Message("user", (picture(2), "and", picture(6, 120, 120), "now?")),
    ),
    (Message("user", "Ann has 12 apples and finds 36 more. How many?"),),
]
"""Several sizes, places and numbers of pictures, and none."""


@pytest.fixture(scope="module", params=["llava", "idefics3", "gemma3", "llava_next"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = getattr(tiny_shown, request.param)(tmp_path_factory.mktemp("models") / request.param)
    return made


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_shown.llava(tmp_path_factory.mktemp("models") / "llava")


def test_texts_are_those_of_transformers_one_by_one(folder: Path) -> None:
    found = answers(folder, [Request(chat, 12 + n) for n, chat in enumerate(CHATS)])
    for number, (chat, one) in enumerate(zip(CHATS, found, strict=True)):
        text, read = plainly(folder, chat, 12 + number)
        assert (good(one).text, good(one).prompt_tokens) == (text, read), number
    assert len({good(one).text for one in found}) == len(CHATS)  # what is shown decides the text


def test_together_and_alone_give_the_same(folder: Path) -> None:
    requests = [
        *(Request(chat, 9, logprobs=2) for chat in CHATS),
        *(Request(chat, 9, temperature=0.9, top_p=0.9, seed=n) for n, chat in enumerate(CHATS)),
        *(Request((Message("user", (picture(n), "How many?" * n)),), 7) for n in range(1, 6)),
    ]
    together = [good(one) for one in answers(folder, requests)]
    alone = [good(one) for one in answers(folder, requests, "&rows=1")]
    for left, right in zip(together, alone, strict=True):
        assert (left.text, left.finish, left.prompt_tokens) == (right.text, right.finish, right.prompt_tokens)
        assert [one.logprob for one in left.logprobs] == pytest.approx(
            [one.logprob for one in right.logprobs], abs=1e-3
        )
