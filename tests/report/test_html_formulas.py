"""Formulas of the page as MathML, in a real browser: what is set, what stays, and that all are harmless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.report.pages import Watched, chromium, made_run, page_of

pytestmark = [needs.chromium, pytest.mark.slow]
TEXT = r"""We know $x^2$ and
\[
  x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
\]
so it costs $5 and $6.
\begin{align*}
a &= 1 \\
- b &= 2
\end{align*}
$$ \nonsense{x} $$
It is \boxed{\frac{3}{4}}, or \(y\).
The answer is 0."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formulas")
    (folder / "page.html").write_text(page_of(made_run(folder, "r", TEXT)), "utf-8")
    return folder / "page.html"


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[Watched]:
    with chromium() as found:
        found.open(page)
        yield found
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith("file:")] == []


def _set(opened: Watched, formula: str) -> str | None:
    """The MathML of a formula, without the outer element; None if it stays as it is written."""
    found: str | None = opened.tab.evaluate(
        'text => formula(text)?.innerHTML.replaceAll(/ xmlns="[^"]*"/g, \'\') ?? null', formula
    )
    return found


@pytest.mark.parametrize(
    ("formula", "mathml"),
    [
        (r"$\frac12$", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
        (r"$x^12$", "<msup><mi>x</mi><mn>1</mn></msup><mn>2</mn>"),
        (r"$\sqrt[3]{2}$", "<mroot><mn>2</mn><mn>3</mn></mroot>"),
        (r"$f'_1$", "<msubsup><mi>f</mi><mn>1</mn><mo>′</mo></msubsup>"),
        (r"$a \over b$", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        (r"$\text{if $x$}$", "<mrow><mtext>if&nbsp;</mtext><mi>x</mi></mrow>"),
        (r"$\mathbb{R}\not=\emptyset$", "<mi>ℝ</mi><mo>=\u0338</mo><mi>∅</mi>"),
        (r"$\boxed{1}$", '<mrow class="boxed"><mn>1</mn></mrow>'),
        (r"$\sin^2 x$", "<msup><mi>sin</mi><mn>2</mn></msup><mo>\u2061</mo><mi>x</mi>"),
        ("$1.5\\,\\%$", '<mn>1.5</mn><mspace width=".167em"></mspace><mi mathvariant="normal">%</mi>'),
        (
            r"$\sum_{i=1}^n i$",
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
        ),
    ],
)
def test_formulas_are_set(opened: Watched, formula: str, mathml: str) -> None:
    found = _set(opened, formula)
    assert found is not None
    assert found == mathml


@pytest.mark.parametrize(
    ("formula", "rows", "columns", "fences"),
    [
        (r"$\begin{pmatrix} 1 & 2 \\ 3 & 4 \\ \end{pmatrix}$", 2, 2, "()"),
        (r"$f(x) = \begin{cases} 1 & \text{if } x < 0 \\ 2 & \text{else} \end{cases}$", 2, 2, "{"),
        (r"\begin{align*} a &= b \\[2pt] &= c \end{align*}", 2, 2, ""),
        (r"\[\left\{\begin{array}{c|c} 1 & 2 \\ \hline 3 & 4 \end{array}\right.\]", 2, 2, "{"),
        (r"\[\begin{aligned} a &= \begin{bmatrix} 1 \end{bmatrix} \end{aligned}\]", 2, 1, "[]"),
    ],
)
def test_tables_have_rows_columns_and_fences(
    opened: Watched, formula: str, rows: int, columns: int, fences: str
) -> None:
    found = opened.tab.evaluate(
        """text => { const math = formula(text); return [
            math.querySelectorAll('mtr').length,
            Math.min(...[...math.querySelectorAll('mtr')].map(row => row.children.length)),
            [...math.querySelectorAll('[fence]')].map(mark => mark.textContent).join('')]; }""",
        formula,
    )
    assert found == [rows, columns, fences]


@pytest.mark.parametrize(
    "formula",
    [
        r"$\def\a{\a\a}\a$",
        r"$\newcommand{\a}{\a}\a$",
        r"$\href{javascript:hurt}{x}$",
        r"$\includegraphics{x}$",
        r"$\style{background:url(//x)}{x}$",
        r"$\unicode{x202e}$",
        r"$\constructor{x}$",
        r"$\begin{constructor}x\end{constructor}$",
        r"$\begin{toString}x\end{toString}$",
        r"$\hasOwnProperty$",
        r"$\frac{1}$",
        r"$\frac{1}{2$",
        r"$x}$",
        r"$\left( x$",
        r"$\begin{matrix} 1 \end{pmatrix}$",
        r"$\begin{matrix} 1$",
        r"$x^$",
        "$x\u202ey$",
        "$" + "{" * 100 + "x" + "}" * 100 + "$",
        "$" + r"\frac{" * 100 + "x" + "}{1}" * 100 + "$",
        "$" + r"\text{$" * 100 + "x" + "$}" * 100 + "$",
        "$" + "x+" * 50_000 + "$",
    ],
    ids=lambda formula: formula[:30],
)
def test_what_is_not_understood_stays(opened: Watched, formula: str) -> None:
    assert _set(opened, formula) is None


def test_no_element_or_attribute_can_act(opened: Watched) -> None:
    formulas = [
        r"$\text{<img src=x onerror='window.hurt = 1'>}$",
        r"$<script>window.hurt = 1</script>$",
        r"$\textcolor{red;background:url(//x)}{x}$",
        r"$\operatorname{<b onclick=hurt>}$",
        r"$\begin{array}{c|c} a & \big( \end{array} \sqrt[<b>]{x} \binom{1}{2} \left< \frac12 \right>$",
    ]
    found = opened.tab.evaluate(
        """texts => texts.flatMap(text => {
            const math = formula(text); if (!math) return [];
            document.body.append(math);
            return [...math.querySelectorAll('*'), math].flatMap(each =>
                [each.namespaceURI + ' ' + each.localName, ...each.getAttributeNames()]); })""",
        formulas,
    )
    tags = {name for name in found if " " in name}
    assert len(found) > 40
    assert all(name.startswith("http://www.w3.org/1998/Math/MathML m") for name in tags)
    assert {name for name in found if " " not in name} <= {
        "dir", "class", "fence", "stretchy", "linethickness", "minsize", "maxsize", "mathvariant", "width",
        "display", "displaystyle", "accent", "form", "movablelimits", "lspace", "rspace",
    }  # fmt: skip
    assert opened.tab.evaluate("window.hurt") is None


def test_formulas_are_set_on_demand_and_their_source_is_kept(opened: Watched) -> None:
    tab = opened.tab
    tab.fill("#search", "answer:0")
    run = tab.locator("#sample .run")
    run.locator("details pre", has_text="nonsense").last.wait_for()
    assert tab.locator("#sample math").count() == 0
    assert TEXT in run.locator("details pre").last.inner_text()
    tab.get_by_label("Render Markdown and formulas").check()
    place = run.locator(".rendered").last
    place.wait_for()
    assert place.locator("math").count() == 5
    assert place.locator("math[display=block]").count() == 2
    assert place.locator("math .boxed mfrac").count() == 1
    assert place.locator("[title='$x^2$'] math").count() == 1
    assert "costs $5 and $6." in place.inner_text()
    assert place.locator("code.formula").inner_text() == r"$$ \nonsense{x} $$"
    box = place.locator("math mfrac").first.bounding_box()
    assert box is not None
    assert box["height"] > 20  # it stands in two storeys
    tab.get_by_label("Render Markdown and formulas").uncheck()
    run.locator("details pre", has_text="nonsense").last.wait_for()


@pytest.mark.parametrize(
    ("text", "is_set"),
    [(r"\frac{1}{2}", True), ("x^2+1", True), (r"$\pi$", True), ("12", False), ("C:\\new\\files", False),
     ("def f(x):\n    return x ^ 2", False), ("$5 or $6", False)],
)  # fmt: skip
def test_references_and_answers_are_set_too(opened: Watched, text: str, is_set: bool) -> None:
    found = opened.tab.evaluate(
        """text => { view.rendered = true; const element = brief(text, 'value'); view.rendered = false;
                     return [element.querySelectorAll('math').length, brief(text, 'value').textContent]; }""",
        text,
    )
    assert found == [int(is_set), text]


def test_a_formula_runs_from_left_to_right_in_any_text(opened: Watched) -> None:
    found = opened.tab.evaluate(
        """() => { const element = make('div', {dir: 'rtl'}, inline('שלום $a - b$ שלום'));
                   document.body.append(element); const [a, , b] = element.querySelector('math').children;
                   return a.getBoundingClientRect().left < b.getBoundingClientRect().left; }"""
    )
    assert found is True


def test_only_a_page_with_formulas_has_their_code(page: Path, tmp_path: Path) -> None:
    plain = page_of(made_run(tmp_path, "plain", "It costs $5."))
    assert "class Formula" in page.read_text("utf-8")
    assert "class Formula" not in plain
    assert "Render Markdown</label>" in plain
