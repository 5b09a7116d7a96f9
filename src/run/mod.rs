//! Runs: from what is asked for to what is on record.
//!
//! [`request`] → [`prepare`] (everything declared is looked at, the recipe is made) → [`lookup`] → on a hit [`hydrate`], on a miss
//! [`execute`] and capture → [`record`] → one transaction ([`publish`]). [`perform`] is that line; [`plan`] stops after the lookup.
//! [`live`] keeps, beside the store, what must survive the death of prov at any moment: who runs what, which output paths are taken,
//! what was printed, and finished runs that still wait to be published. [`settle`] sees to what dead processes left there.

pub mod about;
pub mod adapter;
pub mod again;
mod annotate;
pub mod batch;
mod beforehand;
mod clear;
pub mod close;
mod code_part;
mod columns;
mod commit;
pub mod config_part;
mod consult;
mod declare;
mod elsewhere;
mod ending;
mod error;
pub mod execute;
pub mod exit;
mod format;
mod given;
mod given_before;
pub mod group;
pub mod guard;
mod hooks;
pub mod hydrate;
pub mod inputs;
pub mod interrupts;
mod known;
pub mod lifecycle;
pub mod live;
pub mod lockfile;
pub mod logged;
mod look;
pub mod lookup;
mod managed;
pub mod memory;
mod miss;
pub mod name;
mod nearest;
pub mod observer;
pub mod outputs;
mod overlap;
pub mod pack;
pub mod part;
mod perform;
pub mod prepare;
pub mod program;
pub mod publish;
mod pump;
mod reap;
pub mod record;
mod report;
pub mod request;
mod restore;
mod retry;
mod seal;
mod secrets;
mod session;
mod settle;
pub mod spool;
mod started;
mod strays;
mod stretch;
pub mod sweep;
mod take;
mod terminal;
mod undo;
mod versions;
pub mod web;
mod whole;

use crate::repo::Repo;

pub use about::{About, AboutOutputs};
pub use batch::{Batch, Flushed};
pub use clear::{Displaced, KeptSafe, clear, keep_safe};
pub use code_part::CodePart;
pub use commit::{CommitOptions, Committed, Item, ItemAction, Staging, add, commit, staged};
pub use elsewhere::{Elsewhere, Offer};
pub use error::{Error, chain};
pub use known::{Glance, Known, glance};
pub use look::{Looked, Plan, plan, plan_with};
pub use managed::KEY as MANAGED_KEY;
pub use name::command_line;
pub use nearest::Nearest;
pub(crate) use nearest::candidates;
pub use perform::{OutputAction, Performed, REPLAYED, Surroundings, perform, perform_part};
pub use publish::Publication;
pub use request::{
    CacheMode, CodeMode, Container, Declared, DeclaredSet, OnKnownFailure, OnMissing, Request, RestoreMode, Validate,
};
pub use restore::{Destination, Restoration, RestoreOptions, RestoredItem, contents_of, restore, restore_outputs};
pub use retry::{persist, persist_part};
pub use secrets::Secrets;
pub use session::Session;
pub use settle::{Settled, settle};
pub use started::{FinishOptions, Finished, StartOptions, Started, finish, metric, start};
pub use undo::{Step as UndoStep, Undone, undo};

/// A transaction of what was collected and edits of refs.
fn draft_of(
    collected: std::sync::Arc<crate::store::Collected>,
    edits: Vec<crate::store::RefEdit>,
) -> crate::store::Draft {
    crate::store::Draft { collected: Some(collected), edits, ..crate::store::Draft::default() }
}

/// Paths, and files of folders, that a run wants for itself.
type Claims = (Vec<bstr::BString>, Vec<live::SetClaim>);

/// What a run claims for those of its outputs that `is_wanted` chooses.
fn claims_of(prepared: &prepare::Prepared, is_wanted: &dyn Fn(&str) -> bool) -> Claims {
    let (mut paths, mut sets) = (Vec::new(), Vec::new());
    for (key, place) in prepared.outputs().iter().filter(|(key, _)| is_wanted(key)) {
        let path = crate::revspec::recorded_path(place);
        match prepared.declared.set(key) {
            None => paths.push(path),
            Some(members) => {
                let root = if path == "." { bstr::BString::default() } else { path };
                sets.push(live::SetClaim { root, files: members.files().clone() });
            }
        }
    }
    (paths, sets)
}

/// Claims places for something that writes to them and is no execution: bringing outputs back.
fn claim(
    repo: &Repo,
    step: &str,
    request: &Request,
    scenario: &str,
    (outputs, sets): Claims,
    interrupts: Option<&interrupts::Interrupts>,
) -> Result<live::Running, Error> {
    let live = live_folder(repo);
    let now = repo.now();
    let running = live.begin(live::Intent {
        run: name::run_id(now, step, &*repo.world().random),
        project: repo.project().to_owned(),
        scenario: scenario.to_owned(),
        step: step.to_owned(),
        recipe: None,
        parent: request.parent.clone(),
        started_at: now,
        argv: Vec::new(),
        cwd: request.cwd.clone(),
        outputs,
        sets,
        op: repo.new_op().to_bytes(),
        owner: live.here().clone(),
        open: None,
    })?;
    match claim_outputs(&running, request.wait, interrupts) {
        Ok(()) => Ok(running),
        Err(err) => {
            let _ = running.end();
            Err(err)
        }
    }
}

/// Claims the outputs of an intent, waiting for another run to end if asked to; then [`Error::Waited`] says that everything has to be
/// looked at again.
fn claim_outputs(
    running: &live::Running,
    wait: bool,
    interrupts: Option<&interrupts::Interrupts>,
) -> Result<(), Error> {
    let mut has_waited = false;
    let claimed = if wait {
        running.claim_waiting(&mut |_| {
            has_waited = true;
            std::thread::sleep(std::time::Duration::from_millis(20));
            !interrupts.is_some_and(interrupts::Interrupts::is_raised)
        })?
    } else {
        running.claim()?
    };
    match claimed {
        live::Claimed::Held(held) => match interrupts.and_then(interrupts::Interrupts::ending) {
            Some(signal) => Err(Error::Interrupted { signal }),
            None => Err(Error::Claimed { held: Box::new(held) }),
        },
        live::Claimed::Won => Ok(()),
    }
}

/// The live folder of a project, seen from this process.
pub fn live_folder(repo: &Repo) -> live::Live {
    live::Live::new(repo.fs().clone(), repo.layout().live(), repo.world().process.clone())
        .with_clock(repo.world().clock.clone())
}
