//! Hash maps from an object's id to where it is.

use std::collections::HashMap;

use ahash::RandomState;
use dashmap::DashMap;
use parking_lot::RwLock;

/// Offset and length, as an object map keeps them.
pub type Place = (u64, u32);

/// A map from ids to places.
pub trait ObjectMap: Sync {
    /// Its name in the tables.
    const NAME: &'static str;

    /// Of these objects, inserted one by one into an empty map.
    fn build(objects: &[(u64, Place)]) -> Self;

    /// Offset and length of an object, summed up; 0 for none.
    fn get(&self, id: u64) -> u64;
}

#[inline(always)]
fn digest(place: Option<&Place>) -> u64 {
    place.map_or(0, |(offset, len)| offset + u64::from(*len))
}

/// `HashMap` with ahash, read-only after it was built.
#[derive(Debug)]
pub struct Plain(HashMap<u64, Place, RandomState>);

impl ObjectMap for Plain {
    const NAME: &'static str = "HashMap, ahash";

    fn build(objects: &[(u64, Place)]) -> Self {
        let mut map = HashMap::default();
        for (id, place) in objects {
            map.insert(*id, *place);
        }
        Self(map)
    }

    #[inline]
    fn get(&self, id: u64) -> u64 {
        digest(self.0.get(&id))
    }
}

/// `RwLock<HashMap>` with ahash.
#[derive(Debug)]
pub struct Locked(RwLock<HashMap<u64, Place, RandomState>>);

impl ObjectMap for Locked {
    const NAME: &'static str = "RwLock<HashMap>, ahash";

    fn build(objects: &[(u64, Place)]) -> Self {
        Self(RwLock::new(Plain::build(objects).0))
    }

    #[inline]
    fn get(&self, id: u64) -> u64 {
        digest(self.0.read().get(&id))
    }
}

/// `DashMap` with ahash.
#[derive(Debug)]
pub struct Dash(DashMap<u64, Place, RandomState>);

impl ObjectMap for Dash {
    const NAME: &'static str = "dashmap, ahash";

    fn build(objects: &[(u64, Place)]) -> Self {
        let map = DashMap::default();
        for (id, place) in objects {
            map.insert(*id, *place);
        }
        Self(map)
    }

    #[inline]
    fn get(&self, id: u64) -> u64 {
        digest(self.0.get(&id).as_deref())
    }
}

/// `papaya::HashMap` with ahash, a pin a lookup.
#[derive(Debug)]
pub struct Papaya(papaya::HashMap<u64, Place, RandomState>);

impl ObjectMap for Papaya {
    const NAME: &'static str = "papaya, ahash, a pin a get";

    fn build(objects: &[(u64, Place)]) -> Self {
        let map = papaya::HashMap::default();
        {
            let pinned = map.pin();
            for (id, place) in objects {
                pinned.insert(*id, *place);
            }
        }
        Self(map)
    }

    #[inline]
    fn get(&self, id: u64) -> u64 {
        digest(self.0.pin().get(&id))
    }
}
