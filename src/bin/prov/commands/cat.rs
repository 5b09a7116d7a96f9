//! `prov cat`.

use std::io;
use std::os::unix::ffi::OsStrExt;

use prov::object::Kind;
use prov::object::recipe::Content;
use prov::revspec::Target;

use super::Context;
use super::revision::{Artifact, Seen, lost, print_blob};
use crate::args::CatArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;

/// Prints the bytes of a recorded file.
pub(crate) fn run(cx: &Context, args: &CatArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let named = shown(args.rev.as_bytes());
    let not_a_file = || {
        Failure::usage(format!("`{named}` is not a file"))
            .hint("`prov ls-tree` lists a recorded folder, `prov restore` brings it back")
    };
    let target = seen.look(cx, &args.rev)?;
    fetch(cx, &mut seen, &target)?;
    match target {
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let artifact = Seen::artifact(&run, &key).ok_or_else(not_a_file)?;
            print_artifact(cx, &seen, &artifact, &not_a_file)?;
        }
        Target::Run(at) | Target::Outputs(at) => {
            let run = seen.read_run(&at)?;
            print_artifact(cx, &seen, &Seen::only_output(&run)?, &not_a_file)?;
        }
        Target::Config(_, id) => cx.ui.line(prov::config::to_json(&seen.config(&id)?))?,
        Target::Object(id, kind) if kind == Kind::BLOB => print_blob(cx, &seen.snapshot, &id, &format!("object {id}"))?,
        Target::Object(id, kind) if kind == Kind::CONFIG => cx.ui.line(prov::config::to_json(&seen.config(&id)?))?,
        Target::ConfigFolder(_, name, Content::Blob(id)) => print_blob(cx, &seen.snapshot, &id, &shown(name))?,
        Target::Code(..) | Target::ConfigFolder(..) => return Err(not_a_file()),
        Target::Object(id, _) => {
            return Err(Failure::usage(format!("`{named}` is a record, not a file"))
                .hint(format!("print it with `prov cat-object {}`", id.short())));
        }
        Target::Path(_) => {
            let path = cx.cwd.join(&args.rev);
            let mut file = match cx.fs.open(&path) {
                Ok(file) => file,
                Err(err) if path.is_dir() => return Err(not_a_file().because_of(Some(&err))),
                Err(err) => {
                    let what = format!("can not read `{named}`");
                    return Err(Failure::new(crate::error::Class::Failed, "io", what).because_of(Some(&err)));
                }
            };
            cx.ui.with_writer(|out| io::copy(&mut file, out))?;
        }
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

/// Brings what is to be printed here, if it is missing and somebody has it.
fn fetch(cx: &Context, seen: &mut Seen, target: &Target) -> Result<(), Failure> {
    let contents: Vec<Content> =
        super::elsewhere::contents(seen, target)?.into_iter().map(|(_, content, _)| content).collect();
    if let [content @ Content::Blob(_)] = &contents[..]
        && !prov::run::hydrate::is_whole(&seen.snapshot, content)?
        && super::elsewhere::bring(cx, &seen.repo, &contents)?
    {
        seen.snapshot = seen.repo.store().snapshot_since(&seen.snapshot)?;
    }
    Ok(())
}

fn print_artifact(
    cx: &Context,
    seen: &Seen,
    artifact: &Artifact,
    not_a_file: &dyn Fn() -> Failure,
) -> Result<(), Failure> {
    let Content::Blob(id) = &artifact.content else { return Err(not_a_file()) };
    let what = format!("the content of `{}`", shown(&artifact.path));
    if !artifact.stored {
        use prov::object::Source;
        // Only its hash was recorded; another run may have stored the same bytes.
        if seen.snapshot.header(id)?.is_none() {
            return Err(lost(&what).hint("only its hash was recorded; make it again with `prov run -f`"));
        }
    }
    print_blob(cx, &seen.snapshot, id, &what)
}
