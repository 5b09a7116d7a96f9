//! A store behind a web server that only gives files: cloned and fetched from, never pushed to, and never believed.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::elsewhere;
use crate::project::{noise, read, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Asked, Reply, Server};
use crate::sync::{fetch, history, large, machine, push, said, shared, text, twice};

/// What a server can do, and what not.
#[derive(Debug, Clone, Copy)]
struct Site {
    has_ranges: bool,
    has_pages: bool,
    has_newest: bool,
    /// What is missing is answered with a page and 200.
    has_page_for_all: bool,
}

const PLAIN: Site = Site { has_ranges: true, has_pages: false, has_newest: true, has_page_for_all: false };

impl Site {
    fn reply(self, root: &Path, asked: &Asked) -> Reply {
        let missing = || {
            if self.has_page_for_all {
                Reply::content("<html>welcome</html>")
            } else {
                Reply::status(404).with("content-length", "0")
            }
        };
        let name = asked.path.trim_start_matches('/');
        let path = root.join(name);
        if name.ends_with("newest") && !self.has_newest {
            return missing();
        }
        if path.is_dir() {
            if !self.has_pages {
                return missing();
            }
            let mut page = String::from("<html><a href=\"../\">..</a>");
            for entry in std::fs::read_dir(&path).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                page.push_str(&format!("<li><a href=\"{name}\">{name}</a></li>"));
            }
            return Reply::content(page);
        }
        let Ok(bytes) = std::fs::read(&path) else { return missing() };
        match asked.headers.get("range").filter(|_| self.has_ranges) {
            Some(range) => part(&bytes, range),
            None => Reply::content(&bytes),
        }
    }

    fn server(self, root: PathBuf) -> Server {
        Server::new(move |asked| self.reply(&root, asked))
    }
}

fn part(bytes: &[u8], range: &str) -> Reply {
    let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let last = bytes.len() - 1;
    let (from, to) = match from.parse::<usize>() {
        Ok(from) => (from, to.parse::<usize>().unwrap_or(last).min(last)),
        Err(_) => (bytes.len().saturating_sub(to.parse().unwrap()), last),
    };
    if from > to {
        return Reply::status(416).with("content-length", "0");
    }
    Reply::status(206)
        .with("content-range", &format!("bytes {from}-{to}/{}", bytes.len()))
        .with("content-length", &(to - from + 1).to_string())
        .body(&bytes[from..=to])
}

/// A machine that pushed enough for its log to have been folded, and a large file.
fn pushed(remote: &Path) -> Sandbox {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(remote)]).ok();
    let large = large(200_000);
    a.file("in.txt", &large);
    twice(&a, "in.txt", "out.txt");
    push(&a);
    for n in 0..35 {
        run(&a, ["--name", &format!("n{n}"), "--", "true"]);
        push(&a);
    }
    a
}

fn clone(url: &str) -> Sandbox {
    let b = machine();
    b.file("in.txt", "");
    said("clone", b.prov(["--json", "clone", url, "."]));
    b
}

fn sound(sandbox: &Sandbox) {
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_folder_that_any_web_server_gives_can_be_cloned_and_fetched_from() {
    let dir = shared();
    let a = pushed(&dir.path().join("project"));
    let sites = [
        PLAIN,
        Site { has_ranges: false, ..PLAIN },
        Site { has_newest: false, has_pages: true, ..PLAIN },
        Site { has_page_for_all: true, ..PLAIN },
    ];
    for site in sites {
        let server = site.server(dir.path().to_owned());
        let b = clone(&server.url("/project"));
        assert_eq!(history(&b), history(&a), "{site:?}");
        b.file("in.txt", read(&a, "in.txt"));
        assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "hit");
        assert_eq!(read(&b, "out.txt"), read(&a, "out.txt"));
        sound(&b);
        // What is new comes, and nothing new is nothing.
        run(&a, ["--name", "more", "--", "true"]);
        push(&a);
        assert_eq!(fetch(&b)["runs"], 1, "{site:?}");
        server.count();
        assert_eq!(fetch(&b)["objects"], 0);
        println!("{site:?}: {} requests when nothing is new", server.count());
        let refused = b.prov(["--json", "push"]).fails();
        assert!(refused.err().contains("only_reads") && refused.err().contains("hint"), "{refused}");
    }
}

#[test]
fn content_goes_comes_back_and_is_taken_from_a_web_server() {
    let dir = shared();
    let remote = dir.path().join("project");
    let server = PLAIN.server(dir.path().to_owned());
    let url = server.url("/project");
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "writes", &text(&remote)]).ok();
    a.prov(["remote", "add", "reads", &url]).ok();
    a.file("in.txt", noise(100_000));
    twice(&a, "in.txt", "out.txt").misses();
    a.prov(["push", "writes"]).ok();
    elsewhere::goes_and_comes_back(&a, "reads");
    let on = || {
        let sandbox = machine();
        sandbox.prov(["init", "-q"]).ok();
        sandbox.prov(["remote", "add", "origin", &url]).ok();
        sandbox
    };
    elsewhere::comes_on_first_use(&on());
    elsewhere::is_taken_for_a_hit(&on());
}

#[test]
fn the_store_of_a_project_is_found_below_its_folder() {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    twice(&a, "in.txt", "out.txt");
    let server = PLAIN.server(a.project());
    let b = clone(&server.url("/"));
    assert_eq!(history(&b), history(&a));
    let c = machine();
    c.prov(["init", "-q"]).ok();
    let missing = c.prov(["--json", "fetch", &server.url("/elsewhere")]).fails();
    assert!(missing.err().contains("no_remote_store"), "{missing}");
}

#[test]
fn what_nobody_can_find_says_so() {
    let dir = shared();
    let root = dir.path().join("project");
    pushed(&root);
    let blind = Site { has_newest: false, has_ranges: true, has_pages: false, has_page_for_all: false };
    // As long as the beginning of the log isn't far away, a search finds it.
    let server = blind.server(root.clone());
    clone(&server.url("/"));
    let log = root.join("log");
    for entry in std::fs::read_dir(&log).unwrap() {
        let entry = entry.unwrap();
        let number: u64 = entry.file_name().to_str().unwrap().parse().unwrap();
        std::fs::rename(entry.path(), log.join(format!("{:020}", number + 5000))).unwrap();
    }
    let b = machine();
    b.prov(["init", "-q"]).ok();
    let lost = b.prov(["--json", "fetch", &server.url("/")]).fails();
    assert!(lost.err().contains("newest"), "{lost}");
}

/// Tries to fetch, which must fail without changing anything.
fn refused(server: &Server) -> Outcome {
    let b = machine();
    b.prov(["init", "-q"]).ok();
    let outcome = b.prov(["--json", "fetch", &server.url("/")]).fails();
    assert_eq!(history(&b), Vec::<String>::new());
    sound(&b);
    outcome
}

fn small(root: &Path) -> Sandbox {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    twice(&a, "in.txt", "out.txt");
    a.prov(["push", &text(root)]).ok();
    a
}

#[test]
fn damage_on_the_way_changes_nothing_here() {
    let dir = shared();
    let root = dir.path().join("project");
    small(&root);
    for what in ["flip", "cut", "longer", "other"] {
        let root = root.clone();
        let server = Server::new(move |asked| {
            let path = root.join(asked.path.trim_start_matches('/'));
            let Ok(mut bytes) = std::fs::read(path) else { return Reply::status(404).with("content-length", "0") };
            if asked.path.contains("/packs/")
                || asked.path.contains("/log/0000000000000000000") && asked.path.ends_with('1')
            {
                let middle = bytes.len() / 2;
                match what {
                    "flip" => bytes[middle] ^= 4,
                    "cut" => bytes.truncate(middle),
                    "longer" => bytes.extend_from_slice(b"more"),
                    _ => bytes.reverse(),
                }
            }
            match asked.headers.get("range") {
                Some(range) => part(&bytes, range),
                None => Reply::content(&bytes),
            }
        });
        refused(&server);
    }
}

#[test]
fn endless_and_lying_answers_end() {
    let dir = shared();
    let root = dir.path().join("project");
    small(&root);
    let of = |lie: fn(&Asked, &[u8]) -> Reply| {
        let root = root.clone();
        Server::new(move |asked| match std::fs::read(root.join(asked.path.trim_start_matches('/'))) {
            Ok(bytes) => lie(asked, &bytes),
            Err(_) => Reply::status(404).with("content-length", "0"),
        })
    };
    // Far more bytes than announced, than asked for, and than anything has.
    refused(&of(|asked, bytes| match asked.headers.get("range") {
        Some(_) => Reply::status(206)
            .with("content-range", &format!("bytes 0-{}/{}", u64::MAX - 2, u64::MAX - 1))
            .with("content-length", &(u64::MAX - 1).to_string())
            .body(bytes),
        None => Reply::content(bytes),
    }));
    refused(&of(|asked, bytes| match asked.headers.get("range") {
        Some(_) => Reply::status(206)
            .with("content-range", "bytes 0-9/10")
            .with("transfer-encoding", "chunked")
            .body("ffff\r\n".to_owned() + &"x".repeat(0xffff) + "\r\n0\r\n\r\n"),
        None => Reply::content(bytes),
    }));
    // Another part than the one that was asked for.
    refused(&of(|asked, bytes| match asked.headers.get("range") {
        Some(_) => part(bytes, "bytes=1-2"),
        None => Reply::content(bytes),
    }));
    // A log that goes on for ever.
    let entry = std::fs::read(root.join("log").join(format!("{:020}", 0))).unwrap();
    let format = std::fs::read(root.join("format")).unwrap();
    let server = Server::new(
        move |asked| {
            if asked.path == "/format" { Reply::content(&format) } else { Reply::content(&entry) }
        },
    );
    let outcome = refused(&server);
    assert!(outcome.err().contains("no end"), "{outcome}");
}

#[test]
fn redirects_lead_neither_elsewhere_nor_to_credentials() {
    let dir = shared();
    let root = dir.path().join("project");
    small(&root);
    let elsewhere = PLAIN.server(root);
    let other = elsewhere.url("/format").replace("127.0.0.1", "localhost");
    for to in [
        other.as_str(),
        "http://ann:hunter2@127.0.0.1/format",
        "file:///etc/passwd",
        "s3://bucket/x",
        "ssh://host/x",
        "",
    ] {
        let to = to.to_owned();
        let server = Server::new(move |_| Reply::status(302).with("location", &to).with("content-length", "0"));
        let outcome = refused(&server);
        assert!(!outcome.err().contains("hunter2"), "{outcome}");
    }
    assert_eq!(elsewhere.count(), 0);
    let b = machine();
    b.prov(["init", "-q"]).ok();
    let outcome = b.prov(["--json", "remote", "add", "web", "https://ann:hunter2@host/p"]).fails();
    assert!(!outcome.err().contains("hunter2") && outcome.err().contains("credentials"), "{outcome}");
}

#[test]
fn a_fetch_that_is_cut_at_any_request_goes_on() {
    let dir = shared();
    let root = dir.path().join("project");
    let a = small(&root);
    let asked_so_far = Arc::new(AtomicUsize::new(0));
    let mut nth = 0;
    loop {
        asked_so_far.store(0, Ordering::SeqCst);
        let (root, count) = (root.clone(), Arc::clone(&asked_so_far));
        // From this request on the server is in trouble, until it is asked often enough for a second try.
        let server = Server::new(move |asked| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let reply = PLAIN.reply(&root, asked);
            match number.checked_sub(nth) {
                Some(0) => Reply::status(503).with("content-length", "0"),
                Some(1) => Reply::raw(""),
                Some(2) => Reply::status(200).with("content-length", "1000000").body("cut"),
                Some(3) => Reply::status(429).with("content-length", "0"),
                _ => reply,
            }
        });
        let b = machine();
        b.prov(["init", "-q"]).ok();
        said("fetch", b.prov(["--json", "fetch", &server.url("/")]));
        assert_eq!(history(&b), history(&a), "cut at request {nth}");
        if server.count() < nth {
            break;
        }
        nth += 7;
    }
    assert!(nth > 7);
    // Out of reach for good: told as such, nothing changed, and nothing is called damaged.
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::new(move |asked| {
        if count.fetch_add(1, Ordering::SeqCst) < 3 {
            PLAIN.reply(&root, asked)
        } else {
            Reply::status(503).with("content-length", "0")
        }
    });
    let outcome = refused(&server);
    assert!(!outcome.err().contains("damaged") && outcome.err().contains("\"remote\""), "{outcome}");
}
