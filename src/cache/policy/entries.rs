//! Where the policy finds what it has to know of the entries.

use super::Links;

/// What the policy knows of the entries; kept by the caller.
///
/// A new entry's links are [`Links::LOOSE`]. Its weight never changes.
pub(crate) trait Entries {
    fn links(&self, e: u32) -> Links;
    fn set_links(&mut self, e: u32, links: Links);
    fn weight(&self, e: u32) -> u64;
    fn fingerprint(&self, e: u32) -> u32;
    /// Reads that counted since it was last set: readers raise it up to the limit.
    fn uses(&self, e: u32) -> u8;
    fn set_uses(&mut self, e: u32, uses: u8);
    fn limit(&self, e: u32) -> u8;
    fn set_limit(&mut self, e: u32, limit: u8);
    /// A held entry is never evicted.
    fn is_held(&self, e: u32) -> bool;
    /// The policy will soon look at `e`.
    fn prefetch(&self, _e: u32) {}
}
