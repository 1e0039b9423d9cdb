#!/usr/bin/env python3
"""The measured tables in the documents are those of the records.

    ci/measured.py            check; CI runs this
    ci/measured.py --write    render them anew from benches/record/, the latest record of each row

A document asks for a table between two marks:

    <!-- measured: bars -->      every comparison that has a bar
    <!-- measured: ROW .. -->    every comparison and figure of these rows
    <!-- measured: end -->
"""
import json
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benches" / "record"
DOCUMENTS = ["README.md", "DESIGN.md"]
BLOCK = re.compile(r"(<!-- measured: (?!end)([\w -]+?) -->\n)(.*?)(<!-- measured: end -->)", re.S)


# The order of rows in a table of bars; what is not named comes last.
ORDER = ["memory", "locate-in", "locate", "get-many", "get-in", "get-in-10m", "threads", "threads-objects",
         "writer-slow", "writer-flat-out", "insert", "slots", "slots-full", "cache-hits", "cache-mixed", "cache-hot",
         "cache-memory", "cache-peak", "cache-latency", "store-put", "store-change", "store-threads", "store-stream",
         "store-get", "store-load", "store-memory", "store-reopen", "store-size", "objects-get", "objects-threads",
         "objects-put", "objects-peak"]


def latest(folder):
    """Row -> its latest record, in the order of a table."""
    files = sorted(folder.glob("????-??-??-*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    place = {row: at for at, row in enumerate(ORDER)}
    records.sort(key=lambda record: place.get(record["row"], len(ORDER)))
    return {record["row"]: record for record in records}


def number(value):
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:.{digits}f}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def line(record):
    unit, against = record["unit"], record["against"]
    values = against["values"]
    peer = f"{against['name']}: {number(statistics.median(values))} {unit}" if values else "-"
    met = {True: "yes", False: "**no**", None: ""}[record["met"]]
    ours = f"{number(statistics.median(record['ours']['values']))} {unit}"
    return f"| {record['work']} | {ours} | {peer} | {spread(record['ratios'])} | {record['bar']} | {met} |"


def figure(record):
    series = record["series"]
    return f"| {record['work']} | {series['name']} | {spread(series['values'])} {record['unit']} |"


def comparisons(lines):
    head = ["| work | ours | peer or baseline | ratio (least to most) | bar | met? |", "|---|---|---|---|---|---|"]
    return head + [line(record) for record in lines]


def machine(records):
    """One line for each machine and day."""
    told = {}
    for record in records:
        about = record["machine"]
        caches = ", ".join(about["caches"])
        told[f"{record['date']}: {about['cpu']}, {about['cores']} cores, {caches}, {about['rustc']}."] = None
    return [*told]


def render(what, records):
    rows = list(records) if what == "bars" else what.split()
    missing = [row for row in rows if row not in records]
    if missing:
        raise SystemExit(f"no record of: {' '.join(missing)}")
    chosen = [records[row] for row in rows]
    lines = [one for record in chosen for one in record["lines"] if what != "bars" or one["met"] is not None]
    out = comparisons(lines) if lines else []
    figures = [] if what == "bars" else [one for record in chosen for one in record["figures"]]
    if figures:
        out += [""] * bool(out) + ["| work | who | median (least to most) |", "|---|---|---|"]
        out += [figure(one) for one in figures]
    return "\n".join(["", *out, "", *machine(chosen), ""])


def fill(text, records):
    return BLOCK.sub(lambda found: found[1] + render(found[2], records) + found[4], text)


def main(write):
    records, stale = latest(RECORDS), []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        filled = fill(text, records)
        if filled != text:
            stale.append(name)
            if write:
                path.write_text(filled, encoding="utf-8")
    print(f"measured: {len(records)} records, {len(stale)} documents {'written' if write else 'out of date'}")
    if stale and not write:
        print(f"{' '.join(stale)}: run ci/measured.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
