import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import rustsrc

SOURCE = '''//! Head.
//!
//! # Checked by
//! `loom-tests/a.rs` (I1).
//! # Progress
//! none
use crate::sync::atomic::{AtomicU64, Ordering::*};

impl<T: Into<u64>> Thing<T> where T: Copy {
    fn take(&self, load: Ordering) -> impl Iterator<Item = u64> {
        let text = "self.0.load(SeqCst) // not code";
        // self.0.load(SeqCst)
        self.0.load(Acquire);
        self.0.load(Ordering::Relaxed);
        self.0.load(core::sync::atomic::Ordering::SeqCst);
        match self.0.compare_exchange_weak(
            seen,
            f(seen, |x| x + 1),
            AcqRel,
            Acquire,
        ) { _ => {} }
        self.0.fetch_or::<u8>(1, Release);
        fence(SeqCst);
        self.0.load(load);
        a.cmp(&b, std::cmp::Ordering::Less);
    }
}

#[cfg(test)]
mod tests {
    fn not_this() { X.load(SeqCst); }
}
fn last() { Y.store('"' as u64, Release) }
'''


class Sites(unittest.TestCase):
    def setUp(self):
        self.sites = rustsrc.find_sites("src/a.rs", SOURCE)

    def test_every_literal_ordering_is_found_and_nothing_else(self):
        found = [(s.op, s.kind, s.cur, s.func) for s in self.sites]
        self.assertEqual(found, [
            ("load", "load", "Acquire", "Thing::take"),
            ("load", "load", "Relaxed", "Thing::take"),
            ("load", "load", "SeqCst", "Thing::take"),
            ("compare_exchange_weak", "rmw", "AcqRel", "Thing::take"),
            ("compare_exchange_weak", "load", "Acquire", "Thing::take"),
            ("fetch_or", "rmw", "Release", "Thing::take"),
            ("fence", "fence", "SeqCst", "Thing::take"),
            ("store", "store", "Release", "last"),
        ])

    def test_keys_count_within_a_function(self):
        self.assertEqual(self.sites[1].key("X"), "src/a.rs:Thing::take:load#2:Relaxed->X")

    def test_positions_are_those_of_the_text(self):
        for site in self.sites:
            self.assertEqual(SOURCE[site.start:site.end], site.cur)
        fence = self.sites[6]
        self.assertEqual(SOURCE[fence.call_start:fence.call_end], "fence(SeqCst)")


class Text(unittest.TestCase):
    def test_hash_text_ignores_comments_and_space_only(self):
        a, b = "a // x\n  .b( /* y */ 1)", "a.b(\n1)"
        self.assertEqual(rustsrc.code_only(a), rustsrc.code_only(b))
        self.assertNotEqual(rustsrc.code_only('"// a"'), rustsrc.code_only('"// b"'))

    def test_blank_keeps_lines(self):
        text = rustsrc.blank('a "x\ny" // z\nb')
        self.assertEqual(text, "a   \n       \nb")

    def test_sections(self):
        head = rustsrc.header(SOURCE)
        self.assertIn("loom-tests/a.rs", rustsrc.section(head, "Checked by"))
        self.assertNotIn("none", rustsrc.section(head, "Checked by"))
        self.assertIsNone(rustsrc.section(head, "Edges"))

    def test_headers_upwards(self):
        files = {"src/a/b/c.rs": "//! c", "src/a/mod.rs": "//! a", "src/lib.rs": "//! lib"}

        def read(path):
            if path not in files:
                raise FileNotFoundError
            return files[path]

        self.assertEqual(rustsrc.headers_upwards("src/a/b/c.rs", read),
                         [("src/a/b/c.rs", "c"), ("src/a/mod.rs", "a")])


if __name__ == "__main__":
    unittest.main()
