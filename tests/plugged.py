"""Packages with plugins, as pip leaves them in a folder: modules, and the metadata with entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit import plugins
from evalkit.identity import package

BACKEND = """
    from evalkit.api import Backend, Response

    class Loud:
        capabilities, parallel, identity = frozenset({"chat"}), None, {"loud": True}
        def __init__(self, named):
            self.name = named.typed
        async def generate(self, request, *, draw=0):
            return Response(request.prompt[-1].text.upper())
        async def aclose(self):
            pass

    LOUD = Backend("loud/NAME", "speaks up", ("chat",), "{module}:Loud")
"""
TASK = """
    from evalkit.api import Accuracy, Generated, Message, Protocol, Sample, Task, Verdict, task

    @task("tiny")
    def tiny():
        \"\"\"One question\"\"\"
        return Task(
            data=Generated(0, lambda chance: [{"q": "a"}]),
            sample=lambda record: Sample(id="1", input=record["q"], target=("A",)),
            prompt=lambda sample, protocol: (Message("user", sample.input),),
            answer=lambda text, sample: text,
            scorer=lambda answer, sample: Verdict(answer in sample.target),
            metrics=(Accuracy(),),
            protocols=(Protocol(name="one", max_tokens=4),),
        )
"""


def installed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    points: Mapping[str, str],
    code: str = "",
    version: str = "1.0",
) -> None:
    """Writes a package with one module of the package's name. `points`: `kind:name` → what it names in it."""
    (folder / f"{name}.py").write_text(dedent(code).replace("{module}", name), "utf-8")
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for point, value in points.items():
        kind, _, called = point.partition(":")
        lines += [f"[evalkit.{kind}]", f"{called} = {name}{':' if value else ''}{value}"]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if str(folder) not in __import__("sys").path:
        monkeypatch.syspath_prepend(str(folder))
    fresh()


def fresh() -> None:
    """Has entry points and files read again."""
    importlib.invalidate_caches()
    plugins._declared.cache_clear()
    package.package_digest.cache_clear()
