//! The recipes of `docs/recipes.md`, word for word.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::git::git;
use crate::project::{exists, project, read, remove};
use crate::sandbox::{Outcome, Sandbox};
use crate::sync::{shared, text};

/// The block of the page that has this name.
#[track_caller]
fn recipe(name: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- recipe: {name} -->\n```")).unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// A program in the project, with prov on its path.
fn command(sandbox: &Sandbox, program: &str, words: &[&str]) -> Command {
    let like = sandbox.command([""; 0]);
    let mut command = Command::new(program);
    command.env_clear();
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let own = Path::new(env!("CARGO_BIN_EXE_prov")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", own.display())).env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(words).current_dir(sandbox.project());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}

#[track_caller]
fn does(sandbox: &Sandbox, program: &str, words: &[&str]) -> Outcome {
    sandbox.outcome(command(sandbox, program, words)).ok()
}

const CLEAN: &str = "mkdir -p out\nsort \"$1\" > \"$2\"\n";

/// How often each outcome is on record.
fn outcomes(sandbox: &Sandbox) -> (usize, usize) {
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    let of = |what: &str| log["runs"].as_array().unwrap().iter().filter(|run| run["cache"] == what).count();
    (of("miss"), of("hit"))
}

#[test]
fn make_asks_prov() {
    if !is_there("make") {
        return;
    }
    let sandbox = project();
    sandbox.file("Makefile", recipe("make")).file("raw.csv", "b\na\n").file("clean.sh", CLEAN);
    does(&sandbox, "make", &["out/count.txt"]);
    assert_eq!((read(&sandbox, "out/clean.csv"), outcomes(&sandbox)), ("a\nb\n".to_owned(), (2, 0)));
    // Nothing looks new.
    does(&sandbox, "make", &["out/count.txt"]);
    assert_eq!(outcomes(&sandbox), (2, 0));
    // Everything is lost.
    remove(&sandbox, "out");
    does(&sandbox, "make", &["out/count.txt"]);
    assert_eq!(outcomes(&sandbox), (2, 2));
    assert_eq!(read(&sandbox, "out/count.txt").trim(), "2");
    remove(&sandbox, "out");
    sandbox.file("raw.csv", "c\nb\na\n");
    does(&sandbox, "make", &["out/count.txt"]);
    assert_eq!((read(&sandbox, "out/count.txt").trim(), outcomes(&sandbox)), ("3", (4, 2)));
}

#[test]
fn snakemake_asks_prov() {
    if !is_there("snakemake") {
        return;
    }
    let sandbox = project();
    sandbox.file("Snakefile", recipe("snakemake")).file("raw.csv", "b\na\n").file("clean.sh", CLEAN);
    for expected in [(1, 0), (1, 1)] {
        does(&sandbox, "snakemake", &["--cores", "1", "out/clean.csv"]);
        assert_eq!((read(&sandbox, "out/clean.csv"), outcomes(&sandbox)), ("a\nb\n".to_owned(), expected));
        remove(&sandbox, "out");
    }
}

#[test]
fn pre_commit_keeps_stale_results_out() {
    // Of an older one the stages have other names, and the hooks say so.
    let version = Command::new("pre-commit").arg("--version").output().ok();
    let version = version.map(|it| String::from_utf8_lossy(&it.stdout).replace("pre-commit", ""));
    let number = |text: &str| -> Vec<u32> { text.trim().split('.').filter_map(|part| part.parse().ok()).collect() };
    if version.is_none_or(|version| number(&version) < vec![3, 2]) {
        return;
    }
    let sandbox = project();
    // prov's own repository, as far as pre-commit looks at it.
    let own = sandbox.path("../own");
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml"),
        own.join(".pre-commit-hooks.yaml"),
    )
    .unwrap();
    let there = |words: &[&str]| crate::git::git_in(&sandbox, &own, words).ok().out().trim().to_owned();
    there(&["init", "-q"]);
    there(&["add", "-A"]);
    there(&["commit", "-qm", "hooks"]);
    let rev = there(&["rev-parse", "HEAD"]);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["config", "user.name", "Ada"]);
    git(&sandbox, &["config", "user.email", "ada@example.org"]);
    let config = recipe("pre-commit").replace("https://example.org/prov", &text(&own)).replace("v0.1.0", &rev);
    sandbox.file(".pre-commit-config.yaml", config).file(".gitignore", "out/\n");
    sandbox.file("raw.csv", "b\na\n").file("clean.sh", CLEAN);
    let words = ["run", "-i", "raw.csv", "-o", "out/clean.csv", "--", "sh", "clean.sh", "raw.csv", "out/clean.csv"];
    sandbox.prov(words).ok();
    does(&sandbox, "pre-commit", &["install"]);
    does(&sandbox, "git", &["add", "-A"]);
    does(&sandbox, "git", &["commit", "-m", "fresh"]);
    sandbox.file("raw.csv", "c\n");
    does(&sandbox, "git", &["add", "-A"]);
    sandbox.outcome(command(&sandbox, "git", &["commit", "-m", "stale"])).ends(1);
    sandbox.prov(words).ok();
    does(&sandbox, "git", &["commit", "-m", "fresh again"]);
    for hook in ["prov-post-checkout", "prov-pre-push"] {
        let stage = hook.trim_start_matches("prov-");
        let refs = ["--from-ref", "HEAD~1", "--to-ref", "HEAD"];
        let more: &[&str] = if stage == "pre-push" {
            &["--remote-branch", "x", "--local-branch", "y"]
        } else {
            &["--checkout-type", "1"]
        };
        let words = [&["run", hook, "--hook-stage", stage], &refs[..], more].concat();
        does(&sandbox, "pre-commit", &words);
    }
}

#[test]
fn ci_jobs_share_what_they_compute() {
    let dir = shared();
    let team = text(&dir.path().join("team"));
    let job = |branch: &str| {
        let sandbox = Sandbox::new();
        sandbox.file("raw.csv", "b\na\n").file("clean.sh", CLEAN).file(
            "prov.toml",
            "[project]\nname = 'p'\n[steps.clean]\ncommand = ['sh', 'clean.sh', 'raw.csv', 'out/clean.csv']\ninput = 'raw.csv'\noutput = 'out/clean.csv'\n\
             [steps.count]\ncommand = ['sh', '-c', 'wc -l < out/clean.csv > out/count.txt']\ninput = 'out/clean.csv'\noutput = 'out/count.txt'\n",
        );
        sandbox.file("job.sh", recipe("ci"));
        let mut command = command(&sandbox, "sh", &["job.sh"]);
        command.env("TEAM_STORE", &team).env("CI_BRANCH", branch);
        (sandbox.outcome(command).ok(), sandbox)
    };
    // The first one finds nothing, not even a store, and makes it.
    let (first, sandbox) = job("main");
    assert_eq!(outcomes(&sandbox), (2, 0), "{first}");
    let (second, sandbox) = job("side");
    assert_eq!(read(&sandbox, "out/count.txt").trim(), "2", "{second}");
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    let hits = log["runs"].as_array().unwrap().iter().filter(|run| run["cache"] == "hit").count();
    assert_eq!(hits, 2, "{second}\n{log}");
}

#[test]
fn slurm_jobs_are_on_record_of_tasks_of_a_pipeline() {
    let sandbox = project();
    let steps = "steps:\n  s:\n    tasks:\n      - {name: a, run: ['true'], cache: reuse}\n      - {name: b, run: ['true'], cache: overwrite}\n";
    sandbox.file("prov.yaml", steps);
    let run = |job: &str| {
        let mut command = sandbox.command(["-q", "pipeline", "run"]);
        command.env("SLURM_JOB_ID", job);
        sandbox.outcome(command).ok();
    };
    let found = |facet: &str| {
        let log = sandbox.prov(["--json", "log", "--all", "--facet", facet]).ok().json();
        log["runs"].as_array().unwrap().len()
    };
    run("17");
    assert_eq!(found("slurm:job_id=17"), 2);
    // Which job it was is no part of the recipe: the task that may be known is.
    run("18");
    assert_eq!((found("slurm:job_id=17"), found("slurm:job_id=18")), (2, 1));
}

#[test]
fn slurm_jobs_are_on_record() {
    let sandbox = project();
    sandbox.file("job.sh", recipe("slurm")).file("fit.sh", "mkdir -p out\necho \"$1\" > \"$2\"\n");
    for task in ["1", "2", "3"] {
        let mut command = command(&sandbox, "sh", &["job.sh"]);
        command
            .env("SLURM_JOB_ID", format!("471{task}"))
            .env("SLURM_ARRAY_JOB_ID", "4711")
            .env("SLURM_ARRAY_TASK_ID", task);
        sandbox.outcome(command).ok();
    }
    assert!(exists(&sandbox, "out/3.txt"));
    let found = |facet: &str| {
        let log = sandbox.prov(["--json", "log", "--facet", facet]).ok().json();
        log["runs"].as_array().unwrap().len()
    };
    assert_eq!(found("slurm:job_id=4712"), 1);
    assert_eq!(found("slurm:array_job_id=4711"), 3);
    assert_eq!(found("slurm:array_task_id=3"), 1);
    assert_eq!(found("slurm:array_task_id=4"), 0);
    // A requeued job finds what was done; which job it was is no part of the recipe.
    let mut command = command(&sandbox, "sh", &["job.sh"]);
    command.env("SLURM_JOB_ID", "9").env("SLURM_ARRAY_JOB_ID", "8").env("SLURM_ARRAY_TASK_ID", "1");
    sandbox.outcome(command).ok();
    assert_eq!(outcomes(&sandbox), (3, 1));
}
