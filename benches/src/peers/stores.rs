//! Stores that others have built: ids to bytes in files, as each is set up for the work.
//!
//! Those that ask for a key get the next number. A write by [`Store::put`], [`Store::overwrite`] and
//! [`Store::delete`] survives a loss of power when it returns, if the store was opened for it.
#![allow(unsafe_code)] // SQLite is asked how much memory it has

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use fjall::{Database as Fjall, Keyspace, KeyspaceCreateOptions, PersistMode};
use marble::Marble;
use redb::{Database as Redb, Durability, ReadableDatabase, TableDefinition};
use rusqlite::{Connection, OptionalExtension, params};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Writes one by one, each durable when it returns.
    Durable,
    /// Batches, which are durable after [`Store::sync`].
    Bulk,
}

/// A store that takes part in a row.
pub trait Store: Send {
    /// The same one, for another thread.
    fn another(&self) -> Box<dyn Store>;
    /// Puts many, which need not be durable; their keys.
    fn load(&self, all: &[&[u8]]) -> Vec<u64>;
    /// Makes all durable.
    fn sync(&self);
    /// The first byte of what is there, and how long it is.
    fn get(&self, key: u64) -> u64;
    /// Puts one; its key.
    fn put(&self, bytes: &[u8]) -> u64;
    /// Gives one other bytes.
    fn overwrite(&self, key: u64, bytes: &[u8]);
    /// Takes one away.
    fn delete(&self, key: u64);
    /// Bytes of memory that our allocator does not see.
    fn unseen(&self) -> usize {
        0
    }
}

impl fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// Makes a store in an empty folder, or opens the one that is there.
pub type Open = fn(&Path, Use) -> Box<dyn Store>;

/// All of them, by name.
pub const PEERS: [(&str, Open); 4] = [
    ("redb", |folder, _| Box::new(OfRedb::open(folder))),
    ("marble", |folder, to| Box::new(OfMarble::open(folder, to))),
    ("fjall", |folder, _| Box::new(OfFjall::open(folder))),
    ("SQLite", |folder, to| Box::new(OfSqlite::open(folder, to))),
];

/// The same for all: what a digest of an answer is.
#[inline]
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.first().map_or(0, |first| u64::from(*first)) + bytes.len() as u64
}

/// Keys that were not given out before.
#[derive(Clone, Debug, Default)]
struct Keys(Arc<AtomicU64>);

impl Keys {
    /// So many of them.
    fn take(&self, n: usize) -> std::ops::Range<u64> {
        let first = self.0.fetch_add(n as u64, Relaxed);
        first..first + n as u64
    }

    fn one(&self) -> u64 {
        self.take(1).start
    }
}

// -------------------------------------------------------------------- redb

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("objects");

#[derive(Clone)]
struct OfRedb {
    base: Arc<Redb>,
    keys: Keys,
}

impl OfRedb {
    fn open(folder: &Path) -> Self {
        let base = Redb::create(folder.join("redb")).expect("a database");
        let base = Arc::new(base);
        let keys = Keys::default();
        Self { base, keys }
    }

    fn write(
        &self,
        durability: Durability,
        run: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>),
    ) {
        let mut transaction = self.base.begin_write().expect("a transaction");
        transaction
            .set_durability(durability)
            .expect("no savepoints");
        run(&mut transaction.open_table(TABLE).expect("a table"));
        transaction.commit().expect("it was written");
    }
}

impl Store for OfRedb {
    fn another(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn load(&self, all: &[&[u8]]) -> Vec<u64> {
        let keys = self.keys.take(all.len());
        self.write(Durability::None, |table| {
            for (key, bytes) in keys.clone().zip(all) {
                table.insert(key, *bytes).expect("it was written");
            }
        });
        keys.collect()
    }

    fn sync(&self) {
        self.write(Durability::Immediate, |_| ());
    }

    fn get(&self, key: u64) -> u64 {
        let transaction = self.base.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("a table");
        let found = table.get(key).expect("it was read");
        found.map_or(0, |found| digest(found.value()))
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        let key = self.keys.one();
        self.overwrite(key, bytes);
        key
    }

    fn overwrite(&self, key: u64, bytes: &[u8]) {
        self.write(Durability::Immediate, |table| {
            table.insert(key, bytes).expect("it was written");
        });
    }

    fn delete(&self, key: u64) {
        self.write(Durability::Immediate, |table| {
            table.remove(key).expect("it was written");
        });
    }
}

// -------------------------------------------------------------------- marble

#[derive(Clone)]
struct OfMarble {
    heap: Marble,
    keys: Keys,
}

impl OfMarble {
    fn open(folder: &Path, to: Use) -> Self {
        let config = marble::Config {
            path: folder.join("marble"),
            fsync_each_batch: to == Use::Durable,
            ..Default::default()
        };
        let heap = config.open().expect("a heap");
        let keys = Keys::default();
        Self { heap, keys }
    }
}

impl Store for OfMarble {
    fn another(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn load(&self, all: &[&[u8]]) -> Vec<u64> {
        let keys = self.keys.take(all.len());
        let batch = keys.clone().zip(all).map(|(key, bytes)| (key, Some(bytes)));
        self.heap.write_batch(batch).expect("it was written");
        keys.collect()
    }

    fn sync(&self) {
        self.heap.sync_all().expect("it was synced");
    }

    fn get(&self, key: u64) -> u64 {
        let found = self.heap.read(key).expect("it was read");
        found.map_or(0, |bytes| digest(&bytes))
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        let key = self.keys.one();
        self.overwrite(key, bytes);
        key
    }

    fn overwrite(&self, key: u64, bytes: &[u8]) {
        let batch = [(key, Some(bytes))];
        self.heap.write_batch(batch).expect("it was written");
    }

    fn delete(&self, key: u64) {
        let batch = [(key, None::<&[u8]>)];
        self.heap.write_batch(batch).expect("it was written");
    }
}

// -------------------------------------------------------------------- fjall

#[derive(Clone)]
struct OfFjall {
    base: Fjall,
    objects: Keyspace,
    keys: Keys,
}

impl OfFjall {
    fn open(folder: &Path) -> Self {
        let base = Fjall::builder(folder.join("fjall"));
        let base = base.open().expect("a database");
        let objects = base.keyspace("objects", KeyspaceCreateOptions::default);
        Self {
            objects: objects.expect("a keyspace"),
            base,
            keys: Keys::default(),
        }
    }

    fn persist(&self) {
        self.base
            .persist(PersistMode::SyncData)
            .expect("it was synced");
    }
}

impl Store for OfFjall {
    fn another(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn load(&self, all: &[&[u8]]) -> Vec<u64> {
        let keys = self.keys.take(all.len());
        let mut batch = self.base.batch();
        for (key, bytes) in keys.clone().zip(all) {
            batch.insert(&self.objects, key.to_be_bytes(), *bytes);
        }
        batch.commit().expect("it was written");
        keys.collect()
    }

    fn sync(&self) {
        self.persist();
    }

    fn get(&self, key: u64) -> u64 {
        let found = self.objects.get(key.to_be_bytes()).expect("it was read");
        found.map_or(0, |bytes| digest(&bytes))
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        let key = self.keys.one();
        self.overwrite(key, bytes);
        key
    }

    fn overwrite(&self, key: u64, bytes: &[u8]) {
        let done = self.objects.insert(key.to_be_bytes(), bytes);
        done.expect("it was written");
        self.persist();
    }

    fn delete(&self, key: u64) {
        let done = self.objects.remove(key.to_be_bytes());
        done.expect("it was written");
        self.persist();
    }
}

// -------------------------------------------------------------------- SQLite

/// One connection, which threads take in turn: it has one writer anyway.
#[derive(Clone)]
struct OfSqlite {
    base: Arc<Mutex<Connection>>,
    keys: Keys,
}

impl OfSqlite {
    fn open(folder: &Path, to: Use) -> Self {
        let base = Connection::open(folder.join("sqlite")).expect("a database");
        let sync = match to {
            Use::Durable => "FULL",
            Use::Bulk => "NORMAL",
        };
        let begin = format!(
            "pragma journal_mode = WAL; pragma synchronous = {sync};
             create table if not exists objects (id integer primary key, bytes blob);"
        );
        base.execute_batch(&begin).expect("a table");
        let (base, keys) = (Arc::new(Mutex::new(base)), Keys::default());
        Self { base, keys }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> T {
        let mut base = self.base.lock().expect("nobody panicked");
        run(&mut base).expect("it was done")
    }
}

const INSERT: &str = "insert or replace into objects values (?1, ?2)";

impl Store for OfSqlite {
    fn another(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn load(&self, all: &[&[u8]]) -> Vec<u64> {
        let keys = self.keys.take(all.len());
        self.with(|base| {
            let transaction = base.transaction()?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for (key, bytes) in keys.clone().zip(all) {
                    insert.execute(params![key as i64, *bytes])?;
                }
            }
            transaction.commit()
        });
        keys.collect()
    }

    /// A commit alone does not sync, as it is opened; a checkpoint does.
    fn sync(&self) {
        self.with(|base| base.query_row("pragma wal_checkpoint(full)", [], |_| Ok(())));
    }

    fn get(&self, key: u64) -> u64 {
        self.with(|base| {
            let mut get = base.prepare_cached("select bytes from objects where id = ?1")?;
            let found = get.query_row([key as i64], |row| Ok(digest(row.get_ref(0)?.as_blob()?)));
            Ok(found.optional()?.unwrap_or(0))
        })
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        let key = self.keys.one();
        self.overwrite(key, bytes);
        key
    }

    fn overwrite(&self, key: u64, bytes: &[u8]) {
        self.with(|base| {
            let mut insert = base.prepare_cached(INSERT)?;
            insert.execute(params![key as i64, bytes])
        });
    }

    fn delete(&self, key: u64) {
        self.with(|base| {
            let mut delete = base.prepare_cached("delete from objects where id = ?1")?;
            delete.execute([key as i64])
        });
    }

    fn unseen(&self) -> usize {
        // SAFETY: it may be called at any time, by any thread.
        let used = unsafe { rusqlite::ffi::sqlite3_memory_used() };
        usize::try_from(used).unwrap_or(0)
    }
}
