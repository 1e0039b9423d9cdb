import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import headers

HEAD = '''//! Model: one claim races one release and one claim.
//!
//! Threads   main + 2
//! Bound     none
//! Shrunk    one leaf, 4 usable bits
//! Shows     M1 the two claims return different slots
//! Blind to  load buffering
//! Explores  at least 50 executions (asserted)
#![cfg(loom)]
'''
TABLE = '''//! Models: claims.
//!
//! | model   | threads  | bound | shows | explores |
//! |---------|----------|-------|-------|----------|
//! | `claim` | main + 1 | none  | M1    | 50       |
//!
//! Shrunk    one leaf
//! Blind to  load buffering
'''
TEST = '''
#[test]
fn claim() {
    explore("claim (a, b)", Some(3), 1_000, || {
        let x = f(1, 2);
    });
}
'''
HELPER = '''
fn with_bound(least: usize, bound: Option<usize>) {
    explore("claim", bound, least, || ());
}
#[test]
fn claim() {
    with_bound(50, None);
}
'''


class Headers(unittest.TestCase):
    def one(self, text, expected):
        found = headers.check_file("loom-tests/a.rs", text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])

    def test_the_form_of_the_house(self):
        self.assertEqual(headers.check_file("a", HEAD + TEST), [])

    def test_a_table_of_models(self):
        self.assertEqual(headers.check_file("a", TABLE + TEST), [])

    def test_each_part_is_missed(self):
        for part in headers.PARTS:
            self.one(HEAD.replace("//! " + part, "//! Gone") + TEST, f"lacks {part} (H1)")
        self.one(HEAD.replace("Model:", "Gone:") + TEST, "lacks Model (H1)")

    def test_a_test_beside_explore(self):
        self.one(HEAD + TEST + "#[test]\nfn other() { loom::model(|| ()) }", "other does not go through")
        self.one(HEAD + TEST + "#[test]\n#[ignore]\nfn other() { // explore(\n}", "other does not go")

    def test_the_least_number(self):
        self.one(HEAD + TEST.replace("1_000", "1"), "is `1`, not 2 or more")
        self.one(HEAD + TEST.replace("1_000", "0"), "is `0`, not 2 or more")
        constant = TEST.replace("1_000", "LEAST")
        self.assertEqual(headers.check_file("a", HEAD + "const LEAST: usize = 5;" + constant), [])
        self.one(HEAD + "const LEAST: usize = 1;" + constant, "not 2 or more")
        self.one(HEAD + TEST.replace("1_000", "least"), "neither a number nor a parameter")

    def test_a_helper(self):
        self.assertEqual(headers.check_file("a", HEAD + HELPER), [])
        self.one(HEAD + HELPER.replace("50", "1"), "not 2 or more")

    def test_no_test(self):
        self.one(HEAD + "fn f() {}", "no test at all")

    def test_the_manifest_and_the_files_agree(self):
        manifest = '[package]\n[[test]]\nname = "a"\npath = "a.rs"\n[lints]\n'
        self.assertEqual(headers.check_manifest(["loom-tests/a.rs"], manifest), [])
        self.assertEqual(len(headers.check_manifest(["loom-tests/b.rs"], manifest)), 2)


if __name__ == "__main__":
    unittest.main()
