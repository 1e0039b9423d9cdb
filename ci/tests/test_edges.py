import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import edges

HEAD = '''//! Words.
//!
//! # Edges
//! | edge | released by | acquired by | what crosses |
//! |------|-------------|-------------|--------------|
//! | FREE | `Word::give` | `Word::take` | writes |
'''
TAKE = '''
fn take() {
    // Acquire [FREE]: a clear bit means the last owner is done; see its writes before
    // ours land. Relaxed on failure: `seen` is only the next guess.
    match self.0.compare_exchange_weak(
        seen,
        next,
        Acquire,
        Relaxed,
    ) { _ => () }
}
'''
GIVE = '''
fn give() {
    // Release [FREE]: our writes come before anyone may claim it, as Acquire in `take` says.
    let before = self.0.fetch_and(!mask, Release);
}
'''


def complaints(text, path="src/a/word.rs", **more):
    files = {path: text, **{name.replace("__", "/") + ".rs": body for name, body in more.items()}}

    def read(name):
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return edges.check(read, sorted(files))[0]


class Edges(unittest.TestCase):
    def one(self, found, text):
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_the_example_of_the_house_passes(self):
        self.assertEqual(complaints(HEAD + TAKE + GIVE), [])

    def test_the_table_may_stand_in_the_mod_above(self):
        self.assertEqual(complaints(TAKE + GIVE, src__a__mod=HEAD), [])

    def test_no_comment(self):
        self.one(complaints(HEAD + TAKE + GIVE + "fn f() { x.load(Relaxed); }"), "no ordering comment")

    def test_a_comment_of_another_statement_does_not_count(self):
        text = "fn f() {\n // Relaxed: a statistic, no decision.\n x.load(Relaxed);\n y.load(Relaxed);\n}"
        self.one(complaints(HEAD + TAKE + GIVE + text), "no ordering comment")

    def test_another_ordering(self):
        text = HEAD + TAKE + GIVE.replace("mask, Release", "mask, AcqRel")
        self.assertIn("names Release, the code uses AcqRel", "\n".join(complaints(text)))

    def test_the_failure_ordering_is_named_too(self):
        text = TAKE.replace("Relaxed on failure: `seen`", "On failure `seen`")
        self.one(complaints(HEAD + text + GIVE), "names Acquire, the code uses Acquire/Relaxed")

    def test_unknown_label(self):
        text = "fn f() {\n // Acquire [GONE]: why we need it.\n x.load(Acquire);\n}"
        self.one(complaints(HEAD + TAKE + GIVE + text), "[GONE] has no row")

    def test_an_edge_has_two_ends(self):
        self.one(complaints(HEAD + TAKE + "fn give() {}"), "edge FREE has 1 sites")
        self.one(complaints(HEAD + TAKE + TAKE + "fn give() {}"), "no site that releases")
        self.one(complaints(HEAD + GIVE + GIVE + "fn take() {}"), "no site that acquires")

    def test_a_row_names_functions_that_exist(self):
        self.one(complaints(HEAD.replace("Word::give", "Word::gave") + TAKE + GIVE), "`Word::gave`")

    def test_reasons_and_labels(self):
        text = "fn f() {\n // Relaxed:\n x.load(Relaxed);\n}"
        self.one(complaints(HEAD + TAKE + GIVE + text), "no reason")
        text = "fn f() {\n // Acquire: because we want to be sure.\n x.load(Acquire);\n}"
        self.one(complaints(HEAD + TAKE + GIVE + text), "names no edge")

    def test_both_and_all_stand_for_several(self):
        rest = "\n x.load(Relaxed);\n y.load(Relaxed);\n}"
        text = "fn f() {\n // Relaxed, both: under the lock." + rest
        self.assertEqual(complaints(HEAD + TAKE + GIVE + text), [])
        text = "fn f() {\n // Relaxed, both: under the lock." + rest.replace("y.load(R", "\n y.load(R")
        self.one(complaints(HEAD + TAKE + GIVE + text), "no ordering comment")

    def test_two_labels(self):
        text = "fn f() {\n // AcqRel [FREE], [FREE]: because of both.\n x.swap(1, AcqRel);\n}"
        self.assertEqual(complaints(HEAD + TAKE + GIVE + text), [])

    def test_the_shim_and_tests_are_left_alone(self):
        self.assertEqual(complaints("fn f() { x.load(SeqCst) }", path="src/sync/atomic.rs"), [])
        self.assertEqual(complaints("#[cfg(test)]\nmod tests { fn f() { x.load(SeqCst) } }"), [])


if __name__ == "__main__":
    unittest.main()
