//! `prov serve`.

use std::sync::Arc;

use prov::store::{Backend, LocalBackend, Mode, serve};

use super::Context;
use crate::args::ServeArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;

/// Answers what somebody at the other end of standard input and output asks of a store.
pub(crate) fn run(cx: &Context, args: &ServeArgs) -> Result<Exit, Failure> {
    let world = open::world(cx);
    let path = prov::path::normal(&cx.cwd.join(&args.path));
    let folder = prov::sync::store_folder(&world, &path);
    let place: Arc<dyn Backend> = Arc::new(LocalBackend::new(cx.fs.clone(), &folder));
    let mode = match (args.read_only, args.append_only) {
        (true, _) => Mode::ReadOnly,
        (_, true) => Mode::AppendOnly,
        _ => Mode::Full,
    };
    if mode != Mode::ReadOnly && prov::sync::is_occupied(&world, &folder)? {
        let place = prov::path::show(&folder);
        return Err(prov::sync::Error::Occupied { place }.into());
    }
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    serve(&place, &world.for_store(), mode, &mut input, &mut output)
        .map_err(|err| Failure::new(Class::Network, "remote", "the other side is gone").because_of(Some(&err)))?;
    Ok(Exit::Done)
}
