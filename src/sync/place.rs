//! From the address of a remote to the store that lies there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::address::Address;
#[cfg(feature = "cloud")]
use super::bucket;
use super::bundle::BundlePlace;
use super::remote::Remote;
use super::ssh;
use super::web::WebBackend;
use crate::fetch;
use crate::repo::{DOT, Repo, World};
use crate::store::{self, Backend, Folder, LocalBackend, Store};

/// What it takes to reach remotes: handed in, for the library reads no environment.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// The words that start ssh, program first; `ssh` if empty.
    pub ssh: Vec<String>,
    /// How long the other end of ssh may be silent while it owes an answer; `None` for five minutes.
    pub patience: Option<std::time::Duration>,
    /// What requests to web servers are bound to.
    pub web: fetch::Options,
    /// Variables of the environment that say where buckets are and how to get at them, keys among them.
    pub variables: Variables,
    /// Texts of the files in which the user keeps keys by profile, the one with the keys first.
    pub profiles: Profiles,
    /// Where may be remembered what a bucket's log was like.
    pub cache: Option<PathBuf>,
}

/// Variables, of which nothing is shown.
#[derive(Clone, Default)]
pub struct Variables(pub Vec<(String, String)>);

impl Variables {
    /// The value of one, if it is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Texts of files, of which nothing is shown.
#[derive(Clone, Default)]
pub struct Profiles(pub Vec<String>);

impl std::fmt::Debug for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files", self.0.len())
    }
}

impl Means {
    /// The same for one remote of a project.
    pub(super) fn of(&self, repo: &Repo, remote: &Remote) -> Self {
        let cache = repo.layout().cache().join("remotes").join(format!("{}.bucket", remote.name));
        Self { cache: Some(cache), ..self.clone() }
    }
}

/// A store that was reached.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The store.
    pub store: Store,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// The folder of the store at `path`: the path itself, or what a project there keeps below it.
pub fn store_folder(world: &World, path: &Path) -> PathBuf {
    let inner = path.join(DOT).join("store");
    if world.fs.is_dir(&inner) { inner } else { path.to_owned() }
}

fn backend(address: &Address, world: &World, means: &Means, is_read_only: bool) -> Result<Arc<dyn Backend>, Error> {
    match address {
        Address::Folder(path) => {
            if world.fs.stat(path).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_file())) {
                return Ok(Arc::new(BundlePlace::open(&world.fs, path)?));
            }
            let folder = store_folder(world, path);
            Ok(Arc::new(LocalBackend::new(world.fs.clone(), folder)))
        }
        Address::Ssh(address) => Ok(Arc::new(ssh::connect(address, means, is_read_only)?)),
        #[cfg(feature = "cloud")]
        Address::Bucket(address) => match bucket::connect(address, &world.fs, means) {
            Ok(backend) => Ok(backend),
            Err(err) => Err(Error::at(&address.to_string())(err.into())),
        },
        #[cfg(not(feature = "cloud"))]
        Address::Bucket(address) => Err(Error::NotBuilt { url: address.to_string(), feature: "cloud" }),
        Address::Web(url) if !is_read_only => Err(Error::OnlyReads { url: url.shown() }),
        Address::Web(url) if !fetch::IS_BUILT => Err(Error::NotBuilt { url: url.shown(), feature: "http" }),
        Address::Web(url) => match WebBackend::connect(url, &means.web) {
            Ok(backend) => Ok(Arc::new(backend)),
            Err(err) => Err(Error::at(&url.shown())(err.into())),
        },
    }
}

/// Opens the store at `address`.
///
/// # Errors
/// [`Error::Remote`] if there is none, or it can't be reached or understood.
pub fn open(address: &Address, world: &World, means: &Means) -> Result<Store, Error> {
    let backend = backend(address, world, means, true)?;
    let place = backend.place();
    Store::open(backend, &world.for_store()).map_err(Error::at(&place))
}

/// Opens the store at `address` to change it.
///
/// # Errors
/// As [`open`]; [`Error::OnlyReads`] where nothing can be changed.
pub fn open_to_change(address: &Address, world: &World, means: &Means) -> Result<Store, Error> {
    let backend = backend(address, world, means, false)?;
    let place = backend.place();
    Store::open(backend, &world.for_store()).map_err(Error::at(&place))
}

/// Opens the store at `address`; where there is nothing at all, makes one.
///
/// # Errors
/// As [`open`]; [`Error::Occupied`] where there are other files.
pub fn open_or_make(address: &Address, world: &World, means: &Means) -> Result<Reached, Error> {
    let backend = backend(address, world, means, false)?;
    let place = backend.place();
    match Store::open(Arc::clone(&backend), &world.for_store()) {
        Ok(store) => Ok(Reached { store, is_new: false }),
        Err(store::Error::NotAStore { .. }) => {
            if let Address::Folder(path) = address
                && is_occupied(world, path)?
            {
                return Err(Error::Occupied { place });
            }
            match Store::create(Arc::clone(&backend), &world.for_store()) {
                Ok(store) => Ok(Reached { store, is_new: true }),
                // Another push at the same time was faster.
                Err(store::Error::Exists { .. }) => {
                    let store = Store::open(backend, &world.for_store()).map_err(Error::at(&place))?;
                    Ok(Reached { store, is_new: false })
                }
                Err(err) => Err(Error::at(&place)(err)),
            }
        }
        Err(err) => Err(Error::at(&place)(err)),
    }
}

/// Whether a folder holds files and is neither a store nor the beginning of one.
///
/// # Errors
/// When it can't be listed.
pub fn is_occupied(world: &World, path: &Path) -> Result<bool, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { doing: "list", path, source }
    };
    let names = world.fs.names(path).map_err(failed(path))?;
    if names.iter().any(|name| *name == *"format") {
        return Ok(false);
    }
    let is_ours = |name: &std::ffi::OsString| Folder::ALL.iter().any(|folder| *name == *folder.as_str());
    let packs = path.join(Folder::Packs.as_str());
    Ok(names.iter().any(|name| !is_ours(name)) || !world.fs.names(&packs).map_err(failed(&packs))?.is_empty())
}
