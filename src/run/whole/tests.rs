//! What is remembered of whole folders is believed while it is true, and never after.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::clock::Clock as _;
use crate::clock::{StepClock, SystemClock};
use crate::repo::{InitOptions, Places, World};
use crate::run::{ItemAction, Session, add};
use crate::store::Draft;

/// A project with a folder `data` of more files than an entry of the log takes.
struct Project {
    _dir: tempfile::TempDir,
    root: PathBuf,
    world: World,
    repo: Repo,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("project");
        // By this clock whatever was written just now was written long ago.
        let ahead = Micros(SystemClock.now().0 + 3_600_000_000);
        let world = World { clock: Arc::new(StepClock::new(ahead, 1)), ..World::real(None) };
        Repo::init(&root, &InitOptions::default(), &Places::default(), world.clone()).unwrap();
        let repo = Repo::open(&root, &Places::default(), world.clone()).unwrap();
        let project = Self { _dir: dir, root, world, repo };
        for n in 0..60 {
            project.write(&format!("data/in/{n}"), &format!("{n}\n").repeat(3_000));
        }
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        self.repo.fs().make_dirs(path.parent().unwrap()).unwrap();
        self.repo.fs().replace(&path, text.as_bytes(), false).unwrap();
    }

    /// The project as the next process finds it: nothing is open or remembered in memory.
    fn anew(&self) -> Repo {
        Repo::open(&self.root, &Places::default(), self.world.clone()).unwrap()
    }

    fn add(&self, path: &str) -> ItemAction {
        let repo = self.anew();
        let staging = add(&Session::new(&repo, self.root.clone()), &[path.into()], false).unwrap();
        staging.items[0].action
    }

    fn data(&self) -> Id {
        let session = Session::new(&self.repo, self.root.clone());
        let snapshot = self.repo.store().snapshot().unwrap();
        crate::run::staged(&session, &snapshot)
            .unwrap()
            .into_iter()
            .find(|(path, _)| path == "data")
            .unwrap()
            .1
            .content
            .id()
    }

    /// Whether it would be believed now that `data` is whole.
    fn is_believed(&self) -> bool {
        let data = self.data();
        let folders = Memory::load(&self.repo).folders;
        folders
            .iter()
            .find(|f| f.tree == data)
            .is_some_and(|f| f.holds(&self.anew().store().snapshot().unwrap()).unwrap())
    }

    fn is_whole(&self) -> bool {
        is_whole(&self.anew().store().snapshot().unwrap(), &Content::Tree(self.data())).unwrap()
    }

    fn packs(&self) -> Vec<PathBuf> {
        let dir = self.root.join(".prov/store/packs");
        self.repo.fs().names(&dir).unwrap().into_iter().map(|name| dir.join(name)).collect()
    }

    fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let fs = self.repo.fs();
        let mut bytes = fs.read(path).unwrap().unwrap();
        edit(&mut bytes);
        fs.set_mode(path, 0o644).unwrap();
        std::io::Write::write_all(&mut fs.create(path, 0o644).unwrap(), &bytes).unwrap();
    }
}

/// Stored, then looked through once and remembered.
fn remembered() -> Project {
    let project = Project::new();
    assert_eq!(project.add("data"), ItemAction::Stored);
    assert!(!project.is_believed());
    assert_eq!(project.add("data"), ItemAction::Known);
    assert!(project.is_believed());
    project
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let project = remembered();
    let stat = || project.repo.fs().lstat(&project.repo.whole_cache()).unwrap();
    let before = stat();
    assert_eq!(project.add("data"), ItemAction::Known);
    assert_eq!(stat(), before);
    assert_eq!(project.repo.store().snapshot().unwrap().tip(), 1);
}

#[test]
fn a_pack_that_is_gone_cut_off_or_touched_ends_it() {
    let gone = remembered();
    for pack in gone.packs() {
        gone.repo.fs().remove_file(&pack).unwrap();
    }
    assert!(!gone.is_believed());
    assert_eq!(gone.add("data"), ItemAction::Stored);
    assert!(gone.is_whole());

    let cut = remembered();
    cut.packs().iter().for_each(|pack| cut.edit(pack, |bytes| bytes.truncate(bytes.len() - 1)));
    assert!(!cut.is_believed());
    assert_eq!(cut.add("data"), ItemAction::Stored);
    assert!(cut.is_whole());

    let touched = remembered();
    touched.packs().iter().for_each(|pack| touched.edit(pack, |_| ()));
    assert!(!touched.is_believed());
    // It was found whole again, and that is remembered.
    assert_eq!(touched.add("data"), ItemAction::Known);
    assert!(touched.is_believed());
}

#[test]
fn a_condemned_pack_is_not_relied_on() {
    let project = remembered();
    let packs: Vec<Id> =
        project.repo.store().snapshot().unwrap().state().packs.iter().map(crate::store::PackRow::name).collect();
    let draft = Draft { condemn: packs, ..Draft::default() };
    let mut build = |_: &Snapshot| Ok::<_, crate::store::Error>(Some(draft.clone()));
    project.repo.store().publish(project.repo.new_op(), "test", &mut build).unwrap();
    assert!(!project.is_believed());
    assert_eq!(project.add("data"), ItemAction::Known);
    assert!(!project.is_believed());
}

#[test]
fn objects_in_the_log_are_looked_for_each_time() {
    let project = remembered();
    // One more file: its blob and the two folders above it lie in the entry.
    project.write("data/in/more", "more");
    assert_eq!(project.add("data"), ItemAction::Stored);
    assert_eq!(project.add("data"), ItemAction::Known);
    assert!(project.is_believed());
    let folder = Memory::load(&project.repo).folders.remove(0);
    assert_eq!(folder.inline.len(), 3);
    let strange = Folder { inline: vec![hash::blob(b"nobody has this")], ..folder };
    assert!(!strange.holds(&project.repo.store().snapshot().unwrap()).unwrap());
    // Folding moves them into a pack: they are found there.
    for n in 0..40 {
        project.write("other", &format!("{n}"));
        project.add("other");
    }
    assert!(project.repo.store().snapshot().unwrap().base() > 2);
    assert_eq!(project.add("data"), ItemAction::Known);
    assert!(project.is_believed());
}

#[test]
fn the_cache_of_another_store_says_nothing_here() {
    let (here, other) = (Project::new(), remembered());
    // All of the files are stored here, and the folder that holds their folder.
    assert_eq!(here.add("data/in"), ItemAction::Stored);
    assert_eq!(here.add("data"), ItemAction::Stored);
    assert_eq!(here.data(), other.data());
    let bytes = other.repo.fs().read(&other.repo.whole_cache()).unwrap().unwrap();
    here.repo.fs().replace(&here.repo.whole_cache(), &bytes, false).unwrap();
    for pack in here.packs() {
        here.repo.fs().remove_file(&pack).unwrap();
    }
    assert!(!here.is_believed());
    assert_eq!(here.add("data"), ItemAction::Stored);
    assert!(here.is_whole());
}

#[test]
fn a_damaged_cache_is_no_cache() {
    let project = remembered();
    let file = project.repo.whole_cache();
    let sound = project.repo.fs().read(&file).unwrap().unwrap();
    assert!(Memory::decode(&sound).is_some());
    for len in 0..sound.len() {
        assert!(Memory::decode(&sound[..len]).is_none(), "{len}");
    }
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 4;
        assert!(Memory::decode(&bytes).is_none(), "{at}");
    }
    project.edit(&file, |bytes| bytes[40] ^= 1);
    assert!(!project.is_believed());
    assert_eq!(project.add("data"), ItemAction::Known);
    assert!(project.is_believed());
}

#[test]
fn where_nothing_can_be_remembered_the_store_is_asked_each_time() {
    let project = Project::new();
    assert_eq!(project.add("data"), ItemAction::Stored);
    let cache = project.repo.whole_cache();
    let cache = cache.parent().unwrap();
    let _ = project.repo.fs().remove_tree(cache);
    project.write(".prov/cache", "a file where the folder should be");
    for _ in 0..2 {
        assert_eq!(project.add("data"), ItemAction::Known);
        assert!(!project.is_believed());
    }
    project.packs().iter().for_each(|pack| project.repo.fs().remove_file(pack).unwrap());
    assert_eq!(project.add("data"), ItemAction::Stored);
}

#[test]
fn a_pack_that_was_written_a_moment_ago_is_not_trusted_to_show_changes() {
    let project = remembered();
    let snapshot = project.repo.store().snapshot().unwrap();
    let ground = || walk(&snapshot, project.data(), None).unwrap().unwrap();
    let written = snapshot.pack_state(&ground().packs[0]).unwrap().ctime_ns / 1_000;
    assert!(Folder::of(&snapshot, "data".into(), project.data(), ground(), Micros(written + 1_000)).is_none());
    assert!(Folder::of(&snapshot, "data".into(), project.data(), ground(), Micros(written + 3_000_000)).is_some());
}

#[test]
fn without_the_stat_cache_all_is_read_again_and_nothing_stored_twice() {
    let project = remembered();
    let (packs, tip) = (project.packs(), project.anew().store().snapshot().unwrap().tip());
    project.repo.fs().remove_tree(project.repo.stat_cache().parent().unwrap()).unwrap();
    assert_eq!(project.add("data"), ItemAction::Known);
    assert_eq!(project.add("data/in/7"), ItemAction::Known);
    assert_eq!(project.packs(), packs);
    // Only that the one file is staged is new.
    assert_eq!(project.anew().store().snapshot().unwrap().tip(), tip + 1);
}

#[test]
fn of_a_folder_that_changed_a_little_the_rest_is_what_it_was() {
    let project = remembered();
    let before: Vec<PathBuf> = project.packs();
    for n in 0..3 {
        project.write(&format!("data/in/{n}"), &format!("other {n}\n").repeat(3_000));
        assert_eq!(project.add("data"), ItemAction::Stored);
        assert!(project.is_whole());
        // The packs that hold the rest of it are relied on.
        let snapshot = project.anew().store().snapshot().unwrap();
        let known = Before::at(&project.repo, &snapshot, "data".into()).unwrap().unwrap();
        let root = match project.data() {
            root if n == 0 => {
                assert_ne!(known.folder.tree, root);
                root
            }
            root => root,
        };
        let beside = walk(&snapshot, root, Some(&known)).unwrap().unwrap();
        let whole = walk(&snapshot, root, None).unwrap().unwrap();
        assert!(whole.packs.iter().all(|pack| beside.packs.contains(pack)), "{beside:?} {whole:?}");
        assert_eq!(project.add("data"), ItemAction::Known);
        assert!(project.is_believed());
    }
    // None of it is believed once a pack is not what it was.
    for pack in &before {
        project.repo.fs().remove_file(pack).unwrap();
    }
    project.write("data/in/9", "small");
    assert_eq!(project.add("data"), ItemAction::Stored);
    assert!(project.is_whole());
}

#[test]
fn a_pack_that_may_not_be_relied_on_any_more_is_not_published_on() {
    let project = remembered();
    let packs: Vec<Id> =
        project.repo.store().snapshot().unwrap().state().packs.iter().map(crate::store::PackRow::name).collect();
    let publish = |draft: Draft| {
        let mut build = |_: &Snapshot| Ok::<_, crate::store::Error>(Some(draft.clone()));
        project.repo.store().publish(project.repo.new_op(), "test", &mut build)
    };
    let relying = Draft { relies_on_packs: packs.clone(), ..Draft::default() };
    publish(relying.clone()).unwrap();
    publish(Draft { condemn: packs, ..Draft::default() }).unwrap();
    assert!(matches!(publish(relying), Err(crate::store::Error::Outdated)));
}
