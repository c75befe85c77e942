"""Refactorings of evalkit's scorers, extractors, prompts and metrics, applied to a copy of the tree."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from evalkit.identity.source import parsed

ROOT = Path(__file__).parents[1]
Refactoring: TypeAlias = Callable[[Path], None]
"""Changes the package in a folder `evalkit`."""
COPIED = ("api.py", "benchmark", "metrics", "scoring")


def copy_of_evalkit(folder: Path) -> Path:
    """The package, whose rooms that declare versions are copies and whose other files are links."""
    package = folder / "evalkit"
    package.mkdir(parents=True)
    for path in (ROOT / "evalkit").iterdir():
        if path.name == "__pycache__":
            continue
        if path.name not in COPIED:
            (package / path.name).symlink_to(path)
        elif path.is_dir():
            shutil.copytree(path, package / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, package / path.name)
    shutil.copytree(ROOT / "tasks", package / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "reports").symlink_to(ROOT / "reports")
    return package


def sources(package: Path) -> Iterator[Path]:
    """The files that are copies."""
    yield package / "api.py"
    for room in ("benchmark", "metrics", "scoring", "tasks"):
        yield from sorted((package / room).rglob("*.py"))


def _replace(package: Path, pattern: str, new: str) -> None:
    for path in sources(package):
        text = path.read_text("utf-8")
        path.write_text(re.sub(pattern, new, text), "utf-8")


def renamed(old: str, new: str) -> Refactoring:
    """A function, wherever it is used; the name that `versioned` declares stays."""
    return lambda package: _replace(package, rf'(?<!versioned\(")\b{old}\b', new)


def renamed_inside(file: str, old: str, new: str) -> Refactoring:
    """A function or variable that one module alone uses."""

    def refactor(package: Path) -> None:
        path = package / file
        path.write_text(re.sub(rf"(?<!\.)\b{old}\b(?!=)", new, path.read_text("utf-8")), "utf-8")

    return refactor


def module_renamed(old: str, new: str) -> Refactoring:
    """`evalkit.scoring.anls` and the like, with all that import it."""

    def refactor(package: Path) -> None:
        room, _, name = old.rpartition(".")
        file = package.joinpath(*old.split(".")).with_suffix(".py")
        file.rename(file.with_name(f"{new}.py"))
        _replace(package, rf"\bevalkit\.{re.escape(old)}\b", f"evalkit.{room}.{new}")
        _replace(package, rf"(from evalkit\.{room} import (?:\w+, )*){name}\b", rf"\g<1>{new} as {name}")

    return refactor


def moved(file: str, name: str, *imports: str) -> Refactoring:
    """A helper to a module of its own, from which its old one imports it. `imports`: what it needs."""

    def refactor(package: Path) -> None:
        path = package / file
        text = path.read_text("utf-8")
        (node,) = (n for n in parsed(text).body if getattr(n, "name", "") == name)
        lines = text.splitlines(keepends=True)
        first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", ()))])
        body = "".join(lines[first - 1 : node.end_lineno])
        head = "from __future__ import annotations\n" + "".join(f"{line}\n" for line in imports)
        (path.parent / "apart.py").write_text(f"{head}\n\n{body}", "utf-8")
        room = path.parent.name
        lines[first - 1 : node.end_lineno] = []
        after = next(i for i, line in enumerate(lines) if line.startswith("from __future__")) + 1
        lines.insert(after, f"from evalkit.{room}.apart import {name}\n")
        path.write_text("".join(lines), "utf-8")

    return refactor


def imports_reordered(file: str) -> Refactoring:
    def refactor(package: Path) -> None:
        tree = parsed((package / file).read_text("utf-8"))
        places = [i for i, n in enumerate(tree.body) if isinstance(n, ast.Import | ast.ImportFrom)][1:]
        nodes = [tree.body[place] for place in reversed(places)]
        for place, node in zip(places, nodes, strict=True):
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names.reverse()
            tree.body[place] = node
        (package / file).write_text(ast.unparse(tree), "utf-8")

    return refactor


def docstrings_changed(file: str) -> Refactoring:
    def refactor(package: Path) -> None:
        tree = parsed((package / file).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                text = ast.Expr(ast.Constant("Other words."))
                node.body[: int(ast.get_docstring(node) is not None)] = [text]
        (package / file).write_text(ast.unparse(ast.fix_missing_locations(tree)), "utf-8")

    return refactor


def comments_changed(file: str) -> Refactoring:
    def refactor(package: Path) -> None:
        lines = (package / file).read_text("utf-8").splitlines()
        marked = [
            f"{line}  # as before" if line.startswith("def ") and line.endswith(":") else line
            for line in lines
        ]
        (package / file).write_text("\n".join([*marked, "# The end.", ""]), "utf-8")

    return refactor


def annotations_changed(file: str) -> Refactoring:
    """Those of functions: a dataclass needs the ones of its fields."""

    def refactor(package: Path) -> None:
        tree = parsed((package / file).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.returns = ast.Constant("object")
                for one in (*node.args.args, *node.args.kwonlyargs):
                    one.annotation = None
        (package / file).write_text(ast.unparse(ast.fix_missing_locations(tree)), "utf-8")

    return refactor


def reformatted(file: str) -> Refactoring:
    """As `ast.unparse` writes it: other quotes, lines and brackets, no comments."""

    def refactor(package: Path) -> None:
        path = package / file
        path.write_text(ast.unparse(parsed(path.read_text("utf-8"))), "utf-8")

    return refactor


REFACTORINGS: dict[str, Refactoring] = {
    "module anls": module_renamed("scoring.anls", "similarity"),
    "module code": module_renamed("scoring.code", "programs"),
    "module hendrycks": module_renamed("scoring.hendrycks", "spelling"),
    "module latex": module_renamed("scoring.latex", "boxes"),
    "module letter": module_renamed("scoring.letter", "letters"),
    "module mathvista": module_renamed("scoring.mathvista", "extraction"),
    "module mmmu": module_renamed("scoring.mmmu", "multimodal"),
    "module relaxed": module_renamed("scoring.relaxed", "five_per_cent"),
    "module vqa": module_renamed("scoring.vqa", "people"),
    "module guessing": module_renamed("metrics.guessing", "by_chance"),
    "function relaxed_match": renamed("relaxed_match", "within_tolerance"),
    "function chat_letter": renamed("chat_letter", "letter_of_a_chat"),
    "function anls_by_the_paper": renamed("anls_by_the_paper", "anls_as_published"),
    "function textvqa_accuracy": renamed("textvqa_accuracy", "m4c_accuracy"),
    "function rule_extraction": renamed("rule_extraction", "read_by_rule"),
    "function same_spelling": renamed("same_spelling", "spelled_alike"),
    "function chosen_letter": renamed("chosen_letter", "letter_of"),
    "class GuessingAccuracy": renamed("GuessingAccuracy", "ExpectedAccuracy"),
    "helper _similarity": renamed_inside("scoring/anls.py", "_similarity", "_nearness"),
    "helper _mentions": renamed_inside("scoring/letter.py", "_mentions", "_letters_in"),
    "helper _first_formula": renamed_inside("scoring/minerva.py", "_first_formula", "_formula"),
    "helper _phrases": renamed_inside("scoring/mmmu.py", "_phrases", "_said"),
    "helper _canonical": renamed_inside("scoring/number.py", "_canonical", "_written"),
    "helper _chunks": renamed_inside("scoring/speech.py", "_chunks", "_aligned"),
    "helper _leave_one_out": renamed_inside("scoring/vqa.py", "_leave_one_out", "_nine_of_ten"),
    "helper _mean": renamed_inside("metrics/bleu.py", "_mean", "_average"),
    "judge of docvqa": renamed_inside("tasks/docvqa.py", "score_by_the_paper", "as_published"),
    "extractor of chartqa": renamed_inside("tasks/chartqa.py", "whole_reply", "all_of_it"),
    "prompts of mmlu": renamed_inside("tasks/mmlu.py", "continued", "to_be_continued"),
    "constant of minerva": renamed_inside("scoring/minerva.py", "_STATEMENT", "_SAID"),
    "constant of number": renamed_inside("scoring/numeral.py", "_FURTHEST", "_LARGEST_POWER"),
    "variable of relaxed": renamed_inside("scoring/relaxed.py", "target", "expected"),
    "variable of vqa": renamed_inside("scoring/vqa.py", "matches", "agreeing"),
    "variable of pass_at_k": renamed_inside("metrics/pass_at_k.py", "correct", "passed"),
    "move _leave_one_out": moved("scoring/vqa.py", "_leave_one_out", "from collections.abc import Sequence"),
    "move _counted": moved("scoring/speech.py", "_counted"),
    "move _similarity": moved("scoring/anls.py", "_similarity", "from rapidfuzz.distance import Levenshtein"),
    "move estimate": moved("metrics/pass_at_k.py", "estimate", "import math"),
    "move _parts": moved("scoring/symbolic.py", "_parts"),
    "move code_block's helper": moved("scoring/code.py", "_unindented", "import re"),
    "move stated completion": moved(
        "scoring/code.py", "completion", "from evalkit.identity.declared import versioned"
    ),
    "imports of number": imports_reordered("scoring/number.py"),
    "imports of bleu": imports_reordered("metrics/bleu.py"),
    "imports of gsm8k": imports_reordered("tasks/gsm8k.py"),
    "docstrings of letter": docstrings_changed("scoring/letter.py"),
    "docstrings of mmmu": docstrings_changed("tasks/mmmu.py"),
    "comments of speech": comments_changed("scoring/speech.py"),
    "annotations of symbolic": annotations_changed("scoring/symbolic.py"),
    "annotations of math": annotations_changed("tasks/math.py"),
    "format of readers": reformatted("benchmark/readers.py"),
}
