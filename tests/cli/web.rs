//! Inputs from the web, over a real server on the loopback interface.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use prov::fs::Fs;

use crate::project::{Ran, exists, project, read, remove, run};
use crate::sandbox::Sandbox;
use crate::server::{Reply, Server};

/// A server of one text that can be changed, with a tag that changes with it.
fn with_text(text: &str) -> (Server, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(text.to_owned()));
    let here = Arc::clone(&text);
    let server = Server::new(move |asked| {
        let text = here.lock().unwrap().clone();
        let tag = format!("\"{text}\"");
        match asked.headers.get("if-none-match") {
            Some(known) if *known == tag => Reply::status(304).with("etag", &tag),
            _ => Reply::content(&text).with("etag", &tag),
        }
    });
    (server, text)
}

fn copy(sandbox: &Sandbox, more: &[&str], input: &str) -> Ran {
    let words = ["--name", "copy", "--code", "none", "-i", input, "-o", "out"];
    let command = ["--", "sh", "-c", "cat \"$0\" > out", "{input.data}"];
    run(sandbox, more.iter().copied().chain(words).chain(command))
}

#[test]
fn an_address_is_an_input_by_its_bytes_and_each_look_up_asks_whether_they_changed() {
    let sandbox = project();
    let (server, text) = with_text("one");
    let input = format!("data={}", server.url("/a/raw.csv"));
    let first = copy(&sandbox, &[], &input).misses();
    assert_eq!(read(&sandbox, "out"), "one");
    let recorded = &first.json["inputs"]["data"];
    assert_eq!(
        (recorded["path"].as_str().unwrap(), recorded["size"].as_u64()),
        (server.url("/a/raw.csv").as_str(), Some(3))
    );
    let source = &first.json["meta"]["sources"]["data"];
    assert_eq!((source["status"].as_u64(), source["etag"].as_str()), (Some(200), Some("\"one\"")), "{source}");
    assert!(source["fetched_at"].is_number() || source["fetched_at"].is_string(), "{source}");
    assert_eq!(server.count(), 1);
    copy(&sandbox, &[], &input).hits();
    assert_eq!(server.count(), 1, "asked once, and nothing was sent");
    *text.lock().unwrap() = "two".to_owned();
    let changed = copy(&sandbox, &[], &input).misses();
    assert_eq!(changed.parts(), ["inputs.data"]);
    assert_eq!(read(&sandbox, "out"), "two");
    *text.lock().unwrap() = "one".to_owned();
    copy(&sandbox, &[], &input).hits();
    assert_eq!(read(&sandbox, "out"), "one");
    // The same bytes at another address are the same input.
    copy(&sandbox, &[], &format!("data={}", server.url("/b/other.csv"))).hits();
    // Without a key it is the name up to the first dot.
    let named = run(&sandbox, ["--code", "none", "-i", &server.url("/a/raw.csv"), "--", "true"]);
    assert!(named.json["inputs"]["raw"].is_object(), "{:#}", named.json);
    let refused = sandbox.prov(["--json", "run", "-i", &server.url("/"), "--", "true"]).ends(125);
    assert!(refused.err().contains("give it a key"), "{refused}");
}

#[test]
fn the_policy_says_when_a_server_is_asked() {
    let sandbox = project();
    let (server, text) = with_text("one");
    let address = server.url("/raw.csv");
    let input = format!("data={address}");
    let nothing = sandbox.prov(["--json", "run", "--freshness", "offline", "-i", &input, "--", "true"]).ends(125);
    assert!(nothing.err().contains("not_remembered") && nothing.err().contains("hint"), "{nothing}");
    copy(&sandbox, &["--freshness", "never"], &input).misses();
    assert_eq!(server.count(), 1, "what is not remembered is fetched");
    *text.lock().unwrap() = "two".to_owned();
    for policy in ["never", "offline", "1h"] {
        copy(&sandbox, &["--freshness", policy], &input).hits();
        assert_eq!(server.count(), 0, "{policy}");
    }
    copy(&sandbox, &["--freshness", "0s"], &input).misses();
    assert_eq!(server.count(), 1);
    // A look at the state of things asks nobody.
    sandbox.prov(["status"]).ok();
    assert_eq!(server.count(), 0);
    sandbox.file("prov.toml", format!("[steps.copy]\ncommand = [\"sh\", \"-c\", \"cat $0 > out\", \"{{input.data}}\"]\ninput = {{ data = \"{address}\" }}\noutput = \"out\"\ncode = [\"none\"]\nfreshness = \"7d\"\n"));
    run(&sandbox, ["copy"]);
    assert_eq!(server.count(), 0);
    drop(server);
    copy(&sandbox, &["--freshness", "offline"], &input).hits();
    let words = ["--json", "run", "-i", &input, "-o", "out", "--", "touch", "ran", "out"];
    let gone = sandbox.prov(words).ends(125);
    assert!(gone.err().contains("--freshness offline"), "{gone}");
    assert!(!exists(&sandbox, "ran"));
    assert_eq!(sandbox.prov(["plan", "--", "run", "-i", &input, "--", "true"]).code, 6);
}

#[test]
fn what_is_no_whole_content_starts_nothing_and_leaves_nothing() {
    let sandbox = project();
    let turn = Arc::new(AtomicUsize::new(0));
    let here = Arc::clone(&turn);
    let server = Server::new(move |_| match here.load(Ordering::SeqCst) {
        0 => Reply::status(200).with("content-length", "100").body("half of a secret part"),
        1 => Reply::status(200).with("transfer-encoding", "chunked").body("5\r\nhello\r\n"),
        2 => Reply::status(404).with("content-length", "9").body("not found"),
        3 => Reply::status(500).with("content-length", "0"),
        4 => Reply::status(302).with("location", "/again"),
        5 => Reply::status(200).body("no length"),
        _ => Reply::content("whole"),
    });
    let address = server.url("/x");
    let input = format!("data={address}");
    for n in 0..6 {
        turn.store(n, Ordering::SeqCst);
        let words = ["--json", "run", "-i", &input, "-o", "out", "--", "touch", "ran", "out"];
        let failed = sandbox.prov(words).ends(125);
        assert!(failed.err().contains("\"fetch\""), "{n}: {failed}");
        assert!(!exists(&sandbox, "ran"), "{n}");
        let left = std::fs::read_dir(sandbox.path(".prov/cache/inputs")).unwrap().count();
        assert_eq!(left, 0, "{n}");
    }
    turn.store(6, Ordering::SeqCst);
    copy(&sandbox, &[], &input).misses();
    assert_eq!(read(&sandbox, "out"), "whole");
    // An error of a server that has answered before is one as well: it is not taken for unchanged.
    turn.store(3, Ordering::SeqCst);
    sandbox.prov(["run", "-i", &input, "--", "true"]).ends(125);
}

#[test]
fn content_is_put_where_it_was_said_and_takes_the_place_of_nothing_unknown() {
    let sandbox = project();
    let (server, text) = with_text("one");
    let input = format!("data/raw.csv={}", server.url("/x"));
    let go = |more: &[&str]| {
        run(
            &sandbox,
            more.iter().copied().chain([
                "--name",
                "s",
                "--code",
                "none",
                "-i",
                &input,
                "-o",
                "out",
                "--",
                "cp",
                "data/raw.csv",
                "out",
            ]),
        )
    };
    let first = go(&[]).misses();
    assert_eq!((read(&sandbox, "data/raw.csv"), read(&sandbox, "out")), ("one".to_owned(), "one".to_owned()));
    assert_eq!(first.json["inputs"]["raw"]["path"], "data/raw.csv");
    assert_eq!(first.json["meta"]["sources"]["raw"]["url"], server.url("/x").as_str());
    go(&[]).hits();
    // An older version of it is in the store: the new one takes its place.
    *text.lock().unwrap() = "two".to_owned();
    go(&[]).misses();
    assert_eq!(read(&sandbox, "data/raw.csv"), "two");
    // What somebody wrote there is not.
    sandbox.file("data/raw.csv", "mine");
    let words = ["--json", "run", "-i", &input, "-o", "out2", "--", "touch", "out2"];
    let refused = sandbox.prov(words).ends(125);
    assert!(refused.err().contains("in_the_way") || refused.err().contains("raw.csv"), "{refused}");
    assert_eq!(read(&sandbox, "data/raw.csv"), "mine");
    remove(&sandbox, "data/raw.csv");
    // Without its copy aside it comes from the store.
    Fs::real().remove_tree(&sandbox.path(".prov/cache/inputs")).unwrap();
    go(&["-f", "--freshness", "offline"]).misses();
    assert_eq!(read(&sandbox, "data/raw.csv"), "two");
    for place in ["../x.csv", ".prov/x.csv", "./out"] {
        let input = format!("{place}={}", server.url("/x"));
        sandbox.prov(["run", "-i", &input, "-o", "out", "--", "touch", "out"]).ends(125);
    }
}

#[test]
fn a_lost_cache_costs_a_download_and_a_damaged_copy_is_never_given_to_a_command() {
    let sandbox = project();
    let (server, _) = with_text("one");
    let input = format!("data={}", server.url("/x"));
    copy(&sandbox, &[], &input).misses();
    Fs::real().remove_tree(&sandbox.path(".prov/cache")).unwrap();
    copy(&sandbox, &[], &input).hits();
    assert_eq!(server.count(), 2);
    // A command that writes to its input: the next one is given the right bytes.
    let words = [
        "--name",
        "w",
        "--code",
        "none",
        "-i",
        &input,
        "-o",
        "o2",
        "--",
        "sh",
        "-c",
        "cat \"$0\" > o2; echo x >> \"$0\"",
        "{input.data}",
    ];
    let spoiled = run(&sandbox, words).misses();
    assert_eq!(spoiled.json["sealed"], false, "{:#}", spoiled.json["unsealed"]);
    let again = copy(&sandbox, &["-f"], &input).misses();
    assert_eq!((read(&sandbox, "out").as_str(), again.json["sealed"].as_bool()), ("one", Some(true)));
    for folder in std::fs::read_dir(sandbox.path(".prov/cache/web")).unwrap() {
        Fs::real().replace(&folder.unwrap().path(), b"no record", false).unwrap();
    }
    copy(&sandbox, &[], &input).hits();
}

#[test]
fn credentials_are_refused_and_nowhere_on_the_disk() {
    let sandbox = project();
    let server = Server::new(|asked| match asked.path.as_str() {
        "/signed" => Reply::status(302).with("location", "/real?X-Amz-Signature=hunter2&a=b"),
        _ => Reply::content("content").with("etag", "\"x\""),
    });
    let address = server.url("/x");
    for bad in [address.replace("http://", "http://me:hunter2@"), format!("{address}?token=hunter2")] {
        let refused =
            sandbox.prov(["--json", "run", "-i", &format!("data={bad}"), "-o", "out", "--", "touch", "out"]).ends(125);
        assert!(!refused.err().contains("hunter2") && refused.err().contains("hint"), "{refused}");
    }
    assert_eq!(server.count(), 0);
    let signed = format!("data={}", server.url("/signed"));
    let first = copy(&sandbox, &[], &signed).misses();
    assert_eq!(first.json["meta"]["sources"]["data"]["from"], server.url("/real").as_str());
    copy(&sandbox, &[], &signed).hits();
    let found =
        std::process::Command::new("grep").args(["-rqa", "hunter2"]).arg(sandbox.path(".prov")).status().unwrap();
    assert_eq!(found.code(), Some(1), "the key of a signed address is kept nowhere");
}

#[test]
fn a_run_in_pieces_has_them_too_and_asks_once() {
    let sandbox = project();
    let (server, text) = with_text("one");
    let input = format!("data={}", server.url("/x"));
    let started =
        sandbox.prov(["--json", "start", "--code", "none", "--name", "p", "-i", &input, "-o", "out"]).ok().json();
    let path = started["environment"]["PROV_INPUT_DATA"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).or_else(|_| std::fs::read_to_string(sandbox.path(path))).unwrap(), "one");
    *text.lock().unwrap() = "two".to_owned();
    sandbox.file("out", "made of one");
    let finished = sandbox.prov(["--json", "finish", started["run"].as_str().unwrap()]).ok().json();
    assert_eq!(
        (finished["status"].as_str(), finished["sealed"].as_bool()),
        (Some("success"), Some(true)),
        "{finished:#}"
    );
    assert_eq!(server.count(), 1);
}

#[test]
fn an_interrupt_ends_a_download_at_once() {
    let sandbox = project();
    let server = Server::new(|_| Reply::status(200).with("content-length", "100").body("half").hanging());
    let input = format!("data={}", server.url("/x"));
    let child = sandbox
        .command(["run", "-i", &input, "-o", "out", "--", "touch", "out"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while server.asked().is_empty() {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let outcome = sandbox.finished(child);
    assert_eq!(outcome.code, 130, "{outcome}");
    assert!(!exists(&sandbox, "out"));
}
