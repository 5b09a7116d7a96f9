//! What one command of prov knows and looks at only once: the stat cache and the list of the project's files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::batch::Batch;
use super::code_part::Claimed;
use super::elsewhere::Elsewhere;
use super::request::{CodeMode, Request};
use super::stretch::{Moment, Stretch};
use std::time::{Duration, Instant};

use crate::code::{self, git};
use crate::fs::Stat;
use crate::object::run::Git;
use crate::object::scenario::Scenario;
use crate::path::{Place, RelPath};
use crate::progress::{Cancel, Progress, Silent};
use crate::repo::Repo;
use crate::scenario;
use crate::store::{self, Snapshot};
use crate::worktree::stat_cache::Forget;
use crate::worktree::{self, ByName, CaptureOptions, Rules, ScanOptions, StatCache, Worktree};

/// What entries of the stat cache must spare in bytes to hash (some files, or one that is not small) to be worth a file's writing.
const WORTH_SAVING: u64 = 128 << 10;

/// How long claims of other runs are believed in a batch.
const FRESH: Duration = Duration::from_millis(100);

/// Files of a project, with how they looked.
pub(super) type Files = Arc<Vec<(RelPath, Stat)>>;

/// Which files of a project are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that may be code by their names: of all others nothing but the name is looked at.
    ByName,
    /// All.
    All,
}

/// The project's files, and when they were listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) files: Files,
    pub(super) at: Moment,
    wanted: Wanted,
}

/// A repo, its stat cache, and where the user stands.
#[derive(Debug)]
pub struct Session<'a> {
    /// The project.
    pub repo: &'a Repo,
    /// The folder that relative paths are relative to, absolute.
    pub cwd: PathBuf,
    cache: StatCache,
    progress: &'a dyn Progress,
    cancel: Arc<Cancel>,
    files: Mutex<Option<Listed>>,
    git: OnceLock<Option<Git>>,
    batch: Option<&'a Batch<'a>>,
    claims: Mutex<Option<(Instant, Arc<Claimed>)>>,
    /// The settings of the scenario that was asked for last, and in which state of the store.
    scenario: Mutex<Option<(u64, String, Option<Scenario>)>>,
    /// The state of the store that was looked at last.
    seen: Mutex<Option<Snapshot>>,
    stretch: Stretch,
    elsewhere: Option<&'a dyn Elsewhere>,
}

impl Wanted {
    /// Whether what was listed as this is all that `wanted` asks for.
    fn serves(self, wanted: Wanted) -> bool {
        self == Wanted::All || wanted == Wanted::ByName
    }
}

impl<'a> Session<'a> {
    /// A session of a user who stands in `cwd`.
    pub fn new(repo: &'a Repo, cwd: PathBuf) -> Self {
        Self::with_progress(repo, cwd, &Silent)
    }

    /// A session that tells how far long work is.
    pub fn with_progress(repo: &'a Repo, cwd: PathBuf, progress: &'a dyn Progress) -> Self {
        let cache = StatCache::open(&repo.stat_cache());
        let (files, git) = (Mutex::new(None), OnceLock::new());
        Self {
            repo,
            cwd,
            cache,
            progress,
            cancel: Arc::default(),
            files,
            git,
            batch: None,
            claims: Mutex::default(),
            scenario: Mutex::default(),
            stretch: Stretch::default(),
            seen: Mutex::default(),
            elsewhere: None,
        }
    }

    /// The same session, with other stores to ask for what is missing here.
    pub fn with_elsewhere(mut self, elsewhere: Option<&'a dyn Elsewhere>) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// Other stores that may have what is missing here.
    pub(super) fn elsewhere(&self) -> Option<&'a dyn Elsewhere> {
        self.elsewhere
    }

    /// The same session, its runs closed together with others of `batch`.
    pub fn in_batch(mut self, batch: &'a Batch<'a>) -> Self {
        self.batch = Some(batch);
        self
    }

    /// The batch that its runs belong to.
    pub(super) fn batch(&self) -> Option<&'a Batch<'a>> {
        self.batch
    }

    /// What look-ups of its batch have in common.
    pub(super) fn stretch(&self) -> &Stretch {
        &self.stretch
    }

    /// Whether the code of a request can be told at once, or by looking at no more files than `most`.
    pub(super) fn knows_code(&self, request: &Request, most: usize) -> bool {
        let is_narrow = matches!(request.code, Some(CodeMode::None | CodeMode::Command));
        let base = RelPath::new(request.cwd.clone()).unwrap_or_default();
        is_narrow
            || self.stretch.knows(&(request.code.clone(), base))
            || self
                .files
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_none_or(|listed| listed.files.len() <= most)
    }

    /// Something of its batch has ended that may have written: what look-ups saw so far is not what those to come will see.
    pub fn something_ended(&self) {
        self.stretch.end();
    }

    /// The state of the store to look at: the newest, or for a batch the newest that is known.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn snapshot(&self) -> Result<Snapshot, store::Error> {
        match self.batch {
            Some(batch) => Ok(batch.snapshot()),
            None => {
                let snapshot = self.repo.store().snapshot()?;
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
                Ok(snapshot)
            }
        }
    }

    /// The same session as if it began now: nothing of what it looked at is remembered.
    pub(super) fn afresh(&self) -> Self {
        let fresh = Self::with_progress(self.repo, self.cwd.clone(), self.progress);
        if let Some(batch) = self.batch {
            // Without it less is known, and nothing wrong.
            let _ = batch.refresh();
        }
        Self { cancel: Arc::clone(&self.cancel), batch: self.batch, elsewhere: self.elsewhere, ..fresh }
    }

    /// The same session, its work stopped by `cancel`.
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = Arc::new(cancel);
        self
    }

    /// What work on files needs.
    pub fn worktree(&self) -> Worktree<'_> {
        Worktree {
            fs: self.repo.fs(),
            root: self.repo.root(),
            clock: &*self.repo.world().clock,
            cache: &self.cache,
            progress: self.progress,
            cancel: &self.cancel,
        }
    }

    /// Where a path that the user typed lies.
    pub fn locate(&self, path: &[u8]) -> Place {
        crate::path::locate(self.repo.root(), &self.cwd, &crate::path::from_bytes(path))
    }

    /// The project's files that no ignore rule leaves out, as far as they are wanted or more, and whether they were listed just now. Listed
    /// once; in a batch, as often as is needed to see what look-ups see (see [`super::stretch`]).
    ///
    /// # Errors
    /// When a folder can't be read.
    pub(super) fn files(&self, wanted: Wanted) -> Result<(Listed, bool), worktree::Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = files.as_ref().filter(|listed| self.serves(listed, wanted)) {
            return Ok((listed.clone(), false));
        }
        let at = self.stretch.begin();
        let listed = Listed { files: self.list_files(wanted)?, at: at.ended(), wanted };
        Ok((files.insert(listed).clone(), true))
    }

    /// Whether [`Session::files`] were listed already, so that they may look different by now.
    pub(super) fn is_listed(&self, wanted: Wanted) -> bool {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.as_ref().is_some_and(|listed| self.serves(listed, wanted))
    }

    fn serves(&self, listed: &Listed, wanted: Wanted) -> bool {
        listed.wanted.serves(wanted) && (self.batch.is_none() || self.stretch.believes(&listed.at))
    }

    /// As [`Session::files`], but listed anew, for this once.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub(super) fn list_files(&self, wanted: Wanted) -> Result<Files, worktree::Error> {
        let rules = Rules::open(self.repo.fs(), self.repo.root(), None)?;
        let scan = match wanted {
            Wanted::ByName => {
                let (file, folder) = (code::list::may_be_code, code::list::may_hold_code);
                worktree::scan_by_name(&self.worktree(), ByName { file, folder, id: code::list::id() }, rules)?
            }
            Wanted::All => {
                let options = ScanOptions { rules: Some(rules), ..ScanOptions::default() };
                worktree::scan(self.repo.fs(), self.repo.root(), &options, &self.cancel)?
            }
        };
        Ok(Arc::new(scan.paths()))
    }

    /// What is taken of a path that is recorded by hand: below a folder, what no ignore rule leaves out. Later changes aren't noticed.
    ///
    /// # Errors
    /// When an ignore file can't be read.
    pub fn capture_options(&self, place: &Place) -> Result<CaptureOptions, worktree::Error> {
        let unwatched = CaptureOptions { without_fence: true, ..CaptureOptions::default() };
        let Place::Inside(path) = place else { return Ok(unwatched) };
        let (fs, root) = (self.repo.fs(), self.repo.root());
        let rules = Rules::open(fs, root, None)?.enter_path(fs, root, path)?;
        Ok(CaptureOptions { scan: ScanOptions { rules: Some(rules), ..ScanOptions::default() }, ..unwatched })
    }

    /// Whether the project's ignore rules leave a path out.
    pub fn is_ignored(&self, path: &RelPath) -> bool {
        let (fs, root) = (self.repo.fs(), self.repo.root());
        Rules::open(fs, root, None).and_then(|rules| rules.ignores(fs, root, path, false)).unwrap_or(false)
    }

    /// What is checked out in the repository around the project; whether anything differs from it is not looked at.
    pub fn git_head(&self) -> Option<Git> {
        let look = || {
            let head = git::head(self.repo.fs(), self.repo.root())?;
            Some(Git { commit: head.commit, branch: head.branch, dirty: None })
        };
        self.git.get_or_init(look).clone()
    }

    /// What live runs claim, as `look` finds it out; in a batch not more often than about ten times a second. Files that a run has begun to
    /// claim since then count as code for so long: that gives misses, and never a hit.
    pub(super) fn claims(&self, look: fn(&Session<'_>) -> Claimed) -> Arc<Claimed> {
        if self.batch.is_none() {
            return Arc::new(look(self));
        }
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, claims)) = &*claims
            && at.elapsed() < FRESH
        {
            return Arc::clone(claims);
        }
        let found = Arc::new(look(self));
        *claims = Some((Instant::now(), Arc::clone(&found)));
        found
    }

    /// The settings of a scenario in a state of the store. In a batch they are read once as long as that does not change.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn scenario(&self, snapshot: &Snapshot, name: &str) -> Result<Option<Scenario>, scenario::Error> {
        let read = || scenario::settings(snapshot, self.repo.project(), name);
        if self.batch.is_none() {
            return read();
        }
        // No two states of a log have one number.
        let tip = snapshot.tip();
        let mut known = self.scenario.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, whose, settings)) = &*known
            && (*at, whose.as_str()) == (tip, name)
        {
            return Ok(settings.clone());
        }
        let settings = read()?;
        *known = Some((tip, name.to_owned(), settings.clone()));
        Ok(settings)
    }

    /// As [`Session::save`], unless whoever has the batch does that at its end.
    pub(super) fn save_alone(&self) {
        if self.batch.is_none() {
            self.save();
        }
    }

    /// Remembers what was hashed, if hashing it again would cost more than writing that down. Failing to costs time later, nothing else.
    pub fn save(&self) {
        if self.cache.would_spare() < WORTH_SAVING {
            return;
        }
        let _ = self.cache.save(self.repo.fs(), Forget::Nothing);
    }
}
