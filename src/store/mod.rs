//! The store: immutable files created only if absent, and a log of numbered entries that only moves forward.
//!
//! Many processes, on one machine or several, add to one store without locks. What was acknowledged is durable;
//! what is read is verified; what is damaged is named. The bytes are described in `docs/format.md`, the protocol in
//! `docs/design/0001-store-protocol.md`. A store knows objects by their ids and refs by opaque keys; what the keys
//! mean is the business of [`crate::refs`].
//!
//! ```
//! use std::sync::Arc;
//! use prov::clock::{StepClock, SeededRandom, Micros};
//! use prov::object::{Kind, Sink, Source, id_of};
//! use prov::store::{Draft, MemoryBackend, OpId, Published, RefEdit, Store, World};
//!
//! let world = World {
//!     clock: Arc::new(StepClock::new(Micros(0), 1)),
//!     random: Arc::new(SeededRandom::new(1)),
//!     host: "box".into(),
//!     author: "ann".into(),
//! };
//! let store = Store::create(Arc::new(MemoryBackend::new()), &world)?;
//!
//! let snapshot = store.snapshot()?;
//! let intake = store.intake(&snapshot);
//! let id = id_of(&Kind::BLOB, b"hello");
//! intake.put(&Kind::BLOB, &id, b"hello")?;
//! let collected = Arc::new(intake.finish()?);
//! let published = store.publish(OpId::new(&*world.random), "example", &mut |_snapshot| {
//!     Ok::<_, prov::store::Error>(Some(Draft {
//!         collected: Some(collected.clone()),
//!         edits: vec![RefEdit::create(b"greeting".to_vec(), id.to_bytes().to_vec())],
//!         ..Draft::default()
//!     }))
//! })?;
//! assert_eq!(published, Published::Done { number: 1 });
//!
//! let snapshot = store.snapshot()?;
//! assert_eq!(snapshot.get_ref(b"greeting")?, Some(id.to_bytes().to_vec()));
//! assert_eq!(snapshot.read(&id)?, Some((Kind::BLOB, b"hello".to_vec())));
//! # Ok::<(), prov::store::Error>(())
//! ```

mod ahead;
pub mod backend;
mod bulk;
mod carry;
pub mod check;
pub mod collect;
mod compress;
mod copying;
mod cut;
mod draft;
mod early;
mod entry;
mod error;
pub mod evict;
mod files;
mod find;
mod fold;
mod format;
mod history;
mod intake;
mod large;
mod load;
mod local;
mod located;
mod memory;
mod merge;
mod objects;
mod outgoing;
mod overlay;
mod pack;
mod pieces;
mod plain;
mod point;
mod presence;
mod publish;
pub mod repair;
mod rules;
mod scan;
pub mod scrub;
#[cfg(any(test, feature = "simulate"))]
pub mod sim;
mod snapshot;
mod sorted;
mod state;
mod stretches;
mod whole;
mod wire;
mod world;

use std::io::Write;
use std::sync::Arc;

pub use ahead::{Ahead, Parts};
pub use backend::{Backend, BackendError, Folder, Outcome};
pub use bulk::Whereabouts;
pub use carry::{Carried, FromStore, How, Known, Load, Look};
pub use check::{Report, Severity, check};
pub use draft::{Draft, Published, RefEdit, Restore};
pub use entry::{Checkpoint, Class, Expect, FileRow, Gone, OpId, PackRow};
pub use entry::{is_meant as is_entry, name as entry_name, parse_name as entry_number};
pub use error::{Damage, Error};
pub use intake::{Collected, Intake};
pub use local::LocalBackend;
pub use memory::MemoryBackend;
pub use objects::{Ground, Place};
pub use point::Point;
pub use scan::Scan;
pub use snapshot::{LogEntry, PastEdit, Snapshot};
pub use sorted::Direction;
pub use stretches::Stretches;
pub use wire::{Mode, WireBackend, serve};
pub use world::World;

use entry::Entry;
use files::Files;
use rules::Rules;

/// A store in some place. Cheap to clone; may be used from many threads.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    world: World,
    id: String,
    files: Files,
    rules: Rules,
}

impl Store {
    /// Creates an empty store. A creation that was cut off before is completed.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is a store already; failures of the place.
    pub fn create(backend: Arc<dyn Backend>, world: &World) -> Result<Self, Error> {
        let place = backend.place();
        if backend.read_format()?.is_some() {
            return Err(Error::Exists { place });
        }
        backend.prepare()?;
        if load::numbers(&*backend)?.iter().any(|&number| number > 0) {
            if backend.read_format()?.is_some() {
                // Somebody else made it since, and wrote to it.
                return Err(Error::Exists { place });
            }
            // Entries without a format: a store that lost the file, not one that was never made.
            return Err(Error::Damaged { file: "format".to_owned(), what: "it is missing".to_owned() });
        }
        let entry = Entry {
            n: 0,
            prev: crate::hash::Id::ZERO,
            op: OpId::new(&*world.random),
            at: world.clock.now(),
            by: world.author.clone(),
            host: world.host.clone(),
            cmd: "init".to_owned(),
            objects: Vec::new(),
            packs: Vec::new(),
            rely: Vec::new(),
            condemn: Vec::new(),
            remove: Vec::new(),
            refs: Vec::new(),
            features: Vec::new(),
            checkpoint: Some(Checkpoint::default()),
        };
        let failed = |source| BackendError::Io { action: "write", file: snapshot::log_file(0), source };
        let mut staged = backend.stage()?;
        staged.write_all(&entry.encode()?.0).map_err(failed)?;
        // Lost: a creation that was cut off, or one at the same time. Either way the entry is there.
        if staged.publish(Folder::Log, &entry::name(0))? == Outcome::Unknown && !load::numbers(&*backend)?.contains(&0)
        {
            return Err(failed(std::io::Error::other("it was not created")).into());
        }
        backend.sync(Folder::Log)?;
        // The format comes last, so that there is no store before it is whole.
        let bytes = format::encode(world.random());
        let outcome = backend.create_format(&bytes)?;
        match backend.read_format()? {
            Some(found) if found == bytes => Self::open(backend, world),
            _ if outcome == Outcome::Lost => Err(Error::Exists { place }),
            _ => Err(Error::NotAStore { place }),
        }
    }

    /// Opens the store that lies there; only its format is read.
    ///
    /// # Errors
    /// [`Error::NotAStore`], [`Error::TooNew`], or [`Error::Damaged`] when the format can't be understood.
    pub fn open(backend: Arc<dyn Backend>, world: &World) -> Result<Self, Error> {
        Self::open_under(Rules::default(), backend, world)
    }

    fn open_under(rules: Rules, backend: Arc<dyn Backend>, world: &World) -> Result<Self, Error> {
        let place = backend.place();
        let bytes = match backend.read_format()? {
            Some(bytes) => bytes,
            // The first entry alone is a creation that was cut off before it was a store; `create` goes on from there.
            None if load::numbers(&*backend)?.iter().all(|&number| number == 0) => {
                return Err(Error::NotAStore { place });
            }
            // Somebody may have made it between the two looks, and written to it.
            None => backend
                .read_format()?
                .ok_or_else(|| Error::Damaged { file: "format".to_owned(), what: "it is missing".to_owned() })?,
        };
        let id = format::decode(&bytes, &place)?;
        let files = Files::new(Arc::clone(&backend));
        Ok(Self { shared: Arc::new(Shared { backend, world: world.clone(), id, files, rules }) })
    }

    /// The store's own id: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The place it lies in.
    pub fn backend(&self) -> &dyn Backend {
        &*self.shared.backend
    }

    /// What it was told about the world.
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    pub(in crate::store) fn files(&self) -> &Files {
        &self.shared.files
    }

    pub(in crate::store) fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The store as it is now.
    ///
    /// # Errors
    /// When the log can't be read, or neither a checkpoint nor a copy of one is left.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::load(self)
    }

    /// The store as it is now; `known` itself, for the price of one listing, if the log still ends where it did then.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot_since(&self, known: &Snapshot) -> Result<Snapshot, Error> {
        if self.is_newest(known) { Ok(known.clone()) } else { Snapshot::load_after(self, known) }
    }

    /// Begins to collect objects for a transaction; what `snapshot` has is not stored again.
    pub fn intake(&self, snapshot: &Snapshot) -> Intake {
        Intake::new(snapshot)
    }
}

#[cfg(test)]
pub(crate) mod tests;
