//! Least recently used, by weight.

/// No key; the end of the list.
const NONE: u32 = u32::MAX;

/// A key's place in the order of use.
#[derive(Clone, Copy, Debug)]
struct Node {
    older: u32,
    younger: u32,
    /// 0 if it is not resident.
    size: u64,
}

/// A simulated cache that evicts what was not used for longest.
#[derive(Debug)]
pub struct Lru {
    capacity: u64,
    used: u64,
    nodes: Vec<Node>,
    oldest: u32,
    youngest: u32,
}

impl Lru {
    /// For keys below `unique`.
    #[must_use]
    pub fn new(capacity: u64, unique: usize) -> Self {
        let absent = Node {
            older: NONE,
            younger: NONE,
            size: 0,
        };
        Self {
            capacity,
            used: 0,
            nodes: vec![absent; unique],
            oldest: NONE,
            youngest: NONE,
        }
    }

    /// Looks `key` up, and inserts it on a miss; whether it was a hit. Sizes are not 0.
    pub fn request(&mut self, key: u32, size: u64) -> bool {
        let held = self.nodes[key as usize].size;
        if held > 0 {
            self.unlink(key);
            self.link(key, held);
            return true;
        }
        if size > self.capacity {
            return false;
        }
        while self.used + size > self.capacity {
            let old = self.oldest;
            self.unlink(old);
            self.used -= std::mem::take(&mut self.nodes[old as usize].size);
        }
        self.link(key, size);
        self.used += size;
        false
    }

    fn link(&mut self, key: u32, size: u64) {
        let older = std::mem::replace(&mut self.youngest, key);
        self.nodes[key as usize] = Node {
            older,
            younger: NONE,
            size,
        };
        match self.nodes.get_mut(older as usize) {
            Some(node) => node.younger = key,
            None => self.oldest = key,
        }
    }

    fn unlink(&mut self, key: u32) {
        let Node { older, younger, .. } = self.nodes[key as usize];
        match self.nodes.get_mut(older as usize) {
            Some(node) => node.younger = younger,
            None => self.oldest = younger,
        }
        match self.nodes.get_mut(younger as usize) {
            Some(node) => node.older = older,
            None => self.youngest = older,
        }
    }
}
