//! First in, first out, by weight.

use std::collections::VecDeque;

/// A simulated cache that evicts in the order of insertion.
#[derive(Debug)]
pub struct Fifo {
    capacity: u64,
    used: u64,
    resident: Vec<bool>,
    queue: VecDeque<(u32, u64)>,
}

impl Fifo {
    /// For keys below `unique`.
    #[must_use]
    pub fn new(capacity: u64, unique: usize) -> Self {
        Self {
            capacity,
            used: 0,
            resident: vec![false; unique],
            queue: VecDeque::new(),
        }
    }

    /// Looks `key` up, and inserts it on a miss; whether it was a hit.
    pub fn request(&mut self, key: u32, size: u64) -> bool {
        if self.resident[key as usize] {
            return true;
        }
        if size > self.capacity {
            return false;
        }
        while self.used + size > self.capacity {
            let Some((old, freed)) = self.queue.pop_front() else {
                break;
            };
            self.resident[old as usize] = false;
            self.used -= freed;
        }
        self.resident[key as usize] = true;
        self.queue.push_back((key, size));
        self.used += size;
        false
    }
}
