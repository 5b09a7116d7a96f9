//! Values that reach the command and are kept nowhere.

use prov::fs::Fs;
use prov::object::Source;
use prov::repo::{Places, Repo, World};

use crate::project::{exists, project, read, run};
use crate::sandbox::Sandbox;

const SECRET: &str = "hunter2-very-secret";

/// Fails if the secret is in a file below the project (but those named), or in an object.
#[track_caller]
fn assert_clean(sandbox: &Sandbox, but: &[&str]) {
    let has_it = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let mut files = 0;
    for item in Fs::real().walk(&sandbox.project()) {
        let (path, stat) = item.unwrap();
        if stat.is_file() && !but.iter().any(|name| path.ends_with(name)) {
            files += 1;
            assert!(!has_it(&std::fs::read(&path).unwrap()), "{}", path.display());
        }
    }
    assert!(files > 3);
    let repo = Repo::open(&sandbox.project(), &Places::default(), World::real(None)).unwrap();
    let snapshot = repo.store().snapshot().unwrap();
    let mut objects = 0;
    for digit in "0123456789abcdef".chars() {
        for (id, _) in snapshot.find_ids(&digit.to_string(), 10_000).unwrap() {
            objects += 1;
            assert!(!has_it(&snapshot.read(&id).unwrap().unwrap().1), "object {id}");
        }
    }
    assert!(objects > 3);
}

#[test]
fn a_secret_reaches_the_command_and_nothing_else() {
    let sandbox = project().with("TOKEN", SECRET);
    let script = "printf '%s' \"$TOKEN\" | wc -c > out.txt; echo \"token: $TOKEN.\"; printf '%.7s' $TOKEN >&2; sleep 0; \
                  printf '%s\\n' ${TOKEN#hunter2} >&2; printf %s $TOKEN > leaked.txt; exit $CODE";
    let words = ["--secret-env", "TOKEN", "--runtime", "who=me", "-o", "out.txt", "--", "sh", "-c", script];
    let good = || run(&sandbox, words);
    let first = good().misses();
    assert_eq!(read(&sandbox, "out.txt").trim(), SECRET.len().to_string());
    // What the command does with its streams and its other files is its own business.
    assert!(first.outcome.err().contains(SECRET), "the command's own streams are passed on as they are");
    assert_clean(&sandbox, &["leaked.txt"]);
    let again = good().hits();
    assert!(!again.outcome.err().contains(SECRET) && again.outcome.err().contains("token: ***."), "{}", again.outcome);
    for words in [&["--json", "show", "@last"][..], &["log"], &["cat-object", "@last"], &["config", "list"]] {
        let told = sandbox.prov(words);
        assert!(!told.out().contains(SECRET) && !told.err().contains(SECRET), "{told}");
    }
    assert_clean(&sandbox, &["leaked.txt"]);
}

#[test]
fn a_failed_command_keeps_no_secret_either() {
    let sandbox = project().with("TOKEN", SECRET);
    sandbox.prov(["run", "--secret-env", "TOKEN", "-o", "x", "--", "sh", "-c", "echo $TOKEN; exit 3"]).ends(3);
    sandbox
        .prov(["run", "--secret-env", "TOKEN", "--timeout", "1s", "--", "sh", "-c", "echo $TOKEN; sleep 60"])
        .ends(124);
    assert_clean(&sandbox, &[]);
}

#[test]
fn what_would_record_a_secret_is_refused_without_naming_it() {
    let sandbox = project().with("TOKEN", SECRET).with("COPY", SECRET).with("SHORT", "ab");
    sandbox.file("p.yaml", format!("password: {SECRET}\n")).file("told.sh", "echo $COPY\n");
    let bearer = format!("Bearer {SECRET}");
    let set = format!("password={SECRET}");
    let refused: [&[&str]; 9] = [
        &["--secret-env", "TOKEN", "--", "echo", &bearer],
        &["--secret-env", "TOKEN", "-S", &set, "--", "true"],
        &["--secret-env", "TOKEN", "-m", &bearer, "--", "true"],
        &["--secret-env", "TOKEN", "--runtime", &set, "--", "true"],
        &["--secret-env", "TOKEN", "--env", "COPY", "--", "true"],
        &["--secret-env", "TOKEN", "--env", "TOKEN", "--", "true"],
        &["--secret-env", "TOKEN", "--config", "p.yaml", "--", "true"],
        &["--secret-env", "TOKEN", "--tool", "t=sh told.sh", "--", "true"],
        &["--secret-env", "SHORT", "--", "true"],
    ];
    for words in refused {
        let outcome = sandbox.prov([&["run"], words].concat()).ends(125);
        assert!(!outcome.err().contains(SECRET), "{outcome}");
    }
    let outcome = sandbox.prov(["run", "--secret-env", "NOT_SET", "-o", "x", "--", "touch", "x"]).ends(125);
    assert!(outcome.err().contains("`NOT_SET` is not set") && !exists(&sandbox, "x"), "{outcome}");
    let outcome = sandbox.prov(["run", "--secret-env", &format!("TOKEN={SECRET}"), "--", "true"]).ends(125);
    assert!(!outcome.err().contains(SECRET), "{outcome}");
    assert_eq!(sandbox.prov(["log"]).out(), "", "nothing was recorded");
}

#[test]
fn a_result_made_with_a_secret_is_a_hit_for_somebody_without_it() {
    let sandbox = project();
    let words = ["run", "--secret-env", "TOKEN", "-o", "x", "--", "sh", "-c", "echo done > x"];
    let mut with = sandbox.command(words);
    with.env("TOKEN", SECRET);
    sandbox.outcome(with).ok();
    run(&sandbox, &words[1..]).hits();
}
