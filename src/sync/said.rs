//! A word from deep inside of a call to whoever made it, past code that knows of neither.
//!
//! # Shape
//! ```text
//! hear(topic)  ->  somebody's code  ->  say(topic, word)     on one thread, one inside of the other
//!      `---------------- word ----------------'
//! ```
//!
//! # Invariants
//! * W1  A word is heard by the innermost hearing of its thread, and only if it is on that one's topic.
//!
//! # Progress
//! Wait-free: a thread's own.
//!
//! # Checked by
//! The tests below (W1).

use core::any::TypeId;
use core::cell::Cell;

/// What is said: a type, and its name for people.
pub(crate) type Word = fn() -> (TypeId, &'static str);

#[derive(Clone, Copy)]
struct Hearing {
    topic: TypeId,
    word: Option<Word>,
}

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
std::thread_local! {
    static INNERMOST: Cell<Option<Hearing>> = const { Cell::new(None) };
}
#[cfg(all(loom, feature = "loom"))]
loom::thread_local! {
    static INNERMOST: Cell<Option<Hearing>> = Cell::new(None);
}
#[cfg(all(shuttle, feature = "shuttle", not(all(loom, feature = "loom"))))]
shuttle::thread_local! {
    static INNERMOST: Cell<Option<Hearing>> = Cell::new(None);
}

/// A thread that has no state any more, at its very end, hears nothing.
fn replace(hearing: Option<Hearing>) -> Option<Hearing> {
    let before = INNERMOST.try_with(|innermost| innermost.replace(hearing));
    before.ok().flatten()
}

/// Whoever heard before hears again, whatever the call comes to.
struct Within(Option<Hearing>);

impl Drop for Within {
    fn drop(&mut self) {
        replace(self.0);
    }
}

/// What a call comes to, and what was last said on this topic inside of it.
pub(crate) fn hear<R>(topic: TypeId, call: impl FnOnce() -> R) -> (R, Option<Word>) {
    let within = Within(replace(Some(Hearing { topic, word: None })));
    let result = call();
    let heard = replace(None);
    drop(within);
    (result, heard.and_then(|hearing| hearing.word))
}

/// For whoever hears on this topic; nobody may.
pub(crate) fn say(topic: TypeId, word: Word) {
    let _ = INNERMOST.try_with(|innermost| {
        let hearing = innermost.get().filter(|hearing| hearing.topic == topic);
        if let Some(hearing) = hearing {
            let word = Some(word);
            innermost.set(Some(Hearing { word, ..hearing }));
        }
    });
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    fn topic<T: 'static>() -> TypeId {
        TypeId::of::<T>()
    }

    fn word() -> (TypeId, &'static str) {
        (topic::<u8>(), "u8")
    }

    #[test]
    fn the_innermost_hears_what_is_on_its_topic() {
        say(topic::<u8>(), word); // nobody hears it
        let (inner, outer) = hear(topic::<u8>(), || {
            hear(topic::<u16>(), || say(topic::<u8>(), word)).1
        });
        assert!(inner.is_none() && outer.is_none());
        let (inner, outer) = hear(topic::<u8>(), || {
            say(topic::<u8>(), word);
            let _ = catch_unwind(|| hear(topic::<u8>(), || panic!("in the middle")));
            hear(topic::<u8>(), || ()).1
        });
        assert!(inner.is_none());
        assert_eq!(outer.map(|word| word().1), Some("u8"));
    }
}
