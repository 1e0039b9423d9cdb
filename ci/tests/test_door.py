import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import door

BYPASSES = [
    "use std::sync::atomic::AtomicU64;",
    "use core::sync::atomic::{AtomicU64, Ordering};",
    "use std::{fmt, sync::{Arc, atomic::AtomicU64}};",
    "use std::sync::{Arc, Mutex};",
    "use core::cell::UnsafeCell;",
    "fn f() { let x = core :: cell :: UnsafeCell::new(1); }",
    "static X: std::sync::OnceLock<u8> = std::sync::OnceLock::new();",
    "use crossbeam_epoch as epoch;",
    "use crossbeam_utils::Backoff;",
    "thread_local! { static X: u8 = 0; }",
    "std::thread_local! { static X: u8 = 0; }",
    "fn f() { std::thread::current(); }",
    "fn f() { core::hint::spin_loop(); }",
    "use loom::sync::Arc;",
    "use shuttle::thread;",
    "static mut X: u8 = 0;",
]
FINE = [
    "// std::sync::atomic and UnsafeCell\n/* crossbeam_epoch */",
    'const X: &str = "loom::model";',
    "use crate::sync::atomic::{AtomicU64, Ordering::*};",
    "use std::sync::Arc;",
    "use std::thread::available_parallelism;",
    "use std::{fmt, sync::Arc};",
    "use crossbeam_utils::CachePadded;",
    "use crate::sync::lock::Mutex; fn f(x: Mutex<u8>) {}",
    "#[cfg(all(loom, feature = \"loom\"))] fn f() {}",
    "fn f(x: core::cmp::Ordering) {}",
]
UNSAFE = "//! Head.\n// A node is reached through a raw pointer.\n#![allow(unsafe_code)]\nfn f() { unsafe { g() } }"


def check(text, path="src/index/a.rs", allowed=()):
    return door.check({path: text}.__getitem__, [path], dict.fromkeys(allowed, "why"))


class Door(unittest.TestCase):
    def test_every_bypass_is_found(self):
        for text in BYPASSES:
            self.assertEqual(len(check(text)), 1, (text, check(text)))

    def test_behind_the_door_they_are_at_home(self):
        for text in BYPASSES:
            self.assertEqual(check(text, path="src/sync/x.rs"), [], text)

    def test_what_is_fine_is_fine(self):
        for text in FINE:
            self.assertEqual(check(text), [], text)


class Unsafe(unittest.TestCase):
    PATH = "src/index/a.rs"

    def test_a_listed_file_with_a_reason(self):
        self.assertEqual(check(UNSAFE, allowed=[self.PATH]), [])
        beside = UNSAFE.replace("// A node is reached through a raw pointer.\n", "")
        beside = beside.replace("code)]", "code)] // nodes are raw pointers")
        self.assertEqual(check(beside, allowed=[self.PATH]), [])

    def test_not_listed(self):
        self.assertIn("does not list", check(UNSAFE)[0])

    def test_no_reason(self):
        text = UNSAFE.replace("// A node is reached through a raw pointer.\n", "")
        self.assertIn("without a sentence", check(text, allowed=[self.PATH])[0])

    def test_listed_and_needless(self):
        self.assertIn("has none", check("fn f() {}", allowed=[self.PATH])[0])

    def test_listed_and_gone(self):
        self.assertIn("not there", check("fn f() {}", allowed=["src/gone.rs"])[0])

    def test_not_opened(self):
        text = UNSAFE.replace("#![allow(unsafe_code)]", "")
        self.assertIn("without `#!", check(text, allowed=[self.PATH])[0])

    def test_one_item_may_be_opened(self):
        text = "#[allow(unsafe_code)] // the trait is a contract\nunsafe trait T {}"
        self.assertEqual(check(text, allowed=[self.PATH]), [])
        self.assertIn("without a sentence", check(text.replace("//", ";//")[:24] + "\nunsafe trait T {}",
                                                  allowed=[self.PATH])[0])

    def test_comments_do_not_count(self):
        self.assertEqual(check("// unsafe\n/// # Safety: unsafe\nfn f() {}"), [])


if __name__ == "__main__":
    unittest.main()
