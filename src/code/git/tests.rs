//! Against repositories that the `git` program makes; without it there is nothing to compare with.

use std::process::Command;

use super::*;
use crate::fs::Fs;

fn plain_head(fs: &Fs, folder: &Path) -> Option<Head> {
    Plain::around(fs, folder).map(Plain::head)
}

struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Option<Self> {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        Command::new("git").arg("--version").output().ok()?;
        Some(sandbox)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        Fs::real().make_dirs(path.parent().unwrap()).unwrap();
        Fs::real().replace(&path, text.as_bytes(), false).unwrap();
    }

    fn git(&self, folder: &str, args: &[&str]) -> String {
        let out = Command::new("git")
            .current_dir(self.path(folder))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"])
            .args(args)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn commit(&self) -> String {
        self.write("p/a.py", "1\n");
        self.write("p/sub/b.py", "1\n");
        self.git("p", &["init", "-q"]);
        self.git("p", &["add", "."]);
        self.git("p", &["commit", "-q", "-m", "first"]);
        self.git("p", &["rev-parse", "HEAD"])
    }

    fn open(&self, folder: &str) -> Box<Repository> {
        match discover(&self.path(folder)) {
            Discovery::Found(repo) => repo,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_head_is_read_from_anywhere_in_the_work_tree() {
    let Some(s) = Sandbox::new() else { return };
    let commit = s.commit();
    let head = s.open("p/sub").head().unwrap();
    assert_eq!(head, Head { commit: Some(commit.clone()), branch: Some("main".into()) });
    s.git("p", &["checkout", "-q", "-b", "feature/x"]);
    assert_eq!(s.open("p").head().unwrap().branch.as_deref(), Some("feature/x"));
    s.git("p", &["checkout", "-q", "--detach"]);
    assert_eq!(s.open("p").head().unwrap(), Head { commit: Some(commit.clone()), branch: None });
    s.git("p", &["checkout", "-q", "main"]);
    s.git("p", &["pack-refs", "--all"]);
    assert_eq!(s.open("p").head().unwrap().commit, Some(commit));
}

#[test]
fn the_quick_look_at_a_head_says_what_the_repository_says() {
    let Some(s) = Sandbox::new() else { return };
    let fs = Fs::real();
    assert_eq!(head(&fs, &s.path(".")), None);
    let commit = s.commit();
    let on = |branch: &str| Head { commit: Some(commit.clone()), branch: Some(branch.to_owned()) };
    assert_eq!(plain_head(&fs, &s.path("p/sub")), Some(on("main")));
    s.git("p", &["checkout", "-q", "-b", "feature/x"]);
    assert_eq!(plain_head(&fs, &s.path("p")), Some(on("feature/x")));
    // What it does not know is looked up.
    s.git("p", &["pack-refs", "--all"]);
    assert_eq!((plain_head(&fs, &s.path("p")), head(&fs, &s.path("p"))), (None, Some(on("feature/x"))));
    s.git("p", &["checkout", "-q", "--detach"]);
    let detached = Head { commit: Some(commit.clone()), branch: None };
    assert_eq!((plain_head(&fs, &s.path("p")), head(&fs, &s.path("p"))), (None, Some(detached)));
    s.git("p", &["worktree", "add", "-q", "-b", "other", "../linked"]);
    assert_eq!((plain_head(&fs, &s.path("linked")), head(&fs, &s.path("linked"))), (None, Some(on("other"))));
    s.write("p/.git/HEAD", "ref: refs/heads/../../config\n");
    assert_eq!(plain_head(&fs, &s.path("p")), None);
}

#[test]
fn edits_of_tracked_files_make_it_dirty() {
    let Some(s) = Sandbox::new() else { return };
    s.commit();
    let dirty = || s.open("p").is_dirty().unwrap();
    assert!(!dirty());
    s.write("p/new.py", "untracked");
    assert!(!dirty(), "an untracked file changes nothing");
    s.write("p/a.py", "1\n");
    assert!(!dirty(), "the same bytes written again change nothing");
    s.write("p/sub/b.py", "22\n");
    assert!(dirty());
    s.git("p", &["add", "."]);
    assert!(dirty(), "staged changes count");
    s.git("p", &["commit", "-q", "-m", "second"]);
    assert!(!dirty());
    Fs::real().remove_file(&s.path("p/a.py")).unwrap();
    assert!(dirty(), "a removed file counts");
}

#[test]
fn states_alone_prove_that_a_settled_repository_is_clean_and_nothing_else() {
    let Some(s) = Sandbox::new() else { return };
    s.commit();
    let fs = Fs::real();
    let plainly_clean = || Plain::around(&fs, &s.path("p")).unwrap().is_clean(&fs).is_some();
    let earlier = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for file in ["p/a.py", "p/sub/b.py"] {
        std::fs::File::options().write(true).open(s.path(file)).unwrap().set_modified(earlier).unwrap();
    }
    assert!(!plainly_clean());
    s.git("p", &["update-index", "--refresh"]);
    assert!(plainly_clean());
    s.write("p/new.py", "untracked");
    assert!(plainly_clean());
    s.write("p/a.py", "2\n");
    assert!(!plainly_clean() && s.open("p").is_dirty().unwrap());
    s.git("p", &["checkout", "-q", "a.py"]);
    assert!(!s.open("p").is_dirty().unwrap());
    s.git("p", &["rm", "-q", "--cached", "a.py"]);
    assert!(!plainly_clean() && s.open("p").is_dirty().unwrap());
    s.git("p", &["reset", "-q", "--hard"]);
    Fs::real().rename(&s.path("p/sub"), &s.path("p/moved")).unwrap();
    Fs::real().symlink(std::path::Path::new("moved"), &s.path("p/sub")).unwrap();
    assert!(!plainly_clean() && s.open("p").is_dirty().unwrap());
}

#[test]
fn states_prove_nothing_where_files_lie_elsewhere_or_commits_are_replaced() {
    let Some(s) = Sandbox::new() else { return };
    let commit = s.commit();
    let fs = Fs::real();
    let earlier = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for file in ["p/a.py", "p/sub/b.py"] {
        std::fs::File::options().write(true).open(s.path(file)).unwrap().set_modified(earlier).unwrap();
    }
    s.git("p", &["update-index", "--refresh"]);
    let plainly_clean = || Plain::around(&fs, &s.path("p")).unwrap().is_clean(&fs).is_some();
    assert!(plainly_clean());
    for (key, value) in [("core.worktree", "../../elsewhere"), ("include.path", "more")] {
        s.git("p", &["config", key, value]);
        assert!(!plainly_clean(), "{key}");
        Fs::real().replace(&s.path("p/.git/config"), b"[core]\n\tbare = false\n", false).unwrap();
        assert!(plainly_clean(), "{key}");
    }
    s.git(
        "p",
        &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "other"],
    );
    assert!(plainly_clean());
    s.git("p", &["replace", "HEAD", &commit]);
    assert!(!plainly_clean());
    s.git("p", &["pack-refs", "--all"]);
    assert!(Plain::around(&fs, &s.path("p")).is_none_or(|plain| plain.is_clean(&fs).is_none()));
}

#[test]
fn a_repository_before_its_first_commit() {
    let Some(s) = Sandbox::new() else { return };
    s.write("p/a.py", "1\n");
    s.git("p", &["init", "-q"]);
    let repo = s.open("p");
    assert_eq!(repo.head().unwrap(), Head { commit: None, branch: Some("main".into()) });
    assert!(!repo.is_dirty().unwrap());
    s.git("p", &["add", "."]);
    assert!(s.open("p").is_dirty().unwrap());
}

#[test]
fn linked_work_trees_have_a_head_of_their_own() {
    let Some(s) = Sandbox::new() else { return };
    let commit = s.commit();
    s.git("p", &["worktree", "add", "-q", "-b", "other", "../linked"]);
    let repo = s.open("linked/sub");
    assert_eq!(repo.head().unwrap(), Head { commit: Some(commit), branch: Some("other".into()) });
    assert!(!repo.is_dirty().unwrap());
    s.write("linked/a.py", "changed\n");
    assert!(s.open("linked").is_dirty().unwrap());
    assert!(!s.open("p").is_dirty().unwrap());
}

#[test]
fn no_repository_and_bare_ones_are_nothing() {
    let Some(s) = Sandbox::new() else { return };
    s.write("plain/a.py", "1\n");
    assert!(matches!(discover(&s.path("plain")), Discovery::Nothing));
    s.git(".", &["init", "-q", "--bare", "bare"]);
    assert!(matches!(discover(&s.path("bare")), Discovery::Nothing));
}

#[test]
fn a_broken_repository_is_told_and_never_a_failure() {
    let Some(s) = Sandbox::new() else { return };
    s.commit();
    s.write("p/.git/HEAD", "nonsense\n");
    match discover(&s.path("p")) {
        Discovery::Found(repo) => assert!(repo.head().is_err()),
        Discovery::Unreadable(why) => assert!(why.contains(".git"), "{why}"),
        Discovery::Nothing => panic!("a broken repository is not nothing"),
    }
    s.write("q/.git", "gitdir: /nowhere/at/all\n");
    assert!(matches!(discover(&s.path("q")), Discovery::Unreadable(_)));
    s.write("r/.git/config", "[core\n");
    assert!(!matches!(discover(&s.path("r")), Discovery::Found(_)));
}

#[test]
fn a_lost_index_or_object_is_no_panic() {
    let Some(s) = Sandbox::new() else { return };
    s.commit();
    s.write("p/.git/index", "nonsense");
    assert!(s.open("p").is_dirty().is_err());
}

#[test]
fn the_author_comes_from_the_configuration() {
    let Some(s) = Sandbox::new() else { return };
    s.commit();
    s.git("p", &["config", "user.name", "Ada"]);
    s.git("p", &["config", "user.email", "ada@example.org"]);
    assert_eq!(author(&s.path("p/sub")), (Some("Ada".into()), Some("ada@example.org".into())));
}
