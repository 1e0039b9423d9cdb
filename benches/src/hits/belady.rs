//! Belady's optimum: evicts what is wanted last, and does not take in what is wanted later still.
//!
//! With sizes it is the same rule until enough room is free, which is a good ceiling and not a
//! proven one.

use std::collections::BinaryHeap;

/// No next request.
const NEVER: u32 = u32::MAX;

/// A simulated cache that knows the future.
#[derive(Debug)]
pub struct Belady {
    capacity: u64,
    used: u64,
    /// The request at which the key of each request is wanted next.
    next: Vec<u32>,
    at: usize,
    /// Size and next request of a resident key; size 0 if it is not.
    resident: Vec<(u64, u32)>,
    /// By next request; stale where `resident` says otherwise.
    order: BinaryHeap<(u32, u32)>,
}

impl Belady {
    /// For these requests, of keys below `unique`.
    #[must_use]
    pub fn new(capacity: u64, unique: usize, requests: &[u32]) -> Self {
        let mut seen = vec![NEVER; unique];
        let mut next = vec![NEVER; requests.len()];
        for (at, &key) in requests.iter().enumerate().rev() {
            next[at] = std::mem::replace(&mut seen[key as usize], at as u32);
        }
        Self {
            capacity,
            used: 0,
            next,
            at: 0,
            resident: vec![(0, NEVER); unique],
            order: BinaryHeap::new(),
        }
    }

    /// The next of the requests, which is of `key`; whether it was a hit. Sizes are not 0.
    pub fn request(&mut self, key: u32, size: u64) -> bool {
        let next = self.next[self.at];
        self.at += 1;
        let held = self.resident[key as usize].0;
        if held > 0 {
            self.settle(key, held, next);
            return true;
        }
        if size > self.capacity || next == NEVER {
            return false;
        }
        while self.used + size > self.capacity {
            let Some(&(wanted, old)) = self.order.peek() else {
                break;
            };
            let (freed, known) = self.resident[old as usize];
            if freed > 0 && known == wanted {
                if wanted < next {
                    return false;
                }
                self.resident[old as usize].0 = 0;
                self.used -= freed;
            }
            self.order.pop();
        }
        self.used += size;
        self.settle(key, size, next);
        false
    }

    fn settle(&mut self, key: u32, size: u64, next: u32) {
        self.resident[key as usize] = (size, next);
        self.order.push((next, key));
    }
}
