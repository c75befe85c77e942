"""Run files to export: with wrong, unreadable and failed answers, readings, pictures and likelihoods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import evalkit
from evalkit.errors import ProviderError
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from tests.album import album, square
from tests.made import sums
from tests.quiz import quiz

SECRETS = ("10.77.1.2", "inner.example", "ann-smith", "s3cret", "/tmp/", "/mnt/")
"""What must be in nothing that is exported."""
ERROR = "no answer from http://10.77.1.2:8000/v1 (inner.example:8001) for '/mnt/ann-smith/my keys/s3cret.txt'"


def leaks(found: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, secret) of each text with a secret in it."""
    return [(name, word) for name, text in found.items() for word in SECRETS if word in text]


def mixed(folder: Path, name: str = "fake/mixed", *, protocol: str = "once", file: str = "mixed.db") -> Path:
    """A run on 20 sums: most answers are right, some wrong, unreadable or cut off, and two samples fail."""

    def answer(request: Request, draw: int, hints: Hints) -> str | Response:
        gold = int(hints.gold())
        if gold in (4, 12):
            raise ProviderError(f"{ERROR} and {folder / 'mine.txt'}")
        if gold % 5 == 0:
            return "I have no idea"
        if gold % 7 == 1:
            return Response("It is about", finish="length", prompt_tokens=7, completion_tokens=3)
        said = str(gold) if gold % 3 or draw == 1 else "-1"
        return Response(said, prompt_tokens=7, completion_tokens=3, reasoning="Hm." if gold % 2 else "")

    path = folder / file
    model = FakeModel(Hinted(answer), name)
    evalkit.run(model, f"{sums(folder)}:sums:{protocol}", output=path, retries=0)
    return path


def ran(folder: Path, task: str, *, model: str = "fake/gold?wrong=0.4", data: str | None = "builtin") -> Path:
    path = folder / f"{len(list(folder.glob('*.db')))}.db"
    evalkit.run(model, task, output=path, data=data)
    return path


def quizzed(folder: Path, protocol: str) -> Path:
    """A run on a quiz with a variant, branches and letters by likelihood."""
    return ran(folder, f"{quiz(folder, test=12, validation=8)}:quiz:{protocol}", data=None)


def pictured(folder: Path) -> Path:
    """A run on two pictures, of which one cannot be read."""
    rows = [("a", "red", ["a.png"]), ("x/b", "blue", ["b.png"])]
    task = album(folder, {"a.png": square("red"), "b.png": b"no picture"}, rows)
    return ran(folder, task, model="fake/gold", data=None)
