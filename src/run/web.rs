//! Inputs from the web: what an address leads to, put where the command can read it, and what is remembered of it.
//!
//! An address is identified by the bytes it leads to, so they have to be here before anything can be looked up. They are kept, under their id, beside
//! other content that has no place of its own in the work tree; what a server said of them is remembered by the address. All of that is a
//! cache: without it they are fetched again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bstr::{BStr, BString, ByteSlice};
use serde::{Deserialize, Serialize};

use super::inputs::{Finder, ReadyInput, aside};
use super::prepare::Environment;
use super::session::Session;
use super::{Error, hydrate};
use crate::clock::Micros;
use crate::codec::{self, Limits, Value};
use crate::fetch::{self, Client, Known, Options, Proxies, Saved, Url, Watch};
use crate::hash::Id;
use crate::object::Source as _;
use crate::object::recipe::Content;
use crate::path::{Place, locate};
use crate::recipe::{self, Role};
use crate::store::Snapshot;
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// When a server is asked whether what is remembered of an address still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// At every look-up.
    #[default]
    Always,
    /// When it was not asked within so many milliseconds.
    MaxAge(u64),
    /// When nothing is remembered.
    Never,
    /// Not at all: what is not remembered can't be had.
    Offline,
}

impl Freshness {
    fn takes(self, checked_at: Micros, now: Micros) -> bool {
        match self {
            Self::Always => false,
            // A clock that was ahead doesn't make it fresh until time has caught up.
            Self::MaxAge(ms) => checked_at <= now && now.since(checked_at) / 1000 <= ms,
            Self::Never | Self::Offline => true,
        }
    }
}

/// What an input's content was had from, as it is recorded (`meta.sources`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The address. It holds no credentials.
    pub url: String,
    /// Where redirects led, without a query; absent if nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The status of the answer that brought the bytes.
    pub status: u16,
    /// Its `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// When the bytes came.
    pub fetched_at: Micros,
    /// When a server said last that they are right.
    pub checked_at: Micros,
}

/// What is remembered of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    id: Id,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    source: Source,
}

/// An input that came from the web.
#[derive(Debug, Clone)]
pub struct FromWeb {
    /// What is recorded of it.
    pub source: Source,
    /// Where its content lies, if it has to be put at its place from there.
    pub(super) lies_at: Option<PathBuf>,
    /// Whether the user said where it goes.
    pub(super) has_place: bool,
}

/// The place in `PATH=URL`, and the address.
pub fn place_and_url(text: &[u8]) -> Option<(&BStr, &BStr)> {
    let at = (1..text.len()).find(|&at| text[at] == b'=' && Url::is_meant(&text[at + 1..]))?;
    Some((text[..at].as_bstr(), text[at + 1..].as_bstr()))
}

/// What of a typed input is a path: nothing of an address, and what stands before it.
pub(super) fn path_of(text: &BStr) -> Option<&BStr> {
    if Url::is_meant(text) {
        return None;
    }
    Some(place_and_url(text).map_or(text, |(place, _)| place))
}

/// How addresses are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) environment: &'a Environment,
    pub(super) freshness: Freshness,
}

/// Where the content of an address is.
struct Found {
    remembered: Remembered,
    /// As it lies aside; `None` if only the store has it.
    here: Option<Captured>,
    path: PathBuf,
}

impl Finder<'_, '_> {
    /// An address: its content, aside or at the place that was said.
    pub(super) fn web(&mut self, typed: Option<&str>, place: Option<&BStr>, url: &BStr) -> Result<(), Error> {
        let session = self.session;
        let text = url.to_str_lossy();
        let failed =
            |key: &str, source| Error::Fetch { key: key.to_owned(), source: Box::new(source), remembered: None };
        let url = Url::parse(&text).map_err(|source| failed(typed.unwrap_or("?"), source))?;
        let at = place.map(|place| locate(session.repo.root(), self.cwd, &crate::path::from_bytes(place)));
        let named = match (&at, place) {
            (Some(_), Some(place)) => {
                crate::path::from_bytes(place).file_name().map(|name| crate::path::bytes(Path::new(name)))
            }
            _ => url.file_name().map(BString::from),
        };
        let key = match (typed, &named) {
            (Some(key), _) => key.to_owned(),
            (None, Some(name)) => recipe::derive_key(name.as_bstr()),
            (None, None) => {
                return Err(Error::Usage { what: format!("`{url}` has no name: give it a key, -i KEY={url}") });
            }
        };
        recipe::check_key(&key)?;
        let name =
            url.file_name().filter(|name| !worktree::is_reserved(name.as_bytes())).unwrap_or_else(|| key.clone());
        let found = find(session, self.snapshot, self.web, &key, &name, &url)?;
        let content = Content::Blob(found.remembered.id);
        let source = found.remembered.source.clone();
        let wanted = Captured { content, size: found.remembered.size, exec: false, files: 1, fence: Fence::new() };
        let recorded = Some(BString::from(source.url.as_str()));
        let typed_path = crate::path::bytes(&found.path);
        let Some(at) = at else {
            let place = locate(session.repo.root(), session.repo.root(), &found.path);
            let key = self.declared.add_at(Role::Input, Some(&key), place.clone(), typed_path.as_bstr())?;
            let is_to_be_fetched = found.here.is_none();
            let captured = found.here.unwrap_or(wanted);
            let web = Some(FromWeb { source, lies_at: None, has_place: false });
            self.put(key, ReadyInput { is_to_be_fetched, recorded, web, ..Self::plain(place, captured) });
            return Ok(());
        };
        hydrate::recorded_destination(session, &at)?;
        let lies_at = found.here.is_some().then_some(found.path);
        let lying = lying(session, self.snapshot, &at, &found.remembered.id)?;
        let key = self.declared.add_at(Role::Input, Some(&key), at.clone(), place.unwrap_or_default())?;
        let is_to_be_fetched = lying.is_none();
        let web = Some(FromWeb { source, lies_at, has_place: true });
        let captured = lying.unwrap_or(wanted);
        self.put(key, ReadyInput { recorded: None, is_to_be_fetched, web, ..Self::plain(at, captured) });
        Ok(())
    }
}

/// What lies at the place that was said for an address, if it is the content itself.
///
/// # Errors
/// When it is something else that the store does not hold.
fn lying(session: &Session<'_>, snapshot: &Snapshot, place: &Place, wanted: &Id) -> Result<Option<Captured>, Error> {
    let worktree = session.worktree();
    let path = worktree.path(place);
    if worktree.fs.lstat(&path).map_err(|source| Error::io("read", &path, source))?.is_none() {
        return Ok(None);
    }
    let captured = worktree::capture(&worktree, place, &CaptureOptions::default(), None)?;
    match &captured.content {
        Content::Blob(id) if id == wanted => Ok(Some(captured)),
        Content::Blob(id) if snapshot.header(id)?.is_some() => Ok(None),
        _ => Err(Error::InTheWay { path }),
    }
}

/// Finds the content of an address, and asks its server as far as it has to be asked.
fn find(
    session: &Session<'_>,
    snapshot: &Snapshot,
    asking: Asking<'_>,
    key: &str,
    name: &str,
    url: &Url,
) -> Result<Found, Error> {
    let memory = memory_of(session, url);
    let now = session.repo.now();
    let known = read(session, &memory);
    let (mut here, mut is_had) = (None, false);
    if let Some(known) = &known {
        here = lies(session, &known.id, name);
        is_had = here.is_some() || hydrate::is_whole(snapshot, &Content::Blob(known.id))?;
    }
    // What is remembered of content that nobody has is of no use.
    let known = known.filter(|_| is_had);
    let path_of = |id: &Id| aside(session, id).join(name);
    if let Some(remembered) = known.clone().filter(|known| asking.freshness.takes(known.source.checked_at, now)) {
        return Ok(Found { path: path_of(&remembered.id), remembered, here });
    }
    if asking.freshness == Freshness::Offline {
        return Err(Error::NotRemembered { key: key.to_owned(), url: url.shown() });
    }
    let failed = |source| match source {
        fetch::Error::Cancelled => Error::Worktree(worktree::Error::Cancelled),
        source => {
            let remembered = known.as_ref().map(|known| known.source.fetched_at);
            Error::Fetch { key: key.to_owned(), source: Box::new(source), remembered }
        }
    };
    let (fs, worktree) = (session.repo.fs(), session.worktree());
    let client = Client::new(options(session, asking.environment)?).map_err(failed)?;
    let own = session.repo.layout().cache().join("inputs");
    fs.make_dirs(&own).map_err(|source| Error::io("create", &own, source))?;
    let beside = own.join(beside_name());
    let watch = Watch { cancel: worktree.cancel, progress: worktree.progress };
    let told = known.as_ref().and_then(|known| known.known.as_ref());
    let remembered = match fetch::to_file(&client, fs, url, told, &beside, watch).map_err(failed)? {
        Saved::Unchanged { .. } => {
            // Only what is remembered can be unchanged.
            let Some(known) = known.clone() else {
                return Err(Error::NotRemembered { key: key.to_owned(), url: url.shown() });
            };
            Remembered { source: Source { checked_at: now, ..known.source }, ..known }
        }
        Saved::New { answer, id, size } => {
            let from = (answer.redirects > 0).then(|| answer.from.place());
            let (known, status) = (answer.known(), answer.status);
            let source = Source {
                url: url.shown(),
                from,
                status,
                etag: answer.etag,
                last_modified: answer.last_modified,
                fetched_at: now,
                checked_at: now,
            };
            here = settle(session, &beside, &id, name)?;
            Remembered { id, size, known, source }
        }
    };
    // Not being able to remember costs asking again.
    if let Ok(bytes) = codec::encode(&remembered) {
        let _ = memory.parent().map(|folder| fs.make_dirs(folder));
        let _ = fs.replace(&memory, &bytes, false);
    }
    Ok(Found { path: path_of(&remembered.id), remembered, here })
}

/// Moves what was fetched to the place that its content has.
fn settle(session: &Session<'_>, beside: &Path, id: &Id, name: &str) -> Result<Option<Captured>, Error> {
    // Two tasks that fetch one address at once: were the second to replace what the first reads, that would have changed while it ran.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let fs = session.repo.fs();
    if let Some(captured) = lies(session, id, name) {
        let _ = fs.remove_file(beside);
        return Ok(Some(captured));
    }
    let (folder, path) = (aside(session, id), aside(session, id).join(name));
    let moved = (|| {
        fs.make_dirs(&folder)?;
        // Something else under that name is a broken copy.
        if fs.lstat(&path)?.is_some_and(|stat| stat.is_folder()) {
            fs.remove_tree(&path)?;
        }
        fs.rename(beside, &path)
    })();
    if let Err(source) = moved {
        let _ = fs.remove_file(beside);
        return Err(Error::io("write", &path, source));
    }
    match lies(session, id, name) {
        Some(captured) => Ok(Some(captured)),
        None => Err(Error::ChangedBefore { path }),
    }
}

/// Content that lies aside, if it is what it should be.
fn lies(session: &Session<'_>, id: &Id, name: &str) -> Option<Captured> {
    let root = session.repo.root();
    let place = locate(root, root, &aside(session, id).join(name));
    let captured = worktree::capture(&session.worktree(), &place, &CaptureOptions::default(), None).ok()?;
    matches!(&captured.content, Content::Blob(found) if found == id).then_some(captured)
}

/// Puts the content of an address at the place that was said for it, over what the store has. Beside it, then renamed.
pub(super) fn put(session: &Session<'_>, from: &Path, place: &Place) -> Result<(), Error> {
    let (root, below) = hydrate::recorded_destination(session, place)?;
    let (fs, to) = (session.repo.fs(), below.below(&root));
    let folder = to.parent().unwrap_or(&root).to_owned();
    fs.make_dirs(&folder).map_err(|source| Error::io("create", &folder, source))?;
    let beside = folder.join(beside_name());
    let copied = (|| {
        let mut out = fs.create_new(&beside, 0o666)?;
        std::io::copy(&mut fs.open_no_follow(from)?, &mut out)?;
        drop(out);
        fs.rename(&beside, &to)
    })();
    if copied.is_err() {
        let _ = fs.remove_file(&beside);
    }
    copied.map_err(|source| Error::io("write", &to, source))
}

/// A name that no other process and no other thread gives to a file that is not whole yet.
fn beside_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(".prov-{}-{}.web", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn memory_of(session: &Session<'_>, url: &Url) -> PathBuf {
    session.repo.layout().cache().join("web").join(url.id().to_string())
}

fn read(session: &Session<'_>, memory: &Path) -> Option<Remembered> {
    let bytes = session.repo.fs().read(memory).ok()??;
    codec::decode(&bytes, &Limits::RECORD).ok()
}

/// What variables that other programs know as well say of the way out.
fn options(session: &Session<'_>, environment: &Environment) -> Result<Options, Error> {
    let text = |name: &str| {
        let value = environment.get(std::ffi::OsStr::new(name))?;
        value.to_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    let trusted = match environment.get(std::ffi::OsStr::new("SSL_CERT_FILE")).filter(|path| !path.is_empty()) {
        None => None,
        Some(path) => {
            let path = Path::new(path);
            session.repo.fs().read(path).map_err(|source| Error::io("read", path, source))?
        }
    };
    Ok(Options { proxies: Proxies::of_variables(&text), trusted, ..Options::default() })
}

/// What is recorded of all inputs from the web, by key.
pub(super) fn told<'a>(inputs: impl Iterator<Item = (&'a String, &'a ReadyInput)>) -> Option<Value> {
    let told: Vec<(String, Value)> = inputs
        .filter_map(|(key, input)| {
            let web = input.web.as_ref()?;
            Some((key.clone(), codec::to_value(&web.source).ok()?))
        })
        .collect();
    (!told.is_empty()).then_some(Value::Map(told))
}
