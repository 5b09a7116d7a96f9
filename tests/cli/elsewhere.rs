//! Content that is elsewhere: evicted, found again, brought back when it is needed; and results that others have.

use std::path::Path;

use prov::hash::Id;
use prov::refs::key;
use prov::repo::entry::{self, Presence};
use prov::store::{Draft, LocalBackend, OpId, RefEdit, Store};
use serde_json::Value;

use crate::project::{Gate, exists, noise, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;
use crate::sync::{fetch, history, machine, push, said, shared, text, twice};

fn with_remote(remote: &Path) -> Sandbox {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(remote)]).ok();
    a
}

/// A machine whose output is at the remote, too.
fn pushed(remote: &Path) -> Sandbox {
    let a = with_remote(remote);
    a.file("in.txt", noise(100_000));
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    a
}

#[track_caller]
fn evict(sandbox: &Sandbox, words: &[&str]) -> Value {
    said("evict", sandbox.prov([&["--json", "evict"], words].concat()))
}

#[track_caller]
fn has(sandbox: &Sandbox, rev: &str, store: &str) -> String {
    let json = sandbox.prov(["--json", "where", rev]).json();
    schema::assert_valid("where", &json);
    let stores = json["items"][0]["stores"].as_array().unwrap();
    let found = stores.iter().find(|one| one["store"] == store).unwrap_or_else(|| panic!("{json}"));
    found["has"].as_str().unwrap().to_owned()
}

fn store(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.path(".prov/store")
}

pub(crate) fn open(folder: &Path) -> Store {
    let world = prov::repo::World::real(None);
    let backend = LocalBackend::new(prov::fs::Fs::real(), folder.to_owned());
    Store::open(std::sync::Arc::new(backend), &world.for_store()).unwrap()
}

fn doubled() -> String {
    noise(100_000).repeat(2)
}

#[test]
fn what_was_evicted_comes_back_when_it_is_needed() {
    let dir = shared();
    let a = pushed(&dir.path().join("s"));
    let before = size_of(&store(&a));
    let done = evict(&a, &["--all"]);
    assert_eq!((&done["objects"], &done["bytes"]), (&1.into(), &200_000.into()), "{done}");
    assert!(done["freed"].as_i64().unwrap() > 10_000, "{done}");
    assert!(size_of(&store(&a)) + 10_000 < before);
    assert_eq!((has(&a, "@last", "here").as_str(), has(&a, "@last", "origin").as_str()), ("no", "all"));
    // Records stay, nothing is damaged, and nothing is garbage.
    a.prov(["log"]).ok();
    a.prov(["fsck"]).ok();
    a.prov(["gc"]).ok();
    assert_eq!(evict(&a, &["--all"])["objects"], 0);
    // Each way of needing it.
    let ways: [&[&str]; 3] = [&["restore", "@last"], &["cat", "@last"], &["rerun", "@last", "--to", "../again"]];
    for words in ways {
        remove(&a, "out.txt");
        a.prov(words).ok();
        if words[0] != "rerun" {
            assert_eq!(has(&a, "@last", "here"), "all", "{words:?}");
            assert_eq!(evict(&a, &["--all"])["objects"], 1, "{words:?}");
        }
        a.file("out.txt", "");
    }
    remove(&a, "out.txt");
    let hit = twice(&a, "in.txt", "out.txt").hits();
    assert_eq!(hit.action("out"), "restored");
    assert_eq!(read(&a, "out.txt"), doubled());
    evict(&a, &["--all"]);
    remove(&a, "out.txt");
    // An input.
    let words = ["-i", "x=@last:out", "-o", "n.txt", "--", "sh", "-c", "wc -c < \"$PROV_INPUT_X\" > n.txt"];
    run(&a, words).misses();
    assert_eq!(read(&a, "n.txt").trim(), "200000");
    a.prov(["fsck"]).ok();
}

fn size_of(folder: &Path) -> u64 {
    let files = prov::fs::Fs::real().walk(folder).map(Result::unwrap);
    files.filter(|(_, stat)| stat.is_file()).map(|(_, stat)| stat.size).sum()
}

#[test]
fn what_nobody_else_proves_to_have_stays() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    twice(&a, "in.txt", "out.txt").misses();
    a.prov(["evict", "--all"]).ends(6);
    a.prov(["push", "--records"]).ok();
    let kept = evict(&a, &["--all"]);
    assert_eq!((&kept["objects"], &kept["items"][0]["why"]), (&0.into(), &"not_there".into()));
    push(&a);
    assert_eq!(evict(&a, &["--all", "-n"])["objects"], 1);
    // It was there a moment ago, and is gone now.
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    a.prov(["evict", "--all"]).ends(6);
    assert_eq!(has(&a, "@last", "here"), "all");
    // This store by another way proves nothing.
    a.prov(["remote", "add", "self", &text(&store(&a))]).ok();
    a.prov(["evict", "self", "--all"]).ends(7);
    // What nothing was chosen by, and a place without a name.
    a.prov(["evict"]).ends(2);
    a.prov(["evict", &text(&remote), "--all"]).ends(4);
}

#[test]
fn a_damaged_remote_proves_nothing() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = pushed(&remote);
    let pack = largest(&remote.join("packs"));
    let good = std::fs::read(&pack).unwrap();
    let write = |bytes: &[u8]| prov::fs::Fs::real().replace(&pack, bytes, false).unwrap();
    write(&spoilt(&good));
    let kept = evict(&a, &["--all", "--verify"]);
    assert_eq!((&kept["objects"], &kept["items"][0]["why"]), (&0.into(), &"damaged".into()));
    for len in [good.len() - 1, good.len() / 2, 0] {
        write(&good[..len]);
        let tried = a.prov(["--json", "evict", "--all"]);
        assert!(tried.code != 0 || tried.json()["objects"] == 0, "{len}: {tried}");
        assert_eq!(has(&a, "@last", "here"), "all", "{len}");
    }
    write(&good);
    assert_eq!(evict(&a, &["--all", "--verify"])["objects"], 1);
}

/// The same with its content damaged everywhere, and its index as it was.
fn spoilt(pack: &[u8]) -> Vec<u8> {
    let mut bytes = pack.to_vec();
    (200..pack.len() - 8_000).step_by(97).for_each(|at| bytes[at] ^= 1);
    bytes
}

fn largest(folder: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn of_two_stores_that_drop_what_the_other_has_one_keeps_it() {
    let (a, b) = (with_remote(Path::new("/nowhere")), machine());
    a.prov(["remote", "remove", "origin"]).ok();
    twice(&a, "in.txt", "out.txt").misses();
    b.prov(["clone", &text(&store(&a)), "."]).ok();
    a.prov(["remote", "add", "b", &text(&store(&b))]).ok();
    // The other one is at it: whoever sees that keeps what is here.
    let id: Id = prov::hash::blob(b"hello\nhello\n");
    let say = |on: bool| {
        let other = open(&store(&b));
        let key = key::presence(&id, "a");
        let value = entry::encode(&Presence { at: prov::clock::Micros(1), store: "x".to_owned() }).unwrap();
        other
            .publish(OpId::new(&*other.world().random), "test", &mut |_| {
                let edit = if on {
                    RefEdit::set(key.clone(), value.clone())
                } else {
                    RefEdit::delete(key.clone(), value.clone())
                };
                Ok::<_, prov::store::Error>(Some(Draft { edits: vec![edit], ..Draft::default() }))
            })
            .unwrap();
    };
    say(true);
    let kept = evict(&a, &["b", "--all"]);
    assert_eq!((&kept["objects"], &kept["items"][0]["why"]), (&0.into(), &"leaves_there".into()));
    assert!(!open(&store(&a)).snapshot().unwrap().is_elsewhere(&id).unwrap());
    say(false);
    // Many times at once, from both sides: somebody has it in the end.
    for _ in 0..5 {
        let start = |sandbox: &Sandbox, remote: &str| sandbox.command(["evict", remote, "--all"]).spawn().unwrap();
        let (one, other, third) = (start(&a, "b"), start(&b, "origin"), start(&a, "b"));
        for (sandbox, child) in [(&a, one), (&b, other), (&a, third)] {
            let done = sandbox.finished(child);
            assert_eq!(done.code, 0, "{done}");
        }
        a.prov(["where", "@last"]).ok();
        a.prov(["fsck"]).ok();
        b.prov(["fsck"]).ok();
        for sandbox in [&a, &b] {
            remove(sandbox, "out.txt");
            sandbox.prov(["restore", "@last"]).ok();
        }
    }

    #[track_caller]
    fn remove(sandbox: &Sandbox, path: &str) {
        if exists(sandbox, path) {
            crate::project::remove(sandbox, path);
        }
    }
}

#[test]
fn a_run_that_relies_on_what_goes_keeps_its_bytes() {
    let dir = shared();
    let a = pushed(&dir.path().join("s"));
    let gate = Gate::new(&a, "gate");
    // It writes what the store has already.
    let script = format!("{}cat in.txt in.txt > same.txt", gate.line());
    let child = a.command(["run", "-i", "in.txt", "-o", "same.txt", "--", "sh", "-c", &script]).spawn().unwrap();
    gate.wait();
    assert_eq!(evict(&a, &["--all"])["objects"], 1);
    gate.open();
    let done = a.finished(child);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(has(&a, "@last", "here"), "all");
    // The new run is not at the remote, but the content is, and a run that keeps it there.
    prov::fs::Fs::real().remove_tree(&dir.path().join("s")).unwrap();
    remove(&a, "same.txt");
    a.prov(["restore", "@last"]).ok();
    assert_eq!(read(&a, "same.txt"), doubled());
    a.prov(["fsck"]).ok();
}

#[test]
fn content_of_runs_that_were_not_chosen_stays() {
    let dir = shared();
    let a = with_remote(&dir.path().join("s"));
    let make = |step: &str, n: u32| {
        let script = format!("echo {step} {n} > {step}.txt");
        run(&a, ["--name", step, "-S", &format!("n={n}"), "-o", &format!("{step}.txt"), "--", "sh", "-c", &script])
            .misses();
    };
    for n in 1..=3 {
        make("x", n);
        make("y", n);
    }
    // The same bytes, made by a run that stays.
    run(&a, ["--name", "z", "-o", "z.txt", "--", "sh", "-c", "echo x 1 > z.txt"]).misses();
    push(&a);
    let chosen = |words: &[&str]| {
        let json = evict(&a, &[words, &["-n"]].concat());
        let mut sizes: Vec<_> = json["items"].as_array().unwrap().iter().map(|one| one["id"].to_string()).collect();
        sizes.sort();
        sizes.len()
    };
    assert_eq!(chosen(&["--step", "x"]), 2);
    assert_eq!(chosen(&["--step", "y"]), 3);
    assert_eq!(chosen(&["--keep-newest", "1"]), 3);
    assert_eq!(chosen(&["--keep-newest", "3"]), 0);
    assert_eq!(chosen(&["--older-than", "2d"]), 0);
    assert_eq!(chosen(&["--older-than", "2100-01-01", "--step", "y"]), 3);
    assert_eq!(chosen(&["--max-size", "1GiB"]), 0);
    assert_eq!(chosen(&["--max-size", "12"]), 3);
    assert_eq!(chosen(&["--scenario", "main"]), 6);
    a.prov(["evict", "--scenario", "none"]).ends(4);
    a.prov(["evict", "--older-than", "soon"]).ends(2);
    assert_eq!(evict(&a, &["--step", "y", "--keep-newest", "1"])["objects"], 2);
    assert_eq!(has(&a, "y", "here"), "all");
    assert_eq!(has(&a, "y~1", "here"), "no");
    a.prov(["fsck"]).ok();
}

#[test]
fn folders_and_large_files_go_and_come_back() {
    let dir = shared();
    let a = with_remote(&dir.path().join("s"));
    a.file("big.txt", noise(3_000_000));
    let script = "mkdir d; cp big.txt d/a; cp big.txt d/b; echo c > d/c; ln -s c d/l";
    run(&a, ["-i", "big.txt", "-o", "d", "--", "sh", "-c", script]).misses();
    push(&a);
    let done = evict(&a, &["--all"]);
    assert!(done["freed"].as_i64().unwrap() > 1_000_000 || done["objects"].as_i64().unwrap() >= 2, "{done}");
    assert_eq!(has(&a, "@last", "here"), "part");
    a.prov(["fsck"]).ok();
    remove(&a, "d");
    a.prov(["restore", "@last"]).ok();
    assert_eq!(read(&a, "d/b"), noise(3_000_000));
    assert_eq!(read(&a, "d/l"), "c\n");
    assert_eq!(has(&a, "@last", "here"), "all");
    a.prov(["fsck"]).ok();
}

/// What is evicted from `a` because the remote has it comes back from there.
pub(crate) fn goes_and_comes_back(a: &Sandbox, remote: &str) {
    for words in [["restore", "@last"], ["cat", "@last"]] {
        assert_eq!(evict(a, &[remote, "--all", "--verify"])["objects"], 1);
        assert_eq!((has(a, "@last", "here").as_str(), has(a, "@last", remote).as_str()), ("no", "all"));
        remove(a, "out.txt");
        a.prov(words).ok();
        assert_eq!(has(a, "@last", "here"), "all", "{words:?}");
    }
    assert_eq!(evict(a, &[remote, "--all"])["objects"], 1);
    assert_eq!(twice(a, "in.txt", "out.txt").hits().action("out"), "restored");
    assert_eq!(read(a, "out.txt"), doubled());
    a.prov(["fsck"]).ok();
}

/// A machine that knows the remote as `origin` fetches records alone, and content when a hit needs it.
pub(crate) fn comes_on_first_use(b: &Sandbox) {
    b.file("in.txt", noise(100_000));
    said("fetch", b.prov(["--json", "fetch", "--records"]));
    assert_eq!(has(b, "@last", "here"), "no");
    twice(b, "in.txt", "out.txt").hits();
    assert_eq!(read(b, "out.txt"), doubled());
    assert_eq!(has(b, "@last", "here"), "all");
    b.prov(["fsck"]).ok();
}

/// A machine that knows the remote as `origin` and has fetched nothing takes a result from there.
pub(crate) fn is_taken_for_a_hit(c: &Sandbox) {
    c.file("in.txt", noise(100_000));
    c.file(".prov/config.toml", read(c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
    let hit = twice(c, "in.txt", "out.txt").hits();
    assert!(hit.outcome.err().contains("from remote origin"), "{}", hit.outcome);
    assert_eq!(read(c, "out.txt"), doubled());
    c.file("in.txt", "nobody knows\n");
    twice(c, "in.txt", "out.txt").misses();
    c.prov(["fsck"]).ok();
}

#[test]
fn a_clone_of_records_brings_content_on_first_use() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = pushed(&remote);
    drop(a);
    let b = machine();
    b.file("in.txt", noise(100_000));
    b.prov(["clone", "--records", &text(&remote), "."]).ok();
    assert_eq!(has(&b, "@last", "here"), "no");
    twice(&b, "in.txt", "out.txt").hits();
    assert_eq!(read(&b, "out.txt"), doubled());
    assert_eq!(has(&b, "@last", "here"), "all");

    // Where it can't be had, that is said, and how to go on.
    let c = machine();
    c.file("in.txt", noise(100_000));
    c.prov(["clone", "--records", &text(&remote), "."]).ok();
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let failed = c.prov(["restore", "@last"]).ends(5);
    assert!(failed.err().contains("remote origin can't be asked") && failed.err().contains("hint:"), "{failed}");
    c.prov(["where", "@last"]).ends(5);
    // A run is executed then.
    assert_eq!(twice(&c, "in.txt", "out.txt").cache(), "miss");
}

#[test]
fn a_file_of_a_folder_that_is_elsewhere_is_not_an_earlier_one() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = machine();
    a.prov(["init"]).ok();
    a.prov(["run", "-o", "d/x", "--", "sh", "-c", "mkdir -p d; echo one > d/x"]).ok();
    a.prov(["run", "-o", "d", "--", "sh", "-c", "mkdir -p d; echo two > d/x; echo two > d/y"]).ok();
    a.prov(["remote", "add", "origin", &text(&remote)]).ok();
    push(&a);
    for path in ["d/x", "d/y"] {
        let b = machine();
        b.prov(["clone", "--records", &text(&remote), "."]).ok();
        let looked = b.prov(["cat", path]).ends(5);
        assert!(looked.err().contains("the folder around"), "{looked}");
        b.prov(["restore", path]).ok();
        assert_eq!(read(&b, path), "two\n");
    }
    let c = machine();
    c.prov(["clone", "--records", &text(&remote), "."]).ok();
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    c.prov(["restore", "d/x"]).ends(5);
    assert!(!c.path("d/x").exists());
}

#[test]
fn a_hit_may_take_what_a_listed_remote_has() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = pushed(&remote);
    let b = with_remote(&remote);
    b.file("in.txt", noise(100_000));
    // Only remotes that are listed are believed.
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "miss");
    let c = with_remote(&remote);
    c.file("in.txt", noise(100_000));
    c.file(".prov/config.toml", read(&c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
    let hit = twice(&c, "in.txt", "out.txt").hits();
    assert!(hit.outcome.err().contains("from remote origin"), "{}", hit.outcome);
    assert_eq!(read(&c, "out.txt"), doubled());
    c.prov(["fsck"]).ok();
    // The next time nobody has to be asked.
    assert!(!twice(&c, "in.txt", "out.txt").hits().outcome.err().contains("origin"));
    // What nobody knows is executed, and so is everything when the remote is gone.
    c.file("in.txt", "other\n");
    twice(&c, "in.txt", "out.txt").misses();
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    c.file("in.txt", "once more\n");
    let alone = twice(&c, "in.txt", "out.txt").misses();
    assert_eq!(alone.outcome.err().matches("remote origin can't be asked").count(), 1, "{}", alone.outcome);
    drop(a);
}

#[test]
fn status_and_the_plan_of_a_pipeline_tell_what_a_listed_remote_would_give() {
    let dir = shared();
    let remote = dir.path().join("s");
    let pipeline = "steps:\n  a:\n    - {name: twice, run: [sh, twice.sh, in.txt, piped.txt], inputs: [in.txt], outputs: [piped.txt]}\n";
    let a = with_remote(&remote);
    a.file("prov.yaml", pipeline).file("in.txt", noise(100_000));
    twice(&a, "in.txt", "out.txt").misses();
    a.prov(["pipeline", "run", "-q"]).ok();
    push(&a);
    let c = with_remote(&remote);
    c.file("prov.yaml", pipeline);
    // What is known here is another result of the step.
    c.file("in.txt", "other\n");
    twice(&c, "in.txt", "out.txt").misses();
    c.file("in.txt", noise(100_000));
    let status = |c: &Sandbox| said("status", c.prov(["--json", "status"]))["steps"][0].clone();
    let planned =
        |c: &Sandbox| said("pipeline-plan", c.prov(["--json", "pipeline", "plan"]))["tasks"][0]["cache"].clone();
    assert_eq!((status(&c)["state"].as_str(), planned(&c)["outcome"].as_str()), (Some("stale"), Some("miss")));
    c.file(".prov/config.toml", read(&c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
    let before = history(&c);
    let (of_step, of_task) = (status(&c), planned(&c));
    assert_eq!((of_step["state"].as_str(), of_step["remote"].as_str()), (Some("missing"), Some("origin")), "{of_step}");
    assert_eq!((of_task["outcome"].as_str(), of_task["remote"].as_str()), (Some("hit"), Some("origin")), "{of_task}");
    assert!(c.prov(["status"]).ok().out().contains("its result is at remote origin"));
    c.prov(["status", "--exit-code"]).ends(1);
    let plan = c.prov(["pipeline", "plan"]).ok();
    assert!(plan.out().contains("hit, from remote origin"), "{plan}");
    assert_eq!(history(&c), before, "nothing is brought");
    twice(&c, "in.txt", "out.txt").hits();
    assert_eq!((status(&c)["state"].as_str(), status(&c)["remote"].as_str()), (Some("fresh"), None));
    // Nobody who can't be reached is waited for.
    c.file("in.txt", "nobody knows\n");
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let alone = c.prov(["status"]).ok();
    assert_eq!(alone.err().matches("can't be asked").count(), 1, "{alone}");
    assert!(alone.out().contains("stale"), "{alone}");
}

#[test]
fn what_a_listed_remote_would_give_is_told_and_not_brought() {
    let dir = shared();
    let remote = dir.path().join("s");
    drop(pushed(&remote));
    let c = with_remote(&remote);
    c.file("in.txt", noise(100_000));
    let words =
        ["run", "--name", "twice", "-i", "in.txt", "-o", "out.txt", "--", "sh", "twice.sh", "in.txt", "out.txt"];
    let plan = |c: &Sandbox| said("plan", c.prov([&["--json", "plan", "--"], &words[..]].concat()));
    let why = |c: &Sandbox| said("why", c.prov([&["--json", "why", "--"], &words[..]].concat()));
    assert_eq!((plan(&c)["outcome"].as_str(), why(&c)["outcome"].as_str()), (Some("miss"), Some("miss")));
    c.file(".prov/config.toml", read(&c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
    let before = history(&c);
    let (planned, explained) = (plan(&c), why(&c));
    for one in [&planned, &explained] {
        assert_eq!((one["outcome"].as_str(), one["remote"].as_str()), (Some("hit"), Some("origin")), "{one}");
        assert!(one["source"].is_string() && !one["reasons"].as_array().unwrap().is_empty(), "{one}");
    }
    let dry = c.prov([&["run", "-n"], &words[1..]].concat()).ok();
    assert!(dry.out().contains("would be taken from remote origin"), "{dry}");
    assert_eq!((history(&c), c.path("out.txt").exists()), (before, false));
    c.prov(words).ok();
    assert_eq!(read(&c, "out.txt"), doubled());
    assert_eq!(plan(&c)["remote"], serde_json::Value::Null);

    // Content that went is offered as well, by who has it.
    evict(&c, &["--all"]);
    remove(&c, "out.txt");
    assert_eq!(plan(&c)["outcome"], "hit");
    // Nobody who can't be reached is waited for; it is told once, and what is known here is said.
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let alone = c.prov([&["plan", "--"], &words[..]].concat()).ok();
    assert!(alone.out().contains("miss"), "{alone}");
    assert_eq!(alone.err().matches("can't be asked").count(), 1, "{alone}");
}

#[test]
fn a_store_that_is_only_read_gives_hits_and_is_not_changed() {
    let dir = shared();
    let team = dir.path().join("team");
    let a = machine();
    a.file("in.txt", noise(100_000));
    a.prov(["init", "-q", "--store", &text(&team)]).ok();
    twice(&a, "in.txt", "out.txt").misses();
    let listed = || {
        let mut files: Vec<_> = walkdir(&team);
        files.sort();
        files
    };
    let before = listed();
    let b = machine();
    b.file("in.txt", noise(100_000));
    b.prov(["init", "-q"]).ok();
    let config = read(&b, ".prov/config.toml");
    b.file(".prov/config.toml", format!("{config}\n[store]\nread = ['{}']\n", text(&team)));
    twice(&b, "in.txt", "out.txt").hits();
    assert_eq!(read(&b, "out.txt"), doubled());
    b.file("in.txt", "own\n");
    twice(&b, "in.txt", "out.txt").misses();
    assert_eq!(listed(), before);
    // What was taken is here now.
    prov::fs::Fs::real().remove_tree(&team).unwrap();
    b.file("in.txt", noise(100_000));
    twice(&b, "in.txt", "out.txt").hits();
    b.prov(["fsck"]).ok();
}

/// All files below a folder, with their sizes.
fn walkdir(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walkdir(&path));
        } else {
            files.push((path.clone(), path.metadata().unwrap().len()));
        }
    }
    files
}

#[test]
fn results_that_were_taken_back_or_can_not_be_had_there_are_no_hits() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = pushed(&remote);
    let other = |name: &str| {
        let c = with_remote(&remote);
        c.file("in.txt", noise(100_000));
        c.file(".prov/config.toml", read(&c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
        let ran = twice(&c, "in.txt", "out.txt");
        assert_eq!((ran.cache(), ran.status()), ("miss", "success"), "{name}");
        c.prov(["fsck"]).ok();
    };
    a.prov(["retract", "@last", "-m", "wrong"]).ok();
    push(&a);
    other("retracted");
    // Records alone are no results.
    let records = dir.path().join("records");
    let b = machine();
    b.file("in.txt", noise(100_000));
    b.prov(["init", "-q"]).ok();
    twice(&b, "in.txt", "out.txt").misses();
    b.prov(["push", &text(&records), "--records"]).ok();
    let c = with_remote(&records);
    c.file("in.txt", noise(100_000));
    c.file(".prov/config.toml", read(&c, ".prov/config.toml") + "\n[cache]\nremotes = ['origin']\n");
    assert_eq!(twice(&c, "in.txt", "out.txt").cache(), "miss");
}

#[test]
fn a_remote_that_lies_about_bytes_is_not_believed() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = pushed(&remote);
    evict(&a, &["--all"]);
    let pack = largest(&remote.join("packs"));
    let bytes = std::fs::read(&pack).unwrap();
    prov::fs::Fs::real().replace(&pack, &spoilt(&bytes), false).unwrap();
    remove(&a, "out.txt");
    let failed = a.prov(["restore", "@last"]).ends(5);
    assert!(failed.err().contains("origin"), "{failed}");
    assert!(!exists(&a, "out.txt"));
    // The command is executed instead, and its result is right.
    assert_eq!(twice(&a, "in.txt", "out.txt").cache(), "miss");
    assert_eq!(read(&a, "out.txt"), doubled());
}

#[test]
fn fetching_content_brings_all_that_was_evicted() {
    let dir = shared();
    let a = pushed(&dir.path().join("s"));
    evict(&a, &["--all"]);
    fetch(&a);
    assert_eq!(has(&a, "@last", "here"), "no");
    a.prov(["fetch", "--content"]).ok();
    assert_eq!(has(&a, "@last", "here"), "all");
}
