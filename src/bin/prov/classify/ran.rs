//! What may go wrong with a run.

use prov::run::live::LiveError;
use prov::run::lookup;
use prov::run::program::SpawnError;
use prov::{config, fetch, recipe, run, worktree};

use super::{Classify, FSCK};
use crate::error::{Class, Failure};

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

impl Classify for recipe::Error {
    fn failure(&self) -> Failure {
        let failure = Failure::of(Class::Usage, "usage", self);
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
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
