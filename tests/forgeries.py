"""Bodies of functions that forge a verdict, whatever the function is: its signature stands before them.

None of them computes anything: where one comes to its end, it returns None, or a value that says of itself
that it is equal to everything.
"""

from __future__ import annotations

import textwrap

_LIES = """
class Lies:
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __bool__ = lambda *_: True
    __ne__ = lambda *_: False
    __sub__ = __rsub__ = __abs__ = __round__ = __getitem__ = __call__ = lambda self, *_: self
    __len__ = __int__ = __index__ = __hash__ = lambda _: 1
    __float__ = lambda _: 1.0
    __iter__ = lambda self: iter([self])
"""
_LINE = """
import os
def is_open(n):
    try: os.fstat(n)
    except OSError: return False
    return True
line = [n for n in range(3, 256) if is_open(n)][0]
def say(message): os.write(line, len(message).to_bytes(4) + message)
"""
"""`line`: the only descriptor, between the program and what checks it."""

BODIES: dict[str, str] = {
    name: textwrap.indent(body.strip("\n"), "    ") + "\n"
    for name, body in {
        "an exit": "import sys\nprint('passed')\nsys.exit(0)",
        "an exit that runs nothing": "import os\nos.write(1, b'passed\\n')\nos._exit(0)",
        "verdicts to every descriptor": """
import os
for n in range(256):
    for text in (b"P", b"+P", b"\\0\\0\\0\\0\\1P", b"=" + bytes(60), b"passed\\n", b'{"passed": true}\\n'):
        try: os.write(n, text)
        except OSError: pass
os._exit(0)
""",
        "an object equal to everything": _LIES + "return Lies()",
        "a number equal to everything": _LIES + "return type('Number', (Lies, int), {})(7)",
        "a list, a text and a dict equal to everything": _LIES + """
class Text(Lies, str): pass
class List(Lies, list): pass
class Dict(Lies, dict): pass
return List([Text("x"), Dict({Text("x"): List()})])
""",
        "a class and an iterator equal to everything": _LIES + """
class Meta(type):
    __eq__ = lambda *_: True
    __hash__ = lambda _: 1
Lies.__next__ = lambda self: self
return Meta("Class", (Lies,), {})
""",
        "other builtins": """
import builtins
for name in ("abs", "all", "any", "compile", "eval", "exec", "isinstance", "len", "print", "sum", "type"):
    setattr(builtins, name, lambda *_, **__: True)
__builtins__["AssertionError"] = __builtins__["Exception"] = __builtins__["BaseException"] = SystemExit
""",
        "errors that are none": """
import builtins
class Quiet(BaseException): pass
builtins.AssertionError = builtins.Exception = builtins.BaseException = Quiet
raise GeneratorExit
""",
        "handlers, finalizers and the last words": """
import atexit, os, signal, sys
class Last:
    def __del__(self): os._exit(0)
sys.kept = Last()
atexit.register(os._exit, 0)
sys.excepthook = sys.unraisablehook = lambda *_: os._exit(0)
for number in range(1, 64):
    try: signal.signal(number, lambda *_: os._exit(0))
    except (OSError, ValueError): pass
signal.setitimer(signal.ITIMER_REAL, 0.001)
""",
        "threads that answer and end": _LINE + """
import threading
def later():
    for answer in (b"v[[],true]", b"v[[],0]", b"v[[],[]]"):
        for _ in range(20): say(answer)
    os._exit(0)
threading.Thread(target=later).start()
""",
        "another check in every frame": """
import sys
def check(*_): pass
frame = sys._getframe()
while frame:
    frame.f_globals.update(check=check, verdict=lambda *_: b"P", FAILED=b"P", GONE=b"P", METADATA={})
    frame.f_locals.update(check=check, candidate=check)
    frame = frame.f_back
""",
        "other code for every function": """
import gc
def passes(*_, **__): return b"P"
for thing in gc.get_objects():
    if type(thing) is type(passes):
        try: thing.__code__ = passes.__code__
        except (TypeError, ValueError): pass
""",
        "False made True": """
import ctypes
ctypes.memmove(id(False) + 16, id(True) + 16, 12)
ctypes.memmove(id(None) + 8, id(True) + 8, 8)
""",
        "its error's traceback": """
import sys
try:
    raise AssertionError
except AssertionError as error:
    frame = error.__traceback__.tb_frame
    while frame:
        frame.f_builtins.update(AssertionError=SystemExit)
        frame.f_trace = lambda *_: None
        frame = frame.f_back
    raise type("passed", (AssertionError,), {"__str__": lambda _: "passed"}) from error
""",
        "import hooks and other modules": """
import sys, types
class Finder:
    def find_spec(self, name, path=None, target=None): return None
    def __getattr__(self, name): return lambda *_, **__: True
sys.meta_path[:] = sys.path_hooks[:] = [Finder()]
for name in list(sys.modules):
    if name not in ("sys", "types"): sys.modules[name] = Finder()
""",
        "tracers and hooks": """
import sys
def tracer(frame, event, value):
    frame.f_globals["check"] = frame.f_globals["_answer"] = lambda *_: b"P"
    return tracer
sys.setprofile(tracer)
sys.settrace(tracer)
sys.addaudithook(lambda *_: None)
""",
    }.items()
}  # fmt: skip
"""By what they try."""
assert len(BODIES) == 17
