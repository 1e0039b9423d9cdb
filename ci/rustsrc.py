"""Just enough Rust to find atomic operations, comments and headers. Standard library only.

Orderings are looked for as whole arguments (`Acquire` or `Ordering::Acquire`) of a known atomic
operation; one that is passed through a variable or a macro is not seen, so the house writes them
literally at each call.
"""
import fnmatch
import os
import re

ORDERINGS = ("Relaxed", "Acquire", "Release", "AcqRel", "SeqCst")
RMW = {
    "swap", "fetch_add", "fetch_sub", "fetch_and", "fetch_nand", "fetch_or", "fetch_xor",
    "fetch_max", "fetch_min", "fetch_not",
}
CAS = {"compare_exchange", "compare_exchange_weak"}

# The shim: the checker's own model of things, mutated and labelled by nobody.
SHIM = (
    "src/sync/atomic.rs", "src/sync/cell.rs", "src/sync/local.rs", "src/sync/lock.rs",
    "src/sync/epoch/seam.rs",
)

TEST_ITEMS = ("cfg(test)", "cfg(all(test*", "test")

_RAW = re.compile(r'(?:b|c)?r(#*)"')
_STR = re.compile(r'(?:b|c)?"')
_CHR = re.compile(r"b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])'")
_LIFE = re.compile(r"'[A-Za-z_]\w*")
_IDENT = re.compile(r"(?:r#)?[A-Za-z_]\w*")
_NUM = re.compile(r"\d\w*(?:\.\d\w*)?")  # not the dot of `0..n` or of `self.0.load`


class Tok:
    __slots__ = ("kind", "text", "pos", "line")

    def __init__(self, kind, text, pos, line):
        self.kind, self.text, self.pos, self.line = kind, text, pos, line


def _end_of_block_comment(src, i):
    depth, j = 1, i + 2
    while j < len(src) and depth:
        if src.startswith("/*", j):
            depth, j = depth + 1, j + 2
        elif src.startswith("*/", j):
            depth, j = depth - 1, j + 2
        else:
            j += 1
    return j


def scan(src):
    """All of the source as (kind, start, end): space, comment, string, char, life, id, num, p."""
    out, i, n = [], 0, len(src)
    while i < n:
        if src[i].isspace():
            j, kind = i + 1, "space"
        elif src.startswith("//", i):
            j, kind = src.find("\n", i), "comment"
            j = n if j < 0 else j
        elif src.startswith("/*", i):
            j, kind = _end_of_block_comment(src, i), "comment"
        elif _RAW.match(src, i):
            m = _RAW.match(src, i)
            end, kind = src.find('"' + m.group(1), m.end()), "string"
            j = n if end < 0 else end + 1 + len(m.group(1))
        elif _STR.match(src, i):
            j, kind = _STR.match(src, i).end(), "string"
            while j < n and src[j] != '"':
                j += 2 if src[j] == "\\" else 1
            j = min(n, j + 1)
        elif _CHR.match(src, i):
            j, kind = _CHR.match(src, i).end(), "char"
        elif _LIFE.match(src, i):
            j, kind = _LIFE.match(src, i).end(), "life"
        elif _IDENT.match(src, i):
            j, kind = _IDENT.match(src, i).end(), "id"
        elif _NUM.match(src, i):
            j, kind = _NUM.match(src, i).end(), "num"
        elif src.startswith("::", i):
            j, kind = i + 2, "p"
        else:
            j, kind = i + 1, "p"
        out.append((kind, i, j))
        i = j
    return out


def tokenize(src):
    """Identifiers, numbers and punctuation."""
    out, line, at = [], 1, 0
    for kind, start, end in scan(src):
        if kind in ("id", "num", "p"):
            line += src.count("\n", at, start)
            at = start
            out.append(Tok(kind, src[start:end], start, line))
    return out


def blank(src, kinds=("comment", "string", "char")):
    """The same text with these kinds overwritten by spaces; lines and columns stay."""
    out = []
    for kind, start, end in scan(src):
        text = src[start:end]
        out.append(re.sub(r"[^\n]", " ", text) if kind in kinds else text)
    return "".join(out)


def code_only(src):
    """Comments gone and white space collapsed: what a hash of the code is taken over."""
    return " ".join(src[a:b] for kind, a, b in scan(src) if kind not in ("comment", "space"))


def comment_lines(src):
    """Line number -> text of its `//` comment, with doc comments (`///`, `//!`) left out."""
    out, line, at = {}, 1, 0
    for kind, start, end in scan(src):
        if kind == "comment" and src.startswith("//", start):
            line += src.count("\n", at, start)
            at = start
            text = src[start:end]
            if not text.startswith(("///", "//!")):
                out[line] = text[2:].strip()
    return out


def header(src):
    """The module header: its leading `//!` lines, without the marks."""
    out = []
    for text in src.split("\n"):
        if text.startswith("//!"):
            out.append(text[3:][1:] if text[3:4] == " " else text[3:])
        elif text.strip():
            break
    return "\n".join(out)


def section(head, title):
    """The lines of `# title` in a header, up to the next heading; None where there is none."""
    lines, inside = [], None
    for text in head.split("\n"):
        if text.startswith("# "):
            if inside:
                break
            inside = text[2:].strip().lower() == title.lower()
        elif inside:
            lines.append(text)
    return "\n".join(lines) if inside or lines else None


def headers_upwards(path, read):
    """(file, header) of the file itself, then of each mod.rs above it, nearest first."""
    out = [(path, header(read(path)))]
    folder = os.path.dirname(path)
    while folder:
        for name in (folder + "/mod.rs", folder + ".rs"):
            if name != path:
                try:
                    out.append((name, header(read(name))))
                except FileNotFoundError:
                    pass
        folder = os.path.dirname(folder)
    return out


class Site:
    """One ordering argument."""

    def __init__(self, path, tok, func, op, kind, call, nth):
        self.path, self.line, self.func, self.op, self.kind = path, tok.line, func, op, kind
        self.cur, self.start, self.end = tok.text, tok.pos, tok.pos + len(tok.text)
        self.call_start, self.call_end, self.call_line = call
        self.nth = nth

    def key(self, to):
        return f"{self.path}:{self.func}:{self.op}#{self.nth}:{self.cur}->{to}"


def matching(toks, i, open_, close):
    depth = 0
    for j in range(i, len(toks)):
        if toks[j].text == open_:
            depth += 1
        elif toks[j].text == close:
            depth -= 1
            if depth == 0:
                return j
    return len(toks) - 1


def _skip_item(toks, j):
    """Index of the last token of the item that begins at `j`."""
    while j < len(toks) and toks[j].text not in ("{", ";"):
        if toks[j].text == "#" and j + 1 < len(toks) and toks[j + 1].text == "[":
            j = matching(toks, j + 1, "[", "]")
        elif toks[j].text in ("(", "["):
            j = matching(toks, j, toks[j].text, ")" if toks[j].text == "(" else "]")
        j += 1
    if j < len(toks) and toks[j].text == "{":
        j = matching(toks, j, "{", "}")
    return j


def _scope_name(toks, i):
    """The last path segment before the brace of an impl, a trait or a mod."""
    j, name, angle = i + 1, "", 0
    while j < len(toks) and toks[j].text not in ("{", ";"):
        x = toks[j]
        if x.text == "<":
            angle += 1
        elif x.text == ">" and toks[j - 1].text not in ("-", "="):
            angle = max(0, angle - 1)
        elif x.text == "where":
            break
        elif x.kind == "id" and angle == 0 and x.text not in ("for", "unsafe", "dyn", "const"):
            name = x.text
        j += 1
    opens = j < len(toks) and (toks[j].text == "{" or toks[j].text == "where")
    return name if opens else None


def _callee(toks, i):
    """Index of the name that the parenthesis at `i` calls, across a turbofish."""
    k = i - 1
    if k >= 0 and toks[k].text == ">":
        depth = 0
        while k >= 0:
            if toks[k].text == ">":
                depth += 1
            elif toks[k].text == "<":
                depth -= 1
                if depth == 0:
                    break
            k -= 1
        k -= 1
        if k >= 0 and toks[k].text == "::":
            k -= 1
    return k if k >= 0 and toks[k].kind == "id" else None


def classify(op, arg):
    if op == "load":
        return "load"
    if op == "store":
        return "store"
    if op in RMW:
        return "rmw"
    if op in CAS:  # success is the third argument, failure the fourth
        return "rmw" if arg == 2 else "load" if arg == 3 else None
    if op == "fetch_update":
        return "rmw" if arg == 0 else "load" if arg == 1 else None
    if op == "fence":
        return "fence"
    return None


def find_sites(path, src, skip=TEST_ITEMS):
    """Every literal ordering argument outside test code, in order."""
    toks = tokenize(src)
    sites, scope, parens, counts = [], [], [], {}
    pending = None  # name of the fn / mod / impl whose `{` is still to come
    i = 0
    while i < len(toks):
        t = toks[i]
        if t.text == "#" and i + 1 < len(toks) and toks[i + 1].text == "[":
            end = matching(toks, i + 1, "[", "]")
            body = "".join(x.text for x in toks[i + 2:end])
            skipped = any(fnmatch.fnmatch(body, pattern) for pattern in skip)
            i = (_skip_item(toks, end + 1) if skipped else end) + 1
            continue
        if t.kind == "id" and t.text == "use":
            while i < len(toks) and toks[i].text != ";":
                i += 1
            continue
        if t.kind == "id" and t.text == "fn" and i + 1 < len(toks) and toks[i + 1].kind == "id":
            pending = toks[i + 1].text
        elif t.kind == "id" and t.text in ("impl", "trait", "mod") and not parens and not (
                t.text == "impl" and pending):  # `-> impl Trait`
            pending = _scope_name(toks, i) or pending
        elif t.text == "{":
            scope.append(pending)
            pending = None
        elif t.text == "}":
            if scope:
                scope.pop()
        elif t.text == ";" and not parens:
            pending = None
        elif t.text in ("(", "["):
            parens.append([_callee(toks, i) if t.text == "(" else None, 0, i])
        elif t.text in (")", "]"):
            if parens:
                parens.pop()
        elif t.text == "," and parens:
            parens[-1][1] += 1
        elif t.kind == "id" and t.text in ORDERINGS and parens:
            site = _site(path, toks, i, parens[-1], scope, counts)
            if site:
                sites.append(site)
        i += 1
    return sites


def _site(path, toks, i, paren, scope, counts):
    first = i
    if toks[i - 1].text == "::":
        first = i - 2
        if toks[first].text != "Ordering":
            return None
        while first >= 2 and toks[first - 1].text == "::":
            first -= 2
    after = toks[i + 1].text if i + 1 < len(toks) else ""
    callee, arg, open_ = paren
    if toks[first - 1].text not in ("(", ",") or after not in (")", ",") or callee is None:
        return None
    op = toks[callee].text
    kind = classify(op, arg)
    if not kind:
        return None
    func = "::".join(s for s in scope if s) or "-"
    start = callee
    while start >= 2 and toks[start - 1].text == "::":
        start -= 2
    close = toks[matching(toks, open_, "(", ")")]
    counts[func, op] = counts.get((func, op), 0) + 1
    call = (toks[start].pos, close.pos + 1, toks[callee].line)
    return Site(path, toks[i], func, op, kind, call, counts[func, op])


def sources(root, under="src"):
    """Every .rs file below a folder, relative to the root, sorted."""
    out = []
    for folder, dirs, names in os.walk(os.path.join(root, under)):
        dirs.sort()
        out += [os.path.relpath(os.path.join(folder, n), root) for n in names if n.endswith(".rs")]
    return sorted(out)


def reader(root):
    """A function from a relative path to its text."""
    def read(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()
    return read
