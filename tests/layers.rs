//! Folders of `src/` depend one way.
//!
//! ```text
//! sync <- id <- { bitset, index } <- alloc <- store
//!         ^---------------------- cache <-----'     cache <- objects
//! ```
//! * L1  A folder names only folders below it, by `crate::folder::..` or by climbing out with
//!   `super::`.
//! * L2  It names them by their folder, and not by what `lib.rs` exports.
//! * L3  There is no code beside `lib.rs` outside the folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each folder may name.
const LAYERS: [(&str, &[&str]); 8] = [
    ("sync", &[]),
    ("id", &["sync"]),
    ("bitset", &["sync", "id"]),
    ("index", &["sync", "id"]),
    ("alloc", &["sync", "id", "bitset", "index"]),
    ("cache", &["sync", "id"]),
    ("objects", &["sync", "id", "cache"]),
    (
        "store",
        &["sync", "id", "bitset", "index", "alloc", "cache"],
    ),
];

fn below(folder: &str) -> Option<&'static [&'static str]> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == folder)
        .map(|(_, below)| *below)
}

/// The source with comments, strings and quoted characters blanked out.
fn code_only(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(1, |end| end + 2)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.push(' ');
        out.extend(rest[..skipped].matches('\n'));
        rest = &rest[skipped..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// The names that follow `crate::` or enough of `super::` to reach it, with their lines.
///
/// `depth` is how many `super::` lead from the file's module to the crate's root.
fn names_from_the_root(source: &str, depth: usize) -> Vec<(usize, String)> {
    let code = code_only(source);
    let mut found = Vec::new();
    for (number, tail) in paths(&code) {
        let mut rest = tail.trim_start();
        let (mut supers, mut rooted) = (0, false);
        loop {
            let (word, after) = word(rest);
            let Some(after) = after.trim_start().strip_prefix("::") else {
                break;
            };
            match word {
                "crate" => rooted = true,
                "super" => supers += 1,
                "self" => {}
                _ => break,
            }
            rest = after.trim_start();
        }
        if rooted || supers >= depth {
            let names = first_names(rest);
            // A climb that ends in its own folder, from an inline module, names no folder.
            let kept = names
                .into_iter()
                .filter(|name| rooted || below(name).is_some());
            found.extend(kept.map(|name| (number, name)));
        }
    }
    found
}

/// Where a path begins with `crate` or `super`, and its line.
fn paths(code: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    for start in ["crate", "super"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            let inner = code[..at].trim_end().ends_with("::");
            let word_before = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
            if !word_before && !inner && code[at + start.len()..].trim_start().starts_with("::") {
                out.push((code[..at].matches('\n').count() + 1, &code[at..]));
            }
        }
    }
    out
}

fn word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}

/// `a` of `a::b`, and `a`, `c` of `{a::b, c::{d, e}}`.
fn first_names(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text).0.to_owned()];
    };
    let (mut depth, mut at_start, mut names) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if c.is_whitespace() => {}
            _ if at_start => {
                names.push(word(&group[at..]).0.to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
    names.retain(|name| name != "self");
    names
}

/// Complaints about one file, named by its path below `src/`.
fn check(path: &str, source: &str) -> Vec<String> {
    let Some((folder, inside)) = path.split_once('/') else {
        return match path {
            "lib.rs" => Vec::new(),
            _ => vec![format!("src/{path}: code beside lib.rs (L3)")],
        };
    };
    let Some(allowed) = below(folder) else {
        return vec![format!("src/{path}: {folder} is no folder of LAYERS")];
    };
    let depth = 1 + inside.matches('/').count() + usize::from(!inside.ends_with("mod.rs"));
    let mut complaints = Vec::new();
    for (line, name) in names_from_the_root(source, depth) {
        if name == folder || allowed.contains(&name.as_str()) {
            continue;
        }
        complaints.push(match below(&name) {
            Some(_) => format!("src/{path}:{line}: {folder} names {name} (L1)"),
            None => format!("src/{path}:{line}: crate::{name} is no folder (L2)"),
        });
    }
    complaints
}

fn sources(folder: &Path, prefix: &str, out: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of src") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            sources(&path, &format!("{prefix}{name}/"), out);
        } else if name.ends_with(".rs") {
            out.insert(format!("{prefix}{name}"), path);
        }
    }
}

#[test]
fn folders_depend_one_way() {
    let mut files = BTreeMap::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, "", &mut files);
    assert!(files.len() > 5, "where is the source? {files:?}");
    let complaints: Vec<_> = files
        .iter()
        .flat_map(|(path, file)| check(path, &fs::read_to_string(file).expect("a source file")))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_goes_up_is_caught() {
    for seeded in [
        "use crate::alloc::BlockAllocator;",
        "use crate::{id::ObjectId, alloc::{self, Block}};",
        "fn f() { crate :: alloc :: g(); }",
        "use super::super::alloc;",
        "use crate::{\n    sync,\n    alloc,\n};",
        "const C: char = '\"'; fn f() { crate::alloc::g(); } const D: char = '\"';",
    ] {
        let complaints = check("index/find.rs", seeded);
        assert!(
            complaints
                .iter()
                .any(|c| c.ends_with("index names alloc (L1)")),
            "{seeded}: {complaints:?}"
        );
    }
    assert_eq!(
        check("cache/ring.rs", "use crate::index::RangeIndex;"),
        ["src/cache/ring.rs:1: cache names index (L1)"]
    );
    assert_eq!(
        check("sync/epoch/mod.rs", "use super::super::id::ObjectId;").len(),
        1
    );
}

#[test]
fn what_lib_exports_and_stray_files_are_caught() {
    assert_eq!(
        check("alloc/omni.rs", "\nuse crate::RangeIndex;"),
        ["src/alloc/omni.rs:2: crate::RangeIndex is no folder (L2)"]
    );
    assert_eq!(check("helpers.rs", "").len(), 1);
    assert_eq!(check("util/helpers.rs", "").len(), 1);
}

#[test]
fn what_goes_down_or_is_no_code_passes() {
    for fine in [
        "use crate::id::{ObjectId, IdRange};",
        "use crate::{id, sync::atomic::{AtomicU64, Ordering::*}};",
        "use super::word::Word; use super::super::sync;",
        "// crate::alloc\n/* crate::alloc /* */ */ const X: &str = \"crate::alloc \\\" crate::alloc\";",
        "macro_rules! m { () => { $crate::alloc::f() } }",
        "pub(crate) fn f() {} pub(super) fn g() {}",
        "mod tests { use super::super::word; }",
    ] {
        assert_eq!(check("index/find.rs", fine), [""; 0], "{fine}");
    }
}
