//! prov: Git for runs.
//!
//! A run is what ran, on what, and what came out, recorded in a content-addressed store. What was computed is not
//! computed again; every miss is explained; every file leads back to what it was made from. This library does all of it;
//! the program `prov` parses arguments and prints.
//!
//! A project is opened as a [`repo::Repo`]; operations are functions that take it. A [`run::Request`] says what to run and what it reads and
//! writes; [`run::perform`] looks it up, else executes and records it:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use prov::lineage::{self, Start, TraceOptions};
//! use prov::repo::{InitOptions, Places, Repo, World};
//! use prov::run::observer::Unheard;
//! use prov::run::{Request, Session, Surroundings, perform};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // A project with its store in `.prov`.
//! let (repo, _) = Repo::init(folder, &InitOptions::default(), &Places::default(), World::real(None))?;
//! std::fs::write(repo.root().join("numbers.txt"), "3\n1\n2\n")?;
//!
//! // What to run, and what it reads and writes. `{input.numbers}` is the file of that key.
//! let request = Request::command(["sort", "-o", "{output.sorted}", "{input.numbers}"])
//!     .step("sort")
//!     .input("numbers.txt")
//!     .output("sorted.txt");
//!
//! let environment = BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]);
//! let session = Session::new(&repo, repo.root().to_owned());
//! let run = |request: &Request| {
//!     let around = Surroundings { environment: &environment, observer: &mut Unheard, interrupts: None };
//!     perform(&session, request, around)
//! };
//!
//! let first = run(&request)?;
//! assert!(!first.run.is_hit());
//! assert_eq!(std::fs::read_to_string(repo.root().join("sorted.txt"))?, "1\n2\n3\n");
//!
//! // The same again: nothing is executed, and the output is there.
//! std::fs::remove_file(repo.root().join("sorted.txt"))?;
//! let second = run(&request)?;
//! assert!(second.run.is_hit());
//! assert_eq!(std::fs::read_to_string(repo.root().join("sorted.txt"))?, "1\n2\n3\n");
//!
//! // Where it comes from.
//! let snapshot = repo.store().snapshot()?;
//! let start = Start::Run { run: first.run.run.clone(), object: first.object };
//! let options = TraceOptions { up: true, down: false, depth: None };
//! let graph = lineage::trace(&snapshot, repo.project(), repo.scenario(), &start, options)?;
//! assert!(lineage::render::tree(&graph).contains("numbers.txt"));
//! # Ok(())
//! # }
//! ```
//!
//! What would run again, and why, before anything runs: [`run::plan`]. Questions to the store: [`query`]. Names of runs and
//! artifacts: [`revspec`]. The store by itself: [`store`]; what it holds: [`object`]; the bytes on disk: `docs/format.md`.

pub mod clock;
pub mod code;
pub mod codec;
pub mod config;
pub mod deflate;
pub mod event;
pub mod fetch;
pub mod fs;
pub mod hash;
pub mod host;
#[cfg(feature = "index")]
pub mod index;
pub mod interchange;
pub mod journal;
pub mod lineage;
pub mod maintain;
pub mod mark;
pub mod note;
pub mod object;
pub mod path;
pub mod pipeline;
pub mod progress;
pub mod query;
pub mod recipe;
pub mod refs;
pub mod repo;
pub mod revspec;
pub mod run;
pub mod scenario;
pub mod store;
pub mod sync;
pub mod tabular;
pub mod tag;
pub mod verdict;
pub mod worktree;
