//! prov in a Git repository: hooks, what belongs to a commit, and `prov.lock`, with repositories that `git` makes.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::path::Path;

use crate::project::{exists, read, remove, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;
use crate::sync::{machine, shared, text};

/// Git in a folder of the sandbox, with the sandbox's environment.
pub(crate) fn git_in(sandbox: &Sandbox, folder: &Path, words: &[&str]) -> Outcome {
    let like = sandbox.command([""; 0]);
    let mut command = std::process::Command::new("git");
    command.env_clear();
    for (name, value) in like.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"];
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(folder)
        .args(["-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false"])
        .args(author)
        .args(words)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    sandbox.outcome(command)
}

#[track_caller]
pub(crate) fn git(sandbox: &Sandbox, words: &[&str]) -> String {
    git_in(sandbox, &sandbox.project(), words).ok().out().trim().to_owned()
}

/// A project in a Git repository, its data ignored, with a script that says which version it is.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    git(&sandbox, &["init", "-q"]);
    sandbox.file(".gitignore", "data/\n").file("raw.txt", "raw\n");
    version(&sandbox, 1);
    sandbox.prov(["init", "-q"]).ok();
    sandbox
}

/// The script makes these bytes from now on.
fn version(sandbox: &Sandbox, n: u32) {
    sandbox.file("make.sh", format!("mkdir -p data\ncat raw.txt > data/out.txt\necho {n} >> data/out.txt\n"));
}

#[track_caller]
fn make(sandbox: &Sandbox) -> crate::project::Ran {
    run(sandbox, ["--name", "make", "-i", "raw.txt", "-o", "data/out.txt", "--", "sh", "make.sh"])
}

#[track_caller]
fn commit(sandbox: &Sandbox, message: &str) -> Outcome {
    git(sandbox, &["add", "-A"]);
    git_in(sandbox, &sandbox.project(), &["commit", "-m", message]).ok()
}

fn set(sandbox: &Sandbox, text: &str) {
    sandbox.file(".prov/config.toml", text);
}

/// Two commits, the data of each made before it.
fn two_commits(sandbox: &Sandbox) {
    make(sandbox).misses();
    commit(sandbox, "one");
    git(sandbox, &["tag", "one"]);
    version(sandbox, 2);
    make(sandbox).misses();
    commit(sandbox, "two");
}

#[track_caller]
fn config(sandbox: &Sandbox, more: &str) {
    let old = read(sandbox, ".prov/config.toml");
    set(sandbox, &format!("{old}\n{more}\n"));
}

#[track_caller]
fn hooks(sandbox: &Sandbox, words: &[&str]) -> serde_json::Value {
    let json = sandbox.prov([&["--json", "hooks"], words].concat()).ok().json();
    schema::assert_valid("hooks", &json);
    json
}

#[track_caller]
fn states(json: &serde_json::Value) -> Vec<&str> {
    json["items"].as_array().unwrap().iter().map(|item| item["state"].as_str().unwrap()).collect()
}

#[test]
fn data_follows_a_checkout_there_and_back() {
    for locks in [false, true] {
        let sandbox = repository();
        config(&sandbox, &format!("[git]\ncheckout = 'restore'\nlock = {locks}"));
        hooks(&sandbox, &["install"]);
        two_commits(&sandbox);
        assert_eq!(exists(&sandbox, "prov.lock"), locks);
        let said = git_in(&sandbox, &sandbox.project(), &["checkout", "one"]).ok();
        assert_eq!(read(&sandbox, "data/out.txt"), "raw\n1\n", "{said}");
        assert!(said.err().contains("brought back 1 output"), "{said}");
        git(&sandbox, &["checkout", "main"]);
        assert_eq!(read(&sandbox, "data/out.txt"), "raw\n2\n");
        assert_eq!(git(&sandbox, &["status", "--porcelain"]), "");
        // What they say is what is on record: nothing is computed.
        make(&sandbox).hits();
    }
}

#[test]
fn a_checkout_tells_what_is_missing_and_changes_nothing_by_default() {
    let sandbox = repository();
    hooks(&sandbox, &["install"]);
    two_commits(&sandbox);
    let said = git_in(&sandbox, &sandbox.project(), &["checkout", "one"]).ok();
    assert!(said.err().contains("1 output of commit"), "{said}");
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n2\n");
    let json = sandbox.prov(["--json", "restore", "--git", "HEAD"]).ok().json();
    schema::assert_valid("restore", &json);
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n1\n");
    // Nothing left to tell.
    git(&sandbox, &["checkout", "-q", "-b", "side"]);
    let said = git_in(&sandbox, &sandbox.project(), &["commit", "--allow-empty", "-m", "empty"]).ok();
    assert!(!said.err().contains("not in the work tree"), "{said}");
    // Elsewhere, without touching what is here.
    sandbox.prov(["restore", "--git", "main", "--to", "there"]).ok();
    assert_eq!(read(&sandbox, "there/data/out.txt"), "raw\n2\n");
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n1\n");
    sandbox.prov(["restore", "--git", "no-such"]).ends(4);
}

#[test]
fn work_that_nobody_recorded_is_never_replaced_by_a_hook() {
    let sandbox = repository();
    config(&sandbox, "[git]\ncheckout = 'restore'");
    hooks(&sandbox, &["install"]);
    two_commits(&sandbox);
    sandbox.file("data/out.txt", "mine\n");
    let said = git_in(&sandbox, &sandbox.project(), &["checkout", "one"]).ok();
    assert!(said.err().contains("stay as they are"), "{said}");
    assert_eq!(read(&sandbox, "data/out.txt"), "mine\n");
    sandbox.prov(["restore", "--git", "HEAD"]).ends(7);
}

#[test]
fn dirty_trees_are_fine() {
    let sandbox = repository();
    config(&sandbox, "[git]\ncheckout = 'restore'");
    hooks(&sandbox, &["install"]);
    two_commits(&sandbox);
    sandbox.file("notes.txt", "untracked\n").file("raw.txt", "raw\n");
    git(&sandbox, &["checkout", "one"]);
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n1\n");
    // A run on changed code belongs to no commit, until that is committed.
    version(&sandbox, 3);
    make(&sandbox).misses();
    sandbox.prov(["restore", "--git", "HEAD"]).ok();
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n1\n");
    let said = commit(&sandbox, "three");
    assert!(said.err().contains("on record for commit"), "{said}");
    let log = sandbox.prov(["--json", "log", "--git", "HEAD"]).ok().json();
    assert_eq!(log["runs"].as_array().unwrap().len(), 1, "{log}");
    sandbox.prov(["restore", "--git", "HEAD"]).ok();
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n3\n");
}

#[test]
fn parameters_and_tracked_inputs_tell_commits_apart() {
    let sandbox = repository();
    sandbox.file("p.yaml", "n: 1\n");
    let make = || {
        let words = ["--config", "p.yaml", "-i", "raw.txt", "-o", "data/out.txt", "--", "sh", "-c"];
        run(&sandbox, words.into_iter().chain(["cat raw.txt $PROV_CONFIG > data/out.txt"])).misses()
    };
    std::fs::create_dir_all(sandbox.path("data")).unwrap();
    make();
    let first = read(&sandbox, "data/out.txt");
    commit(&sandbox, "one");
    sandbox.file("p.yaml", "n: 2\n");
    make();
    let second = read(&sandbox, "data/out.txt");
    commit(&sandbox, "two");
    sandbox.file("raw.txt", "other\n");
    make();
    let third = read(&sandbox, "data/out.txt");
    commit(&sandbox, "three");
    for (commit, expected) in [("HEAD~2", &first), ("HEAD~1", &second), ("HEAD", &third)] {
        sandbox.prov(["restore", "--git", commit]).ok();
        assert_eq!(read(&sandbox, "data/out.txt"), *expected, "{commit}");
    }
}

#[test]
fn hooks_that_were_there_before_still_decide() {
    let sandbox = repository();
    let hook = |name: &str, text: &str| {
        sandbox.file(format!(".git/hooks/{name}"), text);
        let path = sandbox.path(format!(".git/hooks/{name}"));
        prov::fs::Fs::real().set_mode(&path, 0o755).unwrap();
    };
    hook("post-commit", "#!/bin/sh\necho before >> .git/told\n");
    hook("pre-push", "#!/bin/sh\ncat > .git/refs-told; echo \"$1\" >> .git/told; exit 3\n");
    let installed = hooks(&sandbox, &["install"]);
    assert_eq!(states(&installed), ["installed"; 6]);
    assert_eq!(installed["items"].as_array().unwrap().iter().filter(|item| item["chained"] == true).count(), 2);
    // Twice is once.
    hooks(&sandbox, &["install"]);
    make(&sandbox).misses();
    let said = commit(&sandbox, "one");
    assert!(said.err().contains("1 run on record for commit"), "{said}");
    assert_eq!(read(&sandbox, ".git/told"), "before\n");
    let there = shared();
    git(&sandbox, &["init", "-q", "--bare", &text(&there.path().join("r.git"))]);
    git(&sandbox, &["remote", "add", "r", &text(&there.path().join("r.git"))]);
    git_in(&sandbox, &sandbox.project(), &["push", "r", "main"]).ends(1);
    assert!(read(&sandbox, ".git/refs-told").contains("refs/heads/main"));
    assert_eq!(read(&sandbox, ".git/told"), "before\nr\n");

    let left = hooks(&sandbox, &["uninstall"]);
    assert_eq!(states(&left), ["absent", "absent", "other", "absent", "other", "absent"]);
    assert!(read(&sandbox, ".git/hooks/pre-push").contains("exit 3"));
    assert!(!exists(&sandbox, ".git/hooks/post-commit.before-prov"));
    assert!(!read(&sandbox, ".git/config").contains("prov-lock"));
    assert!(!read(&sandbox, ".git/info/attributes").contains("prov"));
}

#[test]
fn a_folder_of_hooks_is_honoured_and_one_for_all_repositories_is_left_alone() {
    let sandbox = repository();
    git(&sandbox, &["config", "core.hooksPath", "tools/hooks"]);
    hooks(&sandbox, &["install"]);
    assert!(exists(&sandbox, "tools/hooks/post-commit") && !exists(&sandbox, ".git/hooks/post-commit"));
    make(&sandbox).misses();
    assert!(commit(&sandbox, "one").err().contains("on record for commit"));
    hooks(&sandbox, &["uninstall"]);
    git(&sandbox, &["config", "--unset", "core.hooksPath"]);

    git(&sandbox, &["config", "--global", "core.hooksPath", "~/hooks"]);
    assert!(sandbox.prov(["hooks", "install"]).ends(7).err().contains("--shared"));
    assert!(!exists(&sandbox, "../home/hooks"));
    hooks(&sandbox, &["install", "--shared"]);
    assert!(exists(&sandbox, "../home/hooks/pre-push"));
    // In a repository without a project they do nothing.
    let other = sandbox.path("../other");
    std::fs::create_dir(&other).unwrap();
    git_in(&sandbox, &other, &["init", "-q"]).ok();
    let said = git_in(&sandbox, &other, &["commit", "--allow-empty", "-m", "x"]).ok();
    assert!(!said.err().contains("prov"), "{said}");
}

#[test]
fn linked_work_trees_and_submodules_have_data_of_their_own() {
    let sandbox = repository();
    // By its name a project is known in a store that others use, too.
    sandbox.file("prov.toml", "[project]\nname = 'project'\n");
    hooks(&sandbox, &["install"]);
    two_commits(&sandbox);
    // Without a project there, nothing happens and nothing fails.
    git(&sandbox, &["worktree", "add", "-q", "../side", "one"]);
    let side = sandbox.path("../side");
    let there = |words: &[&str]| sandbox.prov([&["-C", "../side"], words].concat()).ok();
    there(&["init", "-q", "--store", &text(&sandbox.path(".prov/store"))]);
    there(&["restore", "--git", "HEAD"]);
    assert_eq!(read(&sandbox, "../side/data/out.txt"), "raw\n1\n");
    let said = git_in(&sandbox, &side, &["checkout", "-q", "--detach", "main"]).ok();
    assert!(said.err().contains("1 output of commit"), "{said}");
    assert_eq!(read(&sandbox, "data/out.txt"), "raw\n2\n");

    // A submodule: its hooks are its own.
    let outer = sandbox.path("../outer");
    std::fs::create_dir(&outer).unwrap();
    git_in(&sandbox, &outer, &["init", "-q"]).ok();
    git_in(&sandbox, &outer, &["submodule", "add", "-q", &text(&sandbox.project()), "sub"]).ok();
    let sub = |words: &[&str]| sandbox.prov([&["-C", "../outer/sub"], words].concat()).ok();
    sub(&["init", "-q"]);
    let words = ["run", "--name", "make", "-i", "raw.txt", "-o", "data/out.txt", "--", "sh", "make.sh"];
    sub(&words);
    sub(&["hooks", "install"]);
    assert!(exists(&sandbox, "../outer/.git/modules/sub/hooks/post-checkout"));
    let said = git_in(&sandbox, &outer.join("sub"), &["commit", "--allow-empty", "-m", "x"]).ok();
    assert!(said.err().contains("on record for commit"), "{said}");
    assert!(!git_in(&sandbox, &outer, &["commit", "-m", "x"]).ok().err().contains("on record"));
}

#[test]
fn several_projects_of_a_work_tree_are_called_one_by_one() {
    let sandbox = repository();
    sandbox.file("it's b/make.sh", "echo b > o\n").file("it's b/.gitignore", "/o\n");
    sandbox.prov(["-C", "it's b", "init", "-q"]).ok();
    sandbox.prov(["-C", "it's b", "hooks", "install"]).ok();
    assert_eq!(states(&hooks(&sandbox, &["status"])), ["elsewhere"; 6]);
    hooks(&sandbox, &["install"]);
    make(&sandbox).misses();
    sandbox.prov(["-C", "it's b", "run", "-o", "o", "--", "sh", "make.sh"]).ok();
    let said = commit(&sandbox, "both");
    assert_eq!(said.err().matches("1 run on record for commit").count(), 2, "{said}");
    hooks(&sandbox, &["uninstall"]);
    assert_eq!(states(&hooks(&sandbox, &["status"])), ["elsewhere"; 6]);
    sandbox.prov(["-C", "it's b", "hooks", "uninstall"]).ok();
    assert_eq!(states(&hooks(&sandbox, &["status"])), ["absent"; 6]);
}

#[test]
fn a_push_takes_records_along_and_tells_what_is_nowhere_else() {
    let sandbox = repository();
    let there = shared();
    let far = text(&there.path().join("store"));
    git(&sandbox, &["init", "-q", "--bare", &text(&there.path().join("r.git"))]);
    git(&sandbox, &["remote", "add", "r", &text(&there.path().join("r.git"))]);
    hooks(&sandbox, &["install"]);
    make(&sandbox).misses();
    commit(&sandbox, "one");
    // No remote of prov's: nothing to say.
    assert!(!git_in(&sandbox, &sandbox.project(), &["push", "-q", "r", "main"]).ok().err().contains("prov"));
    sandbox.prov(["remote", "add", "origin", &far]).ok();
    commit_empty(&sandbox);
    let said = git_in(&sandbox, &sandbox.project(), &["push", "-q", "r", "main"]).ok();
    assert!(said.err().contains("pushed 1 run") && said.err().contains("data/out.txt"), "{said}");
    // Asked to, it keeps Git from pushing what nobody else could use.
    config(&sandbox, "[git]\nstrict = true");
    commit_empty(&sandbox);
    git_in(&sandbox, &sandbox.project(), &["push", "-q", "r", "main"]).ends(1);
    git_in(&sandbox, &sandbox.project(), &["push", "-q", "--no-verify", "r", "main"]).ok();
    // What went there as a record takes its content along later.
    crate::sync::push(&sandbox);
    commit_empty(&sandbox);
    let said = git_in(&sandbox, &sandbox.project(), &["push", "-q", "r", "main"]).ok();
    assert!(!said.err().contains("data/out.txt"), "{said}");
}

fn commit_empty(sandbox: &Sandbox) {
    git(sandbox, &["commit", "-q", "--allow-empty", "-m", "more"]);
}

#[test]
fn a_remote_that_can_not_be_reached_keeps_git_from_nothing() {
    let sandbox = repository();
    let there = shared();
    git(&sandbox, &["init", "-q", "--bare", &text(&there.path().join("r.git"))]);
    git(&sandbox, &["remote", "add", "r", &text(&there.path().join("r.git"))]);
    hooks(&sandbox, &["install"]);
    make(&sandbox).misses();
    commit(&sandbox, "one");
    sandbox.file("file", "").prov(["remote", "add", "origin", "./file/there"]).ok();
    let said = git_in(&sandbox, &sandbox.project(), &["push", "-q", "r", "main"]).ok();
    assert!(said.err().contains("warning:"), "{said}");
    // Nor does a store that is gone, or a prov that is.
    prov::fs::Fs::real().remove_tree(&sandbox.path(".prov/store")).unwrap();
    commit_empty(&sandbox);
    remove(&sandbox, ".prov");
    commit_empty(&sandbox);
}

#[test]
fn commit_messages_name_runs_if_that_is_wanted() {
    let sandbox = repository();
    config(&sandbox, "[git]\ntrailers = true");
    hooks(&sandbox, &["install"]);
    let made = make(&sandbox).misses();
    commit(&sandbox, "one");
    let message = git(&sandbox, &["log", "-1", "--format=%B"]);
    assert_eq!(message, format!("one\n\nProv-Run: {}", made.id()));
    assert_eq!(git(&sandbox, &["log", "-1", "--format=%(trailers:key=Prov-Run,valueonly)"]).trim(), made.id());
    git(&sandbox, &["commit", "-q", "--amend", "--no-edit", "--allow-empty"]);
    assert_eq!(git(&sandbox, &["log", "-1", "--format=%B"]).matches("Prov-Run").count(), 1);
    // A message that is left empty still means to give up.
    let mut words = vec!["-c", "core.editor=true", "commit", "--allow-empty"];
    git_in(&sandbox, &sandbox.project(), &words).ends(1);
    words[1] = "core.editor=echo typed >";
    git(&sandbox, &words);
    assert!(git(&sandbox, &["log", "-1", "--format=%B"]).starts_with("typed"));
}

#[test]
fn the_lock_names_outputs_and_unions_merge_by_themselves() {
    let sandbox = repository();
    config(&sandbox, "[git]\nlock = true");
    hooks(&sandbox, &["install"]);
    make(&sandbox).misses();
    let id = prov::hash::blob(b"raw\n1\n").to_string();
    assert!(read(&sandbox, "prov.lock").ends_with(&format!("\ndata/out.txt file {id} 6\n")));
    let before = std::fs::metadata(sandbox.path("prov.lock")).unwrap().modified().unwrap();
    make(&sandbox).hits();
    assert_eq!(std::fs::metadata(sandbox.path("prov.lock")).unwrap().modified().unwrap(), before);
    commit(&sandbox, "one");

    // Two sides add lines next to each other.
    let add = |name: &str, text: &str| {
        let command = format!("mkdir -p data; echo {text} > data/{name}");
        run(&sandbox, ["--name", name, "-o", &format!("data/{name}"), "--", "sh", "-c", &command]).misses();
        commit(&sandbox, name);
    };
    git(&sandbox, &["checkout", "-q", "-b", "left"]);
    add("out-a.txt", "a");
    git(&sandbox, &["checkout", "-q", "main"]);
    add("out-b.txt", "b");
    let said = git_in(&sandbox, &sandbox.project(), &["merge", "-q", "--no-edit", "left"]).ok();
    assert_eq!(read(&sandbox, "prov.lock").lines().count(), 4, "{said}");
    remove(&sandbox, "data");
    sandbox.prov(["restore", "--git", "HEAD"]).ok();
    assert_eq!((read(&sandbox, "data/out-a.txt"), read(&sandbox, "data/out-b.txt")), ("a\n".into(), "b\n".into()));

    // The same output, made anew on both sides, is a matter for people.
    git(&sandbox, &["checkout", "-q", "-b", "right"]);
    add("out-a.txt", "right");
    git(&sandbox, &["checkout", "-q", "main"]);
    add("out-a.txt", "wrong");
    git_in(&sandbox, &sandbox.project(), &["merge", "-q", "--no-edit", "right"]).ends(1);
    assert!(read(&sandbox, "prov.lock").contains("<<<<<<< ours\ndata/out-a.txt file"));
    // It is not written over, and what it says is not guessed.
    let said = make(&sandbox).hits();
    assert!(said.json["warnings"].to_string().contains("prov.lock"), "{}", said.json);
    assert!(read(&sandbox, "prov.lock").contains("<<<<<<< ours"));
}

#[test]
fn the_lock_is_no_part_of_the_code() {
    let sandbox = repository();
    config(&sandbox, "[git]\nlock = true");
    make(&sandbox).misses();
    make(&sandbox).hits();
    sandbox.file("prov.lock", read(&sandbox, "prov.lock") + "# a remark\n");
    make(&sandbox).hits();
}

#[test]
fn folders_sets_and_commits_by_hand_are_in_the_lock() {
    let sandbox = repository();
    config(&sandbox, "[git]\nlock = true");
    let script = "mkdir -p data/d; echo 1 > data/d/a; echo 2 > data/x.csv; echo 3 > data/y.csv; echo 4 > data/z.txt";
    let words = ["-o", "data/d", "--output-set", "tables=data:*.csv", "--", "sh", "-c", script];
    run(&sandbox, words).misses();
    sandbox.file("data/by hand.txt", "mine\n").prov(["commit", "data/by hand.txt", "-m", "x"]).ok();
    git(&sandbox, &["add", "-f", "data/z.txt"]);
    commit(&sandbox, "one");
    let lock = read(&sandbox, "prov.lock");
    for line in ["\ndata set:tables ", "\ndata/d folder ", "\ndata/by%20hand.txt file "] {
        assert!(lock.contains(line), "{line:?} in {lock}");
    }
    remove(&sandbox, "data");
    git(&sandbox, &["checkout", "-q", "data/z.txt"]);
    sandbox.prov(["restore", "--git", "HEAD"]).ok();
    for path in ["data/d/a", "data/x.csv", "data/y.csv", "data/z.txt", "data/by hand.txt"] {
        assert!(exists(&sandbox, path), "{path}");
    }
}

#[test]
fn many_runs_at_once_lose_no_line() {
    let sandbox = repository();
    config(&sandbox, "[git]\nlock = true");
    sandbox.file("rows.csv", "n\n1\n2\n3\n4\n5\n6\n7\n8\n");
    let words = ["map", "--rows", "rows.csv", "--jobs", "4", "-o", "data/{row.n}.txt", "--", "sh", "-c"];
    std::fs::create_dir_all(sandbox.path("data")).unwrap();
    sandbox.prov(words.into_iter().chain(["echo {row.n} > data/{row.n}.txt"])).ok();
    assert_eq!(read(&sandbox, "prov.lock").lines().count(), 9);
}

#[test]
fn git_of_another_machine_brings_what_its_lock_names() {
    let (there, a) = (shared(), machine());
    git(&a, &["init", "-q"]);
    a.prov(["init", "-q"]).ok();
    config(&a, "[git]\nlock = true");
    a.file(".gitignore", "out.txt\n").prov(["remote", "add", "origin", &text(&there.path().join("s"))]).ok();
    crate::sync::twice(&a, "in.txt", "out.txt");
    commit(&a, "one");
    a.prov(["push"]).ok();
    let b = Sandbox::new();
    git(&b, &["clone", "-q", &text(&a.project()), "."]);
    b.prov(["clone", &text(&there.path().join("s")), "."]).ok();
    b.prov(["restore", "--git", "HEAD"]).ok();
    assert_eq!(read(&b, "out.txt"), "hello\nhello\n");
}
