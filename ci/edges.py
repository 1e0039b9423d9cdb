#!/usr/bin/env python3
"""Every atomic access says which ordering it uses, why, and along which edge.

    ci/edges.py [--write] [ROOT]

* A1  Each access outside the shim has a comment above it, or in its statement, that names exactly
      the orderings of the accesses it stands for: `Acquire [FREE]: why`, `Relaxed on failure: why`,
      and, for several accesses in a row, `Relaxed, both: why` or `Relaxed, all: why`.
* A2  An ordering stronger than Relaxed names an edge in brackets; every claim gives a reason.
* A3  Each label has a row in the "# Edges" table of the file's header or of a mod.rs above it.
* A4  Each row has two sites at least: one that releases and one that acquires.
* A5  The functions that a row names exist.
* A6  DESIGN.md has all rows in one table, between its marks; `--write` renders it anew.

Exit status 1 with one line for each complaint.
"""
import os
import re
import sys

import rustsrc

REACH = 8  # lines above a statement in which its comment may begin

_WORD = "Relaxed|Acquire|Release|AcqRel|SeqCst"
# `Acquire [FREE]: ..`, `Relaxed on failure: ..`, `SeqCst [A] and [B]: ..`, `Relaxed, both: ..`
_MANY = r"(?:, (?P<{}>both|all|each))?"
_WHERE = r"(?: (?:on|for|in) [a-z` ]{1,30}?)?"
CLAIM = re.compile(
    rf"\b(?P<order>{_WORD})\b" + _MANY.format("many") + _WHERE
    + r"(?P<labels>(?:(?:,|,? and)? ?\[[A-Z][A-Z0-9_-]*\])*)" + _MANY.format("more") + _WHERE + r"\s*:")
LABEL = re.compile(r"\[([A-Z][A-Z0-9_-]*)\]")

RELEASES = {"Release", "AcqRel", "SeqCst"}
ACQUIRES = {"Acquire", "AcqRel", "SeqCst"}


class Claim:
    """One ordering in a comment; with `, both` or `, all` it stands for more than one access."""

    def __init__(self, match, reason):
        self.order = match["order"]
        self.labels = LABEL.findall(match["labels"])
        self.plural = bool(match["many"] or match["more"])
        self.reason = reason


def claims_in(text):
    found = list(CLAIM.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [Claim(match, text[match.end():end]) for match, end in zip(found, ends)]


def blocks_above(lines, comments, site_line):
    """Runs of comment lines before the access in this line, nearest first, each with whether the
    end of another statement lies between."""
    runs, run, crossed = [], [], False
    if site_line in comments:  # behind the code of its own line
        runs.append(([(site_line, comments[site_line])], False))
    for number in range(site_line - 1, max(0, site_line - 1 - 2 * REACH), -1):
        code = lines[number - 1].strip()
        if number in comments and not code:
            run.insert(0, (number, comments[number]))
            continue
        if run:
            runs.append((run, crossed))
            run = []
        if not code or re.search(r"\bfn\b", code) or number < site_line - REACH:
            break
        crossed = crossed or code.endswith((";", "{", "}"))
    if run:
        runs.append((run, crossed))
    return runs


def claims_for(lines, comments, line):
    """(first line, claims) of the comment that speaks for the access in this line, or None."""
    for run, crossed in blocks_above(lines, comments, line):
        claims = claims_in(" ".join(text for _, text in run))
        if claims and (not crossed or any(claim.plural for claim in claims)):
            return run[0][0], claims
        if claims:
            return None
    return None


def parse_edges(head):
    """Label -> its row's cells, of an "# Edges" table."""
    rows = {}
    for line in (rustsrc.section(head, "Edges") or "").split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.strip().startswith("|") and len(cells) >= 3:
            name = cells[0].strip("`[] ")
            if name.lower() != "edge" and not set(name) <= set("-: "):
                rows[name] = cells
    return rows


def statement_sites(sites):
    """Accesses by the call that they are arguments of."""
    calls = {}
    for site in sites:
        calls.setdefault((site.call_start, site.call_line), []).append(site)
    return calls


def check_file(path, read, uses):
    """Complaints about A1 to A3; adds (label -> accesses) to `uses`."""
    src, bad = read(path), []
    sites = rustsrc.find_sites(path, src)
    if not sites:
        return bad
    comments, lines = rustsrc.comment_lines(src), rustsrc.blank(src).split("\n")
    edges = {}
    for _, head in rustsrc.headers_upwards(path, read):
        for label in parse_edges(head):
            edges.setdefault(label, True)
    said = {}  # first line of a comment -> (claims, orderings used under it)
    for (_, line), call in statement_sites(sites).items():
        found = claims_for(lines, comments, line)
        names = "/".join(dict.fromkeys(site.cur for site in call))
        if not found:
            bad.append(f"{path}:{line}: {call[0].op}({names}) has no ordering comment (A1)")
            continue
        _, used = said.setdefault(found[0], (found[1], []))
        used.extend(call)
    for line, (claims, used) in sorted(said.items()):
        named, real = {c.order for c in claims}, {site.cur for site in used}
        if named != real:
            bad.append(f"{path}:{line}: the comment names {'/'.join(sorted(named))}, the code uses "
                       f"{'/'.join(sorted(real))} (A1)")
        for claim in claims:
            if len(claim.reason.split()) < 2:
                bad.append(f"{path}:{line}: {claim.order} gives no reason (A2)")
            if claim.order != "Relaxed" and not claim.labels:
                bad.append(f"{path}:{line}: {claim.order} names no edge (A2)")
            for label in claim.labels:
                if label not in edges:
                    bad.append(f"{path}:{line}: [{label}] has no row in an Edges table (A3)")
                for site in used:
                    if site.cur == claim.order:
                        uses.setdefault(label, {})[path, site.call_start] = claim.order
    return bad


def functions(read, paths):
    return {m for path in paths for m in re.findall(r"\bfn\s+(\w+)", rustsrc.blank(read(path)))}


def check_rows(read, paths, uses):
    """Complaints about A4 and A5."""
    bad, known = [], functions(read, paths)
    for path in paths:
        for label, cells in parse_edges(rustsrc.header(read(path))).items():
            orders = list(uses.get(label, {}).values())
            if len(orders) < 2:
                bad.append(f"{path}: edge {label} has {len(orders)} sites, two are needed (A4)")
            elif not RELEASES & set(orders):
                bad.append(f"{path}: edge {label} has no site that releases (A4)")
            elif not ACQUIRES & set(orders):
                bad.append(f"{path}: edge {label} has no site that acquires (A4)")
            for name in re.findall(r"`([\w:]+)`", " ".join(cells[1:3])):
                is_function = "::" in name or name[0].islower()
                if is_function and name.split("::")[-1] not in known:
                    bad.append(f"{path}: edge {label} names `{name}`, which is no function (A5)")
    return bad


def check(read, paths):
    bad, uses = [], {}
    for path in paths:
        if path not in rustsrc.SHIM:
            bad += check_file(path, read, uses)
    return bad + check_rows(read, paths, uses), uses


def table(read, paths):
    """All rows, with their files."""
    out = ["", "| edge | in | released by | acquired by | what crosses |", "|---|---|---|---|---|"]
    for path in paths:
        for label, cells in parse_edges(rustsrc.header(read(path))).items():
            out.append(f"| {label} | `{path}` | {' | '.join(cells[1:4])} |")
    return "\n".join(out) + "\n\n"


def filled(text, rows):
    return re.sub(r"(<!-- edges -->\n).*?(<!-- edges: end -->)", lambda found: found[1] + rows + found[2],
                  text, flags=re.S)


def check_design(root, rows, write):
    """Complaints about A6; or renders the table."""
    path = os.path.join(root, "DESIGN.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    new = filled(text, rows)
    if rows not in new:
        return ["DESIGN.md has no marks for the table of edges (A6)"]
    if new != text and not write:
        return ["DESIGN.md: the table of edges is out of date; run ci/edges.py --write (A6)"]
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)
    return []


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    args = [arg for arg in sys.argv[1:] if arg != "--write"]
    root = args[0] if args else here
    paths, read = rustsrc.sources(root), rustsrc.reader(root)
    bad, uses = check(read, paths)
    bad += check_design(root, table(read, paths), "--write" in sys.argv)
    for line in bad:
        print(line)
    print(f"edges: {len(uses)} labels, {sum(map(len, uses.values()))} labelled sites, "
          f"{len(bad)} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
