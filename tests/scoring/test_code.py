"""Finding the program in a response."""

from __future__ import annotations

import pytest

from evalkit.samples import Sample
from evalkit.scoring import code_block, completion
from tests.growth import takes_time_in_proportion

SAMPLE = Sample("one", "", (), meta={"entry_point": "f"})
F = "def f():\n    return 1\n"
H = "def f():\n    return g()\n"
G = "def g():\n    return 2\n"

BLOCKS = {
    "nothing": ("", None),
    "prose only": ("I would return 1.", None),
    "bare code is no block": (F, None),
    "inline code is no block": ("Use `f()` or ```f()```.", None),
    "a fence that does not begin a line": (f"Here: ```python\n{F}", None),
    "a fence and nothing behind it": ("```", None),
    "cut right behind the fence": ("```python\n", ""),
    "an empty block": ("```python\n```", ""),
    "language": (f"```python\n{F}```", F),
    "no language": (f"```\n{F}```", F),
    "language and attributes": (f'``` python title="f.py"\n{F}```', F),
    "tildes": (f"~~~python\n{F}~~~", F),
    "four backticks": (f"````python\n{F}````", F),
    "tildes inside backticks are code": (f"```\n{F}~~~\n```", f"{F}~~~\n"),
    "three backticks inside four are code": (f"````\n{F}# ```\n```\n````", f"{F}# ```\n```\n"),
    "in the middle of prose": (f"So:\n\n```python\n{F}```\n\nThat returns 1.", F),
    "cut before the closing fence": (f"So:\n```python\n{F}", F),
    "closing fence with words behind it": (f"```\n{F}``` and that is all", F),
    "windows line ends": ("```python\r\ndef f():\r\n    return 1\r\n```\r\n", "def f():\r\n    return 1\r\n"),
    "indented in a list": (
        "1. Write it:\n\n    ```python\n    def f():\n        return 1\n    ```\n2. Run it.",
        F,
    ),
    "indented fence, lines less so": (f"  ```python\n {F}  ```", "def f():\n  return 1\n"),
    "a blank line in an indented block": (
        "   ```\n   x = 1\n\n   def f(): return x\n   ```",
        "x = 1\n\ndef f(): return x\n",
    ),
    "a fence in a docstring": (
        '```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 1\n```',
        'def f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 1\n',
    ),
    "the first that defines the function": (f"```\n{G}```\nbut\n```\n{F}```\n```\n{F}# 2\n```", F),
    "a longer name is another function": (f"```\ndef f2(): pass\n```\n```\n{F}```", F),
    "a call is no definition": (f"```\nprint(f())\n```\n```\n{F}```", F),
    "a commented definition is none": (f"```\n# def f\n```\n```\n{F}```", F),
    "async": (f"```\n{G}```\n```\nasync def f(): pass\n```", "async def f(): pass\n"),
    "a method counts": (
        f"```\n{G}```\n```\nclass A:\n    def f(self): pass\n```",
        "class A:\n    def f(self): pass\n",
    ),
    "no block defines it: the first": (f"```\n{G}```\n```\nx = 1\n```", G),
    "an unfinished block after a finished one": (f"```sh\nls\n```\n```python\n{F}", F),
}  # fmt: skip
SEVERAL = {
    "a docstring alone does not win": (f'```\ndef f():\n    """Gives 1."""\n```\nso\n```\n{F}```', F),
    "nor a docstring of several lines": (
        f"```\ndef f(\n    x,\n):\n    '''One\n\nx: y\n    '''\n```\n```\n{F}```",
        F,
    ),
    "nor pass": (f"```\ndef f(): pass\n```\n```\n{F}```", F),
    "nor dots and a comment": (f"```\ndef f():\n    # yours\n    ...\n\nf()\n```\n```\n{F}```", F),
    "nor NotImplementedError": (f"```\ndef f():\n    raise NotImplementedError('f')\n```\n```\n{F}```", F),
    "a docstring and nothing else": (
        '```\ndef f():\n    """1"""\n```\n```\nx = 1\n```',
        'def f():\n    """1"""\n',
    ),
    "a stub and the function in one block": (
        f"```\ndef f(): ...\n\n{F}```\n```\n{F}# 2\n```",
        f"def f(): ...\n\n{F}",
    ),
    "a helper before": (f"```\n{G}```\nthen\n```\n{H}```", f"{G}\n{H}"),
    "a helper behind": (f"```\n{H}```\nwith\n```\n{G}```", f"{G}\n{H}"),
    "a helper of a helper": (
        f"```\n{H}```\n```\nN = 2\n```\n```\ndef g():\n    return N\n```",
        f"N = 2\n\ndef g():\n    return N\n\n{H}",
    ),
    "an import": (
        "```\nimport os.path as p, re\n```\n```\ndef f():\n    return p\n```",
        "import os.path as p, re\n\ndef f():\n    return p\n",
    ),
    "a helper with an example": (f"```\n{H}```\n```\n{G}print(f())\n```", f"{H}\n{G}print(f())\n"),
    "a helper that is there already": (f"```\n{G}{H}```\n```\ndef g(): pass\n```", f"{G}{H}"),
    "a helper in another language": (f"```js\n{G}```\n```python\n{H}```", H),
    "an example is no helper": (f"```\n{F}```\n```\nr = f()\nprint(r)\n```", F),
    "a glued fence": (f"```python\n{F.strip()}```", F),
    "a glued fence, then an example": (f"```python\n{F.strip()}```\nSo:\n```python\nf()\n```", F),
    "a glued fence after a blank": (f"```python\n{F.strip()} ```\nSo it is.", F.rstrip() + " \n"),
    "a fence too far in": (f"```python\n{F}\n        ```\nSo it is.", f"{F}\n        \n"),
    "a fence too far in, in a docstring": (
        '```\ndef f():\n    """As in\n        ```\n    f()\n    """\n    return 1\n```',
        'def f():\n    """As in\n        ```\n    f()\n    """\n    return 1\n',
    ),
    "an import and a docstring do not win": (
        f'```\ndef f():\n    import re\n    from a import b\n    """Gives\n    1."""\n```\nso\n```\n{F}```',
        F,
    ),
    "an import and more do": (
        f"```\ndef f():\n    import re\n    return re\n```\nor\n```\n{F}```",
        "def f():\n    import re\n    return re\n",
    ),
    "a glued fence in a docstring": (
        '```\ndef f():\n    """As in ```\n    f()\n    """\n    return 1\n```',
        'def f():\n    """As in ```\n    f()\n    """\n    return 1\n',
    ),
    "fences in comments": (
        "```\n# As in\n# ```\n#  f()\n# ```\ndef f():\n    return 1\n```",
        "# As in\n# ```\n#  f()\n# ```\ndef f():\n    return 1\n",
    ),
    "a pair of fences in a comment": (
        "```\ndef f():  # ```1```\n    return 1\n```",
        "def f():  # ```1```\n    return 1\n",
    ),
}


@pytest.mark.parametrize(("text", "code"), (BLOCKS | SEVERAL).values(), ids=(BLOCKS | SEVERAL).keys())
def test_the_block(text: str, code: str | None) -> None:
    assert code_block(text, SAMPLE) == code


def test_an_entry_point_is_a_name_and_no_pattern() -> None:
    sample = Sample("one", "", (), meta={"entry_point": "a.b"})
    assert code_block("```\ndef aXb(): pass\n```\n```\ndef a.b(): pass\n```", sample) == "def a.b(): pass\n"


@pytest.mark.parametrize("text", ["", "    return 1\n", f"```\n{F}```", "\x00"])
def test_a_completion_is_the_text_as_it_is(text: str) -> None:
    assert completion(text, SAMPLE) == text


@pytest.mark.parametrize(
    "text",
    [
        "`" * 1_000_000,
        "~" * 1_000_000,
        "```\n" * 250_000,
        "```a`" * 200_000,
        " " * 1_000_000,
        (" " * 999 + "\n") * 1000,
        "    ```\n" + "     ``\n" * 120_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_a_megabyte_of_fences_takes_no_time(text: str) -> None:
    takes_time_in_proportion(lambda answer: code_block(answer, SAMPLE), text)
