//! What tests of futures have in common.

#![allow(dead_code)] // each user takes its part

use std::future::Future;

use futures_lite::future::yield_now;

/// Gives others their turn, some times.
pub(crate) async fn a_while() {
    for _ in 0..5 {
        yield_now().await;
    }
}

pub(crate) fn is_send<F: Future + Send>(future: F) -> F {
    future
}
