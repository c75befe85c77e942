"""What commands see besides Python: a shell, the common tools, and g++ with what it needs, if installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from evalkit.errors import SandboxError

COMPILE = ("-O2", "-std=c++17")
"""The options with which C++ is compiled."""
FOLDER = "/usr/bin"
"""The folder of the tools in the sandbox."""
_WHERE = "/usr/local/bin:/usr/bin:/bin"
_TOOLS = (
    "bash", "sh", "[", "base64", "basename", "cat", "chmod", "cksum", "comm", "cp", "csplit", "cut",
    "date", "dd", "df", "dirname", "du", "echo", "env", "expand", "expr", "factor", "false", "fold",
    "head", "id", "join", "ln", "ls", "md5sum", "mkdir", "mkfifo", "mktemp", "mv", "nl", "nohup",
    "nproc", "od", "paste", "printenv", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "seq",
    "setsid", "sha1sum", "sha256sum", "shuf", "sleep", "sort", "split", "stat", "stdbuf", "sum", "tac",
    "tail", "tee", "test", "timeout", "touch", "tr", "true", "truncate", "tsort", "uname", "unexpand",
    "uniq", "wc", "which", "whoami", "yes", "awk", "bc", "cmp", "dc", "diff", "ed", "file", "find",
    "gawk", "grep", "egrep", "fgrep", "gunzip", "gzip", "jq", "make", "patch", "sed", "tar", "unzip",
    "xargs", "xz", "zcat", "zip",
)  # fmt: skip
"""The tools of coreutils, and the other common tools of POSIX systems."""
_FIX = (
    "C++ programs need a compiler: install g++ (apt-get install g++ on Debian and Ubuntu, "
    "dnf install gcc-c++ on Fedora)"
)
_PROGRAM = "int main() {}\n"


def tools() -> dict[str, str]:
    """The paths, in the sandbox and on this machine, of those of `_TOOLS` that are installed."""
    found = {f"{FOLDER}/{name}": shutil.which(name, path=_WHERE) for name in _TOOLS}
    return {place: os.path.realpath(path) for place, path in found.items() if path}


def shell() -> str:
    """The path of bash, or else of sh, in the sandbox. Raises `SandboxError` if neither is installed."""
    for name in ("bash", "sh"):
        if f"{FOLDER}/{name}" in tools():
            return f"{FOLDER}/{name}"
    raise SandboxError("a session needs a shell: install bash")


@cache
def compiler() -> dict[str, str]:
    """The same for g++: its programs, its folders, headers, and what it links programs with.

    They are taken from g++'s own output when it compiles a small program. Raises `SandboxError` if g++ is not
    installed or does not work.
    """
    gcc = shutil.which("g++", path=_WHERE)
    if gcc is None:
        raise SandboxError(_FIX)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "program.cpp")
        source.write_text(_PROGRAM)
        command = [gcc, *COMPILE, "-v", "-Wl,--trace", "-o", f"{folder}/program", str(source)]
        environment = {"LC_ALL": "C", "PATH": _WHERE}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        raise SandboxError(f"{gcc} does not compile a small program: {ran.stderr.strip()[-300:]}. {_FIX}")
    headers = ran.stderr.partition("#include <...> search starts here:\n")[2]
    folders = [line.strip() for line in headers.partition("End of search list.")[0].splitlines()]
    folders = [place for place in folders if not place.startswith("/usr/local/")]
    folders += [str(Path(_asked(gcc, f"-print-prog-name={name}")).parent) for name in ("cc1plus", "collect2")]
    folders += [str(Path(_asked(gcc, "-print-libgcc-file-name")).parent)]
    shown = {f"{FOLDER}/g++": os.path.realpath(gcc)}
    for name in ("as", "ld"):
        program = shutil.which(_asked(gcc, f"-print-prog-name={name}"), path=_WHERE)
        if program:
            shown[f"{FOLDER}/{name}"] = os.path.realpath(program)
    linked = [line for line in ran.stdout.splitlines() if line.startswith("/") and not line.endswith(".o")]
    linked += [line for line in ran.stdout.splitlines() if "crt" in line]
    for path in (*folders, *linked):
        if Path(path).exists():
            place = f"{os.path.realpath(Path(path).parent)}/{Path(path).name}"
            shown[place] = os.path.realpath(path)
    outer = [place for place, source in shown.items() if Path(source).is_dir()]
    return {
        place: source
        for place, source in shown.items()
        if not any(place.startswith(f"{folder}/") for folder in outer)
    }


def _asked(gcc: str, question: str) -> str:
    ran = subprocess.run([gcc, question], capture_output=True, text=True, check=False)
    return ran.stdout.strip()
