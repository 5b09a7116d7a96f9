//! The remotes of a project: a name and a place each, kept in its settings.

use super::address::{Address, redacted};
use super::{Error, error};
use crate::config::Origin;
use crate::repo::Repo;

/// A remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// Its place, as it was given.
    pub url: String,
    /// The same, understood.
    pub address: Address,
}

/// The name of the remote that is meant where none is named.
pub const DEFAULT: &str = "origin";

fn check_name(name: &str) -> Result<(), Error> {
    let is_sound = (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && !name.starts_with(['-', '_']);
    if is_sound { Ok(()) } else { Err(Error::BadName { name: name.to_owned() }) }
}

/// All remotes of a project with who names them, by name.
///
/// # Errors
/// [`Error::BadAddress`] for one that can't be understood.
pub fn list(repo: &Repo) -> Result<Vec<(Remote, Origin)>, Error> {
    let remotes = repo.settings().remotes().into_iter();
    remotes.map(|(name, url, origin)| Ok((made(repo, name, url)?, origin.clone()))).collect()
}

fn made(repo: &Repo, name: &str, url: &str) -> Result<Remote, Error> {
    check_name(name)?;
    Ok(Remote { name: name.to_owned(), url: url.to_owned(), address: Address::parse(url, repo.root())? })
}

/// The remote that `said` means: a name, or a place (a path with a `/`, a URL) that needs none. Without it, what the settings say, `origin`, or
/// the only one.
///
/// # Errors
/// [`Error::NoRemote`], [`Error::WhichRemote`], [`Error::UnknownRemote`], [`Error::BadAddress`].
pub fn choose(repo: &Repo, said: Option<&str>, cwd: &std::path::Path) -> Result<Remote, Error> {
    let settings = repo.settings();
    let known = settings.remotes();
    let names = || known.iter().map(|(name, ..)| (*name).to_owned()).collect::<Vec<_>>();
    let find = |wanted: &str| known.iter().find(|(name, ..)| *name == wanted);
    if let Some(said) = said.or(settings.default_remote()) {
        return match find(said) {
            Some((name, url, _)) => made(repo, name, url),
            None if said.contains('/') || said.contains(':') => {
                let address = Address::parse(said, cwd)?;
                Ok(Remote { name: name_of(said), url: said.to_owned(), address })
            }
            None => Err(Error::UnknownRemote { name: said.to_owned(), known: names() }),
        };
    }
    match (find(DEFAULT), known.as_slice()) {
        (Some((name, url, _)), _) | (None, [(name, url, _)]) => made(repo, name, url),
        (None, []) => Err(Error::NoRemote),
        (None, _) => Err(Error::WhichRemote { known: names() }),
    }
}

/// A name for a place that has none.
fn name_of(url: &str) -> String {
    let digest = crate::hash::derived("prov 2026-11 name of a place", url.as_bytes()).to_string();
    format!("at-{}", &digest[..12])
}

/// Adds a remote to the settings of this checkout.
///
/// # Errors
/// [`Error::RemoteExists`] if one of that name leads elsewhere; names and places that can't be used.
pub fn add(repo: &Repo, name: &str, url: &str, cwd: &std::path::Path) -> Result<Remote, Error> {
    check_name(name)?;
    // Where the user is makes no difference later on.
    let url = match Address::parse(url, cwd)? {
        Address::Folder(path) if !url.contains("://") => {
            path.to_str().map_or_else(|| Err(not_text(url)), |path| Ok(path.to_owned()))?
        }
        _ => url.to_owned(),
    };
    if let Some((_, known, _)) = repo.settings().remotes().into_iter().find(|(known, ..)| *known == name) {
        if known == url {
            return made(repo, name, &url);
        }
        return Err(Error::RemoteExists { name: name.to_owned(), url: redacted(known) });
    }
    let remote = made(repo, name, &url)?;
    edit(repo, &mut |text| {
        let mut text = text.to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("\n[remote.{name}]\nurl = {}\n", crate::repo::quoted(&url)));
        Some(text)
    })?;
    Ok(remote)
}

fn not_text(url: &str) -> Error {
    Error::BadAddress { url: url.to_owned(), why: "the path is not UTF-8".to_owned() }
}

/// Takes a remote out of the settings of this checkout. What came from it stays.
///
/// # Errors
/// [`Error::UnknownRemote`]; also when it is named in another file.
pub fn remove(repo: &Repo, name: &str) -> Result<(), Error> {
    let known = || repo.settings().remotes().into_iter().map(|(name, ..)| name.to_owned()).collect();
    let header = format!("[remote.{name}]");
    let is_done = edit(repo, &mut |text| {
        let mut kept = String::new();
        let (mut is_inside, mut was_there) = (false, false);
        for line in text.split_inclusive('\n') {
            let bare = line.trim();
            if bare.starts_with('[') {
                is_inside = bare == header;
                was_there |= is_inside;
            }
            if !is_inside {
                kept.push_str(line);
            }
        }
        was_there.then_some(kept)
    })?;
    if is_done { Ok(()) } else { Err(Error::UnknownRemote { name: name.to_owned(), known: known() }) }
}

/// Changes the settings of this checkout; whether there was something to change.
fn edit(repo: &Repo, change: &mut dyn FnMut(&str) -> Option<String>) -> Result<bool, Error> {
    let path = repo.layout().config();
    let failed = |doing| {
        let path = path.clone();
        move |source| error::Error::Io { doing, path, source }
    };
    let bytes = repo.fs().read(&path).map_err(failed("read"))?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|err| failed("read")(std::io::Error::other(err)))?;
    match change(&text) {
        Some(new) => {
            repo.fs().replace(&path, new.as_bytes(), true).map_err(failed("write"))?;
            Ok(true)
        }
        None => Ok(false),
    }
}
