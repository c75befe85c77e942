r"""The spellings in which models write a right answer, for numbers, formulas, letters and programs.

A spelling is a function from a benchmark's reference to a whole response, or to None if it does not apply
(such as grouped digits for a number below 1,000). Every response means the reference and nothing else, so a
rule that does not find it loses a right answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from evalkit.samples import Sample, letters

Spell = Callable[[Sample], str | None]
_FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_CYRILLIC = str.maketrans("ABCEH", "АВСЕН")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _number(sample: Sample) -> str:
    return sample.target[0]


def _grouped(mark: str, form: str = "The answer is {}.") -> Spell:
    def spell(sample: Sample) -> str | None:
        grouped = f"{Decimal(_number(sample)):,}"
        return form.format(grouped.replace(",", mark)) if "," in grouped else None

    return spell


def _said(form: str) -> Spell:
    """A spelling: `form` with the number, its mantissa and its power of ten."""

    def spell(sample: Sample) -> str:
        number = Decimal(_number(sample))
        power = number.adjusted()
        return form.format(
            number,
            mantissa=number.scaleb(-power).normalize(),
            power=power,
            superscript=str(power).translate(_SUPERSCRIPT),
            full=str(number).translate(_FULL_WIDTH),
            minus=str(number).replace("-", "−"),
            keycaps=re.sub(r"(\d)", "\\1\ufe0f\u20e3", str(number)),
        )

    return spell


def _opposite(form: str) -> Spell:
    return lambda sample: form.format(_number(sample).lstrip("-")) if _number(sample)[0] == "-" else None


def _european(sample: Sample) -> str | None:
    number = f"{Decimal(_number(sample)):,.2f}"
    swapped = number.translate(str.maketrans(",.", ".,"))
    return f"Das macht {swapped} €." if "," in number else None


def _indian(sample: Sample) -> str | None:
    number = Decimal(_number(sample))
    if not number >= 100_000 or number % 1:
        return None
    lakhs, rest = divmod(int(number), 1000)
    return f"It costs ₹{re.sub(r'(?<=.)(?=(?:..)+$)', ',', str(lakhs))},{rest:03}."


def _cents(sample: Sample) -> str | None:
    number = Decimal(_number(sample))
    return f"Das macht {number:.2f} €.".replace(".", ",", 1) if 0 <= number < 1000 else None


NUMBERS: Mapping[str, Spell] = {
    "plain": _said("The answer is {}."),
    "comma in a sentence": _said("The total is {}, altogether."),
    "groups: comma": _grouped(",", "It is ${}."),
    "groups: {,}": _grouped("{,}", r"So $\boxed{{{}}}$."),
    r"groups: \,": _grouped(r"\,", r"So the result is $\boxed{{{}}}$."),
    "groups: blank": _grouped(" "),
    "groups: U+2009": _grouped("\u2009"),
    "groups: U+202F": _grouped("\u202f"),
    "groups: U+00A0": _grouped("\u00a0"),
    "groups: '": _grouped("'"),
    "groups: ’": _grouped("’"),
    "groups: _": _grouped("_"),
    "European decimals": _european,
    "1.5e3": _said("The answer is {mantissa}e{power}."),
    "1.5 × 10^3": _said("The answer is {mantissa} × 10^{power}."),
    r"1.5 \times 10^{3}": _said(r"So $\boxed{{{mantissa} \times 10^{{{power}}}}}$."),
    "1.5 × 10³": _said("It is {mantissa} × 10{superscript}."),
    "unit: cm^2": _said("The area is {} cm^2."),
    "unit: m²": _said("The area is {} m²."),
    "unit: m2": _said("The area is {} m2."),
    r"unit: \text{ m}^3": _said(r"The volume is $\boxed{{{}\text{{ m}}^3}}$."),
    "-(42)": _opposite("The change is -({})."),
    "minus sign U+2212": _said("x = {minus}"),
    "full-width digits": _said("The answer is {full}."),
    "$ before": _said("She pays ${}."),
    "€ after": _said("She pays {} €."),
    "percent": _said("That is {} %."),
    "two decimals": _said("The answer is {:.2f}."),
    "fraction": _said("The answer is {}/1."),
    r"\frac": _said(r"The answer is $\frac{{{}}}{{1}}$."),
    "bold": _said("The answer is **{}**."),
    "all bold": _said("**Answer: {}**"),
    "boxed": _said(r"\(\boxed{{{}}}\)"),
    "#### N": _said("It follows.\n#### {}"),
    "<answer>": _said("<answer>{}</answer>"),
    "!": _said("It is {}!"),
    "approximately": _said("It is approximately {}."),
    "keycaps": _said("The answer is {keycaps}."),
    "a source": _said("The answer is {} [1]."),
    "a footnote": _said("The answer is {}[^1]."),
    "an address": _said("The answer is {} ([here](https://example.org/7/9))."),
    "H2O": _said("It takes {} g of H2O."),
    "per m3": _said("The density is {} kg/m3."),
    "(ft2)": _said("It has {} square feet (ft2)."),
    "x = - 42": _opposite("So x = - {}."),
    "minus": _opposite("The change is minus {}."),
    "₹, Indian groups": _indian,
    "€ with cents": _cents,
}


def _stated(form: str, change: Callable[[str], str] = str) -> Spell:
    """A spelling: the reference in Minerva's closing sentence; None if `change` does not change it."""

    def spell(sample: Sample) -> str | None:
        changed = change(sample.target[0])
        return form % changed if change is str or changed != sample.target[0] else None

    return spell


_CLOSING = "So we are done.\n\nFinal Answer: The final answer is %s. I hope it is correct."
_IN_DOLLARS = _CLOSING % "$%s$"
_BRACKETS = re.compile(r"(?<!\\left)(?<!\\right)(?<![\\\w])([(\[])([^()\[\]]*)([)\]])")


def _with_left(formula: str) -> str:
    return _BRACKETS.sub(r"\\left\1\2\\right\3", formula)


def _big(match: re.Match[str]) -> str:
    return r"\bigl" if match[1] == "left" else r"\bigr"


def _without_left(formula: str) -> str:
    return re.sub(r"\\(?:left|right)(?![a-zA-Z])", "", formula)


FORMULAS: Mapping[str, Spell] = {
    "$…$": _stated(_IN_DOLLARS),
    "$$…$$": _stated(_CLOSING % "$$%s$$"),
    r"\(…\)": _stated(_CLOSING % r"\(%s\)"),
    r"\[…\]": _stated("Final Answer: The final answer is \\[%s\\] I hope it is correct."),
    r"\[…\] on lines": _stated("Final Answer: The final answer is\n\\[\n%s\n\\]\nI hope it is correct."),
    "**Final Answer:**": _stated("**Final Answer:** The final answer is $%s$. I hope it is correct."),
    "**Final Answer**": _stated("**Final Answer**\n\nThe final answer is $%s$. I hope it is correct."),
    "all bold": _stated("**Final Answer: The final answer is $%s$. I hope it is correct.**"),
    "bold formula": _stated(_CLOSING % "**$%s$**"),
    "boxed": _stated(_CLOSING % r"$\boxed{%s}$"),
    r"with \left, \right": _stated(_IN_DOLLARS, _with_left),
    r"without \left, \right": _stated(_IN_DOLLARS, _without_left),
    r"\bigl, \bigr": _stated(
        _IN_DOLLARS, lambda f: re.sub(r"\\(left|right)", _big, _with_left(_without_left(f)))
    ),
    "minus sign U+2212": _stated(_IN_DOLLARS, lambda f: f.replace("-", "−")),
    "degree sign": _stated(_IN_DOLLARS, lambda f: re.sub(r"\^(\{\\circ\}|\\circ)", "°", f)),
    r"\, after commas": _stated(_IN_DOLLARS, lambda f: re.sub(r",(?!\\!)\s*", r",\\, ", f)),
    r"\! before brackets": _stated(_IN_DOLLARS, lambda f: re.sub(r"(?<![\\\w])([(\[])", r"\\!\1", f)),
    "blanks in matrices": _stated(
        _IN_DOLLARS, lambda f: re.sub(r"\s*(\\\\|&)\s*", r" \1 ", f) if "matrix" in f else f
    ),
    "no blanks in matrices": _stated(
        _IN_DOLLARS, lambda f: re.sub(r"\s+", "", f) if "matrix" in f else f
    ),
    r"\dfrac": _stated(_IN_DOLLARS, lambda f: re.sub(r"\\[dt]?frac", r"\\dfrac", f)),
    r"\tfrac": _stated(_IN_DOLLARS, lambda f: re.sub(r"\\[dt]?frac", r"\\tfrac", f)),
    r"\displaystyle": _stated(_CLOSING % r"$\displaystyle %s$"),
    "π, ∞, √ as signs": _stated(
        _IN_DOLLARS, lambda f: re.sub(r"\\infty(?![a-zA-Z])", "∞", re.sub(r"\\pi(?![a-zA-Z])", "π", f))
    ),
    "full stop inside": _stated("Final Answer: The final answer is $%s.$ I hope it is correct."),
    "### Final Answer": _stated("### Final Answer\n\nThe final answer is $%s$. I hope it is correct."),
    "Final answer: the": _stated("Final answer: the final answer is: $%s$. I hope it is correct."),
    "it's": _stated("Final Answer: The final answer is $%s$. I hope it's correct."),
    "only a box": _stated(r"So the answer is $\boxed{%s}$."),
    "a box in bold": _stated(_CLOSING % r"$\boxed{\mathbf{%s}}$"),
    "display and box": _stated(
        "Final Answer: The final answer is\n\n\\[\\boxed{%s}\\]\n\nI hope it is correct."
    ),
    "blanks around signs": _stated(
        _IN_DOLLARS, lambda f: f if "text" in f else re.sub(r"(?<=\w|\))([+=-])(?=\w|\\)", r" \1 ", f)
    ),
    "no blanks": _stated(_IN_DOLLARS, lambda f: f if "\\" in f else f.replace(" ", "")),
    r"\frac12": _stated(_IN_DOLLARS, lambda f: re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", f)),
    r"\cdot": _stated(
        _IN_DOLLARS, lambda f: re.sub(r"(?<![\d.,{(])(\d+)(?=\\(?:sqrt|pi))", r"\1 \\cdot ", f)
    ),
    r"\text": _stated(_IN_DOLLARS, lambda f: rf"\text{{{f}}}" if f.isalnum() else f),
    "x^{2}": _stated(_IN_DOLLARS, lambda f: re.sub(r"\^(\w)", r"^{\1}", f)),
    "x²": _stated(_IN_DOLLARS, lambda f: f if "\\" in f else re.sub(r"\^2(?!\d)", "²", f)),
    "with a unit": _stated(_IN_DOLLARS, lambda f: rf"{f}\text{{ cm}}" if f.isdigit() else f),
    "x = …": _stated(_IN_DOLLARS, lambda f: f"x = {f}" if f.isdigit() else f),
    "no formula": _stated(_CLOSING, lambda f: f"{f} " if f.isdigit() else f),
    "bold number": _stated(_CLOSING, lambda f: f"**{f}**" if f.isdigit() else f),
    "groups: ,": _stated(_IN_DOLLARS, lambda f: f"{int(f):,}" if f.isdigit() else f),
    r"groups: \,": _stated(_IN_DOLLARS, lambda f: f"{int(f):,}".replace(",", r"\,") if f.isdigit() else f),
    "groups: {,}": _stated(_IN_DOLLARS, lambda f: f"{int(f):,}".replace(",", "{,}") if f.isdigit() else f),
}  # fmt: skip


def _letter(form: str) -> Spell:
    def spell(sample: Sample) -> str:
        letter = sample.target[0]
        choice = sample.choices[letters(sample).index(letter)]
        full = letter.translate(_FULL_WIDTH)
        return form.format(letter, choice=choice, lower=letter.lower(), full=full)

    return spell


def _look_alike(form: str) -> Spell:
    """`form` with the Cyrillic letter that looks like the reference; None if there is none."""

    def spell(sample: Sample) -> str | None:
        other = sample.target[0].translate(_CYRILLIC)
        return None if other == sample.target[0] else form.format(other)

    return spell


LETTERS: Mapping[str, Spell] = {
    "B": _letter("{}"),
    "B.": _letter("{}."),
    "(B)": _letter("({})"),
    "(b)": _letter("({lower})"),
    "b": _letter("{lower}"),
    "B)": _letter("{})"),
    "**B**": _letter("**{}**"),
    "B. choice": _letter("{}. {choice}"),
    "**B) choice**": _letter("**{}) {choice}**"),
    "Answer: B.": _letter("Answer: {}."),
    "**Answer:** B": _letter("**Answer:** {}"),
    "The answer is B.": _letter("The answer is {}."),
    "The correct option is **B**.": _letter("The correct option is **{}**."),
    "full width": _letter("{full}"),
    "（Ｂ）": _letter("（{full}）"),
    r"\boxed{B}": _letter(r"$\boxed{{{}}}$"),
    r"\boxed{\text{(B)}}": _letter(r"\boxed{{\text{{({})}}}}"),
    "$B$": _letter("${}$"),
    "[B]": _letter("[{}]"),
    "<answer>": _letter("<answer>{}</answer>"),
    "JSON": _letter('{{"answer": "{}"}}'),
    "code block": _letter("```\n{}\n```"),
    "#### B": _letter("#### {}"),
    "letter, then reasons": _letter("{}\n\nThe others do not fit."),
    "Option B": _letter("Option {}"),
    "Therefore, B.": _letter("Therefore, {}."),
    "reasons, then letter": _letter("Three of them do not fit.\n\n{}"),
    "because": _letter("The correct choice is {} because the others do not fit."),
    "**(B)** choice": _letter("Answer: **({})** {choice}"),
    "B – choice": _letter("{} – {choice}"),
    "Correct: B": _letter("Correct: {}"),
    "<b>": _letter("<b>{}</b>"),
    "【B】": _letter("【{}】"),
    "✅ B": _letter("✅ {}"),
    "答案：B": _letter("答案：{}"),
    "Die Antwort ist B.": _letter("Die Antwort ist {}."),
    "La respuesta es B.": _letter("La respuesta es {}."),
    "Cyrillic look-alike": _look_alike("The answer is {}."),
    "A: B": _letter("A: {}"),
    "1. B": _letter("1. {}"),
}
CHAINS: Mapping[str, Spell] = {
    name: _letter(f"Let us think. Three do not fit.\n{form}")
    for name, form in {
        "The answer is (B).": "The answer is ({}).",
        "the answer is B": "So the answer is {}",
        "The answer is **(B)**.": "The answer is **({})**.",
        "**The answer is (B).**": "**The answer is ({}).**",
        "The answer is: B": "The answer is: {}",
        "The answer is option B.": "The answer is option {}.",
        "The correct answer is b.": "The correct answer is {lower}.",
        "Answer: B": "Answer: {}",
        "**Answer:** (B)": "**Answer:** ({})",
        "Final Answer: B. choice": "Final Answer: {}. {choice}",
        "full width": "The answer is（{full}）.",
        r"\boxed{B}": r"\boxed{{{}}}",
        r"$\boxed{\text{B}}$": r"Therefore, $\boxed{{\text{{{}}}}}$.",
        r"The answer is \(B\).": r"The answer is \({}\).",
        "The answer is $B$.": "The answer is ${}$.",
        "The answer is [B].": "The answer is [{}].",
        "The answer is <B>.": "The answer is <{}>.",
        "The answer is ‘B’.": "The answer is ‘{}’.",
        "Answer on the next line": "Answer:\n\n{}",
        "The answer is (B) choice.": "The answer is ({}) {choice}.",
        "The answer is choice (B).": "The answer is {choice} ({}).",
        "<answer>": "<answer>{}</answer>",
        "#### B": "#### {}",
        "Therefore, B.": "Therefore, {}.",
        "Option B is correct.": "Option {} is correct.",
        "B": "{}",
        "**B. choice**": "**{}. {choice}**",
        r"\boxed{\text{(B) choice}}": r"\boxed{{\text{{({}) {choice}}}}}",
        "### Final Answer": "### Final Answer\n\n**{}**",
        "The answer is «B».": "The answer is «{}».",
        "[[B]]": "My final verdict is: [[{}]]",
        "答案是B": "答案是{}。",
    }.items()
}


def _code(form: str, line_end: str = "\n") -> Spell:
    """A spelling: `form` with the prompt, the body, the whole function and its name."""

    def spell(sample: Sample) -> str:
        whole = f"{sample.input}{sample.target[0]}".strip("\n").replace("\n", line_end)
        return (
            form.replace("<whole>", whole)
            .replace("<prompt>", sample.input.strip("\n"))
            .replace("<name>", str(sample.meta["entry_point"]))
            .replace("<indented>", re.sub(r"(?m)^(?=.)", "   ", whole))
        )

    return spell


def _two_blocks(form: str) -> Spell:
    """A spelling: the function with its body in a helper function, in two blocks."""

    def spell(sample: Sample) -> str | None:
        name = str(sample.meta["entry_point"])
        header = re.search(rf"(?m)^def {re.escape(name)}\((.*)\)(.*):[ \t]*$", sample.input)
        if header is None or name in sample.target[0] or re.search(r"(?m)^[ \t]+import ", sample.input):
            return None
        names = ", ".join(part.partition(":")[0].partition("=")[0].strip() for part in _split(header[1]))
        helper = f"def inner_part({header[1]}){header[2]}:\n{sample.target[0]}".rstrip()
        function = f"def {name}({header[1]}){header[2]}:\n    return inner_part({names})"
        return form.replace("<helper>", helper).replace("<function>", function)

    return spell


def _split(parameters: str) -> list[str]:
    return [part for part in re.split(r",(?![^\[]*\])", parameters) if part.strip()]


CODE: Mapping[str, Spell] = {
    "```python": _code("```python\n<whole>\n```"),
    "```py": _code("```py\n<whole>\n```"),
    "``` alone": _code("```\n<whole>\n```"),
    "~~~": _code("~~~python\n<whole>\n~~~"),
    "four backticks": _code("````python\n<whole>\n````"),
    "in prose": _code("Here it is:\n\n```python\n<whole>\n```\n\nIt follows the docstring."),
    "cut off": _code("```python\n<whole>"),
    "closing fence too far in": _code("```python\n<whole>\n            ```\nThat is all."),
    "closing fence glued": _code("```python\n<whole>```"),
    "glued, then an example": _code("```python\n<whole>```\n\nFor example:\n\n```python\nprint(<name>)\n```"),
    "Windows line ends": _code("```python\r\n<whole>\r\n```", "\r\n"),
    "in a list": _code("1. Write it:\n\n   ```python\n<indented>\n   ```\n2. Run it."),
    "attributes": _code('```python title="answer.py"\n<whole>\n```'),
    "the docstring alone first": _code("```python\n<prompt>\n```\n\nDone:\n\n```python\n<whole>\n```"),
    "the stub with pass first": _code(
        "```python\n<prompt>\n    pass\n```\n\nFilled in:\n\n```python\n<whole>\n```"
    ),
    "the stub with ... first": _code("```python\n<prompt>\n    ...\n```\n\nThen:\n\n```python\n<whole>\n```"),
    "a shell block first": _code("```bash\npip install numpy\n```\n\n```python\n<whole>\n```"),
    "an example first": _code("```python\n# for example\nprint(<name>)\n```\n\n```python\n<whole>\n```"),
    "an example behind": _code("```python\n<whole>\n```\n\n```python\nprint(<name>)\n```"),
    "tests behind": _code("```python\n<whole>\n```\n\n```python\nassert callable(<name>)\n```"),
    "imports in a block": _code("```python\nimport math\nimport re\n```\n\n```python\n<whole>\n```"),
    "helper in the first block": _two_blocks(
        "```python\n<helper>\n```\n\nand\n\n```python\n<function>\n```"
    ),
    "helper in the second block": _two_blocks(
        "```python\n<function>\n```\n\nwith\n\n```python\n<helper>\n```"
    ),
}  # fmt: skip

SPELLINGS: Mapping[str, Mapping[str, Spell]] = {
    "gsm8k:0-shot-chat": NUMBERS,
    "math:4-shot": FORMULAS,
    "mmlu:5-shot-chat": LETTERS,
    "mmlu:cot32": CHAINS,
    "humaneval:0-shot": CODE,
}
"""The spellings by benchmark and protocol."""
