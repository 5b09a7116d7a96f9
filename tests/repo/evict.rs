//! Evicting while the remote changes: the last copy stays, whatever happens between two looks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use prov::fs::Fs;
use prov::hash::Id;
use prov::object::recipe::Content;
use prov::progress::{Cancel, Progress, Silent, Unit};
use prov::refs::key;
use prov::repo::entry::{self, Presence};
use prov::repo::{Repo, World};
use prov::run::Request;
use prov::run::hydrate::is_whole;
use prov::store::{Draft, LocalBackend, OpId, RefEdit, Store};
use prov::sync::{self, Depth, Error, EvictOptions, EvictReport, Means, Options, Selection, Stays};

use super::{Project, assert_sound, run_in};

/// Does something once, when packs are about to be written anew: after the first look into the remote, before the second one.
struct Between(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").finish_non_exhaustive()
    }
}

impl Progress for Between {
    fn begin(&self, phase: &str, _: Option<u64>, _: Unit) {
        if phase == "evict" {
            let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(act) = done {
                act();
            }
        }
    }
}

fn evict(repo: &Repo, between: impl FnOnce() + Send + 'static) -> Result<EvictReport, Error> {
    let remote = sync::choose(repo, Some("origin"), repo.root()).unwrap();
    let (cancel, progress) = (Cancel::new(), Between(Mutex::new(Some(Box::new(between)))));
    let options = EvictOptions {
        scenarios: Vec::new(),
        steps: Vec::new(),
        before: None,
        keep_newest: None,
        max_size: None,
        is_dry: false,
        reads_content: false,
        progress: &progress,
        cancel: &cancel,
    };
    let report = sync::evict(repo, &remote, &Means::default(), &options);
    assert!(progress.0.lock().unwrap().is_none(), "nothing was about to go");
    report
}

/// A project whose only output is at the remote, too.
fn pushed() -> (Project, Repo, tempfile::TempDir, PathBuf) {
    let (project, dir) = (Project::new(), tempfile::tempdir().unwrap());
    let far = dir.path().join("far");
    project.write("make.sh", "seq 1 60000 > out.txt\n");
    let repo = project.open();
    sync::add(&repo, "origin", far.to_str().unwrap(), repo.root()).unwrap();
    let repo = project.open();
    run_in(&repo, &project.root, &Request::command(["sh", "make.sh"]).output("out.txt").step("make")).unwrap();
    let cancel = Cancel::new();
    let options = Options {
        selection: Selection::default(),
        depth: Depth::Content,
        is_thorough: false,
        is_complete: false,
        is_dry: false,
        takes_scrubs: false,
        at_once: prov::sync::AT_ONCE,
        progress: &Silent,
        cancel: &cancel,
    };
    let remote = sync::choose(&repo, None, repo.root()).unwrap();
    sync::push(&repo, &remote, &Means::default(), &options).unwrap();
    (project, repo, dir, far)
}

fn content(project: &Project) -> Id {
    prov::hash::blob(project.read("out.txt").as_bytes())
}

#[track_caller]
fn assert_kept(project: &Project, repo: &Repo) {
    let id = content(project);
    let snapshot = repo.store().snapshot().unwrap();
    assert!(is_whole(&snapshot, &Content::Blob(id)).unwrap(), "the last copy is gone");
    assert!(!snapshot.is_elsewhere(&id).unwrap(), "it is said to be elsewhere");
    assert_sound(repo);
}

fn store_at(path: &Path) -> Store {
    let backend = LocalBackend::new(Fs::real(), path.to_owned());
    Store::open(std::sync::Arc::new(backend), &World::real(None).for_store()).unwrap()
}

#[test]
fn what_the_remote_lost_in_between_stays() {
    let (project, repo, _dir, far) = pushed();
    let packs = far.join("packs");
    let done = evict(&repo, move || {
        for name in Fs::real().names(&packs).unwrap() {
            Fs::real().remove_file(&packs.join(name)).unwrap();
        }
    });
    if let Ok(report) = done {
        assert!(report.items.iter().all(|item| item.stays.is_some()), "{report:?}");
    }
    assert_kept(&project, &repo);
}

#[test]
fn a_remote_that_is_gone_in_between_proves_nothing() {
    let (project, repo, _dir, far) = pushed();
    evict(&repo, move || Fs::real().remove_tree(&far).unwrap()).unwrap_err();
    assert_kept(&project, &repo);
}

#[test]
fn what_the_remote_begins_to_drop_in_between_stays() {
    let (project, repo, _dir, far) = pushed();
    let key = key::presence(&content(&project), "other");
    let value = entry::encode(&Presence { at: prov::clock::Micros(1), store: "other".to_owned() }).unwrap();
    let report = evict(&repo, move || {
        let other = store_at(&far);
        let publish = |_: &_| {
            let edits = vec![RefEdit::set(key.clone(), value.clone())];
            Ok::<_, prov::store::Error>(Some(Draft { edits, ..Draft::default() }))
        };
        other.publish(OpId::new(&*other.world().random), "test", &mut { publish }).unwrap();
    });
    let items = report.unwrap().items;
    assert_eq!(items.iter().map(|item| item.stays).collect::<Vec<_>>(), [Some(Stays::LeavesThere)]);
    assert_kept(&project, &repo);
}

#[test]
fn what_nothing_happened_to_goes() {
    let (project, repo, _dir, _far) = pushed();
    let report = evict(&repo, || {}).unwrap();
    assert_eq!(report.items.iter().map(|item| item.stays).collect::<Vec<_>>(), [None]);
    let snapshot = repo.store().snapshot().unwrap();
    assert!(!is_whole(&snapshot, &Content::Blob(content(&project))).unwrap());
    assert_sound(&repo);
}

#[test]
fn a_ref_that_lies_about_a_recipe_leads_to_no_result() {
    let (project, repo, _dir, far) = pushed();
    let snapshot = repo.store().snapshot().unwrap();
    let mut runs = snapshot.scan(&key::all_runs(), prov::store::Direction::Forward);
    let (run, object) = key::run_and_object(&runs.next().unwrap().unwrap().0).unwrap();
    let record = prov::revspec::read_run(&snapshot, &run, &object).unwrap();
    let asked = prov::hash::derived("test", b"another recipe");
    let other = store_at(&far);
    let value = snapshot.scan(&key::results_of(&record.recipe.unwrap()), prov::store::Direction::Forward);
    let (_, value) = value.into_iter().next().unwrap().unwrap();
    let forge = |_: &_| {
        let edits = vec![RefEdit::set(key::result(&asked, 1, &run), value.clone())];
        Ok::<_, prov::store::Error>(Some(Draft { edits, ..Draft::default() }))
    };
    other.publish(OpId::new(&*other.world().random), "test", &mut { forge }).unwrap();

    let b = Project::new();
    b.write("prov.toml", &format!("[remote.far]\nurl = '{}'\n[cache]\nremotes = ['far']\n", far.display()));
    let b_repo = b.open();
    let tell = |text: &str| panic!("{text}");
    let remotes = sync::Remotes::of(&b_repo, Means::default(), &Silent, Cancel::new(), &tell).unwrap();
    assert!(!prov::run::Elsewhere::consult(&remotes, &asked));
    assert!(
        b_repo.store().snapshot().unwrap().scan(&key::all_runs(), prov::store::Direction::Forward).next().is_none()
    );
    // What the record says of itself is found.
    let tell = |_: &str| ();
    let remotes = sync::Remotes::of(&b_repo, Means::default(), &Silent, Cancel::new(), &tell).unwrap();
    assert!(prov::run::Elsewhere::consult(&remotes, &record.recipe.unwrap()));
    let id = content(&project);
    assert!(is_whole(&b_repo.store().snapshot().unwrap(), &Content::Blob(id)).unwrap());
    assert_sound(&b_repo);
}
