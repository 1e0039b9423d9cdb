#!/usr/bin/env python3
"""Every file of loom models says what it asks, and every model is counted.

    ci/headers.py [ROOT]

* H1  The header of each loom-tests/*.rs has the parts of the house: Model, Threads, Bound, Shrunk,
      Shows, Blind to, Explores. One header may speak for several models, in a table.
* H2  Each `#[test]` goes through `explore(`, itself or by a function of the same file.
* H3  The least number of executions is a number (or a constant of the file) of 2 or more: a model
      that explores one execution proves nothing.
* H5  The files that a "# Checked by" of src/ names are there.
* H4  Each file is a `[[test]]` of loom-tests/Cargo.toml, and each such entry a file.

Exit status 1 with one line for each complaint.
"""
import glob
import os
import re
import sys

import rustsrc

PARTS = ("Threads", "Bound", "Shrunk", "Shows", "Blind to", "Explores")
CALL = re.compile(r"\bexplore\s*\(")


def missing_parts(head):
    lines = head.split("\n")
    missing = [] if re.match(r"Models?\b", lines[0]) else ["Model"]
    for part in PARTS:
        # `Bound     none`, or a column of the table of models
        line = re.compile(rf"^{part}\s+\S", re.M)
        column = re.compile(rf"^\|(?:[^|]*\|)*\s*{part}\s*\|", re.M | re.I)
        if not line.search(head) and not column.search(head):
            missing.append(part)
    return missing


def body(text, start):
    """The braces that open after `start`."""
    open_ = text.find("{", start)
    depth = 0
    for i in range(open_, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[open_:i + 1]
    return text[open_:]


def functions(text):
    """Name -> body; and the names of the tests, with their lines."""
    bodies, tests = {}, {}
    for match in re.finditer(r"((?:#\[[^\]]*\]\s*)*)(?:pub(?:\([^)]*\))? )?fn (\w+)", text):
        bodies[match.group(2)] = body(text, match.end())
        if re.search(r"#\[test\]", match.group(1)):
            tests[match.group(2)] = text.count("\n", 0, match.start(2)) + 1
    return bodies, tests


def arguments(text, open_):
    """The top-level arguments of the call whose parenthesis is at `open_`."""
    out, depth, at = [], 0, open_ + 1
    for i in range(open_, len(text)):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth -= 1
            if depth == 0:
                out.append(text[at:i].strip())
                return out
        elif text[i] == "," and depth == 1:
            out.append(text[at:i].strip())
            at = i + 1
    return out


def number(text, constants):
    text = constants.get(text, text).replace("_", "")
    return int(re.sub(r"usize$", "", text)) if re.fullmatch(r"\d+(usize)?", text) else None


def reaches_explore(name, bodies, seen=()):
    text = bodies.get(name, "")
    if CALL.search(text):
        return True
    called = [c for c in re.findall(r"\b(\w+)\s*\(", text) if c in bodies and c not in seen + (name,)]
    return any(reaches_explore(c, bodies, seen + (name,)) for c in called)


def check_calls(path, text, bodies):
    """H3. In a helper the number may be a parameter; then its calls give one."""
    bad = []
    constants = dict(re.findall(r"const (\w+): usize = ([\d_]+);", text))
    for match in CALL.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if re.search(r"\bfn\s+$", text[:match.start()]):
            continue  # the definition of a stand-in
        args = arguments(text, match.end() - 1)
        if len(args) < 4:
            bad.append(f"{path}:{line}: explore() takes a name, a bound, a least number, a model (H3)")
            continue
        least = number(args[2], constants)
        if least is None and re.fullmatch(r"[a-z_]\w*", args[2]):
            bad += check_helper(path, text, bodies, match, args[2], constants)
        elif least is None or least < 2:
            bad.append(f"{path}:{line}: the least number of executions is `{args[2]}`, not 2 or more (H3)")
    return bad


def check_helper(path, text, bodies, match, parameter, constants):
    """Each call of the function around `match` passes 2 or more for `parameter`."""
    line = text.count("\n", 0, match.start()) + 1
    around = list(re.finditer(r"\bfn (\w+)\s*(?:<[^(]*>)?\s*\(", text[:match.start()]))
    params = arguments(text, around[-1].end() - 1) if around else []
    names = [param.split(":")[0].strip() for param in params]
    if parameter not in names:
        return [f"{path}:{line}: the least number `{parameter}` is neither a number nor a parameter (H3)"]
    bad, place = [], names.index(parameter)
    for call in re.finditer(rf"(?<!fn )\b{around[-1].group(1)}\s*\(", text):
        args = arguments(text, call.end() - 1)
        least = number(args[place], constants) if place < len(args) else None
        if least is None or least < 2:
            at = text.count("\n", 0, call.start()) + 1
            bad.append(f"{path}:{at}: the least number of executions is not 2 or more (H3)")
    return bad


def check_file(path, src):
    bad = []
    missing = missing_parts(rustsrc.header(src))
    if missing:
        bad.append(f"{path}: the header lacks {', '.join(missing)} (H1)")
    text = rustsrc.blank(src, ("comment", "char"))
    text = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: '"' + "s" * (len(m.group()) - 2) + '"'
                  if "\n" not in m.group() else m.group(), text)
    bodies, tests = functions(text)
    if not tests:
        bad.append(f"{path}: no test at all (H2)")
    for name, line in tests.items():
        if not reaches_explore(name, bodies):
            bad.append(f"{path}:{line}: {name} does not go through explore() (H2)")
    return bad + check_calls(path, text, bodies)


def check_manifest(paths, manifest):
    blocks = [block.split("\n[")[0] for block in manifest.split("[[test]]")[1:]]
    named = {"loom-tests/" + m for block in blocks for m in re.findall(r'^path *= *"([^"]+)"', block, re.M)}
    return ([f"{path}: no [[test]] of loom-tests/Cargo.toml (H4)" for path in paths if path not in named]
            + [f"loom-tests/Cargo.toml: {path} is not there (H4)" for path in sorted(named)
               if path not in paths])


def check_named(root, read):
    """Complaints about H5."""
    bad = []
    for path in rustsrc.sources(root):
        named = rustsrc.section(rustsrc.header(read(path)), "Checked by") or ""
        for name in re.findall(r"`((?:loom-tests|proptests|shuttle-tests|tests)/[\w/*-]+\.rs)`", named):
            if not glob.glob(os.path.join(root, name)):
                bad.append(f"{path}: \"# Checked by\" names {name}, which is not there (H5)")
    return bad


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = sys.argv[1] if len(sys.argv) > 1 else here
    read = rustsrc.reader(root)
    names = sorted(n for n in os.listdir(os.path.join(root, "loom-tests")) if n.endswith(".rs"))
    paths = ["loom-tests/" + name for name in names]
    bad = check_manifest(paths, read("loom-tests/Cargo.toml"))
    bad += check_named(root, read)
    for path in paths:
        bad += check_file(path, read(path))
    if not paths:
        bad.append("loom-tests: no file of models")
    for line in bad:
        print(line)
    print(f"headers: {len(paths)} files of models, {len(bad)} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
