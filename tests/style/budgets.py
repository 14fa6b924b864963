"""How long files and functions may be, and scanners that measure C, Lua and Python functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

FUNCTION_LINES = 70
FILE_LINES = 900
MODULE_LINES = 300  # a module of the Python package

# (name, first line, number of lines)
Function = tuple[str, int, int]

_C_NOISE = re.compile(
    r"//(?:[^\n\\]|\\.|\\\n)*"
    r"|/\*.*?\*/"
    r'|"(?:[^"\\\n]|\\.|\\\n)*"'
    r"|'(?:[^'\\\n]|\\.)*'"
    r"|^[ \t]*#(?:[^\n\\]|\\\n|\\.)*",
    re.DOTALL | re.MULTILINE,
)


def _blank(match: re.Match[str]) -> str:
    """The same lines without their text; a string stays a token."""
    text = match[0]
    return ("0" if text[0] in "\"'" else " ") + "\n" * text.count("\n")


def c_functions(text: str) -> Iterator[Function]:
    """The functions of a C file, from the first line of their signature to their closing brace."""
    code = _C_NOISE.sub(_blank, text)
    # extern "C" { ... } holds functions, not statements; strings are blanked to 0 by now.
    code, externs = re.subn(r"\bextern\s+0\s*\{", lambda match: " " + "\n" * match[0].count("\n"), code)
    depth, start, first = 0, 0, 0
    head = ""
    for match in re.finditer(r"[{};]", code):
        mark, position = match[0], match.start()
        if mark == "{":
            if depth == 0:
                head = code[start:position]
                first = start + len(head) - len(head.lstrip())
            depth += 1
            continue
        if mark == "}" and depth == 0 and externs:
            externs -= 1
        elif mark == "}":
            depth -= 1
            if depth < 0:
                raise ValueError(f"line {_line(code, position)}: a brace closes nothing")
            if depth == 0 and (name := _function_name(head)):
                yield name, _line(code, first), _line(code, position) + 1 - _line(code, first)
        if depth == 0:
            start = position + 1
    if depth:
        raise ValueError(f"line {_line(code, first)}: a brace is not closed")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _function_name(head: str) -> str | None:
    """The name of the function that a signature declares; None for a type or an initialiser."""
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head, flags=re.DOTALL)
    if "=" in head or not head.rstrip().endswith(")"):
        return None
    found = re.search(r"(\w+)\s*\(", head)
    return found[1] if found else None


_LUA_NOISE = re.compile(
    r"--\[(=*)\[.*?\]\1\]|--[^\n]*|\[(=*)\[.*?\]\2\]"
    r'|"(?:[^"\\\n]|\\.|\\\n)*"|\'(?:[^\'\\\n]|\\.|\\\n)*\'',
    re.DOTALL,
)
_LUA_WORDS = re.compile(r"\b(function|if|do|repeat|until|end)\b(?:\s+([\w.:]+))?")


def lua_functions(text: str) -> Iterator[Function]:
    """The functions of a Lua file, nested ones too."""
    code = _LUA_NOISE.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)
    blocks: list[tuple[str, str, int]] = []
    position = 0
    while match := _LUA_WORDS.search(code, position):
        word = match[1]
        position = match.end() if word == "function" else match.end(1)
        line = code.count("\n", 0, match.start()) + 1
        if word not in ("end", "until"):
            name = (match[2] or "(anonymous)") if word == "function" else ""
            blocks.append((word, name, line))
            continue
        if not blocks:
            raise ValueError(f"line {line}: {word} closes nothing")
        kind, name, first = blocks.pop()
        if kind == "function":
            yield name, first, line + 1 - first
    if blocks:
        raise ValueError(f"line {blocks[-1][2]}: {blocks[-1][0]} is not closed")


def python_functions(text: str) -> Iterator[Function]:
    """The functions of a Python file, methods and nested ones too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.lineno, node.end_lineno + 1 - node.lineno


SCANNERS = {".c": c_functions, ".h": c_functions, ".lua": lua_functions, ".py": python_functions}


def judge(path: str, text: str) -> list[str]:
    """Every exceeded budget of one file, as 'path:line: message'."""
    suffix = path[path.rfind(".") :]
    lines = text.count("\n") + (not text.endswith("\n"))
    limit = MODULE_LINES if path.startswith("python/quorate/") and suffix in (".py", ".pyi") else FILE_LINES
    faults = [f"{path}:1: {lines} lines, at most {limit}"] if lines > limit else []
    try:
        functions = list(SCANNERS[suffix](text)) if suffix in SCANNERS else []
    except ValueError as error:
        return [*faults, f"{path}: cannot be read: {error}"]
    return faults + [
        f"{path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES}"
        for name, line, length in functions
        if length > FUNCTION_LINES
    ]
