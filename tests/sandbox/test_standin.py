"""Classes of the program's own: tests make instances, pass them to it, and look at what comes back."""

from __future__ import annotations

import textwrap

import pytest

from evalkit.sandbox import Outcome, Program, run_programs

TREE = """
class Node:
    depth = 0
    def __init__(self, data, *more, left=None):
        self.data, self.left, self.right = data, left, None
        self.more = list(more)
    def total(self):
        return self.data + sum(child.total() for child in (self.left, self.right) if child)
    def grow(self, data):
        self.right = Node(data)
        return self.right
    @property
    def sign(self): return (self.data > 0) - (self.data < 0)
    @classmethod
    def chain(cls, *data):
        return cls(data[0], left=cls.chain(*data[1:])) if data else None
    @staticmethod
    def name(): return "node"
    def fail(self): raise KeyError(self.data)

def is_balanced(node):
    def height(n): return 1 + max(height(n.left), height(n.right)) if n else 0
    return node is None or (abs(height(node.left) - height(node.right)) <= 1
                            and is_balanced(node.left) and is_balanced(node.right))
def same(node): return node
def children(node): return [node.left, node.right, {"left": node.left}, (node,)]
def kind(x): return x.__name__ if isinstance(x, type) else type(x).__name__
def make(n): return Node(n)
"""
POINT = """
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    y: object = None
    def __add__(self, other): return Point(self.x + other.x)
    def __lt__(self, other): return self.x < other.x
    def __len__(self): return self.x
    def __getitem__(self, n): return [self.x, self.y][n]
    def __setitem__(self, n, value): self.x = value
    def __contains__(self, n): return n == self.x
    def __iter__(self): return iter([self.x, self.y])
    def __call__(self, n): return n * self.x
    def __bool__(self): return self.x != 0
    def __str__(self): return f"<{self.x}>"
def move(p): return Point(p.x + 1, p.y)
"""


def judged(source: str, test: str, *calls: str, classes: tuple[str, ...]) -> Outcome:
    (outcome,) = run_programs([Program(source, textwrap.dedent(test), calls, classes=classes)])
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [
        # A test builds a tree node by node, and passes its root.
        """
        root = Node(1)
        root.left = Node(2)
        root.right = Node(3)
        root.left.left = Node(4)
        assert is_balanced(root) == True
        root.left.left.left = Node(5)
        assert is_balanced(root) == False
        assert is_balanced(None) == True
        """,
        "n = Node(1, 2, [3], left=Node(0)); assert n.more == [2, [3]] and n.left.data == 0 and not n.right",
        "n = Node(1); n.data = {'a': (1,)}; assert n.data == {'a': (1,)}",
        "n = Node(1); del n.data; assert not hasattr(n, 'data')",
        "n = Node(1); m = n.grow(2); assert m is n.right and n.total() == 3 and m.total() == 2",
        "n = Node(1); assert same(n) is n and same([n])[0] is n and children(Node(1, left=n))[0] is n",
        "n = Node(1); a = Node(0, left=n); assert children(a)[2] == {'left': n} and children(a)[3] == (a,)",
        "n = Node(-3); assert n.sign == -1 and Node.depth == 0 and Node.name() == 'node'",
        "c = Node.chain(1, 2, 3); assert c.left.left.data == 3 and c.left.left.left is None",
        "Node.depth = 4; assert Node(1).depth == Node.depth == 4",
        "assert isinstance(Node(1), Node) and type(Node(1)) is Node and Node.__name__ == 'Node'",
        "assert kind(Node(1)) == 'Node' and kind(Node) == 'Node'",
        "assert isinstance(make(3), Node) and make(3).data == 3",
        "n = Node(1); n.left = n; assert n.left.left is n and n.left == n",
        "try: Node(5).fail()\nexcept KeyError as e: assert str(e) == '5'\nelse: assert 0",
        "try: Node()\nexcept TypeError: pass\nelse: assert 0",
        "try: Node(1).nothing\nexcept AttributeError: pass\nelse: assert 0",
        "try: len(Node(1))\nexcept TypeError: pass\nelse: assert 0",
        "assert Node(1) != Node(1) and Node(1) != 1 and not Node(1) == 1 and Node(1) not in [1, Node(1)]",
        "seen = {Node(1), Node(1)}; assert len(seen) == 2",
    ],
)
def test_a_tree(test: str) -> None:
    calls = ("is_balanced", "same", "children", "kind", "make")
    assert judged(TREE, test, *calls, classes=("Node",)) == Outcome("passed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [
        "assert Point(1) == Point(1) and Point(1) != Point(2) and move(Point(1, [2])) == Point(2, [2])",
        "assert Point(1, Point(2)) == Point(1, Point(2)) and Point(1, Point(2)) != Point(1, Point(3))",
        "assert [Point(1)] == [Point(1)] and Point(1) in [Point(1)] and {1: Point(1)} == {1: Point(1)}",
        "p = Point(1); p.y = p; q = Point(1); q.y = q; assert p == p",
        "assert Point(1) + Point(2) == Point(3) and Point(1) < Point(2) and not Point(2) < Point(1)",
        "assert sorted([Point(3), Point(1)]) == [Point(1), Point(3)] and max(Point(1), Point(5)).x == 5",
        "p = Point(3, 'y'); assert len(p) == 3 and p[1] == 'y' and 3 in p and 4 not in p and p(7) == 21",
        "p = Point(3, 'y'); p[0] = 9; assert p.x == 9 and list(p) == [9, 'y'] and str(p) == '<9>'",
        "x, y = Point(3, 'y'); assert (x, y) == (3, 'y') and bool(Point(1)) and not Point(0)",
        "assert repr(Point(1, 'a')) == \"Point(x=1, y='a')\" and f'{Point(2)!s}' == '<2>'",
        "try: Point(1) < 3\nexcept AttributeError: pass\nelse: assert 0",
        "try: Point(1) - Point(1)\nexcept TypeError: pass\nelse: assert 0",
    ],
)
def test_operators(test: str) -> None:
    assert judged(POINT, test, "move", classes=("Point",)) == Outcome("passed")


def test_bases_slots_and_other_classes() -> None:
    source = """
class Base:
    __slots__ = ("a", "b")
    def __init__(self, a): self.a = a
    def __eq__(self, other): return True
class Below(Base):
    pass
class Other: pass
class Stack(list):
    def top(self): return self[-1]
class Count:
    def __init__(self): self.n = 0
    def __iter__(self): return self
    def __next__(self):
        self.n += 1
        if self.n > 3: raise StopIteration
        return self.n
def below(): return Below(1)
def other(): return Other()
"""
    test = """
        assert Base(1) == Base(1) and Base(1) != Base(2)  # although it says that they are equal
        assert isinstance(below(), Base) and below().a == 1
        assert other() != other() and not isinstance(other(), Base)
        s = Stack()
        s.append(3)
        assert s.top() == 3 and len(s) == 1 and s[0] == 3 and list(s) == [3]
        assert list(Count()) == [1, 2, 3] and sum(Count()) == 6
    """
    classes = ("Base", "Stack", "Count")
    assert judged(source, test, "below", "other", classes=classes) == Outcome("passed")


LIE = "__eq__ = __lt__ = __contains__ = lambda *_: True; __ne__ = lambda *_: False; __hash__ = lambda _: 0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "test"),
    [
        # Against plain data nothing of an instance's own helps it.
        (f"class A:\n    {LIE}\ndef f(): return A()", "assert f() == 5"),
        (f"class A:\n    {LIE}\ndef f(): return [A()]", "assert f() == [5]"),
        (f"class A(int):\n    {LIE}\ndef f(): return A(7)", "assert f() == 5"),
        (f"class A:\n    {LIE}\ndef f(): return A()", "assert 5 == f()"),
        (f"class A:\n    {LIE}\ndef f(): return A()", "assert f() in (5, 6)"),
        # An `__eq__` that lies is not believed of instances that differ either.
        (f"class A:\n    {LIE}\n    def __init__(s, x): s.x = x\ndef f(): return A(7)", "assert f() == A(5)"),
        ("class A:\n    def __init__(self, x): self.x = x\ndef f(): return A(5)", "assert f() == A(5)"),
        # What is no class, or is not there.
        ("A = 5\ndef f(): return 5", "A(1)"),
        ("def f(): return 5", "A(1)"),
        ("import sys\nclass A:\n    def __init__(self): sys.exit(0)\ndef f(): pass", "A()"),
        ("import os\nclass A:\n    def __init__(self): os._exit(0)\ndef f(): pass", "A()"),
        ("class A:\n    def __getattr__(self, name): raise SystemExit(0)\ndef f(): pass", "A().x"),
        ("class A:\n    def __getattribute__(*_): return print\ndef f(): return A()", "assert f().x == 5"),
        ("class A:\n    def __getattr__(self, _): return self\ndef f(): return A()", "assert f().x.y == 5"),
        # Numbers that stand for nothing.
        (
            "import os\nclass A: pass\ndef f():\n    for n in range(3, 64):\n        for t in "
            "(b'v[[],[\"x\",-1,0]]', b'v[[],[\"x\",9,7]]', b'v[[],[\"x\",\"a\",0]]', b'v[[],[\"x\"]]'):\n"
            "            try: os.write(n, len(t).to_bytes(4) + t)\n            except OSError: pass\n"
            "    os._exit(0)",
            "f()",
        ),
    ],
)  # fmt: skip
def test_no_verdict_can_be_forged(source: str, test: str) -> None:
    outcome = judged(source, test, "f", classes=("A",))
    assert outcome.status == "failed"
    assert "Recursion" not in outcome.detail


def test_what_needs_no_instances_sees_none() -> None:
    """Without `classes`, instances are as opaque as before."""
    assert judged(TREE, "Node(1)", classes=()).detail == "NameError: name 'Node' is not defined"
    assert judged(TREE, "make(1).data", "make", classes=()).detail.startswith("AttributeError: 'Opaque'")
