//! `prov init`.

use prov::fs::Fs;
use prov::repo::{InitOptions, Layout, Repo};
use serde_json::json;

use super::Context;
use crate::args::InitArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::json;

/// Makes a project of the current folder.
pub(crate) fn run(cx: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    if let Some(store) = &args.store
        && prov::path::shown(store.as_encoded_bytes()).contains("://")
    {
        return Err(Failure::new(Class::Usage, "not_there_yet", "stores at a URL are not there yet")
            .hint("give the path of a folder that all who share it can reach"));
    }
    let places = open::places_of_author(cx);
    let layout = Layout::new(places.dot.clone().unwrap_or_else(|| cx.cwd.join(prov::repo::DOT)));
    let store = args.store.as_ref().map(|path| prov::path::normal(&cx.cwd.join(path)));
    let (dot, store_at, is_new) = if args.dry_run {
        let is_new = cx.fs.stat(&layout.head()).map_err(|err| cannot_look(&layout, &err))?.is_none();
        let at = store.clone().or_else(|| places.store.clone()).unwrap_or_else(|| layout.store());
        (layout.dot().to_owned(), prov::path::show(&at), is_new)
    } else {
        let options = InitOptions { name: None, store: store.clone() };
        let (repo, is_new) = Repo::init(&cx.cwd, &options, &places, open::world(cx))?;
        (repo.layout().dot().to_owned(), repo.store().backend().place(), is_new)
    };
    if cx.ui.is_json() {
        let mut document = json::document("init");
        json::put_bytes(&mut document, "folder", &prov::path::bytes(&dot));
        document.insert("store".to_owned(), json!(store_at));
        document.insert("created".to_owned(), json!(is_new));
        document.insert("dry_run".to_owned(), json!(args.dry_run));
        cx.ui.document(document)?;
    } else {
        let what = match (is_new, args.dry_run) {
            (true, false) => "created",
            (true, true) => "would create",
            (false, _) => "already there:",
        };
        cx.ui.line(format_args!("{what} {} (store: {store_at})", prov::path::show(&dot)))?;
    }
    if !is_new && store.is_some() {
        cx.ui.warn("the project keeps the store it has; --store was not looked at");
    }
    if is_new && is_below_another(cx) {
        cx.ui.say("a folder above this one is a prov project as well; commands in here use the new one");
    }
    Ok(Exit::Done)
}

fn cannot_look(layout: &Layout, err: &std::io::Error) -> Failure {
    Failure::new(Class::Failed, "io", format!("can not read `{}`", prov::path::show(&layout.head())))
        .because_of(Some(err))
}

fn is_below_another(cx: &Context) -> bool {
    let fs: &Fs = &cx.fs;
    cx.settings.prov_dir.is_none()
        && cx
            .cwd
            .ancestors()
            .skip(1)
            .any(|dir| fs.stat(&dir.join(prov::repo::DOT).join("HEAD")).is_ok_and(|found| found.is_some()))
}
