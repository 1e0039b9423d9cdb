//! Things that are in one another, dropped one after the other and not one inside of the other's drop:
//! so as deep as they are, the stack is not.
//!
//! # Shape
//! ```text
//! outermost  drops its thing, then what was left to it meanwhile, until there is no more
//! inner      leaves its thing to the outermost of its thread
//! ```
//!
//! # Progress
//! Wait-free: a thread's own.
//!
//! # Checked by
//! The tests below; `tests/objects_mended.rs`.

use core::any::Any;
use core::cell::RefCell;

/// Whether a checker runs all threads as one, which would leave their things to each other.
const AS_ONE: bool = cfg!(any(
    all(loom, feature = "loom"),
    all(shuttle, feature = "shuttle")
));

std::thread_local! {
    /// What was left to the outermost, while there is one.
    static LEFT: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Drops it: now, or once the thing is dropped inside of whose drop this is called.
pub(crate) fn drop_in_turn<T: 'static>(thing: T) {
    if AS_ONE {
        return drop(thing);
    }
    let mut thing = Some(thing);
    let is_outermost = LEFT.try_with(|left| {
        let mut left = left.borrow_mut();
        if let Some(left) = &mut *left {
            if let Some(thing) = thing.take() {
                left.push(Box::new(thing));
            }
            return false;
        }
        *left = Some(Vec::new());
        true
    });
    let _ends = matches!(is_outermost, Ok(true)).then(|| Ends);
    let Some(thing) = thing else {
        return;
    };
    drop(thing);
    while let Some(next) = next() {
        drop(next);
    }
}

fn next() -> Option<Box<dyn Any>> {
    LEFT.try_with(|left| left.borrow_mut().as_mut()?.pop())
        .ok()
        .flatten()
}

/// The outermost is done, or a drop panicked: then what is left goes now.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        let rest = LEFT.try_with(|left| left.borrow_mut().take());
        drop(rest);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// One that has another.
    struct Doll(Option<Box<Doll>>, std::rc::Rc<core::cell::Cell<usize>>);

    impl Drop for Doll {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            if let Some(inner) = self.0.take() {
                drop_in_turn(inner);
            }
        }
    }

    #[test]
    fn as_many_as_there_are_in_one_another() {
        let many = if cfg!(miri) { 100 } else { 1_000_000 };
        let dropped = std::rc::Rc::default();
        let mut doll = None;
        for _ in 0..many {
            doll = Some(Box::new(Doll(doll, std::rc::Rc::clone(&dropped))));
        }
        drop_in_turn(doll);
        assert_eq!(dropped.get(), many);
    }
}
