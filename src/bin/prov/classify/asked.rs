//! What may go wrong with a question.

use prov::{config, lineage, query, repo, revspec, scenario};

use super::{Classify, FSCK};
use crate::error::{Class, Failure};

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
