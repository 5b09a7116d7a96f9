//! `prov events`.

use std::time::Duration;

use prov::query::Whose;
use prov::repo::Repo;

use super::Context;
use crate::args::EventsArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;

/// How often a follower looks. Nothing can wake it: the runs may be of any process on any host.
const LOOK: Duration = Duration::from_millis(100);

/// Prints events as JSON lines.
pub(crate) fn run(cx: &Context, args: &EventsArgs) -> Result<Exit, Failure> {
    let repo = open::to_look(cx)?;
    let whose = match &args.run {
        Some(text) => Whose::Run(run_of(cx, &repo, text)?),
        None => Whose::All,
    };
    let mut failed = None;
    let mut each = |text: &str| {
        // Out at once: whoever follows waits for it.
        let written = cx.ui.with_writer(|out| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        written.inspect_err(|err| failed = Some(Failure::from(std::io::Error::from(err.kind()))))
    };
    let mut wait = || {
        std::thread::sleep(LOOK);
        true
    };
    prov::query::events(&repo, &whose, &mut each, args.follow.then_some(&mut wait as &mut dyn FnMut() -> bool))?;
    failed.map_or(Ok(Exit::Done), Err)
}

/// The run that a text names: a live one by its id or the beginning of its last part, else what names a recorded one.
pub(crate) fn run_of(cx: &Context, repo: &Repo, text: &str) -> Result<String, Failure> {
    let live = prov::run::live_folder(repo).find(text)?;
    match live.as_slice() {
        [] => {}
        [one] => return Ok(one.clone()),
        several => {
            return Err(Failure::new(
                Class::NotFound,
                "ambiguous",
                format!("`{text}` could be more than one live run"),
            )
            .candidates(several.iter().cloned())
            .hint("type more of the one that is meant"));
        }
    }
    let snapshot = repo.store().snapshot()?;
    match prov::revspec::resolve(repo, &snapshot, repo.scenario(), &cx.cwd, text)? {
        prov::revspec::Target::Run(at) | prov::revspec::Target::Artifact(at, _) => Ok(at.run),
        _ => {
            Err(Failure::new(Class::NotFound, "not_found", format!("`{text}` is no run"))
                .hint("`prov log` lists the runs"))
        }
    }
}
