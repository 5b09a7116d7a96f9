//! Making, finding and opening a project.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DOT, Layout, Repo, World};
use crate::config::{self, Settings};
use crate::store::{self, LocalBackend, Store};

/// Why a project can't be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none here.
    #[error("no prov project in `{}` or any folder above it", crate::path::show(.start))]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// `.prov` is there but is not a project's folder.
    #[error("`{}` is not a prov project: {what}", crate::path::show(.dot))]
    NotAProject {
        /// The folder.
        dot: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// A file can't be read or written.
    #[error("can't {doing} `{}`", crate::path::show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store can't be made or opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A settings file is wrong.
    #[error(transparent)]
    Settings(#[from] config::Error),
}

/// Choices for a new project.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// The project's name; `None` for the folder's.
    pub name: Option<String>,
    /// A store elsewhere, possibly shared; `None` for one inside `.prov`.
    pub store: Option<PathBuf>,
}

/// Where to look, when not in the usual places.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The `.prov` folder (`PROV_DIR`).
    pub dot: Option<PathBuf>,
    /// The store (`PROV_STORE`).
    pub store: Option<PathBuf>,
    /// The user's settings file.
    pub user_config: Option<PathBuf>,
    /// The scenario to work in, instead of the current one (`PROV_SCENARIO`).
    pub scenario: Option<String>,
    /// Who works here, as far as it was said for this call (`PROV_AUTHOR_NAME`, `PROV_AUTHOR_EMAIL`): stronger than the settings.
    pub said: Identity,
    /// Who works here where neither that nor the settings say so.
    pub otherwise: Identity,
}

/// A name and an address, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub email: Option<String>,
}

impl Identity {
    /// What is missing here taken from `other`.
    pub fn or(self, other: Identity) -> Identity {
        Identity { name: self.name.or(other.name), email: self.email.or(other.email) }
    }

    /// `Name <mail>` of what is known.
    pub fn line(&self) -> Option<String> {
        match (&self.name, &self.email) {
            (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
            (Some(name), None) => Some(name.clone()),
            (None, Some(email)) => Some(format!("<{email}>")),
            (None, None) => None,
        }
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

/// Where a project was found. Nothing of it is read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its folder, absolute, links resolved.
    pub root: PathBuf,
    /// Where things lie in `.prov`.
    pub layout: Layout,
}

/// Finds the project around `start`.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn find(start: &Path, places: &Places) -> Result<Found, Error> {
    let start = start.canonicalize().map_err(io_error("resolve", start))?;
    if let Some(dot) = &places.dot {
        let root = dot.parent().map_or_else(|| start.clone(), Path::to_path_buf);
        let root = root.canonicalize().map_err(io_error("resolve", &root))?;
        if !dot.is_dir() {
            return Err(Error::NotFound { start: dot.clone() });
        }
        return Ok(Found { root, layout: Layout::new(dot.clone()) });
    }
    let is_project = |dir: &&Path| dir.join(DOT).join("HEAD").is_file() || dir.join(DOT).join("store").is_dir();
    match start.ancestors().find(is_project) {
        Some(root) => Ok(Found { root: root.to_owned(), layout: Layout::new(root.join(DOT)) }),
        None => Err(Error::NotFound { start }),
    }
}

/// The settings files of a project, later ones winning; not all of them need to be there.
pub fn settings_files(root: &Path, layout: &Layout, places: &Places) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = places.user_config.iter().cloned().collect();
    files.extend([root.join("prov.toml"), layout.config()]);
    files
}

/// Where the store of a project lies.
fn store_place(root: &Path, layout: &Layout, places: &Places, settings: &Settings) -> PathBuf {
    match (&places.store, settings.store_path()) {
        (Some(path), _) => root.join(path),
        (None, Some(path)) => root.join(path),
        (None, None) => layout.store(),
    }
}

/// The place of the store of the project in `found`; nothing of it is opened.
///
/// # Errors
/// When the settings can't be read.
pub fn store_of(found: &Found, places: &Places, world: &World) -> Result<LocalBackend, Error> {
    let settings = Settings::read(&world.fs, &settings_files(&found.root, &found.layout, places))?;
    Ok(LocalBackend::new(world.fs.clone(), store_place(&found.root, &found.layout, places, &settings)))
}

/// Opens a store for reading: a store's folder, or a project with one in it.
///
/// # Errors
/// When there is none, or it can't be understood.
pub fn open_store(path: &Path, world: &World) -> Result<Store, Error> {
    let inner = path.join(DOT).join("store");
    let at = if world.fs.is_dir(&inner) { inner } else { path.to_owned() };
    Ok(Store::open(Arc::new(LocalBackend::new(world.fs.clone(), at)), &world.for_store())?)
}

impl Repo {
    /// Makes a project in `root` and opens it. Where there is one already, nothing changes; it is opened.
    /// Returns whether it was made.
    ///
    /// # Errors
    /// When the folder can't be written, or holds something else under `.prov`.
    pub fn init(root: &Path, options: &InitOptions, places: &Places, world: World) -> Result<(Repo, bool), Error> {
        let fs = world.fs.clone();
        fs.make_dirs(root).map_err(io_error("create", root))?;
        let root = root.canonicalize().map_err(io_error("resolve", root))?;
        let layout = Layout::new(places.dot.clone().unwrap_or_else(|| root.join(DOT)));
        let fresh = fs.read(&layout.head()).map_err(io_error("read", &layout.head()))?.is_none();
        if fresh {
            for dir in [layout.dot(), &layout.live(), &layout.cache()] {
                fs.make_dirs(dir).map_err(io_error("create", dir))?;
            }
            let write =
                |path: &Path, text: &str| fs.replace(path, text.as_bytes(), true).map_err(io_error("write", path));
            write(&layout.gitignore(), "# prov's own files are not for Git.\n*\n")?;
            let mut text =
                "# Settings of this checkout alone; what the project shares belongs in prov.toml.\n".to_owned();
            // A name that the project shares holds in every checkout of it, whatever its folder is called.
            let shared = Settings::read(&fs, &[root.join("prov.toml")]);
            if options.name.is_some() || shared.map_or(true, |settings| settings.project_name().is_none()) {
                let folder = root.file_name().map_or(&b"project"[..], std::os::unix::ffi::OsStrExt::as_bytes);
                let name = options.name.clone().unwrap_or_else(|| crate::path::shown(folder));
                let _ = writeln!(text, "[project]\nname = {}", quoted(&name));
            }
            let store = options.store.clone().or_else(|| places.store.clone());
            let store_at = match store {
                Some(path) => {
                    let path = crate::path::normal(&root.join(path));
                    let _ = writeln!(text, "\n[store]\npath = {}", quoted(&path.to_string_lossy()));
                    path
                }
                None => layout.store(),
            };
            if fs.read(&layout.config()).map_err(io_error("read", &layout.config()))?.is_none() {
                write(&layout.config(), &text)?;
            }
            let mut id = [0; 16];
            world.random.fill(&mut id);
            write(&layout.workspace(), &format!("{}\n", crate::hash::hex(&id)))?;
            let backend = Arc::new(LocalBackend::new(fs.clone(), store_at));
            match Store::open(backend.clone(), &world.for_store()) {
                Ok(_) => {}
                Err(store::Error::NotAStore { .. }) => match Store::create(backend, &world.for_store()) {
                    // Another `init` at the same time was faster.
                    Ok(_) | Err(store::Error::Exists { .. }) => {}
                    Err(err) => return Err(err.into()),
                },
                Err(err) => return Err(err.into()),
            }
            // HEAD is written last: without it there is no project, and the next `init` starts over.
            write(&layout.head(), "scenario: main\n")?;
        }
        Ok((Self::open(&root, places, world)?, fresh))
    }

    /// Finds the project around `start` and opens it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn discover(start: &Path, places: &Places, world: World) -> Result<Repo, Error> {
        let found = find(start, places)?;
        Self::open(&found.root, places, world)
    }

    /// Opens the project in `root`, which must be absolute with links resolved.
    ///
    /// # Errors
    /// When it is not a project, its settings are wrong, or its store is newer, damaged or absent.
    pub fn open(root: &Path, places: &Places, world: World) -> Result<Repo, Error> {
        let layout = Layout::new(places.dot.clone().unwrap_or_else(|| root.join(DOT)));
        let fs = world.fs.clone();
        let text = |path: &Path| -> Result<Option<String>, Error> {
            let bytes = fs.read(path).map_err(io_error("read", path))?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
        };
        let not = |what: &str| Error::NotAProject { dot: layout.dot().to_owned(), what: what.to_owned() };
        let head = text(&layout.head())?.ok_or_else(|| not("it has no HEAD"))?;
        let scenario = match &places.scenario {
            Some(scenario) => scenario.clone(),
            None => head
                .strip_prefix("scenario: ")
                .filter(|s| !s.is_empty())
                .ok_or_else(|| not("its HEAD names no scenario"))?
                .to_owned(),
        };
        let workspace =
            text(&layout.workspace())?.filter(|id| !id.is_empty()).ok_or_else(|| not("it has no workspace id"))?;
        let settings = Settings::read(&world.fs, &settings_files(root, &layout, places))?;
        let mut world = world;
        if world.author.is_none() {
            let (name, email) = settings.author();
            let set = Identity { name: name.map(str::to_owned), email: email.map(str::to_owned) };
            world.author = places.said.clone().or(set).or(places.otherwise.clone()).line();
        }
        let store_at = store_place(root, &layout, places, &settings);
        let backend = LocalBackend::new(world.fs.clone(), store_at).remembering(layout.cache().join("packs"));
        let store = Store::open(Arc::new(backend), &world.for_store())?;
        let project = settings.project_name().map_or_else(
            || crate::path::shown(root.file_name().map_or(b"project", std::os::unix::ffi::OsStrExt::as_bytes)),
            str::to_owned,
        );
        Ok(Repo { root: root.to_owned(), layout, world, store, settings, project, workspace, scenario })
    }
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
