//! Defects that a second reading found, each by what must hold; and many who wait, come and go.
#![cfg(feature = "store")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once};
use mapless::{InMemoryStore, ObjectError, ObjectId, ObjectRef};

const LIMIT: u64 = 1 << 20;

type Putting = Pin<Box<dyn Future<Output = Result<ObjectId, mapless::PutError>> + Send>>;

fn filled(len: usize) -> Bytes {
    vec![7u8; len].into()
}

/// Fails, and does not hang, if it takes 10 s.
fn in_time(run: impl FnOnce() + Send + 'static) {
    let (say, hear) = mpsc::channel();
    let thread = thread::spawn(move || {
        run();
        say.send(()).unwrap();
    });
    match hear.recv_timeout(Duration::from_secs(10)) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

// ------------------------------------------------------------ times

#[test]
fn what_was_pending_is_as_old_as_its_id_and_was_used_when_it_was_made() {
    let store = InMemoryStore::new(LIMIT);
    let builder = store.create(0).unwrap();
    let promise = store.promise().unwrap();
    let aborted = store.create(0).unwrap();
    let ids = [builder.id(), promise.id(), aborted.id()];
    let created = ids.map(|id| store.metadata(id).unwrap().created_at);
    thread::sleep(Duration::from_millis(100));
    builder.seal().unwrap();
    promise.fulfil(filled(1)).unwrap();
    drop(aborted);
    for (id, created) in ids.into_iter().zip(created) {
        let it = store.metadata(id).unwrap();
        assert_eq!(it.created_at, created);
        assert!(
            it.last_accessed >= created + Duration::from_millis(50),
            "{it:?}"
        );
    }
}

// ------------------------------------------------------------ figures

#[test]
fn a_get_that_waits_counts_once() {
    let store = InMemoryStore::new(LIMIT);
    let counts = || {
        let stats = store.stats();
        assert_eq!(stats.gets, stats.hits + stats.misses);
        (stats.hits, stats.misses)
    };
    let promise = store.promise().unwrap();
    let id = promise.id();
    assert!(store.get_timeout(id, Duration::from_millis(20)).is_err());
    assert_eq!(counts(), (0, 1), "it gave up");
    drop(store.get_async(id));
    assert_eq!(counts(), (0, 2), "as does one that is dropped");
    store.get_raw(id).unwrap_err();
    assert_eq!(counts(), (0, 3));
    let mut waits = pin!(store.get_async(id));
    for _ in 0..3 {
        assert!(poll_with(waits.as_mut(), Waker::noop()).is_pending());
    }
    assert_eq!(counts(), (0, 3), "not before it ends");
    thread::scope(|scope| {
        let waits = scope.spawn(|| store.get_timeout(id, Duration::from_secs(10)));
        thread::sleep(Duration::from_millis(20));
        promise.fulfil(filled(1)).unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), filled(1));
    });
    assert_eq!(block_on(waits).unwrap(), filled(1));
    assert_eq!(counts(), (2, 3), "each of them once");
    block_on(store.get_async(id)).unwrap();
    store.get_timeout(id, Duration::ZERO).unwrap();
    assert_eq!(counts(), (4, 3));
    let failed = store.promise().unwrap();
    let id = failed.id();
    let waits = store.get_async(id);
    failed.fail("no result");
    block_on(waits).unwrap_err();
    assert_eq!(counts(), (4, 4));
    store.get_timeout(id, Duration::ZERO).unwrap_err();
    assert_eq!(counts(), (4, 5));
}

// ------------------------------------------------------------ user code under a lock

/// A waker that uses the store, as one that polls inline does.
struct Calls(Arc<InMemoryStore>, ObjectId, AtomicUsize);
impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        let _ = self.0.put_slice(b"x");
        let _ = self.0.pin(self.1);
        let _ = self.0.delete(self.1);
        self.2.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_waker_that_calls_the_store_when_a_deleted_promise_is_dropped() {
    in_time(|| {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        let pin = store
            .pinned(store.put_bytes(filled(900_000)).unwrap())
            .unwrap();
        let promise = store.promise().unwrap();
        let id = promise.id();
        store.delete(id).unwrap();
        let calls = Arc::new(Calls(Arc::clone(&store), id, AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&calls));
        let mut put = pin!(store.put_async(filled(500_000)));
        assert!(poll_with(put.as_mut(), &waker).is_pending());
        drop(promise); // gives its entry's room back: where?
        drop(pin);
    });
}

#[test]
fn an_error_whose_drop_calls_the_store_when_its_object_was_deleted() {
    #[derive(Debug)]
    struct Rude(Arc<InMemoryStore>, ObjectId);
    impl std::fmt::Display for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Ok(())
        }
    }
    impl std::error::Error for Rude {}
    impl Drop for Rude {
        fn drop(&mut self) {
            let _ = self.0.delete(self.1);
        }
    }
    in_time(|| {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        let promise = store.promise().unwrap();
        let id = promise.id();
        store.delete(id).unwrap();
        promise.fail(Rude(Arc::clone(&store), id));
    });
}

#[test]
fn a_waker_that_is_the_last_to_have_bytes_of_the_store() {
    struct Task(#[allow(dead_code)] Mutex<Option<Bytes>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let pin = store
            .pinned(store.put_bytes(filled(900_000)).unwrap())
            .unwrap();
        let id = store.put_bytes(filled(10)).unwrap();
        let task = Arc::new(Task(Mutex::new(store.get_raw(id).ok())));
        store.delete(id).unwrap();
        let mut put = Box::pin(store.put_async(filled(500_000)));
        assert!(poll_with(put.as_mut(), &Waker::from(task)).is_pending());
        drop(put); // cancelled: the line drops the waker, the task, its bytes
        drop(pin);
    });
}

#[test]
fn a_future_that_moves_to_another_task_whose_first_one_is_gone() {
    struct Task(#[allow(dead_code)] Mutex<Option<Bytes>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let _pin = store
            .pinned(store.put_bytes(filled(900_000)).unwrap())
            .unwrap();
        let id = store.put_bytes(filled(10)).unwrap();
        let task = Arc::new(Task(Mutex::new(store.get_raw(id).ok())));
        store.delete(id).unwrap();
        let mut put = Box::pin(store.put_async(filled(500_000)));
        assert!(poll_with(put.as_mut(), &Waker::from(task)).is_pending());
        assert!(poll_with(put.as_mut(), Waker::noop()).is_pending());
    });
}

// ------------------------------------------------------------ user code that panics

#[test]
fn a_waker_that_panics_keeps_nobody_else_waiting() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's")
        }
    }
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let promise = store.promise().unwrap();
        let id = promise.id();
        let mut first = store.get_async(id);
        let mut second = store.get_async(id);
        assert!(poll_with(Pin::new(&mut first), &Waker::from(Arc::new(Panics))).is_pending());
        assert!(poll_with(Pin::new(&mut second), Waker::noop()).is_pending());
        let fulfilled =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| promise.fulfil(filled(3))));
        assert!(fulfilled.is_ok(), "its panic is nobody else's");
        assert_eq!(store.get_raw(id).unwrap(), filled(3));
        assert!(
            block_on(poll_once(&mut second)).is_some(),
            "the second waits for ever"
        );
    });
}

struct PanicsInDrop(Vec<u8>);
impl AsRef<[u8]> for PanicsInDrop {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("an owner's drop")
        }
    }
}

#[test]
fn an_owner_whose_drop_panics_loses_no_room() {
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let id = store
            .put_bytes(Bytes::from_owner(PanicsInDrop(vec![1; 300_000])))
            .unwrap();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = store.delete(id);
            store.clear();
        }));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.clear()));
        let stats = store.stats();
        assert_eq!(stats.used_bytes, 0, "{stats}");
    });
}

#[test]
fn get_timeout_for_ever() {
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let id = store.put_bytes(filled(1)).unwrap();
        assert!(store.get_timeout(id, Duration::MAX).is_ok());
    });
}

#[test]
fn reference_get_timeout_for_ever() {
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let id = store.put(5u8).unwrap();
        let reference: ObjectRef<u8> = store.reference(id).unwrap();
        assert_eq!(reference.get_timeout(Duration::MAX).unwrap(), 5);
    });
}

/// In a process of its own, since it may abort.
#[test]
fn more_than_memory_has_is_a_typed_error() {
    if std::env::var_os("SCEPTIC_CHILD").is_some() {
        let store = InMemoryStore::new(u64::MAX);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.create(1 << 60).map(|_| ())
        }));
        let stats = store.stats();
        assert_eq!(stats.used_bytes, 0, "{stats}");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "more_than_memory_has_is_a_typed_error"])
        .env("SCEPTIC_CHILD", "1")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}: {}",
        child.status,
        String::from_utf8_lossy(&child.stderr)
    );
}

#[test]
fn not_counting_what_is_retained_a_put_beside_a_reader_finds_room() {
    let store = InMemoryStore::builder(LIMIT)
        .count_retained(false)
        .build()
        .unwrap();
    let a = store.put_bytes(filled(10)).unwrap();
    let b = store.put_bytes(filled(300_000)).unwrap();
    store
        .read(a, |_| {
            store.delete(b).unwrap();
            // Its room is free at once: out of sight is all that counts.
            let mut n = 0;
            while store.stats().evicted == 0 {
                n += 1;
                if let Err(error) = store.put_bytes(filled(50_000)) {
                    panic!(
                        "the {n}th put, all of it evictable: {error}; {}",
                        store.stats()
                    );
                }
            }
        })
        .unwrap();
}

#[test]
fn collected_when_the_last_reference_goes_while_it_is_pending() {
    let store = InMemoryStore::builder(LIMIT)
        .collect_unreferenced(true)
        .build()
        .unwrap();
    let promise = store.promise().unwrap();
    let id = promise.id();
    let reference: ObjectRef<Bytes> = promise.reference().unwrap();
    drop(reference);
    promise.fulfil(filled(10)).unwrap();
    assert!(
        !store.exists(id),
        "nobody refers to it, and it stays: {}",
        store.stats()
    );
}

#[test]
fn collected_when_pin_and_reference_go_while_it_is_pending() {
    let store = InMemoryStore::builder(LIMIT)
        .collect_unreferenced(true)
        .build()
        .unwrap();
    let mut builder = store.create(1).unwrap();
    let id = builder.id();
    let reference: ObjectRef<Bytes> = builder.reference().unwrap();
    store.pin(id).unwrap();
    drop(reference);
    store.unpin(id).unwrap();
    builder.write(b"x").unwrap();
    builder.seal().unwrap();
    assert!(!store.exists(id));
}

#[test]
fn an_error_is_collected_with_its_last_reference() {
    let store = InMemoryStore::builder(LIMIT)
        .collect_unreferenced(true)
        .build()
        .unwrap();
    let promise = store.promise().unwrap();
    let id = promise.id();
    let reference: ObjectRef<Bytes> = promise.reference().unwrap();
    drop(reference);
    drop(promise);
    assert!(
        store.metadata(id).is_err(),
        "an error that nobody refers to stays"
    );
}

#[test]
fn a_reference_of_a_dropped_store_says_closed_even_if_pinned() {
    let store = InMemoryStore::new(LIMIT);
    let id = store.put_bytes(filled(10)).unwrap();
    let pin = store.pinned(id).unwrap();
    let reference: ObjectRef<Bytes> = store.reference(id).unwrap();
    drop(store);
    assert_eq!(&pin[..], &filled(10)[..]);
    let told = reference.get_blocking().unwrap_err();
    assert!(matches!(told, ObjectError::Closed), "{told:?}");
}

#[test]
fn fulfil_async_beside_the_end_of_the_store() {
    in_time(|| {
        for n in 0..3_000u32 {
            let store = InMemoryStore::new(LIMIT);
            let pin = store
                .pinned(store.put_bytes(filled(900_000)).unwrap())
                .unwrap();
            let promise = store.promise().unwrap();
            let go = Arc::new(AtomicBool::new(false));
            let there = Arc::clone(&go);
            let waits = thread::spawn(move || {
                while !there.load(Acquire) {}
                block_on(promise.fulfil_async(filled(500_000)))
                    .unwrap_err()
                    .reason
            });
            go.store(true, Release);
            for _ in 0..n % 200 {
                std::hint::spin_loop();
            }
            drop(store);
            let told = waits.join().unwrap();
            assert!(matches!(told, ObjectError::Closed), "{told:?}");
            drop(pin);
        }
    });
}

// ------------------------------------------------------------ the line

#[test]
fn many_waiters_in_order_some_cancelled() {
    in_time(|| {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        let pin = store
            .pinned(store.put_bytes(filled(900_000)).unwrap())
            .unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut futures: Vec<Putting> = (0..200)
            .map(|n| {
                let (store, served) = (Arc::clone(&store), Arc::clone(&served));
                let future = async move {
                    let put = store.put_async(filled(400_000)).await;
                    served.lock().unwrap().push(n);
                    put
                };
                Box::pin(future)
                    as Pin<Box<dyn Future<Output = Result<ObjectId, mapless::PutError>> + Send>>
            })
            .collect();
        for future in &mut futures {
            assert!(block_on(poll_once(future)).is_none());
        }
        let mut rest = Vec::new();
        for (n, future) in futures.into_iter().enumerate() {
            if n % 3 != 0 {
                rest.push(future);
            }
        }
        assert!(
            matches!(store.put_bytes(filled(1)), Err(ref e) if matches!(e.reason, ObjectError::Full(_)))
        );
        let threads: Vec<_> = rest
            .into_iter()
            .rev()
            .map(|f| thread::spawn(move || block_on(f).is_ok()))
            .collect();
        thread::sleep(Duration::from_millis(200));
        drop(pin);
        assert!(threads.into_iter().all(|t| t.join().unwrap()));
        let served = served.lock().unwrap();
        assert_eq!(served.len(), 133);
        store.put_bytes(filled(1)).unwrap();
    });
}

/// Who was served leaves the line before his object is in the table, and says nothing when it is.
#[test]
fn a_put_that_waited_wakes_the_next_one_when_its_object_may_be_evicted() {
    type Put = Pin<Box<dyn Future<Output = Result<ObjectId, mapless::PutError>> + Send>>;
    /// Polls its future as it is woken.
    struct Inline(Mutex<Option<Put>>, AtomicUsize, Mutex<Option<Waker>>);
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Relaxed);
            let waker = self.2.lock().unwrap().clone().unwrap();
            if let Ok(mut slot) = self.0.try_lock()
                && let Some(put) = slot.as_mut()
                && poll_with(put.as_mut(), &waker).is_ready()
            {
                *slot = None;
            }
        }
    }
    in_time(|| {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        let pin = store
            .pinned(store.put_bytes(filled(900_000)).unwrap())
            .unwrap();
        let put = || {
            let store = Arc::clone(&store);
            Box::pin(async move { store.put_async(filled(600_000)).await }) as Put
        };
        let (mut first, second) = (put(), put());
        assert!(block_on(poll_once(&mut first)).is_none());
        let inline = Arc::new(Inline(
            Mutex::new(Some(second)),
            AtomicUsize::new(0),
            Mutex::new(None),
        ));
        let waker = Waker::from(Arc::clone(&inline));
        *inline.2.lock().unwrap() = Some(waker.clone());
        waker.wake_by_ref(); // its first poll: it stands in line
        assert!(inline.0.lock().unwrap().is_some());
        drop(pin);
        assert!(block_on(&mut first).is_ok());
        let waits = inline.0.lock().unwrap().is_some();
        // The first one's object is neither pinned nor pending.
        assert!(!waits, "nothing keeps the room, and nobody wakes it");
    });
}

#[test]
fn create_many_is_all_or_nothing_and_cancelled_without_a_trace() {
    let store = InMemoryStore::new(LIMIT);
    let pin = store
        .pinned(store.put_bytes(filled(500_000)).unwrap())
        .unwrap();
    let before = store.stats();
    assert!(matches!(
        store.create_many(&[200_000; 4]),
        Err(ObjectError::Full(_))
    ));
    assert_eq!(store.stats().used_bytes, before.used_bytes);
    {
        let sizes = [200_000; 4];
        let waiting = store.holding(&[]);
        let mut many = pin!(waiting.create_many_async(&sizes));
        assert!(block_on(poll_once(&mut many)).is_none());
        assert_eq!(store.stats().used_bytes, before.used_bytes);
    }
    let timed = store
        .holding(&[])
        .create_many_timeout(&[200_000; 4], Duration::from_millis(20));
    assert!(matches!(timed, Err(ObjectError::Full(_))));
    store.put_bytes(filled(100)).unwrap();
    drop(pin);
    assert_eq!(store.create_many(&[200_000; 4]).unwrap().len(), 4);
}

// ------------------------------------------------------------ pins

/// A result that waits for room while its maker holds builders: nobody can say so.
#[test]
fn pins_and_guards_in_every_order() {
    for order in 0..24 {
        let store = InMemoryStore::builder(LIMIT)
            .collect_unreferenced(true)
            .build()
            .unwrap();
        let id = store.put_bytes(filled(1_000)).unwrap();
        let mut steps = vec![0, 1, 2, 3];
        let mut rest = order;
        let mut chosen = Vec::new();
        for left in (1..=4).rev() {
            chosen.push(steps.remove(rest % left));
            rest /= left;
        }
        let mut reference: Option<ObjectRef<Bytes>> = Some(store.reference(id).unwrap());
        let mut guard = Some(store.pinned(id).unwrap());
        let bytes = store.get_raw(id).unwrap();
        store.pin(id).unwrap();
        for step in chosen {
            match step {
                0 => reference = None,
                1 => guard = None,
                2 => drop(store.delete(id)),
                _ => store.unpin(id).unwrap(),
            }
        }
        drop((reference, guard));
        assert!(!store.exists(id));
        let stats = store.stats();
        assert_eq!(
            (stats.objects, stats.pinned_bytes),
            (0, 0),
            "{order}: {stats}"
        );
        assert_eq!(stats.retained_bytes, 1_096);
        drop(bytes);
        store.clear();
        assert_eq!(store.stats().used_bytes, 0);
    }
}

#[test]
fn waiters_that_come_go_and_give_up() {
    in_time(|| {
        let store = Arc::new(InMemoryStore::new(LIMIT));
        thread::scope(|scope| {
            for t in 0..6 {
                let store = Arc::clone(&store);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(t);
                    for _ in 0..300 {
                        let len = rng.usize(..600_000);
                        match rng.u8(..4) {
                            0 => drop(block_on(poll_once(store.put_async(filled(len))))),
                            1 => {
                                drop(store.put_timeout(
                                    filled(len),
                                    Duration::from_micros(rng.u64(..500)),
                                ))
                            }
                            2 => {
                                // Sealing tells others, as a put that waited does not.
                                let mut b = block_on(store.create_async(len)).unwrap();
                                b.as_mut_slice();
                                b.seal().unwrap();
                            }
                            _ => {
                                let p = block_on(store.promise_async()).unwrap();
                                let _ = block_on(poll_once(p.fulfil_async(filled(len))));
                            }
                        }
                    }
                });
            }
        });
        store.clear();
        assert_eq!(store.stats().used_bytes, 0);
        assert_eq!(store.stats().pending, 0);
        store.put_bytes(filled(900_000)).unwrap();
    });
}

/// "Inside of `read`, which may itself keep the room, none waits."
#[test]
fn a_wait_that_began_outside_does_not_go_on_inside_of_a_read() {
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let id = store.put_bytes(filled(800_000)).unwrap();
        store.pin(id).unwrap();
        let mut put = Box::pin(store.put_async(filled(700_000)));
        assert!(block_on(poll_once(&mut put)).is_none());
        store
            .read(id, |_| {
                store.unpin(id).unwrap();
                let _ = block_on(&mut put);
            })
            .unwrap();
    });
}

/// A task whose waker is the last to have the promise that it waits for.
#[test]
fn a_reader_that_moves_from_a_task_that_had_the_promise() {
    struct Task(#[allow(dead_code)] Mutex<Option<mapless::Promise>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    in_time(|| {
        let store = InMemoryStore::new(LIMIT);
        let promise = store.promise().unwrap();
        let mut get = store.get_async(promise.id());
        let task = Arc::new(Task(Mutex::new(Some(promise))));
        assert!(poll_with(Pin::new(&mut get), &Waker::from(task)).is_pending());
        let _ = poll_with(Pin::new(&mut get), Waker::noop());
        assert!(block_on(get).is_err());
    });
}

/// Bytes that are put again are in one another; they go without a call in a call for each.
#[test]
fn bytes_that_were_handed_on_many_times() {
    let store = InMemoryStore::new(64 << 20);
    let mut id = store.put_bytes(Bytes::from_static(b"it")).unwrap();
    for _ in 0..100_000 {
        let bytes = store.get_raw(id).unwrap();
        store.delete(id).unwrap();
        id = store.put_bytes(bytes).unwrap();
    }
    assert_eq!(store.get_raw(id).unwrap(), "it");
    store.clear();
    assert_eq!(store.stats().used_bytes, 0);
}

#[test]
fn a_copy_is_never_deleted_while_it_is_made() {
    let store = InMemoryStore::new(1 << 20);
    std::thread::scope(|scope| {
        let puts = scope.spawn(|| {
            for _ in 0..20_000 {
                store.put_slice(b"it").expect("there is room");
            }
        });
        while !puts.is_finished() {
            store.clear();
        }
    });
}

#[test]
fn a_refusal_does_not_print_its_bytes() {
    let store = InMemoryStore::new(1 << 20);
    let refused = store.put_bytes(vec![7; 2 << 20].into()).unwrap_err();
    assert!(format!("{refused:?}").len() < 200);
}
