//! The most usual repository, `.git` being a folder and a branch with a file of its own checked out: what takes a few small files to
//! tell. To open it as any repository costs ten times that. Everything here may say that it does not know.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gix::index::entry::{Flags, Mode, Stage, Stat, stat};
use gix::objs::FindExt;

use super::Head;
use crate::fs::Fs;

/// Tracked files up to which one thread that looks at their states alone is quicker than the many that a whole status takes.
const FEW_TRACKED: usize = 4_000;

/// Bytes of an index whose files are looked at in less time than a thread takes to begin: some hundred files.
const SMALL_INDEX: u64 = 32 << 10;

/// Bytes of a file of Git's that is looked through for what would need all of Git to understand.
const SMALL: u64 = 1 << 20;

/// A repository of the most usual form.
#[derive(Debug)]
pub(super) struct Plain {
    top: PathBuf,
    git: PathBuf,
    branch: String,
    /// In hexadecimal.
    commit: String,
}

impl Plain {
    /// The repository around `folder` if it is one of these.
    pub(super) fn around(fs: &Fs, folder: &Path) -> Option<Self> {
        let device = fs.stat(folder).ok()??.dev;
        let mut found = None;
        for above in folder.ancestors() {
            let at = above.join(".git");
            if let Some(stat) = fs.lstat(&at).ok()? {
                found = (stat.is_folder() && stat.dev == device).then(|| (above.to_owned(), at));
                break;
            }
        }
        let (top, git) = found?;
        let text = fs.read(&git.join("HEAD")).ok()??;
        let branch = text.strip_prefix(b"ref: refs/heads/")?.strip_suffix(b"\n")?;
        let is_plain = |name: &[u8]| !name.is_empty() && !name.starts_with(b".") && !name.ends_with(b".lock");
        if !branch.split(|&b| b == b'/').all(is_plain) || !branch.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let branch = std::str::from_utf8(branch).ok()?.to_owned();
        let id = fs.read(&git.join("refs/heads").join(&branch)).ok()??;
        let commit = std::str::from_utf8(id.strip_suffix(b"\n")?).ok()?.to_owned();
        // Another form is a ref to a ref, or something that only a look at all of the repository explains.
        let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then_some(Self { top, git, branch, commit })
    }

    /// What is checked out.
    pub(super) fn head(self) -> Head {
        Head { commit: Some(self.commit), branch: Some(self.branch) }
    }

    /// Whether so few files are tracked that they are looked at in no time.
    pub(super) fn is_small(&self, fs: &Fs) -> bool {
        matches!(fs.stat(&self.git.join("index")), Ok(Some(index)) if index.size <= SMALL_INDEX)
    }

    /// `Some` if states alone prove that nothing differs, as [`is_unchanged`] says it. They are compared as strictly as can be set, so
    /// whatever the user's settings are, Git by them finds no difference either.
    pub(super) fn is_clean(&self, fs: &Fs) -> Option<()> {
        // The files may lie elsewhere, the settings come from elsewhere, commits be others than they are named.
        let config = self.text(fs, "config")?.to_ascii_lowercase();
        let says = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if says(&config, b"worktree")
            || says(&config, b"include")
            || fs.lstat(&self.git.join("refs/replace")).ok()?.is_some()
        {
            return None;
        }
        if says(&self.text(fs, "packed-refs")?, b" refs/replace/") {
            return None;
        }
        let commit = gix::ObjectId::from_hex(self.commit.as_bytes()).ok()?;
        let one_thread = gix::index::decode::Options { thread_limit: Some(1), ..Default::default() };
        let index = gix::index::File::at(self.git.join("index"), commit.kind(), false, one_thread).ok()?;
        let objects = gix::odb::at(self.git.join("objects"), commit.kind()).ok()?;
        let mut buffer = Vec::new();
        let tree = objects.find_commit(&commit, &mut buffer).ok()?.tree();
        is_unchanged(&self.top, &index, tree, stat::Options::default(), true, true)
    }

    /// A small file of Git's; empty if it is not there.
    fn text(&self, fs: &Fs, name: &str) -> Option<Vec<u8>> {
        let path = self.git.join(name);
        match fs.stat(&path).ok()? {
            None => Some(Vec::new()),
            Some(stat) if stat.is_file() && stat.size <= SMALL => fs.read(&path).ok()?,
            Some(_) => None,
        }
    }
}

/// `Some` if states alone prove that nothing differs: the index says that it holds the tree of the commit, and every file has the state
/// that the index knows, written clearly before the index. `None` says nothing.
pub(super) fn is_unchanged(
    top: &Path,
    index: &gix::index::State,
    tree: gix::ObjectId,
    states: stat::Options,
    has_links: bool,
    has_executables: bool,
) -> Option<()> {
    let indexed = index.tree().filter(|tree| tree.num_entries.is_some())?;
    if index.entries().len() > FEW_TRACKED || indexed.id != tree {
        return None;
    }
    let special = Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::INTENT_TO_ADD;
    let mut folders: HashSet<&[u8]> = HashSet::new();
    for entry in index.entries() {
        let is_plain = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK);
        if !is_plain || entry.stage() != Stage::Unconflicted || entry.flags.intersects(special) {
            return None;
        }
        let path: &[u8] = entry.path(index);
        // A folder that a link took the place of is a change, whatever the link leads to.
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if folders.insert(&path[..at])
                && !top.join(crate::path::from_bytes(&path[..at])).symlink_metadata().ok()?.is_dir()
            {
                return None;
            }
        }
        let found = gix::index::fs::Metadata::from_path_no_follow(&top.join(crate::path::from_bytes(path))).ok()?;
        let is_same = entry.mode.change_to_match_fs(&found, has_links, has_executables).is_none()
            && entry.stat.matches(&Stat::from_fs(&found).ok()?, states)
            && !entry.stat.is_racy(index.timestamp(), states);
        if !is_same {
            return None;
        }
    }
    Some(())
}
