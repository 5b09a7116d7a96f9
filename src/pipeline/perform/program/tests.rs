//! Real processes that speak the protocol, or don't.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::codec::Value;
use crate::pipeline::perform::testing::{Bench, artifacts};
use crate::pipeline::perform::{Level, Location, Phase, Registry};
use crate::pipeline::plan::Kind;

const SPEC: &str = "{name: my task, source: ROOT/in, destination: out, n: 7}";

struct Ended {
    done: Result<Done, Failure>,
    said: Vec<Said>,
}

impl Ended {
    fn reason(&self) -> String {
        self.done.as_ref().unwrap_err().reason()
    }

    fn printed(&self) -> String {
        let bytes = |one: &Said| if let Said::Output { bytes, .. } = one { bytes.clone() } else { Vec::new() };
        String::from_utf8(self.said.iter().flat_map(bytes).collect()).unwrap()
    }
}

fn run(bench: &Bench, phase: Phase, script: &str) -> Ended {
    let mut job = bench.job(phase, SPEC);
    job.sources = vec![Location::of(&job.need("source").unwrap(), &job.roots)];
    job.destinations = vec![Location::of("out", &job.roots)];
    job.timeout = Some(Duration::from_secs(300));
    job.env.insert("EXTRA".into(), "given".into());
    let kind = Kind::Declared { run: Run::Shell(script.to_owned()), expands: true };
    let mut world = World::local();
    world.search_path = Some("/usr/local/bin:/usr/bin:/bin".into());
    let kind = Registry::new(world).kind(&kind).unwrap();
    let said = Mutex::new(Vec::new());
    let done = kind.perform(&job, &|one| said.lock().unwrap().push(one), &bench.abort);
    Ended { done, said: said.into_inner().unwrap() }
}

#[test]
fn a_program_is_told_everything_and_heard() {
    let bench = Bench::new();
    let script = r#"
        cat > read
        cmp read "$PROV_TASK" || exit 3
        echo "$EXTRA"; echo oops >&2
        echo '{"log": {"level": "success", "text": "hi"}}' >&"$PROV_TASK_FD"
        echo '{"artifact": {"source": "a", "destination": "b"}}' >&3
        echo '{"validates": true}' >&3
        printf '{"result": 1}' >&3"#;
    let ended = run(&bench, Phase::Run, script);
    let done = ended.done.as_ref().unwrap();
    assert!(done.validates && done.outcome.is_some());
    assert!(ended.said.contains(&Said::log(Level::Success, "hi")));
    assert!(ended.said.contains(&Said::Result(Value::Int(1))));
    assert_eq!(artifacts(&ended.said).len(), 1);
    assert_eq!(ended.printed().len(), "given\noops\n".len());
    let told = String::from_utf8(bench.read("work/read").unwrap()).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["protocol"].as_i64(), told["phase"].as_str()), (Some(1), Some("run")));
    assert_eq!(told["spec"]["n"].as_i64(), Some(7));
    assert_eq!(told["config"]["pool_size"].as_i64(), Some(5));
    assert_eq!(told["destinations"][0]["absolute"].as_str(), bench.path("work/out").to_str());
    assert_eq!(told["release_uri"], serde_json::Value::Null);
}

#[test]
fn who_says_nothing_is_judged_by_the_exit_code() {
    let bench = Bench::new();
    let ended = run(&bench, Phase::Validate, "grep -q '\"phase\": \"validate\"' \"$PROV_TASK\"");
    assert!(!ended.done.unwrap().validates);
    let ended = run(&bench, Phase::Run, "echo one >&2; echo 'disk on fire' >&2; exit 5");
    assert_eq!(ended.reason(), "it ended with code 5: disk on fire");
    let ended = run(&bench, Phase::Run, "kill -KILL $$");
    assert_eq!(ended.reason(), "it was ended by SIGKILL");
    assert!(ended.done.unwrap_err().outcome().is_some());
}

#[test]
fn a_program_that_is_not_there_is_told_as_such() {
    let bench = Bench::new();
    let words = vec![BString::from("no-such-program-of-anybody")];
    let program = Program::new(World::local(), words, false);
    let failure = program.perform(&bench.job(Phase::Run, SPEC), &|_| (), &bench.abort).unwrap_err();
    assert_eq!(failure.reason(), "the task can't be started: command not found: `no-such-program-of-anybody`");
}

#[test]
fn an_offence_ends_the_program_and_fails_the_task() {
    let bench = Bench::new();
    let began = Instant::now();
    let ended = run(&bench, Phase::Run, "echo '{\"log\": \"x\"}' >&3; echo nonsense >&3; exec sleep 3600");
    assert!(ended.reason().starts_with("line 2 of what the task said: it is no JSON object"), "{}", ended.reason());
    assert!(ended.said.contains(&Said::log(Level::Info, "x")));
    assert!(began.elapsed() < Duration::from_secs(60));
    // The last line of one that ended well counts too.
    let ended = run(&bench, Phase::Run, "printf '{\"log\"' >&3");
    assert!(ended.reason().starts_with("line 1"), "{}", ended.reason());
}

#[test]
fn an_abort_ends_the_program() {
    let bench = Bench::new();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while bench.read("work/ready").is_none() && began.elapsed() < Duration::from_secs(60) {
                std::thread::yield_now();
            }
            bench.abort.raise("s/other failed");
        });
        let ended =
            run(&bench, Phase::Run, "trap 'echo asked > asked; exit 0' TERM; : > ready; while :; do sleep 0.05; done");
        assert_eq!(ended.reason(), "aborted: s/other failed");
        let failure = ended.done.unwrap_err();
        assert!(failure.is_abort() && failure.outcome().is_some());
    });
    assert_eq!(bench.read("work/asked").unwrap(), b"asked\n");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn somebody_who_was_left_behind_holds_nothing_up() {
    let bench = Bench::new();
    let ended = run(
        &bench,
        Phase::Run,
        "setsid sh -c 'while :; do sleep 1; [ -e stop ] && exit; done' >&- 2>&- & echo '{\"log\": \"x\"}' >&3",
    );
    ended.done.unwrap();
    assert!(ended.said.contains(&Said::log(Level::Info, "x")));
    bench.file("work/stop", b"", 1);
}

#[test]
fn the_example_of_a_type_runs_and_validates() {
    let bench = Bench::new();
    bench.file("work/in/q.csv", b"id\n1\n2\n", 1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines/task_path/count_rows");
    let mut world = World::local();
    world.search_path = Some("/usr/local/bin:/usr/bin:/bin".into());
    let kind = Registry::new(world).kind(&Kind::Program(path)).unwrap();
    let said = Mutex::new(Vec::new());
    let spec = "{name: count_rows of q, source: in/q.csv, destination: out/q.count}";
    let perform = |phase| kind.perform(&bench.job(phase, spec), &|one| said.lock().unwrap().push(one), &bench.abort);
    assert!(perform(Phase::Run).unwrap().validates);
    assert_eq!(bench.read("work/out/q.count").unwrap(), b"2\n");
    perform(Phase::Validate).unwrap();
    bench.file("work/out/q.count", b"0\n", 1);
    let reason = perform(Phase::Validate).unwrap_err().reason();
    assert!(reason.starts_with("it ended with code 1: no rows in /"), "{reason}");
    let said = said.into_inner().unwrap();
    assert_eq!(artifacts(&said)[0].more, [("rows".to_owned(), Value::Int(2))]);
    assert!(said.contains(&Said::log(Level::Info, "2 rows")));
}
