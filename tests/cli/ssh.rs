//! A remote behind ssh: the protocol over a pipe, connections that break, what the other end lets do, and a real sshd where there is one.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::elsewhere;
use crate::project::read;
use crate::sandbox::Sandbox;
use crate::sync::{fetch, four_pushers, history, machine, push, rounds, said, shared, text, twice};

fn executable(path: &Path, script: &str) -> String {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    text(path)
}

/// A program that does what ssh does, without a network: `$1` is what the shell at the other end is given.
fn program(dir: &Path, name: &str, line: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_prov")).parent().unwrap();
    let home = dir.join("far");
    std::fs::create_dir_all(&home).unwrap();
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nshift\nPATH='{}':$PATH\nHOME='{home}'\nexport PATH HOME\ncd '{home}' || exit 1\n{line}\n",
        bin.display(),
        home = home.display(),
    );
    executable(&dir.join(name), &script)
}

/// What a server does with a command.
const RUN: &str = "exec sh -c \"$1\"";

fn over(ssh: &str) -> Sandbox {
    let sandbox = machine().with("PROV_SSH", ssh);
    sandbox.prov(["init", "-q"]).ok();
    sandbox.prov(["remote", "add", "origin", "ann@far.example:stores/demo"]).ok();
    sandbox
}

fn sound(sandbox: &Sandbox) {
    sandbox.prov(["fsck"]).ok();
}

fn sound_at(remote: &Path) {
    let sandbox = Sandbox::new();
    sandbox.prov(["init", "-q", "--store", &text(remote)]).ok();
    sandbox.prov(["fsck"]).ok();
}

fn noise(mut state: u64, len: usize) -> Vec<u8> {
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[test]
fn a_history_travels_through_a_pipe() {
    let dir = shared();
    let ssh = program(dir.path(), "ssh", RUN);
    let a = over(&ssh);
    assert_eq!(twice(&a, "in.txt", "out.txt").cache(), "miss");
    a.file("data/large.bin", noise(3, 2_500_000));
    a.prov(["commit", "data", "-m", "large"]).ok();
    assert_eq!(push(&a)["created"], true);
    assert_eq!(push(&a)["bytes"], 0);
    let b = machine().with("PROV_SSH", &ssh);
    let json = said("clone", b.prov(["--json", "clone", "ssh://far.example/~/stores/demo", "."]));
    assert_eq!(json["place"], "ssh://far.example/~/stores/demo");
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "hit");
    assert_eq!(read(&b, "out.txt"), "hello\nhello\n");
    b.prov(["restore", &history(&a)[1]]).ok();
    assert_eq!(std::fs::read(b.path("data/large.bin")).unwrap(), noise(3, 2_500_000));
    for n in 0..40 {
        b.file("in.txt", format!("round {n}\n"));
        twice(&b, "in.txt", "out.txt");
        if n % 8 == 0 {
            push(&b);
        }
    }
    said("sync", b.prov(["--json", "sync"]));
    fetch(&a);
    assert_eq!(history(&a), history(&b));
    sound(&a);
    sound(&b);
    sound_at(&dir.path().join("far/stores/demo"));
}

#[test]
fn what_the_other_end_does_not_allow_is_not_done() {
    let dir = shared();
    let far = dir.path().join("far/stores/demo");
    let a = over(&program(dir.path(), "ssh", RUN));
    twice(&a, "in.txt", "out.txt");
    push(&a);

    // As a forced command would: whatever is asked for, this is what runs.
    let forced =
        |name: &str, mode: &str| program(dir.path(), name, &format!("exec prov serve --stdio {mode} -- stores/demo"));
    let reading = over(&forced("read", "--read-only"));
    fetch(&reading);
    reading.file("in.txt", "other\n");
    twice(&reading, "in.txt", "out.txt");
    let outcome = reading.prov(["push"]).ends(6);
    assert!(outcome.err().contains("only lets read"), "{outcome}");

    let adding = over(&forced("append", "--append-only"));
    for n in 0..40 {
        adding.file("in.txt", format!("round {n}\n"));
        twice(&adding, "in.txt", "out.txt");
        push(&adding);
    }
    let entries = std::fs::read_dir(far.join("log")).unwrap().count();
    assert!(entries < 40, "the other end folds by itself: {entries}");
    let id = adding.prov(["--json", "id", "out.txt"]).ok().json()["id"].as_str().unwrap().to_owned();
    adding.prov(["scrub", "-y", &id]).ok();
    let outcome = adding.prov(["push"]).ends(6);
    assert!(outcome.err().contains("is not turned on from here"), "{outcome}");
    sound_at(&far);
    fetch(&a);
    assert_eq!(history(&a).len(), 41);
}

#[test]
fn a_store_at_the_other_end_is_collected_only_if_it_may_be_changed() {
    let dir = shared();
    let far = dir.path().join("far/stores/demo");
    let a = over(&program(dir.path(), "ssh", RUN));
    a.file("in.txt", noise(1, 300_000));
    twice(&a, "in.txt", "out.txt");
    push(&a);
    // A pack that no entry names, as a push leaves it that was killed; and one that nothing leads to any more.
    let own =
        std::fs::read_dir(a.path(".prov/store/packs")).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let orphan = far.join("packs").join(own.file_name().unwrap());
    std::fs::copy(&own, &orphan).unwrap();
    let owner = machine();
    owner.prov(["init", "-q", "--store", &text(&far)]).ok();
    for seed in [2, 3] {
        owner.file("staged.bin", noise(seed, 400_000));
        owner.prov(["add", "staged.bin"]).ok();
    }
    let before = packs(&far);
    let forced =
        |name: &str, mode: &str| program(dir.path(), name, &format!("exec prov serve --stdio {mode} -- stores/demo"));
    for (mode, says) in [("--read-only", "only lets read"), ("--append-only", "nothing is removed from a store")] {
        let other = over(&forced(&mode[2..], mode));
        let refused = other.prov(["gc", "--remote", "origin", "--orphans"]);
        assert!(refused.code != 0 && refused.err().contains(says), "{refused}");
        assert_eq!(packs(&far), before);
        other.prov(["gc", "--remote", "origin", "--orphans", "-n"]).ok();
    }
    let done = a.prov(["--json", "gc", "--remote", "origin", "--orphans"]).ok().json();
    assert_eq!(done["items"].as_array().unwrap().len(), 2, "{done}");
    assert!(!orphan.exists());
    sound_at(&far);
    owner.prov(["commit", "-m", "staged"]).ok();
    let b = machine().with("PROV_SSH", &program(dir.path(), "ssh", RUN));
    b.prov(["clone", "-q", "ann@far.example:stores/demo", "."]).ok();
    b.prov(["restore", &history(&a)[0]]).ok();
    sound(&b);
}

#[test]
fn a_connection_that_breaks_anywhere_loses_nothing_and_is_told() {
    let dir = shared();
    let far = dir.path().join("far/stores/demo");
    let whole = program(dir.path(), "ssh", RUN);
    let a = over(&whole);
    twice(&a, "in.txt", "out.txt");
    push(&a);
    a.file("data/large.bin", noise(5, 600_000));
    a.prov(["commit", "data", "-m", "large"]).ok();
    let mut cut = 0;
    for bytes in [0, 40, 100, 150, 200, 1_000, 50_000, 600_500, 601_000, 602_000] {
        let breaking = program(dir.path(), "cut", &format!("dd bs=1 count={bytes} 2>/dev/null | sh -c \"$1\""));
        let outcome = a.outcome({
            let mut command = a.command(["push"]);
            command.env("PROV_SSH", &breaking);
            command
        });
        assert!(outcome.code == 6 || outcome.code == 0, "{bytes}: {outcome}");
        cut += u32::from(outcome.code == 6);
        sound_at(&far);
    }
    assert!(cut > 5, "{cut}");
    push(&a);
    sound_at(&far);
    let mut cut = 0;
    for bytes in [0, 10, 500, 2_000, 4_000, 8_000, 50_000] {
        let breaking =
            program(dir.path(), "cut", &format!("sh -c \"$1\" | {{ dd bs=1 count={bytes} 2>/dev/null; kill -9 $$; }}"));
        let b = over(&breaking);
        let outcome = b.prov(["fetch"]);
        assert!(outcome.code == 6 || outcome.code == 0, "{bytes}: {outcome}");
        cut += u32::from(outcome.code == 6);
        sound(&b);
        let after = b.outcome({
            let mut command = b.command(["fetch"]);
            command.env("PROV_SSH", &whole);
            command
        });
        after.ok();
        assert_eq!(history(&b), history(&a));
    }
    assert!(cut > 5, "{cut}");
}

/// Bytes of packs in a store's folder, from the largest to the smallest.
fn packs(store: &Path) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        std::fs::read_dir(store.join("packs")).unwrap().map(|pack| pack.unwrap().metadata().unwrap().len()).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

/// A machine with one pack that is large enough to travel as it is, and a second run beside it.
fn with_a_large_pack(ssh: &str) -> Sandbox {
    let a = over(ssh);
    for n in 0..100 {
        a.file(format!("data/{n}.bin"), noise(n, 100_000));
    }
    a.prov(["commit", "data", "-m", "many"]).ok();
    twice(&a, "in.txt", "out.txt");
    a
}

#[test]
fn large_packs_travel_both_ways_and_a_connection_that_breaks_on_the_way_loses_nothing() {
    let dir = shared();
    let far = dir.path().join("far/stores/demo");
    let whole = program(dir.path(), "ssh", RUN);
    let a = with_a_large_pack(&whole);
    let own = packs(&a.path(".prov/store"));
    assert!(own[0] > 8 << 20, "{own:?}");
    for megabytes in [1, 5, 9] {
        let line = format!("dd bs=64k count={} iflag=count_bytes 2>/dev/null | sh -c \"$1\"", megabytes << 20);
        let outcome = a.outcome({
            let mut command = a.command(["push"]);
            command.env("PROV_SSH", program(dir.path(), "cut", &line));
            command
        });
        assert_eq!(outcome.code, 6, "{megabytes}: {outcome}");
        assert!(packs(&far).is_empty(), "nothing has a name before all of it is there");
        sound_at(&far);
    }
    push(&a);
    assert_eq!(packs(&far)[0], own[0], "it came as it is");
    sound_at(&far);

    for megabytes in [1, 5, 9] {
        let passed = format!("dd bs=64k count={} iflag=count_bytes 2>/dev/null", megabytes << 20);
        let line = format!("sh -c \"$1\" | {{ {passed}; kill -9 $$; }}");
        let b = over(&program(dir.path(), "cut", &line));
        let outcome = b.prov(["fetch"]);
        assert_eq!(outcome.code, 6, "{megabytes}: {outcome}");
        assert_eq!(history(&b), Vec::<String>::new());
        sound(&b);
        let again = b.outcome({
            let mut command = b.command(["fetch"]);
            command.env("PROV_SSH", &whole);
            command
        });
        again.ok();
        assert_eq!(packs(&b.path(".prov/store"))[0], own[0], "it came as it is");
        assert_eq!(history(&b), history(&a));
        b.prov(["restore", &history(&a)[0]]).ok();
        assert_eq!(std::fs::read(b.path("data/77.bin")).unwrap(), noise(77, 100_000));
        sound(&b);
    }
}

#[test]
fn a_byte_that_turned_at_the_other_end_does_not_come_with_a_large_pack() {
    let dir = shared();
    let whole = program(dir.path(), "ssh", RUN);
    push(&with_a_large_pack(&whole));
    let far = dir.path().join("far/stores/demo/packs");
    let pack = std::fs::read_dir(&far)
        .unwrap()
        .map(|pack| pack.unwrap().path())
        .max_by_key(|pack| pack.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    let b = over(&whole);
    let refused = b.prov(["fetch"]);
    assert_eq!(refused.code, 5, "{refused}");
    assert!(refused.err().contains(pack.file_name().unwrap().to_str().unwrap()), "{refused}");
    assert_eq!(history(&b), Vec::<String>::new());
    assert!(packs(&b.path(".prov/store")).is_empty());
    sound(&b);
}

#[test]
fn whatever_answers_instead_of_prov_is_told_and_ends() {
    let dir = shared();
    for (name, line, expected) in [
        ("absent", "echo 'prov: not found' >&2; exit 127", "not found"),
        ("chatty", "echo welcome; exit 0", "welcome"),
        ("endless", "yes", "it says: y"),
        ("mute", "exit 255", "nothing answers"),
        ("length", "printf '\\nprovwire1\\377\\377\\377\\377'; cat > /dev/null", "a message of 4294967295 bytes"),
        (
            "word",
            "printf '\\nprovwire1\\000\\000\\000\\011\\000\\000\\000\\000\\000\\000\\000\\001\\001'; cat > /dev/null",
            "it asks",
        ),
        (
            "answers",
            "printf '\\nprovwire1'; while :; do printf '\\000\\000\\000\\012\\000\\000\\000\\000\\000\\000\\000\\001@x'; done",
            "",
        ),
    ] {
        let ssh = program(dir.path(), name, line);
        let a = over(&ssh);
        let outcome = a.prov(["fetch"]);
        assert!(matches!(outcome.code, 5 | 6), "{name}: {outcome}");
        assert!(outcome.err().contains(expected), "{name}: {outcome}");
        sound(&a);
    }
    // What a login script prints before is passed over.
    let ssh = program(dir.path(), "greeting", &format!("echo 'last login: today'; {RUN}"));
    let a = over(&ssh);
    twice(&a, "in.txt", "out.txt");
    assert_eq!(push(&a)["runs"], 1);
    let a = over(&text(&dir.path().join("no such program")));
    a.prov(["fetch"]).ends(6);
}

#[test]
fn a_server_gives_nothing_but_files_of_the_store() {
    // What is asked for is checked by the other end, whoever asks: this one is made by hand.
    use std::io::{Read, Write};
    let dir = shared();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    let sandbox = machine();
    sandbox.prov(["init", "-q"]).ok();
    let mut child = sandbox.command(["serve", "--stdio", "--read-only", "."]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for name in ["../../secret", "/etc/passwd", "..", ".", "", "a/b", ".hidden"] {
        // Read, of the log.
        let mut body = vec![0x92, 0x00, 0xa0 | u8::try_from(name.len()).unwrap()];
        body.extend_from_slice(name.as_bytes());
        input.write_all(&u32::try_from(body.len() + 9).unwrap().to_be_bytes()).unwrap();
        input.write_all(&[0, 0, 0, 0, 0, 0, 0, 7, 3]).unwrap();
        input.write_all(&body).unwrap();
    }
    drop(input);
    let mut answer = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    child.wait().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!(answer.matches("no possible name").count(), 7, "{answer}");
    assert!(!answer.contains("secret\n") && !answer.contains("root:"), "{answer}");
}

/// An sshd of this test's own, if there is one on this machine.
struct Sshd {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    fn start(dir: &Path, store: &Path) -> Option<Self> {
        let program = Path::new("/usr/sbin/sshd");
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if !program.exists() || (is_root && !Path::new("/run/sshd").exists()) {
            return None;
        }
        let key = |name: &str| {
            let path = dir.join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
            assert!(made.unwrap().success());
            path
        };
        let (host, user) = (key("host"), key("user"));
        let public = std::fs::read_to_string(user.with_extension("pub")).unwrap();
        let prov = env!("CARGO_BIN_EXE_prov");
        std::fs::write(
            dir.join("authorized"),
            format!("restrict,command=\"{prov} serve --stdio {}\" {public}", store.display()),
        )
        .unwrap();
        // A port that was free a moment ago; if somebody else takes it, sshd says so and another one is tried.
        for _ in 0..20 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
                host.display(),
                dir.join("authorized").display()
            );
            std::fs::write(dir.join("sshd_config"), config).unwrap();
            let mut child = Command::new(program)
                .args(["-D", "-e", "-f"])
                .arg(dir.join("sshd_config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(dir.join("sshd.log")).unwrap())
                .spawn()
                .unwrap();
            let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while std::time::Instant::now() < until {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, port, dir: dir.to_owned() });
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::yield_now();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("sshd does not start: {}", std::fs::read_to_string(dir.join("sshd.log")).unwrap_or_default());
    }

    fn ssh(&self) -> String {
        format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile={} -o BatchMode=yes",
            self.dir.join("user").display(),
            self.dir.join("known").display()
        )
    }

    /// A machine that knows it as `origin`.
    fn machine(&self) -> Sandbox {
        let whoami = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(whoami.stdout).unwrap();
        let sandbox = machine().with("PROV_SSH", &self.ssh());
        sandbox.prov(["init", "-q"]).ok();
        let url = format!("ssh://{}@127.0.0.1:{}/whatever", user.trim(), self.port);
        sandbox.prov(["remote", "add", "origin", &url]).ok();
        sandbox
    }
}

#[test]
fn a_history_travels_through_a_real_sshd() {
    let dir = shared();
    let store = dir.path().join("store");
    let Some(sshd) = Sshd::start(dir.path(), &store) else {
        eprintln!("SKIPPED: there is no /usr/sbin/sshd on this machine, or root has no /run/sshd for it (see .ci/run)");
        return;
    };
    let (a, b) = (sshd.machine(), sshd.machine());
    twice(&a, "in.txt", "out.txt");
    a.file("data/large.bin", noise(3, 2_500_000));
    a.prov(["commit", "data", "-m", "large"]).ok();
    push(&a);
    fetch(&b);
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "hit");
    push(&b);
    assert_eq!(push(&b)["bytes"], 0);
    fetch(&a);
    assert_eq!(history(&a), history(&b));
    sound_at(&store);
}

#[test]
fn content_goes_comes_back_and_is_taken_over_ssh() {
    let dir = shared();
    let ssh = program(dir.path(), "ssh", RUN);
    let a = over(&ssh);
    a.file("in.txt", crate::project::noise(100_000));
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    elsewhere::goes_and_comes_back(&a, "origin");
    elsewhere::comes_on_first_use(&over(&ssh));
    elsewhere::is_taken_for_a_hit(&over(&ssh));
}

#[test]
fn four_pushers_at_once_through_a_real_sshd_lose_nothing() {
    let dir = shared();
    let store = dir.path().join("store");
    let Some(sshd) = Sshd::start(dir.path(), &store) else {
        eprintln!("SKIPPED: there is no /usr/sbin/sshd on this machine, or root has no /run/sshd for it (see .ci/run)");
        return;
    };
    let on = || sshd.machine();
    four_pushers(&[on(), on(), on(), on()], rounds(2), || {
        let all = on();
        fetch(&all);
        all
    });
    sound_at(&store);
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let ssh = program(dir.path(), "silent", "printf '\\nprovwire1'; cat >/dev/null");
    let a = over(&ssh).with("PROV_SSH_TIMEOUT", "1");
    let outcome = a.prov(["--json", "fetch"]).ends(6);
    assert!(outcome.err().contains("nothing came for 1 s"), "{outcome}");
    let wrong = over(&ssh).with("PROV_SSH_TIMEOUT", "soon");
    wrong.prov(["fetch"]).ends(2);
}
