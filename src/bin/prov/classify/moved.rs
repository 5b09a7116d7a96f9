//! What may go wrong between stores, and with Git.

use prov::object::AccessError;
use prov::{interchange, run, store, sync};

use super::{Classify, FSCK};
use crate::error::{Class, Failure};

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
                other => {
                    let hint = if is_of_certificates(other) {
                        "name the certificates to trust in SSL_CERT_FILE"
                    } else {
                        "nothing was lost; try again"
                    };
                    Failure::of(Class::Network, "remote", self).hint(hint)
                }
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

/// Whether a server could not show that it is who it says.
fn is_of_certificates(err: &dyn std::error::Error) -> bool {
    std::iter::successors(Some(err), |err| err.source()).any(|err| err.to_string().contains("peer certificate"))
}
