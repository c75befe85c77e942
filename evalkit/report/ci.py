"""Writes a comparison for CI servers: as JUnit XML, and as GitHub's annotations and job summary."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from evalkit.compare.verdicts import DIFFERENT, Benchmark, Comparison, Unmeasured
from evalkit.errors import UsageError
from evalkit.report.comparison import comparison_text, flip_text, rows, texts
from evalkit.report.tabular import printable

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(comparison: Comparison) -> bytes:
    """JUnit XML with one test case per benchmark, as Jenkins, GitLab and GitHub's actions read it.

    A blocking benchmark that is worse is a failure; one that was refused, is missing or is incomplete is an
    error. An undecided benchmark passes, with the reason in its output. A benchmark that only head has is
    skipped.
    """
    cases = [_case(benchmark) for benchmark in rows(comparison)]
    for name, problem in comparison.problems:
        if not name:
            cases.append(ElementTree.Element("testcase", classname="evalkit", name="compare"))
            ElementTree.SubElement(cases[-1], "error", message=_xml(problem.text()))

    def counted(kind: str) -> str:
        return str(sum(case.find(kind) is not None for case in cases))

    suite = ElementTree.Element(
        "testsuite",
        name="evalkit compare",
        tests=str(len(cases)),
        failures=counted("failure"),
        errors=counted("error"),
        skipped=counted("skipped"),
    )
    suite.extend(cases)
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document


def _case(benchmark: Benchmark | Unmeasured) -> ElementTree.Element:
    problems = benchmark.problems if benchmark.blocking else ()
    case = ElementTree.Element("testcase", classname=_xml(benchmark.task), name=_xml(benchmark.name))
    if isinstance(benchmark, Benchmark) and benchmark.regression:
        message = "; ".join([benchmark.words(), *(problem.text() for problem in problems)])
        ElementTree.SubElement(case, "failure", message=_xml(message)).text = _xml(_details(benchmark))
    elif problems:
        message = "; ".join(problem.text() for problem in problems)
        ElementTree.SubElement(case, "error", message=_xml(message)).text = _xml(_details(benchmark))
    elif isinstance(benchmark, Unmeasured):
        ElementTree.SubElement(case, "skipped", message=_xml(_details(benchmark)))
    else:
        ElementTree.SubElement(case, "system-out").text = _xml(_details(benchmark))
    return case


def github_commands(comparison: Comparison) -> list[str]:
    """GitHub's workflow commands: an error for each regression and for everything else that fails the job."""
    found = []
    for benchmark in comparison.regressions:
        title = _property(f"evalkit: {benchmark.name} is worse")
        found.append(f"::error title={title}::{_data(', '.join(texts(benchmark)[1:4]))}")
    for name, problem in comparison.problems:
        what = "was not asked the same way" if problem.code == DIFFERENT else "is incomplete"
        title = _property(f"evalkit: {name or 'the comparison'} {what}")
        found.append(f"::error title={title}::{_data(problem.text())}")
    return found


def add_to_summary(comparison: Comparison) -> None:
    """Appends the Markdown to GitHub's job summary, if `GITHUB_STEP_SUMMARY` names one."""
    place = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(comparison_text([comparison], "markdown"))
    except OSError as error:
        raise UsageError(f"cannot write GITHUB_STEP_SUMMARY {place}: {error.strerror}") from None


def _details(benchmark: Benchmark | Unmeasured) -> str:
    words = [", ".join(texts(benchmark)), *(problem.text() for problem in benchmark.problems)]
    if isinstance(benchmark, Unmeasured):
        return "\n".join([*words, benchmark.words]) if benchmark.words else "\n".join(words)
    return "\n".join([*words, *(printable(flip_text(flip)) for flip in benchmark.flips)])


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
