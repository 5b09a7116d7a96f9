//! The project and its store, opened as the settings say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prov::clock::SystemClock;
use prov::repo::{Places, Repo, World};
use prov::run::Settled;
use prov::store::Snapshot;

use crate::commands::Context;
use crate::error::{Class, Failure};
use crate::settings::Author;

/// What the library is told of the machine and the user. Who records is as the environment says, else as Git's settings say.
pub(crate) fn world(cx: &Context) -> World {
    let mut world = World::real(author(&cx.settings.author, &cx.cwd));
    world.fs = cx.fs.clone();
    world.clock = Arc::new(SystemClock);
    world
}

fn author(said: &Author, cwd: &Path) -> Option<String> {
    use prov::code::git::{Discovery, discover};
    let (mut name, mut email) = (said.name.clone(), said.email.clone());
    if (name.is_none() || email.is_none())
        && let Discovery::Found(git) = discover(cwd)
    {
        let (its_name, its_email) = git.author();
        name = name.or(its_name);
        email = email.or(its_email);
    }
    match (name, email) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// Where to look for the project. What the environment names is seen from where the user is.
pub(crate) fn places(cx: &Context) -> Places {
    let here = |path: &Path| prov::path::normal(&cx.cwd.join(path));
    Places {
        dot: cx.settings.prov_dir.as_deref().map(here),
        store: cx.settings.store.as_ref().map(|text| here(&PathBuf::from(text))),
        user_config: cx.settings.user_config.clone(),
        scenario: cx.settings.scenario.clone(),
    }
}

/// Opens the project around the current folder and touches nothing in it.
pub(crate) fn untouched(cx: &Context) -> Result<Repo, Failure> {
    Ok(Repo::discover(&cx.cwd, &places(cx), world(cx))?)
}

/// Opens the project around the current folder and sees to what dead processes left there.
pub(crate) fn repo(cx: &Context) -> Result<Repo, Failure> {
    let repo = untouched(cx)?;
    settle(cx, &repo);
    Ok(repo)
}

/// Sees to what dead processes left. What can't be seen to stays, and keeps no other command from its work.
fn settle(cx: &Context, repo: &Repo) {
    let settled = match prov::run::settle(repo) {
        Ok(settled) => settled,
        Err(err) => {
            return cx.ui.detail(format_args!("what dead runs left was not looked at: {}", prov::run::chain(&err)));
        }
    };
    for one in settled {
        match one {
            Settled::Aborted { run } => cx.ui.say(format_args!("run {run} was killed; it is recorded as aborted")),
            Settled::Published { run } => cx.ui.say(format_args!("run {run} had waited; it is recorded now")),
            Settled::Left { run, why } => {
                cx.ui.warn(format_args!("run {run} still waits to be recorded: {}", prov::path::shown(why.as_bytes())));
            }
        }
    }
}

/// Ends a command that has answered from `snapshot`: what was found damaged on the way is named, since the answer may lack
/// what stood there.
///
/// # Errors
/// When something is damaged.
pub(crate) fn complete(snapshot: &Snapshot) -> Result<(), Failure> {
    let damage = snapshot.damage();
    if damage.is_empty() {
        return Ok(());
    }
    let mut failure =
        Failure::new(Class::Damaged, "damaged", "parts of the store are damaged; the answer may be incomplete");
    failure.causes =
        damage.iter().map(|one| prov::path::shown(format!("{}: {}", one.file, one.what).as_bytes())).collect();
    Err(failure.hint("`prov fsck` names all that is damaged; what is whole can still be read"))
}
