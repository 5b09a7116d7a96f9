//! Whose fault an error of the library is, and what to do about it: the one place where errors become failures.

use std::error::Error;
use std::io;

use prov::object::AccessError;
use prov::run::live::LiveError;
use prov::run::lookup;
use prov::run::program::SpawnError;
use prov::{
    codec, config, fetch, interchange, journal, lineage, mark, note, object, pipeline, query, recipe, repo, revspec,
    run, scenario, store, sync, tag, verdict, worktree,
};

use crate::error::{Class, Failure};

/// An error that can end a command.
pub(crate) trait Classify: Error + Sized {
    /// Its class, a stable word, and what to do.
    fn failure(&self) -> Failure;
}

impl<E: Classify + 'static> From<E> for Failure {
    fn from(err: E) -> Self {
        let failure = err.failure();
        if failure.hint.is_some() {
            return failure;
        }
        match io_hint(&err) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What to do about what the system said, wherever in the chain it stands.
fn io_hint(err: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut at = Some(err);
    while let Some(err) = at {
        if let Some(err) = err.downcast_ref::<io::Error>() {
            return match err.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space and try again; what was recorded before is safe")
                }
                io::ErrorKind::ReadOnlyFilesystem => Some("make it writable; nothing was changed"),
                io::ErrorKind::PermissionDenied => Some("check who owns it and who may write it"),
                _ => None,
            };
        }
        at = err.source();
    }
    None
}

const FSCK: &str = "`prov fsck` names all that is damaged; what is whole can still be read";

impl Classify for repo::Error {
    fn failure(&self) -> Failure {
        match self {
            repo::Error::NotFound { .. } => {
                Failure::of(Class::NoStore, "no_store", self).hint("create one with `prov init`")
            }
            repo::Error::NotAProject { .. } => {
                Failure::of(Class::NoStore, "not_a_project", self).hint("`prov init` completes what is missing")
            }
            repo::Error::Store(err) => err.failure(),
            repo::Error::Settings(err) => err.failure(),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for store::Error {
    fn failure(&self) -> Failure {
        match self {
            store::Error::NotAStore { .. } => Failure::of(Class::NoStore, "no_store", self)
                .hint("create one with `prov init`, or name the right place in `[store] path` or PROV_STORE"),
            store::Error::Exists { .. } => Failure::of(Class::Refused, "store_exists", self),
            store::Error::TooNew { .. } | store::Error::UnknownFeature { .. } => {
                Failure::of(Class::Refused, "newer_format", self).hint("upgrade prov; nothing was changed")
            }
            store::Error::Damaged { .. }
            | store::Error::DamagedLog { .. }
            | store::Error::ReliedGone { .. }
            | store::Error::Obstructed { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            store::Error::Expectation { .. } => Failure::of(Class::Failed, "changed_meanwhile", self)
                .hint("another process changed it at the same time; look and try again"),
            store::Error::Outdated => Failure::of(Class::Failed, "changed_meanwhile", self)
                .hint("others record much just now; nothing was lost, try again later"),
            store::Error::Restless { .. } => Failure::of(Class::Failed, "restless", self)
                .hint("`prov log` tells whether it was recorded; if not, try again"),
            store::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Failed, "store", self),
        }
    }
}

impl Classify for AccessError {
    fn failure(&self) -> Failure {
        match self {
            AccessError::Damaged { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            AccessError::Other(err) => match err.downcast_ref::<store::Error>() {
                Some(err) => err.failure(),
                None => Failure::of(Class::Failed, "store", self),
            },
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for interchange::Error {
    fn failure(&self) -> Failure {
        match self {
            interchange::Error::Query(err) => err.failure(),
            interchange::Error::Store(err) => err.failure(),
            interchange::Error::Access(err) => err.failure(),
            interchange::Error::Object(err) => err.failure(),
            interchange::Error::Gone { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            interchange::Error::NoRuns { known, .. } => {
                let failure = Failure::of(Class::NotFound, "not_found", self).candidates(known.clone());
                failure.hint(if known.is_empty() {
                    "`prov pipeline run` makes one"
                } else {
                    "there are runs for these places"
                })
            }
            interchange::Error::NotAManifest { .. } => {
                Failure::of(Class::Usage, "not_a_manifest", self).hint("nothing was changed")
            }
            interchange::Error::Restless { .. } => {
                Failure::of(Class::Failed, "changed_meanwhile", self).hint("nothing was changed; try again")
            }
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for sync::Error {
    fn failure(&self) -> Failure {
        match self {
            Self::NoRemote => Failure::of(Class::NotFound, "no_remote", self)
                .hint("name one with `prov remote add origin URL`; a folder will do"),
            Self::WhichRemote { known } => Failure::of(Class::NotFound, "which_remote", self)
                .candidates(known.iter().cloned())
                .hint("name the one that is meant, or set PROV_REMOTE"),
            Self::UnknownRemote { known, .. } => Failure::of(Class::NotFound, "no_remote", self)
                .candidates(known.iter().cloned())
                .hint("`prov remote list` shows those that are; a place can be given as well (./PATH, HOST:PATH)"),
            Self::RemoteExists { name, .. } => Failure::of(Class::Refused, "remote_exists", self)
                .hint(format!("`prov remote remove {name}` forgets it")),
            Self::BadName { .. } | Self::BadAddress { .. } => Failure::of(Class::Usage, "usage", self),
            Self::Remote { source, .. } => match &**source {
                store::Error::NotAStore { .. } => Failure::of(Class::Network, "no_remote_store", self)
                    .hint("check the place; the first `prov push` makes the store"),
                store::Error::Damaged { .. } | store::Error::DamagedLog { .. } => {
                    Failure::of(Class::Damaged, "remote_damaged", self).hint("nothing was changed here")
                }
                store::Error::TooNew { .. } | store::Error::UnknownFeature { .. } => source.failure(),
                _ => Failure::of(Class::Network, "remote", self).hint("nothing was lost; try again"),
            },
            Self::OnlyReads { .. } => Failure::of(Class::Refused, "only_reads", self)
                .hint("push to where the server has its files from: its folder, ssh or a bucket"),
            Self::NoBundle { .. } => {
                Failure::of(Class::Damaged, "no_bundle", self).hint("make it again where it came from")
            }
            Self::OtherProject { projects, .. } => Failure::of(Class::Refused, "other_project", self)
                .candidates(projects.iter().cloned())
                .hint("`prov clone FILE DIR` makes a project of it"),
            Self::NotBuilt { feature, .. } => Failure::of(Class::Refused, "not_built", self)
                .hint(format!("build prov with it: cargo install prov-store --features {feature}")),
            Self::Lost { .. } => {
                Failure::of(Class::Network, "remote", self).hint("nothing was lost; the same command goes on")
            }
            Self::SameStore { .. } => {
                Failure::of(Class::Refused, "same_store", self).hint("name a remote that is another store")
            }
            Self::Occupied { .. } => Failure::of(Class::Refused, "occupied", self)
                .hint("name a folder that is empty or not there yet, or one that holds a store"),
            Self::Forged { .. } | Self::LinkMissing { .. } => {
                Failure::of(Class::Damaged, "remote_damaged", self).hint("nothing of it was taken over")
            }
            Self::NotFound { .. } => Failure::of(Class::NotFound, "not_found", self),
            Self::Ambiguous { candidates, .. } => Failure::of(Class::NotFound, "ambiguous", self)
                .candidates(candidates.iter().cloned())
                .hint("type more of the one that is meant"),
            Self::WhichProject { projects, .. } => Failure::of(Class::NotFound, "which_project", self)
                .candidates(projects.iter().cloned())
                .hint("name one with --project"),
            Self::Cancelled => Failure::of(Class::Interrupted, "interrupted", self),
            Self::Store(err) => err.failure(),
            Self::Access(err) => match err {
                AccessError::Other(inner) if inner.is::<sync::Wrong>() => {
                    Failure::of(Class::Damaged, "remote_damaged", self).hint("nothing of it was taken over")
                }
                err => err.failure(),
            },
            Self::Object(err) => err.failure(),
            Self::Scenario(err) => err.failure(),
            Self::Mark(err) => err.failure(),
            Self::Repo(err) => err.failure(),
            Self::Ref(_) => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for prov::code::git::hooks::Error {
    fn failure(&self) -> Failure {
        match self {
            Self::NoRepository { .. } => {
                Failure::of(Class::NotFound, "no_git", self).hint("make one with `git init`; prov works without, too")
            }
            Self::Shared { .. } => Failure::of(Class::Refused, "shared_hooks", self).hint(
                "`prov hooks install --shared` puts them there: they do nothing in repositories without a project",
            ),
            Self::Occupied { .. } => {
                Failure::of(Class::Refused, "hook_exists", self).hint("nothing was changed; move one of them away")
            }
            Self::Locked { .. } => {
                Failure::of(Class::Failed, "git_locked", self).hint("try again; if no Git is at work, remove that file")
            }
            _ => Failure::of(Class::Failed, "git", self),
        }
    }
}

impl Classify for run::lockfile::Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Line { .. } => Failure::of(Class::Damaged, "bad_lock", self)
                .hint("settle what Git could not merge; or remove the line, and run its step again"),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for object::Error {
    fn failure(&self) -> Failure {
        Failure::of(Class::Damaged, "damaged", self).hint(FSCK)
    }
}

impl Classify for codec::Error {
    fn failure(&self) -> Failure {
        Failure::of(Class::Damaged, "damaged", self).hint(FSCK)
    }
}

impl Classify for config::Error {
    fn failure(&self) -> Failure {
        let failure = match self {
            config::Error::Io { .. } => Failure::of(Class::Failed, "io", self),
            _ => Failure::of(Class::Usage, "config", self),
        };
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl Classify for config::rows::Error {
    fn failure(&self) -> Failure {
        use config::rows::Error;
        let failure = Failure::of(Class::Usage, "rows", self);
        match self {
            Error::NoColumn { near: Some(near), .. } => failure.hint(format!("did you mean `{near}`?")),
            Error::NoColumn { known, .. } => failure.hint(format!("the columns are {}", known.join(", "))),
            Error::Twice { .. } => failure.hint("a column and a --grid, or two of these, have one name"),
            _ => failure,
        }
    }
}

impl Classify for pipeline::execute::Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Run(err) => err.failure(),
            Self::Select(err) => {
                let hint = err.meant.as_ref().map_or_else(
                    || "`prov pipeline plan` lists the tasks".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                Failure::of(Class::NotFound, "not_found", self).hint(hint)
            }
            Self::Taken { .. } => Failure::of(Class::Refused, "run_taken", self).hint("give it another --run-id"),
            _ => Failure::of(Class::Failed, "pipeline", self),
        }
    }
}

impl Classify for pipeline::Error {
    fn failure(&self) -> Failure {
        match self {
            pipeline::Error::Io { source, .. } if prov::fs::is_absent(source) => {
                Failure::of(Class::NotFound, "no_pipeline", self).hint("name the file with -f")
            }
            pipeline::Error::Text(err) => err.failure(),
            pipeline::Error::Option { .. } => Failure::of(Class::Usage, "usage", self),
            pipeline::Error::NoStep { known, .. } => Failure::of(Class::NotFound, "not_found", self)
                .candidates(known.iter().cloned())
                .hint("it has the steps above"),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for recipe::Error {
    fn failure(&self) -> Failure {
        let failure = Failure::of(Class::Usage, "usage", self);
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl Classify for worktree::Error {
    fn failure(&self) -> Failure {
        match self {
            worktree::Error::Absent { .. } => Failure::of(Class::NotFound, "not_found", self)
                .hint("check the path; it is seen from the current folder"),
            worktree::Error::Special { .. } => Failure::of(Class::Usage, "special_file", self)
                .hint("name a regular file or a folder; to record a stream, write it to a file first"),
            worktree::Error::Changed { .. } => {
                Failure::of(Class::Failed, "changed", self).hint("wait until nothing writes to it, then try again")
            }
            worktree::Error::TooDeep { .. } => {
                Failure::of(Class::Usage, "too_deep", self).hint("leave it out with a line in .provignore")
            }
            worktree::Error::Unsafe { .. } => Failure::of(Class::Refused, "unsafe", self)
                .hint("nothing was written; `prov cat` and `prov ls-tree` show what is recorded"),
            worktree::Error::Access { source, .. } => {
                let inner = source.failure();
                Failure::of(inner.class, inner.code, self).hint_of(inner.hint)
            }
            worktree::Error::Object { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            worktree::Error::Cancelled => Failure::of(Class::Interrupted, "interrupted", self),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for revspec::Error {
    fn failure(&self) -> Failure {
        match self {
            revspec::Error::Scenario(err) => err.failure(),
            revspec::Error::NotFound { .. } => Failure::of(Class::NotFound, "not_found", self)
                .hint("`prov log` lists the runs, `prov scenario list` the scenarios"),
            revspec::Error::NoRuns { .. } => Failure::of(Class::NotFound, "not_found", self)
                .hint("record one with `prov run`, or see the other scenarios with `prov scenario list`"),
            revspec::Error::NoSuccess { newest, .. } => Failure::of(Class::NotFound, "not_found", self)
                .candidates([newest.clone()])
                .hint("its newest run is the one above"),
            revspec::Error::NoPart { keys, .. } => {
                let failure = Failure::of(Class::NotFound, "not_found", self).candidates(keys.iter().cloned());
                if keys.is_empty() {
                    failure.hint("`prov show` tells what a run has")
                } else {
                    failure.hint("it has the keys above")
                }
            }
            revspec::Error::Ambiguous { candidates, .. } => Failure::of(Class::NotFound, "ambiguous", self)
                .candidates(candidates.iter().cloned())
                .hint("type more of the one that is meant"),
            revspec::Error::Store(err) => err.failure(),
            revspec::Error::Access(err) => err.failure(),
            revspec::Error::Mark(err) => err.failure(),
            revspec::Error::Tag(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for scenario::Error {
    fn failure(&self) -> Failure {
        match self {
            scenario::Error::BadName { .. } => Failure::of(Class::Usage, "bad_name", self).hint("choose another name"),
            scenario::Error::Exists { name } => Failure::of(Class::Refused, "scenario_exists", self)
                .hint(format!("go to it with `prov scenario switch {name}`, or choose another name")),
            scenario::Error::NotFound { name, known } => {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let near = known
                    .iter()
                    .find(|known| known.to_lowercase() == name.to_lowercase())
                    .map(String::as_str)
                    .or_else(|| config::nearest(name, &names));
                let create = format!("create it with `prov scenario new {name}`");
                let failure = Failure::of(Class::NotFound, "not_found", self).candidates(known.iter().cloned());
                failure.hint(near.map_or(create.clone(), |near| format!("did you mean `{near}`? Else {create}")))
            }
            scenario::Error::OtherCase { other, .. } => {
                Failure::of(Class::Refused, "scenario_exists", self).hint(format!(
                    "go to it with `prov scenario switch {other}`, or say with --any-case that another one is meant"
                ))
            }
            scenario::Error::Closed { name, .. } => Failure::of(Class::Refused, "scenario_closed", self).hint(format!(
                "fork it with `prov scenario fork {name} NAME`, or open it with `prov scenario reopen {name}`"
            )),
            scenario::Error::Busy { .. } => Failure::of(Class::Refused, "busy", self)
                .hint("close it when that has ended; `prov status` shows what runs"),
            scenario::Error::NotClosed { .. } | scenario::Error::IsMain { .. } => {
                Failure::of(Class::Refused, "refused", self)
            }
            scenario::Error::Store(err) => err.failure(),
            scenario::Error::Access(err) => err.failure(),
            scenario::Error::Head { .. } => Failure::of(Class::Failed, "io", self),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for verdict::Error {
    fn failure(&self) -> Failure {
        match self {
            verdict::Error::Store(err) => err.failure(),
            verdict::Error::Access(err) => err.failure(),
            verdict::Error::Scenario(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for mark::Error {
    fn failure(&self) -> Failure {
        match self {
            mark::Error::Store(err) => err.failure(),
            mark::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for journal::Error {
    fn failure(&self) -> Failure {
        match self {
            journal::Error::Store(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for note::Error {
    fn failure(&self) -> Failure {
        match self {
            note::Error::Text(_) => Failure::of(Class::Usage, "usage", self),
            note::Error::Store(err) => err.failure(),
            note::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for tag::Error {
    fn failure(&self) -> Failure {
        match self {
            tag::Error::BadName { .. } => Failure::of(Class::Usage, "bad_name", self).hint("choose another name"),
            tag::Error::Exists { .. } => {
                Failure::of(Class::Refused, "tag_exists", self).hint("move it with `prov tag -f NAME REV`")
            }
            tag::Error::NotFound { known, .. } => Failure::of(Class::NotFound, "not_found", self)
                .candidates(known.iter().cloned())
                .hint("`prov tag` lists them"),
            tag::Error::Moved { .. } => {
                Failure::of(Class::Refused, "moved", self).hint("look what it names now, then try again")
            }
            tag::Error::Store(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for lineage::Error {
    fn failure(&self) -> Failure {
        match self {
            lineage::Error::Store(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for repo::MountError {
    fn failure(&self) -> Failure {
        match self {
            repo::MountError::Unknown { name, known } => Failure::of(Class::NotFound, "unknown_mount", self)
                .candidates(known.iter().cloned())
                .hint(format!("say where it is on this machine: `[mounts] {name} = \"/PATH\"` in .prov/config.toml")),
            _ => Failure::of(Class::Usage, "usage", self),
        }
    }
}

impl Classify for lookup::Error {
    fn failure(&self) -> Failure {
        match self {
            lookup::Error::Store(err) => err.failure(),
            lookup::Error::Access(err) => err.failure(),
            lookup::Error::Mark(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for LiveError {
    fn failure(&self) -> Failure {
        match self {
            LiveError::Ended { .. } => Failure::of(Class::NotFound, "not_live", self)
                .hint("`prov status` shows what is live; `prov log` lists what is recorded"),
            LiveError::Name { .. } => Failure::of(Class::Usage, "usage", self),
            _ => Failure::of(Class::Failed, "live", self),
        }
    }
}

impl Classify for SpawnError {
    fn failure(&self) -> Failure {
        match self {
            SpawnError::Interrupted { .. } => Failure::of(Class::Interrupted, "interrupted", self),
            SpawnError::Invalid { .. } => Failure::of(Class::Usage, "usage", self),
            _ => Failure::of(Class::Failed, "not_started", self),
        }
    }
}

impl Classify for run::Error {
    fn failure(&self) -> Failure {
        let text = self.to_string();
        match self {
            run::Error::Usage { .. } => Failure::of(Class::Usage, "usage", self),
            run::Error::HalfRestored { .. } => Failure::of(Class::Failed, "half_restored", self)
                .hint("restore again once the cause is gone; `prov restore -f` replaces what is there"),
            run::Error::InputMissing { is_restorable, .. } => {
                Failure::of(Class::NotFound, "input_missing", self).hint(if *is_restorable {
                    "a run recorded it: --inputs-missing restore brings it back"
                } else {
                    "check the path, or name what made it: -i RUN:KEY"
                })
            }
            run::Error::Fetch { source, remembered, key } => fetch(self, source, *remembered, key),
            run::Error::NotRemembered { .. } => Failure::of(Class::NotFound, "not_remembered", self)
                .hint("run it once with --freshness always or never, where there is a network"),
            run::Error::Part { .. } => Failure::of(Class::Failed, "part", self)
                .hint("nothing was looked up or executed: a part that can't be told is never guessed"),
            run::Error::SecretShown { name, .. } => Failure::of(Class::Usage, "secret_shown", self)
                .hint(format!("let the command read it from its environment, where {name} is")),
            run::Error::Secret { name, .. } => Failure::of(Class::Usage, "secret", self)
                .hint(format!("set {name} in the environment that prov is started in")),
            run::Error::RevisionNotHere { path, key, .. } => Failure::of(Class::Refused, "revision_not_here", self)
                .hint(format!(
                    "write {{input.{key}}} in the command, and it is given the recorded content; or move `{}` away",
                    prov::path::show(path)
                )),
            run::Error::NothingMatches { .. } => Failure::of(Class::NotFound, "input_missing", self).hint(
                "put it in quotes so that the shell leaves it alone; --input-optional for what need not be there",
            ),
            run::Error::Mount(err) => err.failure(),
            run::Error::ChangedBefore { .. } => {
                Failure::of(Class::Failed, "changed", self).hint("wait until nothing writes to it, then try again")
            }
            run::Error::Batch { .. } => Failure::of(Class::Failed, "not_recorded", self),
            run::Error::Waited => Failure::of(Class::Failed, "changed", self).hint("try again"),
            run::Error::Claimed { held } => Failure::of(Class::Refused, "claimed", self).hint(if held.by.is_empty() {
                "wait for it with --wait".to_owned()
            } else {
                "wait for it with --wait; `prov status` shows what is running".to_owned()
            }),
            run::Error::InTheWay { .. } => {
                Failure::of(Class::Refused, "in_the_way", self).hint("move it away and try again")
            }
            run::Error::Elsewhere { .. } => {
                Failure::of(Class::Refused, "elsewhere", self).hint("name a folder for it: prov restore REV --to DIR")
            }
            run::Error::OutputLost { .. } => {
                Failure::of(Class::Damaged, "output_lost", self).hint("execute again with `prov run -f`")
            }
            run::Error::NotBack { source, .. } => {
                let inner = source.failure();
                Failure::of(inner.class, inner.code, self).hint_of(inner.hint)
            }
            run::Error::NothingToCommit => {
                Failure::of(Class::Usage, "nothing_to_commit", self).hint("name the files: prov commit PATH... -m MSG")
            }
            run::Error::KnownFailure { .. } => Failure::of(Class::Refused, "known_failure", self)
                .hint("execute it all the same with -f, or forget that failure with `prov retract RUN`"),
            run::Error::CannotUndo { .. } => {
                Failure::of(Class::Refused, "cannot_undo", self).hint("`prov ops` lists what was done since")
            }
            run::Error::Scrubbed { .. } => Failure::of(Class::Refused, "scrubbed", self)
                .hint("records of it stay; leave the file out, or change it"),
            run::Error::Mark(err) => err.failure(),
            run::Error::Interrupted { .. } => Failure::of(Class::Interrupted, "interrupted", self),
            run::Error::Pattern(_) => Failure::of(Class::Usage, "usage", self).hint("patterns are those of .gitignore"),
            run::Error::Config(err) => err.failure(),
            run::Error::Recipe(err) => err.failure(),
            run::Error::Worktree(err) => err.failure(),
            run::Error::Store(err) => err.failure(),
            run::Error::Access(err) => err.failure(),
            run::Error::Lookup(err) => err.failure(),
            run::Error::Live(err) => err.failure(),
            run::Error::Spawn(err) => err.failure(),
            run::Error::Scenario(err) => err.failure(),
            run::Error::Revision(err) => err.failure(),
            run::Error::Lineage(err) => err.failure(),
            run::Error::Code { source } => match source.downcast_ref::<worktree::Error>() {
                Some(err) => {
                    let inner = err.failure();
                    let mut failure = Failure::new(inner.class, inner.code, text).because_of(Some(err));
                    failure.hint = inner.hint;
                    failure
                }
                None => Failure::of(Class::Failed, "code", self),
            },
            run::Error::Record { .. } | run::Error::Ref { .. } => {
                Failure::of(Class::Damaged, "damaged", self).hint(FSCK)
            }
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

/// What can be done about content that can't be had from the web.
fn fetch(err: &run::Error, source: &fetch::Error, remembered: Option<prov::clock::Micros>, key: &str) -> Failure {
    let class = match source {
        fetch::Error::BadUrl { .. } | fetch::Error::Credentials { .. } => Class::Usage,
        fetch::Error::Status { status: 404 | 410, .. } => Class::NotFound,
        source if source.is_of_network() => Class::Network,
        _ => Class::Failed,
    };
    let by_hand = format!("fetch it with another program, and name the file: -i {key}=FILE");
    let hint = match (source, remembered) {
        (fetch::Error::NotBuilt, _) => format!("build prov with its feature `http`, or {by_hand}"),
        (fetch::Error::BadUrl { .. }, _) => "write it as https://HOST/PATH".to_owned(),
        (fetch::Error::Credentials { .. }, _) => {
            format!("records must not hold them; give the address without, or {by_hand}")
        }
        (source, Some(at)) if source.is_of_network() => {
            format!("--freshness offline takes what was fetched at {at}")
        }
        (fetch::Error::Status { status: 404 | 410, .. }, None) => "check the address".to_owned(),
        (
            fetch::Error::NoLength { .. }
            | fetch::Error::Encoded { .. }
            | fetch::Error::Downgrade { .. }
            | fetch::Error::TooLarge { .. },
            None,
        ) => by_hand,
        (fetch::Error::Unreachable { .. }, None) => {
            "is there a network? A proxy is taken from https_proxy or http_proxy, other certificates from SSL_CERT_FILE"
                .to_owned()
        }
        (source, None) if source.may_pass() => "nothing was looked up or executed; try again".to_owned(),
        _ => return Failure::of(class, "fetch", err),
    };
    Failure::of(class, "fetch", err).hint(hint)
}

impl Classify for query::Error {
    fn failure(&self) -> Failure {
        match self {
            query::Error::Store(err) => err.failure(),
            query::Error::Access(err) => err.failure(),
            query::Error::Scenario(err) => err.failure(),
            query::Error::Twins { runs, .. } => Failure::of(Class::NotFound, "ambiguous", self)
                .candidates(runs.iter().cloned())
                .hint("align on one more name, retract or hide one of them, or take the newest with --latest"),
            query::Error::NoSuchKey { name, known } => {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let failure = Failure::of(Class::Usage, "usage", self);
                match config::nearest(name, &names) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None => failure.hint(format!("they have {}", known.join(", "))),
                }
            }
            query::Error::Git { .. } => Failure::of(Class::Failed, "git", self),
            query::Error::Lock { source, .. } => {
                Failure { message: self.to_string(), ..source.failure() }.because_of(Some(source))
            }
            query::Error::Lineage(err) => err.failure(),
            query::Error::Mark(err) => err.failure(),
            query::Error::Revision(err) => err.failure(),
            query::Error::Run(err) => err.failure(),
            query::Error::Live(err) => err.failure(),
            query::Error::Tag(err) => err.failure(),
            query::Error::Journal(err) => err.failure(),
            query::Error::NoTable { .. } => Failure::of(Class::Usage, "no_table", self)
                .hint("tables are told by their names: .csv, .tsv, .jsonl, each also with .gz, and .parquet"),
            query::Error::BadTable { .. } => Failure::of(Class::Failed, "bad_table", self),
            query::Error::NoContent { .. } => Failure::of(Class::Damaged, "missing", self)
                .hint("it was recorded by its id only, or is lost: `prov fsck` tells"),
            query::Error::Spool { .. } => Failure::of(Class::Failed, "io", self),
            query::Error::TooMany { .. } => {
                Failure::of(Class::Usage, "usage", self).hint("narrow it with --where or -n")
            }
            #[cfg(feature = "index")]
            query::Error::Index(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

#[cfg(feature = "index")]
impl Classify for prov::index::Error {
    fn failure(&self) -> Failure {
        use prov::index::Error;
        let usage = || Failure::of(Class::Usage, "usage", self);
        match self {
            Error::Busy => Failure::of(Class::Failed, "busy", self).hint("try again when it is done"),
            Error::NoColumn { known, .. } => {
                usage().candidates(known.clone()).hint("`prov sql --tables` lists all columns")
            }
            Error::NoKey { known, what, .. } if known.is_empty() => {
                usage().hint(format!("no run on record has a {what}"))
            }
            Error::NoKey { known, .. } => usage().candidates(known.clone()).hint("these are on record"),
            Error::WrongType { .. } => {
                usage().hint("text may stand in quotes; times are 2026-03-01 or 2d (ago), durations 90s, sizes 10MiB")
            }
            Error::NoOrder { .. } => usage().hint("use = or !="),
            Error::Predicate(_) => usage().hint("such as: status = success and (facet.alpha > 0.5 or step ~ 'fit*')"),
            Error::Query { at, sql, message } => {
                let mut failure = Failure::of(Class::Usage, "sql", self);
                if let Some(at) = at {
                    let before = sql.get(..*at).unwrap_or_default();
                    let line = before.matches('\n').count() + 1;
                    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                    let text = sql.lines().nth(line - 1).unwrap_or_default();
                    failure.causes.push(format!("line {line}, column {column}: {text}"));
                }
                let near = prov::index::meant(message);
                failure.candidates(near).hint("`prov sql --tables` lists tables and columns")
            }
            Error::Forbidden { .. } => Failure::of(Class::Usage, "forbidden", self).hint("one `select` at a time"),
            Error::Stopped { .. } => Failure::of(Class::Failed, "stopped", self).hint("narrow it, or give --max-rows"),
            Error::Io { .. } | Error::Sqlite(_) | Error::Damaged(_) => Failure::of(Class::Failed, "index", self)
                .hint("the index may be deleted at any time: .prov/cache/index"),
            _ => usage(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_exit_code() {
        let none = repo::Error::NotFound { start: "/x".into() };
        assert_eq!(Failure::from(none).class.exit().code(), 3);
        let unknown = revspec::Error::NotFound { text: "x".to_owned() };
        assert_eq!(Failure::from(unknown).class.exit().code(), 4);
        let newer = store::Error::TooNew { place: "/x".to_owned(), found: 9, supported: 1 };
        assert_eq!(Failure::from(newer).class.exit().code(), 7);
        let damaged = store::Error::Damaged { file: "log/7".to_owned(), what: "cut off".to_owned() };
        let failure = Failure::from(run::Error::from(damaged));
        assert_eq!((failure.class.exit().code(), failure.message.contains("log/7")), (5, true));
    }

    #[test]
    fn what_the_system_said_gets_a_hint() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let failure = Failure::from(run::Error::Io { doing: "write", path: "/x".into(), source: full });
        assert!(failure.hint.is_some_and(|hint| hint.contains("space")));
    }

    #[test]
    fn candidates_of_an_ambiguous_name_are_listed() {
        let err = revspec::Error::Ambiguous { text: "k3".to_owned(), candidates: vec!["a".to_owned(), "b".to_owned()] };
        let failure = Failure::from(query::Error::from(err));
        assert_eq!((failure.code, failure.candidates.len()), ("ambiguous", 2));
    }
}
