//! The project and its store, opened as the settings say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prov::clock::{Micros, SystemClock};
use prov::repo::{self, Found, Identity, Places, Repo, World};
use prov::run::Settled;
use prov::store::Snapshot;

use crate::commands::Context;
use crate::error::{Class, Failure};

/// What the library is told of the machine.
pub(crate) fn world(cx: &Context) -> World {
    let mut world = World::real(None);
    world.fs = cx.fs.clone();
    world.clock = Arc::new(SystemClock);
    world
}

/// How long what Git says of the author is believed without asking it again, microseconds.
const BELIEVED_US: u64 = 10 * 60 * 1_000_000;

/// The author by Git's settings. Asking Git takes longer than a whole hit, so the answer is kept beside the other caches as long as the
/// files that it comes from look the same.
fn git_identity(cx: &Context) -> Identity {
    let found = find(cx).ok();
    let kept = found.as_ref().map(|found| found.layout.cache().join("author"));
    let look = fingerprint(cx, found.as_ref().map(|found| found.root.as_path()));
    let now = cx.clock.now();
    if let Some(Ok(Some(bytes))) = kept.as_ref().map(|path| cx.fs.read(path))
        && let Ok(text) = String::from_utf8(bytes)
        && let [at, seen, name, email] = text.lines().collect::<Vec<_>>()[..]
        && seen == look
        && at.parse().is_ok_and(|at: i64| at <= now.0 && now.since(Micros(at)) < BELIEVED_US)
    {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        return Identity { name: part(name), email: part(email) };
    }
    let (name, email) = prov::code::git::author(&cx.cwd);
    if let Some(path) = kept {
        let line = |text: &Option<String>| text.as_deref().unwrap_or_default().replace(['\n', '\r'], " ");
        let text = format!("{}\n{look}\n{}\n{}\n", now.0, line(&name), line(&email));
        // A cache that can't be written costs time, nothing else.
        let _ = cx.fs.replace(&path, text.as_bytes(), false);
    }
    Identity { name, email }
}

/// How the files look that Git's settings come from in most cases.
fn fingerprint(cx: &Context, root: Option<&Path>) -> String {
    let home = cx.environment.path("HOME");
    let config = cx.environment.path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let files = [
        home.map(|home| home.join(".gitconfig")),
        config.map(|config| config.join("git/config")),
        root.map(|root| root.join(".git/config")),
    ];
    let looks = files.iter().map(|file| {
        let stat = file.as_ref().and_then(|file| cx.fs.stat(file).ok().flatten());
        stat.map_or_else(|| "-".to_owned(), |stat| format!("{stat:?}").replace(char::is_whitespace, ""))
    });
    let says = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL", "GIT_CONFIG_GLOBAL", "GIT_DIR"]
        .map(|name| cx.environment.text(name).map_or(Vec::new(), |text| text.as_encoded_bytes().to_vec()));
    let text = format!("{} {} {says:?}", prov::path::show(&cx.cwd), looks.collect::<Vec<_>>().join(" "));
    prov::hash::derived("prov 2026-11 where the author comes from", text.as_bytes()).to_string()
}

/// Where to look for the project. What the environment names is seen from where the user is.
pub(crate) fn places(cx: &Context) -> Places {
    let here = |path: &Path| prov::path::normal(&cx.cwd.join(path));
    Places {
        dot: cx.settings.prov_dir.as_deref().map(here),
        store: cx.settings.store.as_ref().map(|text| here(&PathBuf::from(text))),
        user_config: cx.settings.user_config.clone(),
        scenario: cx.settings.scenario.clone(),
        said: Identity { name: cx.settings.author.name.clone(), email: cx.settings.author.email.clone() },
        otherwise: Identity::default(),
    }
}

/// As [`places`], with what Git says of the author, for commands that record something.
pub(crate) fn places_of_author(cx: &Context) -> Places {
    let mut places = places(cx);
    if places.said.name.is_none() || places.said.email.is_none() {
        places.otherwise = git_identity(cx);
    }
    places
}

/// Where the project around the current folder is.
///
/// # Errors
/// When there is none.
pub(crate) fn find(cx: &Context) -> Result<Found, repo::Error> {
    repo::find(&cx.cwd, &places(cx))
}

/// Opens the project around the current folder and touches nothing in it.
///
/// # Errors
/// As the library has them, for who makes something of them.
pub(crate) fn untouched(cx: &Context) -> Result<Repo, repo::Error> {
    Repo::discover(&cx.cwd, &places(cx), world(cx))
}

/// Opens the project around the current folder and sees to what dead processes left there.
pub(crate) fn repo(cx: &Context) -> Result<Repo, Failure> {
    in_born_scenario(cx, repo_for_run(cx)?)
}

/// As [`repo`], for who asks himself which scenario a name stands for.
pub(crate) fn repo_for_run(cx: &Context) -> Result<Repo, Failure> {
    let repo = Repo::discover(&cx.cwd, &places_of_author(cx), world(cx))?;
    settle(cx, &repo);
    Ok(repo)
}

/// The project around the current folder with the state of its store, if that can be read, not seen to yet.
pub(crate) type Early = Result<(Repo, Option<Snapshot>), repo::Error>;

/// Opens the project and reads the log of its store while `meanwhile` is done. Nothing in it is touched.
pub(crate) fn while_opening<T>(cx: &Context, meanwhile: impl FnOnce() -> T) -> (T, Early) {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (cwd, places, world, is_done) = (cx.cwd.as_path(), places_of_author(cx), world(cx), &is_done);
        let open = move || -> Early {
            let repo = Repo::discover(cwd, &places, world)?;
            // What can't be read is told of by whoever needs it.
            let snapshot = repo.store().snapshot().ok();
            if let Some(snapshot) = &snapshot {
                snapshot.prepare(&|| !is_done.load(Ordering::Relaxed));
            }
            Ok((repo, snapshot))
        };
        let opening = std::thread::Builder::new().name("open".to_owned()).spawn_scoped(scope, open);
        let done = meanwhile();
        is_done.store(true, Ordering::Relaxed);
        let early = match opening.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(early)) => early,
            // Without another thread it is done now.
            Ok(Err(_)) | Err(_) => Repo::discover(cwd, &places_of_author(cx), self::world(cx)).map(|repo| (repo, None)),
        };
        (done, early)
    })
}

/// As [`repo`], of one that was opened before.
pub(crate) fn seen_to(cx: &Context, early: Early) -> Result<(Repo, Option<Snapshot>), Failure> {
    let (repo, snapshot) = early?;
    settle(cx, &repo);
    Ok((in_born_scenario(cx, repo)?, snapshot))
}

/// The environment may name a scenario as it goes by now; what is current in a checkout is named as it was born.
fn in_born_scenario(cx: &Context, repo: Repo) -> Result<Repo, Failure> {
    if cx.settings.scenario.is_none() {
        return Ok(repo);
    }
    let born = prov::scenario::born(&repo.store().snapshot()?, repo.project(), repo.scenario())?;
    Ok(repo.in_scenario(born))
}

/// As [`repo`], for commands that only look: who the user is makes no difference to them.
pub(crate) fn to_look(cx: &Context) -> Result<Repo, Failure> {
    let repo = untouched(cx)?;
    settle(cx, &repo);
    in_born_scenario(cx, repo)
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
            Settled::Lost { run } => {
                let run = prov::path::shown(run.as_bytes());
                cx.ui.warn(format_args!("a finished run could not be read any more and is on no record: {run}"));
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
