//! A remote in a bucket, on a real server that speaks S3: `PROV_TEST_S3` is its address. Without it there is nothing to test against.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]
#![expect(clippy::print_stdout, reason = "who looks is told what was not run")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::elsewhere;
use crate::project::{noise, read, run};
use crate::sandbox::Sandbox;
use crate::sync::{fetch, four_pushers, history, large, machine, push, rounds, said, twice};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is passed on, and so is its answer.
    None,
    /// The connection ends before anybody hears of it.
    Drop,
    /// Its answer breaks off in the middle.
    Cut,
    /// It is answered with this status, and not passed on.
    Status(u16),
    /// It is passed on, and its answer is lost.
    LostReply,
    /// It is passed on without the condition that it stands under.
    Unconditional,
    /// Nothing ever comes of it.
    Silence,
}

type Plan = dyn Fn(u64, &str) -> Fault + Send + Sync;

/// Stands between prov and the server, and counts what is asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn new(server: &str, plan: impl Fn(u64, &str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, lines) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log, plan): (_, _, Arc<Plan>) = (Arc::clone(&asked), Arc::clone(&lines), Arc::new(plan));
        let server = server.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, log, plan, server) =
                    (Arc::clone(&count), Arc::clone(&log), Arc::clone(&plan), server.clone());
                std::thread::spawn(move || pass(stream, &server, &count, &log, &*plan));
            }
        });
        Self { address, asked, lines }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often something was asked since this was asked last.
    fn count(&self) -> u64 {
        self.lines.lock().unwrap().clear();
        self.asked.swap(0, Ordering::SeqCst)
    }
}

/// One exchange; the connection ends after it. Whoever asked may be gone at any time.
fn pass(mut stream: TcpStream, server: &str, count: &AtomicU64, log: &Mutex<Vec<String>>, plan: &Plan) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length, mut first) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name == "content-length" {
            length = line.split_once(':')?.1.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        if name != "connection" {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    let number = count.fetch_add(1, Ordering::SeqCst);
    let fault = plan(number, &first);
    log.lock().unwrap().push(format!("{} {fault:?}", first.trim_end()));
    match fault {
        Fault::Drop => return None,
        Fault::Silence => {
            let _ = stream.read(&mut [0]);
            return None;
        }
        Fault::Status(status) => {
            let code = if status == 429 || status == 503 { "SlowDown" } else { "InternalError" };
            let body = format!("<Error><Code>{code}</Code></Error>");
            let text =
                format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            return stream.write_all(text.as_bytes()).ok();
        }
        Fault::Unconditional => {
            let kept: Vec<&str> = head
                .split_inclusive("\r\n")
                .filter(|line| !line.to_ascii_lowercase().starts_with("if-none-match"))
                .collect();
            head = kept.concat();
        }
        Fault::None | Fault::Cut | Fault::LostReply => {}
    }
    let mut to = TcpStream::connect(server).ok()?;
    to.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).ok()?;
    to.write_all(&body).ok()?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).ok()?;
    match fault {
        Fault::LostReply => None,
        Fault::Cut => stream.write_all(&answer[..answer.len() * 2 / 3]).ok(),
        _ => stream.write_all(&answer).ok(),
    }
}

/// The server's address, with a bucket made there.
fn server() -> Option<String> {
    let Ok(server) = std::env::var("PROV_TEST_S3") else {
        println!("not run: PROV_TEST_S3 names no server");
        return None;
    };
    let host = server.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let text = format!("PUT /prov-tests HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    Some(server)
}

/// A place in the bucket that no other test has.
fn place() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("s3://prov-tests/{}-{now}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A machine with keys, to which that place at that server is `origin`.
fn with_keys(endpoint: &str, place: &str) -> Sandbox {
    let sandbox = machine()
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "hunter2")
        .with("AWS_ENDPOINT_URL", endpoint);
    sandbox.prov(["init", "-q"]).ok();
    sandbox.prov(["remote", "add", "origin", place]).ok();
    sandbox
}

fn sound(sandbox: &Sandbox) {
    sandbox.prov(["fsck"]).ok();
}

/// What is at a place, seen by a machine that comes new to it.
fn seen(server: &str, place: &str) -> Vec<String> {
    let sandbox = with_keys(server, place);
    fetch(&sandbox);
    sound(&sandbox);
    history(&sandbox)
}

#[test]
fn what_one_machine_recorded_is_a_hit_on_another() {
    let Some(server) = server() else { return };
    let proxy = Proxy::new(&server, |_, _| Fault::None);
    let place = place();
    let a = with_keys(&proxy.url(), &place);
    let large = large(3_000_000);
    a.file("in.txt", &large);
    twice(&a, "in.txt", "out.txt");
    assert_eq!(push(&a)["created"], true);
    println!("first push: {} requests", proxy.count());

    let b = machine().with("AWS_ACCESS_KEY_ID", "test").with("AWS_SECRET_ACCESS_KEY", "hunter2");
    said("clone", b.prov(["--json", "clone", &format!("{place}?endpoint={server}"), "."]));
    b.file("in.txt", &large);
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "hit");
    assert_eq!(read(&b, "out.txt"), read(&a, "out.txt"));

    // Both work on, and both come to know all of it; the log is folded on the way.
    for n in 0..34 {
        run(&a, ["--name", &format!("n{n}"), "--", "true"]);
        push(&a);
    }
    run(&b, ["--name", "other", "--", "true"]);
    said("sync", b.prov(["--json", "sync"]));
    said("sync", a.prov(["--json", "sync"]));
    assert_eq!(history(&a), history(&b));
    sound(&a);
    sound(&b);
    push(&a);
    fetch(&a);

    proxy.count();
    assert_eq!(push(&a)["objects"], 0);
    let pushed = proxy.count();
    assert_eq!(fetch(&a)["objects"], 0);
    let fetched = proxy.count();
    println!("nothing new: {pushed} requests to push, {fetched} to fetch");
    assert!(pushed <= 3 && fetched <= 3, "{pushed} {fetched}");
}

#[test]
fn a_server_that_overwrites_is_refused() {
    let Some(server) = server() else { return };
    let proxy = Proxy::new(&server, |_, _| Fault::Unconditional);
    let place = place();
    let a = with_keys(&proxy.url(), &place);
    twice(&a, "in.txt", "out.txt");
    let refused = a.prov(["--json", "push"]).fails();
    assert!(refused.err().contains("only if there is none") && refused.err().contains("hint"), "{refused}");
    let b = with_keys(&server, &place);
    assert!(b.prov(["--json", "fetch"]).fails().err().contains("no_remote_store"));
}

#[test]
fn without_keys_or_with_a_wrong_profile_nobody_is_asked() {
    let Some(server) = server() else { return };
    let proxy = Proxy::new(&server, |_, _| Fault::None);
    let a = machine().with("AWS_ENDPOINT_URL", &proxy.url());
    a.prov(["init", "-q"]).ok();
    let place = place();
    let refused = a.prov(["--json", "fetch", &place]).fails();
    assert!(refused.err().contains("keys"), "{refused}");
    let refused = a.prov(["--json", "fetch", &format!("{place}?profile=lab")]).fails();
    assert!(refused.err().contains("lab"), "{refused}");
    assert_eq!(proxy.count(), 0);
    // A file of the user's own will do.
    a.file("keys", "[lab]\naws_access_key_id = x\naws_secret_access_key = hunter2\n");
    let file = a.path("keys");
    let b = with_keys(&server, &place);
    twice(&b, "in.txt", "out.txt");
    push(&b);
    let a =
        machine().with("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()).with("AWS_ENDPOINT_URL", &proxy.url());
    a.prov(["init", "-q"]).ok();
    said("fetch", a.prov(["--json", "fetch", &format!("{place}?profile=lab")]));
    assert_eq!(history(&a), history(&b));
}

const FAULTS: [Fault; 6] =
    [Fault::LostReply, Fault::Drop, Fault::Cut, Fault::Status(503), Fault::Status(429), Fault::Status(500)];

#[test]
fn a_push_that_is_cut_at_any_request_goes_on() {
    let Some(server) = server() else { return };
    for (at, fault) in FAULTS.into_iter().enumerate() {
        // Each fault meets other requests; together they meet all.
        let mut nth = at as u64;
        loop {
            let place = place();
            let proxy = Proxy::new(&server, move |number, _| if number == nth { fault } else { Fault::None });
            let a = with_keys(&proxy.url(), &place);
            twice(&a, "in.txt", "out.txt");
            let first = a.prov(["--json", "push"]);
            assert!(first.code == 0 || first.code == 6, "{fault:?} at {nth}: {first}");
            let asked = proxy.asked.load(Ordering::SeqCst);
            push(&a);
            assert_eq!(seen(&server, &place), history(&a), "{fault:?} at {nth}");
            if asked <= nth {
                break;
            }
            nth += FAULTS.len() as u64;
        }
    }
}

#[test]
fn a_push_that_is_killed_at_any_request_leaves_nothing_half_done() {
    let Some(server) = server() else { return };
    let mut nth = 1;
    loop {
        let place = place();
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let proxy = Proxy::new(&server, move |number, _| {
            if number == nth {
                let _ = tell.lock().unwrap().send(true);
            }
            if number >= nth { Fault::Silence } else { Fault::None }
        });
        let a = with_keys(&proxy.url(), &place);
        twice(&a, "in.txt", "out.txt");
        let mut child = a.command(["push"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ended = std::thread::scope(|scope| {
            let waiting = scope.spawn(move || told.recv_timeout(std::time::Duration::from_secs(60)).unwrap_or(false));
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    return Some(status);
                }
                if waiting.is_finished() {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    return None;
                }
                std::thread::yield_now();
            }
        });
        // Nothing that is visible there leads to what is not.
        let other = with_keys(&server, &place);
        let looked = other.prov(["--json", "fetch"]);
        assert!(looked.code == 0 || looked.err().contains("no_remote_store"), "killed at {nth}: {looked}");
        sound(&other);
        let b = with_keys(&server, &place);
        run(&b, ["--name", "second", "--", "true"]);
        push(&b);
        let a = a.with("AWS_ENDPOINT_URL", &server);
        push(&a);
        assert_eq!(seen(&server, &place).len(), 2, "killed at {nth}");
        if ended.is_some() {
            break;
        }
        nth += 4;
    }
}

#[test]
fn four_pushers_at_once_lose_nothing() {
    let Some(server) = server() else { return };
    let place = place();
    let machines: Vec<Sandbox> = (0..4).map(|_| with_keys(&server, &place)).collect();
    four_pushers(&machines, rounds(3), || {
        let all = with_keys(&server, &place);
        fetch(&all);
        all
    });
}

#[test]
fn content_goes_comes_back_and_is_taken_from_a_bucket() {
    let Some(server) = server() else { return };
    let place = place();
    let on = || with_keys(&server, &place);
    let a = on();
    a.file("in.txt", noise(100_000));
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    elsewhere::goes_and_comes_back(&a, "origin");
    elsewhere::comes_on_first_use(&on());
    elsewhere::is_taken_for_a_hit(&on());
}

/// Puts the files of a store's folder into the bucket: it is the same layout.
fn upload(server: &str, place: &str, folder: &Path) {
    let host = server.trim_start_matches("http://");
    for file in walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file())
    {
        let key = file.path().strip_prefix(folder).unwrap().display().to_string();
        let at = format!("{}/{key}", place.trim_start_matches("s3://"));
        let bytes = std::fs::read(file.path()).unwrap();
        let head = format!(
            "PUT /{at} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            bytes.len()
        );
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn what_nothing_leads_to_in_a_bucket_goes_and_nothing_else() {
    let Some(server) = server() else { return };
    let place = place();
    // A store in which something was staged, and staged again with other bytes.
    let owner = machine();
    owner.prov(["init", "-q"]).ok();
    owner.file("in.txt", noise(300_000));
    twice(&owner, "in.txt", "out.txt").misses();
    for seed in ["x", "y"] {
        owner.file("staged.bin", noise(400_000) + seed);
        owner.prov(["add", "staged.bin"]).ok();
    }
    upload(&server, &place, &owner.path(".prov/store"));
    let a = with_keys(&server, &place);
    fetch(&a);
    a.prov(["gc", "--remote", "origin", "--orphans"]).ends(2);
    let plan = a.prov(["--json", "gc", "--remote", "origin", "-n"]).ok().json();
    let done = a.prov(["--json", "gc", "--remote", "origin"]).ok().json();
    assert!(done["objects"] == 1 && done["items"] == plan["items"], "{plan}{done}");
    let again = a.prov(["--json", "gc", "--remote", "origin"]).ok().json();
    assert_eq!(again["items"].as_array().unwrap().len(), 0, "{again}");
    // All that was recorded is there, for those who come and for those who go on.
    let b = with_keys(&server, &place);
    fetch(&b);
    sound(&b);
    assert_eq!(history(&b), history(&owner));
    b.prov(["restore", "@last"]).ok();
    assert_eq!(read(&b, "out.txt"), read(&owner, "out.txt"));
    a.file("in.txt", "more\n");
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    fetch(&b);
    assert_eq!(history(&b), history(&a));
}

#[test]
fn a_push_of_whole_packs_that_is_killed_goes_on() {
    let Some(server) = server() else { return };
    for nth in [2, 5, 8, 11, 14] {
        let place = place();
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let proxy = Proxy::new(&server, move |number, _| {
            if number == nth {
                let _ = tell.lock().unwrap().send(());
            }
            if number >= nth { Fault::Silence } else { Fault::None }
        });
        let a = with_keys(&proxy.url(), &place);
        for n in 0..240 {
            a.file(format!("data/{n}"), format!("{n}\n") + &noise(90_000));
        }
        a.prov(["commit", "data", "-m", "data"]).ok();
        let mut child = a.command(["push"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        told.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let other = with_keys(&server, &place);
        let looked = other.prov(["--json", "fetch"]);
        assert!(looked.code == 0 || looked.err().contains("no_remote_store"), "killed at {nth}: {looked}");
        let a = a.with("AWS_ENDPOINT_URL", &server);
        push(&a);
        let b = with_keys(&server, &place);
        fetch(&b);
        sound(&b);
        b.prov(["restore", "@last"]).ok();
        assert_eq!(read(&b, "data/77"), read(&a, "data/77"), "killed at {nth}");
    }
}
