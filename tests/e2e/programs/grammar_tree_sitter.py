"""Parses route files with the tree-sitter grammar: grammar_tree_sitter.py GRAMMAR FOLDER FILE…"""

import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

from tree_sitter import Language, Parser, Query, QueryCursor

SAMPLE = '''## What it is.
import std/web
pool web = 10.0.0.1:80 weight 3
site {tenant}.example.com {
    # A comment.
    timeout 30s
    set request header x-user = "a{client.ip}\\n"
    /u/{id:int}/* when method is GET and header.x matches "^a{3}$" -> web at /v/{id}
    else -> redirect 308 https://example.com/{id}
}
'''

EXPECTED = {
    "## What it is.": "comment.documentation", "# A comment.": "comment", "import": "keyword", "site": "keyword",
    "timeout": "property", "set": "keyword", "30s": "number", "10.0.0.1:80": "number", "and": "keyword.operator",
    "GET": "constant.builtin", "matches": "keyword.operator", '"^a{3}$"': "string.regexp", "->": "operator",
    "redirect": "function.builtin", "{tenant}": "variable.parameter", "{client.ip}": "variable.parameter",
    "\\n": "string.escape", "web": "variable", "weight": "keyword", "https://example.com/{id}": "string.special.url",
    "/u/{id:int}/*": "string.special.path", "{id:int}": "variable.parameter", "is": "keyword.operator",
}


def words(grammar):
    """The keywords as they were generated, and those that the parser was made of."""
    listed = json.loads(re.sub(r"^//.*\n|module.exports = |;$|,(?=\n})", "", (grammar / "keywords.js").read_text(), flags=re.M)
                        .replace("\n  ", '\n  "').replace(": [", '": ['))
    of_parser = set()

    def strings(node):
        if isinstance(node, dict):
            if node.get("type") == "STRING" and re.fullmatch(r"[A-Za-z][\w-]*", node["value"]):
                of_parser.add(node["value"])
            for value in node.values():
                strings(value)
        elif isinstance(node, list):
            for value in node:
                strings(value)

    strings(json.loads((grammar / "src/grammar.json").read_text())["rules"])
    used = ("items", "statements", "operators", "answers", "clauses", "lines", "functions", "parts", "methods", "settings")
    return {word for kind in used for word in listed[kind]}, of_parser


def main():
    grammar, folder, files = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    listed, of_parser = words(grammar)
    assert listed == of_parser, f"the parser is stale: tree-sitter generate in {grammar.name}; {listed ^ of_parser}"
    library = folder / "sluice.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O0", "-w", "-I", grammar / "src", "-o", library, grammar / "src/parser.c"],
                   check=True)
    pointer = ctypes.CDLL(str(library)).tree_sitter_sluice
    pointer.restype = ctypes.c_void_p
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    language = Language(capsule(pointer(), b"tree_sitter.Language", None))
    parser = Parser(language)

    queries = {path.name: Query(language, path.read_text()) for path in (grammar / "queries").iterdir()}
    tree = parser.parse(SAMPLE.encode())
    assert not tree.root_node.has_error, tree.root_node
    colours = {}
    for name, nodes in QueryCursor(queries["highlights.scm"]).captures(tree.root_node).items():
        for node in nodes:
            colours.setdefault(node.text.decode(), set()).add(name)
    for text, name in EXPECTED.items():
        assert name in colours.get(text, set()), (text, name, colours.get(text))

    broken = []
    for file in files:
        tree = parser.parse(Path(file).read_bytes())
        if tree.root_node.has_error:
            broken.append(file)
    assert not broken, broken
    assert parser.parse(b"site a.com {\n").root_node.has_error, "an error is an error"
    print(f"{len(files)} files: ok")


main()
