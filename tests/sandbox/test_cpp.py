"""Programs in C++: compiled once in the sandbox, run often. They need g++ (apt-get install g++)."""

from __future__ import annotations

import asyncio
import tempfile
import textwrap
from pathlib import Path

import pytest

from evalkit.errors import SandboxError
from evalkit.sandbox import Executable, Limits, Ran, build, execute, tools
from tests import needs

pytestmark = needs.compiler
HEADERS = "#include <csignal>\n#include <cstdlib>\n#include <stdexcept>\n#include <vector>\n"
SUM = """
#include <bits/stdc++.h>
int main() {
    long long n, sum = 0;
    while (std::cin >> n) sum += n;
    std::cout << sum << std::endl;
    std::cerr << "é" << std::endl;
    return sum == 0;
}
"""


def run(source: str, stdin: str = "", limits: Limits | None = None) -> Ran:
    return asyncio.run(execute(textwrap.dedent(source), stdin, language="c++", limits=limits or Limits()))


@pytest.mark.slow
def test_compiled_once_and_run_for_many_inputs() -> None:
    async def main() -> tuple[Executable, list[Ran]]:
        built = await build(SUM)
        return built, await asyncio.gather(*(execute(built, f"{n} {n * 10**10}\n") for n in range(30)))

    built, ran = asyncio.run(main())
    assert built.failed is None
    assert built.content.startswith(b"\x7fELF")
    assert [one.stdout for one in ran] == [f"{n + n * 10**10}\n" for n in range(30)]
    assert [one.status for one in ran] == [1] + [0] * 29
    assert {one.stderr for one in ran} == {"é\n"}
    assert all(one.seconds < 1 for one in ran)


@pytest.mark.slow
def test_what_does_not_compile_is_told_in_the_compiler_s_words() -> None:
    ran = run("int main() { return x; }")
    assert (ran.ended, ran.status, ran.stdout, ran.seconds > 0) == ("compiler", 1, "", True)
    assert "program.cpp:1:21: error: ‘x’ was not declared in this scope" in ran.stderr
    assert run("").ended == "compiler"  # no main
    assert run("\0\ud800 é").ended == "compiler"
    built = asyncio.run(build("int main( {"))
    assert built.failed is not None
    assert asyncio.run(execute(built)) == asyncio.run(execute(built)) == built.failed


@pytest.mark.slow
def test_the_language_and_its_library() -> None:
    source = """
        #include <bits/stdc++.h>
        #include <thread>
        int main() {
            std::optional<std::string_view> x = "seventeen";
            auto [a, b] = std::pair(1, 2.5);
            std::map<int, std::vector<int>> m{{1, {2, 3}}};
            if (int n = m[1].size(); n == 2) std::cout << *x << ' ' << a + b << ' ' << std::sin(0.5) << '\\n';
            std::thread t([] { std::cout << "thread\\n"; });
            t.join();
            std::cout << __cplusplus << ' ' << std::regex_match("aab", std::regex("a+b")) << '\\n';
            #ifdef __OPTIMIZE__
            std::cout << "optimised\\n";
            #endif
        }
    """
    ran = run(source)
    assert (ran.stdout, ran.status) == ("seventeen 3.5 0.479426\nthread\n201703 1\noptimised\n", 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("std::abort();", -6),
        ("throw std::runtime_error(\"x\");", -6),
        ("volatile int *p = nullptr; *p = 1;", -11),
        ("volatile int zero = 0; return 7 / zero;", -8),
        ("std::raise(SIGTERM);", -15),
        ("std::exit(42);", 42),
        ("std::vector<int> v(3); return v.at(5);", -6),
    ],
)  # fmt: skip
def test_signals_and_statuses(body: str, status: int) -> None:
    ran = run(f"{HEADERS}int main() {{ {body} }}")
    assert (ran.status, ran.ended) == (status, "itself")


@pytest.mark.slow
def test_limits() -> None:
    spin = run("int main() { volatile long n = 0; for (;;) n = n + 1; }", limits=Limits(cpu_seconds=1))
    assert (spin.ended, spin.status) == ("cpu_seconds", -9)
    assert 0.9 < spin.seconds < 3
    flood = run('#include <cstdio>\nint main() { for (;;) puts("x"); }', limits=Limits(output_megabytes=1))
    assert (flood.ended, len(flood.stdout)) == ("output_megabytes", 1 << 20)
    large = run(
        "#include <vector>\nint main() { std::vector<char> v(1L << 30); }",
        limits=Limits(memory_megabytes=256),
    )
    assert (large.status, large.ended) == (-6, "itself")
    assert "bad_alloc" in large.stderr
    wait = run("#include <unistd.h>\nint main() { sleep(60); }", limits=Limits(wall_seconds=1))
    assert wait.ended == "wall_seconds"


@pytest.mark.slow
def test_it_is_as_confined_as_python() -> None:
    ran = run("""
        #include <iostream>
        #include <unistd.h>
        int main() {
            std::cout << fork() << ' ' << getuid() << ' ' << access("/etc/passwd", F_OK) << ' ';
            std::cout << access("/usr/include/stdio.h", F_OK) << ' ' << getpid() << '\\n';
        }
    """)
    assert ran.stdout == "-1 65534 -1 -1 2\n"


@pytest.mark.slow
def test_the_compiler_sees_no_file_of_this_machine() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        secret = Path(folder, "secret.h")
        secret.write_text("int needle4711;\n")
        Path(folder).chmod(0o755)
        for place in (str(secret), "/etc/passwd", "/etc/hostname", "/proc/self/environ"):
            ran = run(f'#include "{place}"\nint main() {{}}')
            assert ran.ended == "compiler"
            assert "No such file or directory" in ran.stderr
            assert "needle" not in ran.stderr


def test_a_compiler_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.sandbox import running

    monkeypatch.setattr(running, "_COMPILING", Limits(wall_seconds=0.2))
    ran = run(SUM)
    assert ran.ended == "compiler"
    assert ran.status != 0
    assert ran.stderr.endswith("the compiler was ended: it used up its wall_seconds\n")


def test_without_a_compiler_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_WHERE", "/nowhere")
    tools.compiler.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"install g\+\+ \(apt-get install g\+\+"):
            run("int main() {}")
    finally:
        monkeypatch.undo()
        tools.compiler.cache_clear()
