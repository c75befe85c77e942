"""A comparison for CI servers: JUnit's XML, and GitHub's annotations and job summary."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from evalkit.errors import UsageError
from evalkit.report.comparison import flip_text, texts, to_markdown
from evalkit.report.render import printable
from evalkit.verdicts import Benchmark, Comparison

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(comparison: Comparison) -> bytes:
    """A test case a benchmark, in the form that Jenkins, GitLab and GitHub's actions read.

    A blocking benchmark that is worse is a failure, an incomplete run an error; what cannot be said passes,
    with the words in its output.
    """
    cases = comparison.benchmarks
    suite = ElementTree.Element(
        "testsuite",
        name="evalkit compare",
        tests=str(len(cases) + len(comparison.incomplete)),
        failures=str(len(comparison.regressions)),
        errors=str(len(comparison.incomplete)),
    )
    for one in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(one.task), name=_xml(one.name))
        if one.regression:
            failure = ElementTree.SubElement(case, "failure", message=_xml(one.words()))
            failure.text = _xml(_details(one))
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(_details(one))
    for words in comparison.incomplete:
        case = ElementTree.SubElement(suite, "testcase", classname="incomplete", name=_xml(words))
        ElementTree.SubElement(case, "error", message=_xml(words))
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document


def github_commands(comparison: Comparison) -> list[str]:
    """GitHub's workflow commands: an error for each regression, a warning for what is incomplete."""
    found = [
        f"::error title={_property(f'evalkit: {one.name} is worse')}::{_data(', '.join(texts(one)[1:4]))}"
        for one in comparison.regressions
    ]
    return found + [f"::warning title=evalkit::{_data(words)}" for words in comparison.incomplete]


def add_to_summary(comparison: Comparison) -> None:
    """Appends the Markdown to GitHub's job summary, where there is one."""
    place = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(to_markdown(comparison))
    except OSError as error:
        raise UsageError(f"cannot write GITHUB_STEP_SUMMARY {place}: {error.strerror}") from None


def _details(one: Benchmark) -> str:
    return "\n".join([", ".join(texts(one)), *(printable(flip_text(flip)) for flip in one.flips)])


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
