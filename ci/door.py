#!/usr/bin/env python3
"""`sync/` is the only door to atomics, cells, locks, epochs and thread-locals.

    ci/door.py [ROOT]

* D1  Outside src/sync/ nothing names what stands behind the door. A bypass is invisible to the
      model checkers: the models pass and prove nothing.
* D2  `unsafe` occurs only in the files listed here, each opened by `#![allow(unsafe_code)]` (or one
      item of it by `#[allow(unsafe_code)]`) with a comment above or beside it that says why.

Exit status 1 with one line for each complaint. Comments and strings do not count.
"""
import os
import re
import sys

import rustsrc

DOOR = "src/sync/"

# Files that may hold `unsafe`, and what for. A file that no longer does must go from the list.
UNSAFE = {
    "src/alloc/class.rs": "vouches for how long the blocks of a class live",
    "src/alloc/directory.rs": "blocks behind the addresses in index entries",
    "src/alloc/published.rs": "a published table behind an atomic word",
    "src/alloc/singles.rs": "blocks behind the addresses in a table",
    "src/bitset/block.rs": "allocates a header that ends in words; thin pointers",
    "src/bitset/chain.rs": "cells behind an atomic address",
    "src/bitset/list.rs": "blocks linked by address",
    "src/cache/chunks.rs": "things in chunks behind atomic addresses",
    "src/cache/coarse.rs": "asks the C library for the time",
    "src/cache/core.rs": "vouches for the lock, where entries are taken and given back",
    "src/cache/engine.rs": "vouches for guards, and takes out pairs that nobody looks at",
    "src/cache/expire.rs": "vouches that what the wheel has is the shard's",
    "src/cache/places.rs": "lists of empty entries that run through them; frees chunks",
    "src/cache/put.rs": "fills an empty entry under the lock",
    "src/cache/resize.rs": "asks the slab under the lock",
    "src/cache/shard.rs": "a table behind an atomic address; follows numbers into the slab",
    "src/cache/slab.rs": "pairs that lock, table and epochs keep apart",
    "src/cache/table.rs": "a bucket without a question whether it is there",
    "src/cache/tags.rs": "vector instructions",
    "src/cache/tend.rs": "vouches for the lock, where entries are taken, filled and freed",
    "src/cache/times.rs": "deadlines at the numbers of their entries",
    "src/cache/view.rs": "vouches for the lock while the policy looks",
    "src/cache/writer.rs": "vouches for the lock, and for what leaves and when",
    "src/index/heap.rs": "nodes and buckets behind words",
    "src/index/shrink.rs": "retires what it unlinked",
    "src/index/trie.rs": "hands out the proofs that a word may be followed",
    "src/index/write.rs": "retires what it unlinked",
    "src/objects/builder.rs": "a buffer whose length its writer vouches for",
    "src/objects/object.rs": "an outcome that a word vouches for",
    "src/sync/barrier.rs": "asks the system for a barrier",
    "src/sync/cell.rs": "cells that a lock or an epoch elsewhere guards",
    "src/sync/epoch/handles.rs": "the handle in front is behind a pointer",
    "src/sync/hint.rs": "a prefetch",
}

_ROOT = r"\b(?:std|core|alloc)\s*::\s*"
BEHIND = [
    (_ROOT + r"sync\s*::\s*atomic\b", "atomics"),
    (_ROOT + r"cell\s*::\s*(?:UnsafeCell|SyncUnsafeCell)\b", "cells that a checker must see"),
    (_ROOT + r"sync\s*::\s*(?:Mutex|RwLock|Condvar|Barrier|Once\w*|LazyLock|mpsc|ReentrantLock)\b",
     "locks"),
    (r"\b(?:UnsafeCell|SyncUnsafeCell|RwLock|Condvar|OnceLock|LazyLock)\b", "cells and locks"),
    (_ROOT + r"thread\b(?!\s*::\s*available_parallelism\b)", "threads"),
    (r"\bthread\s*::\s*(?:current|spawn|park|yield_now|sleep)\b", "threads"),
    (r"\bthread_local\s*!", "thread-locals"),
    (r"#\s*\[\s*thread_local\b", "thread-locals"),
    (r"\blazy_static\s*!", "statics"),
    (r"\bspin_loop\b", "spinning"),
    (r"\bcrossbeam_epoch\b", "epochs"),
    (r"\bcrossbeam_utils\s*::\s*(?!CachePadded\b)\w+", "more of crossbeam_utils than CachePadded"),
    (r"\bloom\s*::", "loom"),
    (r"\bshuttle\s*::", "shuttle"),
    (r"\bparking_lot\b", "locks"),
    (r"\bstatic\s+mut\b", "mutable statics"),
]
# `use std::{sync::{atomic::AtomicU64, Mutex}, thread};`
GROUPED = re.compile(r"\buse\s+(?:std|core|alloc)\s*::\s*[^;]*\{[^;]*;")
IN_GROUP = re.compile(
    r"\b(?:atomic|thread|UnsafeCell|Mutex|RwLock|Condvar|Barrier|Once\w*|LazyLock|mpsc)\b")


def line_of(text, pos):
    return text.count("\n", 0, pos) + 1


def bypasses(path, src):
    text, found = rustsrc.blank(src), {}
    for regex, what in BEHIND:
        for match in re.finditer(regex, text):
            found.setdefault((line_of(text, match.start())), f"{match.group().strip()} ({what})")
    for match in GROUPED.finditer(text):
        inner = IN_GROUP.search(match.group())
        if inner:
            line = line_of(text, match.start() + inner.start())
            found.setdefault(line, f"{inner.group()} in a grouped import")
    return [f"{path}:{line}: past the door: {what} (D1)" for line, what in sorted(found.items())]


def unsafe_use(path, src, allowed):
    text = rustsrc.blank(src)
    uses = list(re.finditer(r"\bunsafe\b", text))
    opened = list(re.finditer(r"#!?\[allow\(unsafe_code\)\]", text))
    bad = []
    if (uses or opened) and path not in allowed:
        line = line_of(text, (uses or opened)[0].start())
        bad.append(f"{path}:{line}: unsafe code in a file that ci/door.py does not list (D2)")
    if path in allowed and not uses:
        bad.append(f"{path}: listed for unsafe code and has none (D2)")
    if uses and not opened:
        bad.append(f"{path}: unsafe code without `#![allow(unsafe_code)]` (D2)")
    for attribute in opened:
        number = line_of(text, attribute.start())
        if len(reason(src.split("\n"), number).split()) < 3:
            bad.append(f"{path}:{number}: `allow(unsafe_code)` without a sentence why (D2)")
    return bad


def reason(lines, number):
    """The comment beside or above a line (1-based)."""
    beside = lines[number - 1].partition("//")[2]
    above = lines[number - 2].strip() if number > 1 else ""
    is_comment = above.startswith("//") and not above.startswith(("///", "//!"))
    return beside or (above[2:] if is_comment else "")


def check(read, paths, allowed):
    bad = [f"{path}: listed for unsafe code and not there (D2)" for path in allowed if path not in paths]
    for path in paths:
        src = read(path)
        if not path.startswith(DOOR):
            bad += bypasses(path, src)
        bad += unsafe_use(path, src, allowed)
    return bad


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = sys.argv[1] if len(sys.argv) > 1 else here
    paths = rustsrc.sources(root)
    bad = check(rustsrc.reader(root), paths, UNSAFE)
    for line in bad:
        print(line)
    print(f"door: {len(paths)} files, {len(UNSAFE)} with unsafe code, {len(bad)} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
