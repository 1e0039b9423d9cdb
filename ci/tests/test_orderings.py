import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest

CI = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(CI))
import rustsrc

loader = importlib.machinery.SourceFileLoader("orderings", str(CI / "orderings"))
orderings = importlib.util.module_from_spec(importlib.util.spec_from_loader("orderings", loader))
loader.exec_module(orderings)

SOURCE = '''//! # Checked by
//! `loom-tests/own.rs` (A1)
impl Word {
    fn claim(&self) {
        // a comment
        self.0.compare_exchange(a, b, AcqRel, Ordering::Acquire);
        fence(Release);
        self.0.load(Relaxed);
    }
}
'''
FILES = {
    "src/a/own.rs": SOURCE,
    "src/a/bare.rs": "fn f() { X.load(Acquire) }",
    "src/a/mod.rs": "//! # Checked by\n//! `loom-tests/a.rs`, `loom-tests/b.rs`; proptests",
    "src/b/bare.rs": "fn f() { X.load(Acquire) }",
    "loom-tests/own.rs": "fn model() {}",
    "loom-tests/a.rs": "",
    "loom-tests/b.rs": "",
    "loom-tests/Cargo.toml": '[package]\nname="x"\n[[test]]\nname = "own"\npath = "own.rs"\n\n'
                             '[[test]]\npath = "a.rs"\nname = "a_models"\n[lints]\nworkspace = true\n',
}


def read(path):
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


class Mutants(unittest.TestCase):
    def test_one_step_weaker_each(self):
        keys = [site.key(to).split(":", 1)[1] for site, to in orderings.mutants_of("x.rs", SOURCE)]
        self.assertEqual(keys, [
            "Word::claim:compare_exchange#1:AcqRel->Acquire",
            "Word::claim:compare_exchange#1:AcqRel->Release",
            "Word::claim:compare_exchange#2:Acquire->Relaxed",
            "Word::claim:fence#1:Release->(none)",
        ])

    def test_the_text_changes_where_it_should(self):
        texts = [orderings.weaken(SOURCE, s, to) for s, to in orderings.mutants_of("x.rs", SOURCE)]
        self.assertIn("(a, b, Acquire, Ordering::Acquire)", texts[0])
        self.assertIn("(a, b, AcqRel, Ordering::Relaxed)", texts[2])
        self.assertIn("        ();\n", texts[3])

    def test_models_come_from_the_own_header_or_the_nearest_mod(self):
        self.assertEqual(orderings.models_named("src/a/own.rs", read), ["loom-tests/own.rs"])
        self.assertEqual(orderings.models_named("src/a/bare.rs", read),
                         ["loom-tests/a.rs", "loom-tests/b.rs"])
        self.assertEqual(orderings.models_named("src/b/bare.rs", read), [])

    def test_targets_of_the_manifest(self):
        self.assertEqual(orderings.test_targets(FILES["loom-tests/Cargo.toml"]),
                         {"loom-tests/own.rs": "own", "loom-tests/a.rs": "a_models"})

    def test_a_star_means_each_target(self):
        targets = {"loom-tests/i_b.rs": "b", "loom-tests/i_a.rs": "a", "loom-tests/x.rs": "x"}
        self.assertEqual(orderings.expand(["loom-tests/i_*.rs", "loom-tests/x.rs"], targets),
                         ["loom-tests/i_a.rs", "loom-tests/i_b.rs", "loom-tests/x.rs"])
        self.assertEqual(orderings.expand(["loom-tests/q_*.rs"], targets), ["loom-tests/q_*.rs"])

    def test_a_file_without_models_is_a_problem(self):
        targets = orderings.test_targets(FILES["loom-tests/Cargo.toml"])
        self.assertIsNone(orderings.Plan("src/a/own.rs", read, targets).problem)
        self.assertIn("Checked by", orderings.Plan("src/b/bare.rs", read, targets).problem)
        self.assertIn("no [[test]]", orderings.Plan("src/a/bare.rs", read, targets).problem)


class Hashes(unittest.TestCase):
    def test_comments_do_not_count_and_orderings_do(self):
        commented = SOURCE.replace("a comment", "another one")
        weaker = SOURCE.replace("AcqRel", "Acquire")
        self.assertEqual(orderings.digest(SOURCE), orderings.digest(commented))
        self.assertNotEqual(orderings.digest(SOURCE), orderings.digest(weaker))


class Verdicts(unittest.TestCase):
    RUN = "     Running own.rs (target/x)\nrunning 2 tests\n"

    def verdict(self, code, text):
        return orderings.verdict_of(code, self.RUN + text, False)

    def test_a_failing_model_catches(self):
        out = "Causality violation\ntest steal ... FAILED\n"
        self.assertEqual(self.verdict(1, out), ("caught", "own::steal", "data race"))

    def test_a_pass_is_a_survivor_only_if_tests_ran(self):
        self.assertEqual(self.verdict(0, "test result: ok. 2 passed; 0 failed")[0], "survived")
        self.assertEqual(self.verdict(0, "test result: ok. 0 passed; 0 failed")[0], "unknown")

    def test_a_search_that_was_cut_off_says_nothing(self):
        out = "MODEL steal executions=7 TRUNCATED\ntest steal ... FAILED\n"
        self.assertEqual(self.verdict(1, out)[0], "unknown")
        self.assertEqual(self.verdict(None, "")[0], "unknown")

    def test_cargo_failing_is_no_catch(self):
        self.assertEqual(orderings.verdict_of(101, "error: no such command", False)[0], "unknown")


class Allowances(unittest.TestCase):
    KEY = "src/a.rs:Word::claim:load#1:Acquire->Relaxed"

    def test_a_reason_is_needed(self):
        self.assertEqual(orderings.parse_allow(f"# c\n\n{self.KEY} why"), {self.KEY: "why"})
        self.assertRaises(orderings.Unusable, orderings.parse_allow, self.KEY)

    def test_survivors_unknowns_and_stale_lines_are_complaints(self):
        def complaints(results, allow):
            return orderings.judge(results, allow, lambda key: True)
        self.assertEqual(complaints({self.KEY: "caught"}, {}), [])
        self.assertEqual(complaints({self.KEY: "survived"}, {self.KEY: "r"}), [])
        self.assertIn("SURVIVOR", complaints({self.KEY: "survived"}, {})[0])
        self.assertIn("UNKNOWN", complaints({self.KEY: "unknown"}, {self.KEY: "r"})[0])
        self.assertIn("STALE", complaints({self.KEY: "caught"}, {self.KEY: "r"})[0])
        self.assertIn("STALE", complaints({}, {self.KEY: "r"})[0])

    def test_the_design_must_argue_the_function(self):
        design = "## What loom cannot see\n`{}` is ..\n## Decisions\n`Word::other`\n"
        self.assertEqual(orderings.unargued({self.KEY: "r"}, design.format("Word::claim")), [])
        self.assertEqual(len(orderings.unargued({self.KEY: "r"}, design.format("Word::other"))), 1)
        other = self.KEY.replace("claim", "other")
        self.assertEqual(len(orderings.unargued({other: "r"}, design.format("nothing"))), 1)


if __name__ == "__main__":
    unittest.main()
