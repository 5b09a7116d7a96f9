//! Runs simulated worlds (`prov::store::sim`) by the thousand:
//!
//!     cargo run --release --features simulate --bin simulate -- [--seeds N] [--first SEED] [--mutations [N]] [--fuzz N]
//!
//! `--runs N DIR [EACH]` makes a project with N runs in DIR, EACH of them (500) in a transaction, to measure questions with.
//!
//! Without arguments 2,000 seeds. `PROV_SIM_SEED=SEED` runs one seed and prints what happened in it, step by step; with
//! `PROV_SIM_MUTATION=NAME` with that bug planted. Ends with 1 if a promise was broken, or if a planted bug was not noticed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program is there to print")]

mod scale;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prov::clock::{Micros, SeededRandom, StepClock};
use prov::fs::Fs;
use prov::store::World;
use prov::store::sim::fuzz::{Corpus, execute};
use prov::store::sim::{Failure, Limits, Mutation, Seen, run};

/// Seeds a worker takes at a time.
const BATCH: u64 = 16;

/// Lines of a trace that are shown: the last ones.
const MOST_LINES: usize = 400;

/// Seeds in which each planted bug must be noticed.
const MUTATION_SEEDS: u64 = 20_000;

fn main() -> ExitCode {
    let mut seeds = 2_000;
    let mut first = 0;
    let mut mutations = None;
    let mut executions = None;
    let mut args = std::env::args().skip(1).peekable();
    while let Some(arg) = args.next() {
        let number = |text: Option<String>| text.and_then(|text| text.replace('_', "").parse::<u64>().ok());
        match arg.as_str() {
            "--mutations" => {
                let most = args.next_if(|next| !next.starts_with("--"));
                mutations = Some(number(most).unwrap_or(MUTATION_SEEDS));
            }
            "--runs" => match (number(args.next()), args.next()) {
                (Some(runs), Some(folder)) => {
                    let each = number(args.next()).unwrap_or(scale::BATCH).max(1);
                    return make_runs(std::path::Path::new(&folder), runs, each);
                }
                _ => return usage(),
            },
            "--fuzz" => match number(args.next()) {
                Some(value) => executions = Some(value),
                None => return usage(),
            },
            "--seeds" | "--first" => match number(args.next()) {
                Some(value) if arg == "--seeds" => seeds = value,
                Some(value) => first = value,
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let mutation = match variable("PROV_SIM_MUTATION") {
        None => Mutation::none(),
        Some(name) => match Mutation::all().into_iter().find(|(known, _)| *known == name) {
            Some((_, mutation)) => mutation,
            None => return usage(),
        },
    };
    if let Some(seed) = variable("PROV_SIM_SEED").and_then(|seed| seed.parse().ok()) {
        return replay(seed, &mutation);
    }
    if let Some(executions) = executions {
        return fuzz(first, executions);
    }
    match mutations {
        Some(most) => plant(first, most),
        None => explore(first, seeds, &mutation),
    }
}

fn make_runs(folder: &std::path::Path, runs: u64, each: u64) -> ExitCode {
    let began = Instant::now();
    match scale::make(folder, runs, each) {
        Ok(()) => {
            println!("{runs} runs in {}, {:.0} s", folder.display(), began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(err) => {
            eprintln!("no store of {runs} runs: {err}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own reads its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn usage() -> ExitCode {
    eprintln!(
        "simulate: [--seeds N] [--first SEED] [--mutations [N]] [--fuzz N]; PROV_SIM_SEED=SEED PROV_SIM_MUTATION=NAME"
    );
    eprintln!("mutations:");
    for (name, _) in Mutation::all() {
        eprintln!("    {name}");
    }
    ExitCode::from(2)
}

/// Runs one seed and tells all.
fn replay(seed: u64, mutation: &Mutation) -> ExitCode {
    match run(seed, mutation, Limits::default(), true) {
        Ok(seen) => {
            println!("{}", seen.trace.join("\n"));
            println!(
                "seed {seed}: {} steps, {} entries, {} folds: nothing broken",
                seen.steps, seen.entries, seen.folds
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tell(&failure, mutation);
            ExitCode::FAILURE
        }
    }
}

/// The same seed with less of everything, as long as it still fails.
fn smaller(failure: &Failure, mutation: &Mutation) -> (Limits, Failure) {
    let mut limits = Limits::default();
    let mut smallest = failure.clone();
    let attempts: [&dyn Fn(&mut Limits); 10] = [
        &|limits| limits.power_loss = false,
        &|limits| limits.failures = false,
        &|limits| limits.kills = false,
        &|limits| limits.vague_links = false,
        &|limits| limits.phases = 1,
        &|limits| limits.processes = 2,
        &|limits| limits.processes = 3,
        &|limits| limits.jobs = 3,
        &|limits| limits.jobs = 4,
        &|limits| limits.jobs = 6,
    ];
    for attempt in attempts {
        let mut tried = limits;
        attempt(&mut tried);
        if tried.processes <= limits.processes
            && tried.jobs <= limits.jobs
            && let Err(failure) = run(failure.seed, mutation, tried, true)
        {
            limits = tried;
            smallest = failure;
        }
    }
    (limits, smallest)
}

fn tell(failure: &Failure, mutation: &Mutation) {
    let traced = match run(failure.seed, mutation, Limits::default(), true) {
        Err(traced) => traced,
        Ok(_) => failure.clone(),
    };
    let (limits, smallest) = smaller(&traced, mutation);
    let trace = &smallest.seen.trace;
    println!("{}", trace[trace.len().saturating_sub(MOST_LINES)..].join("\n"));
    println!("seed {}: {}", failure.seed, failure.what);
    println!("    the trace is of {limits:?}: {}", smallest.what);
    println!("    PROV_SIM_SEED={} shows it again", failure.seed);
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: AtomicU64,
    steps: AtomicU64,
    entries: AtomicU64,
    folds: AtomicU64,
    power_losses: AtomicU64,
}

impl Sum {
    fn add(&self, seen: &Seen) {
        self.seeds.fetch_add(1, Ordering::Relaxed);
        self.steps.fetch_add(seen.steps, Ordering::Relaxed);
        self.entries.fetch_add(seen.entries, Ordering::Relaxed);
        self.folds.fetch_add(seen.folds, Ordering::Relaxed);
        self.power_losses.fetch_add(seen.power_losses, Ordering::Relaxed);
    }
}

/// The first failure of `seeds` seeds from `first` on; one worker on each core.
fn search(first: u64, seeds: u64, mutation: &Mutation, sum: &Sum) -> Option<Failure> {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let found: Mutex<Option<Failure>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (next, is_over, found) = (&next, &is_over, &found);
            scope.spawn(move || {
                stay_on(core);
                while !is_over.load(Ordering::Relaxed) {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    if from >= seeds {
                        return;
                    }
                    for seed in first + from..first + (from + BATCH).min(seeds) {
                        match run(seed, mutation, Limits::default(), false) {
                            Ok(seen) => sum.add(&seen),
                            Err(failure) => {
                                is_over.store(true, Ordering::Relaxed);
                                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                                if found.as_ref().is_none_or(|other| other.seed > failure.seed) {
                                    *found = Some(failure);
                                }
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The processes of one world wait for each other all the time: on one core that is ten times as fast.
fn stay_on(core: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        if let Ok(allowed) = rustix::thread::sched_getaffinity(None) {
            let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
            if let Some(&cpu) = cores.get(core % cores.len().max(1)) {
                set.set(cpu);
                // Slower without.
                let _ = rustix::thread::sched_setaffinity(None, &set);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}

fn explore(first: u64, seeds: u64, mutation: &Mutation) -> ExitCode {
    let started = Instant::now();
    let sum = Sum::default();
    let found = search(first, seeds, mutation, &sum);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(failure) = found {
        tell(&failure, mutation);
        return ExitCode::FAILURE;
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = of(&sum.seeds) as f64 / seconds;
    println!(
        "{} seeds from {first}, {} steps, {} entries, {} folds, {} power losses: nothing broken; {seconds:.1} s, {rate:.0} seeds/s",
        of(&sum.seeds),
        of(&sum.steps),
        of(&sum.entries),
        of(&sum.folds),
        of(&sum.power_losses),
    );
    ExitCode::SUCCESS
}

/// Every decoder on changed bytes of the stores and configurations in `fixtures/`.
fn fuzz(first: u64, executions: u64) -> ExitCode {
    let Some(corpus) = corpus() else {
        eprintln!("simulate: no corpus in fixtures/");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let failed: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(1_000, Ordering::Relaxed);
                    if from >= executions {
                        return;
                    }
                    for seed in first + from..first + (from + 1_000).min(executions) {
                        let done = std::panic::catch_unwind(|| execute(&corpus, seed));
                        let what = match done {
                            Ok(Ok(())) => continue,
                            Ok(Err(what)) => what,
                            Err(_) => format!("seed {seed}: a decoder panicked"),
                        };
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for what in failed.iter().take(20) {
        println!("{}", what.chars().take(2_000).collect::<String>());
    }
    println!(
        "{executions} executions from {first} on {} valid ones: {} failed; {:.1} s",
        corpus.len(),
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What lies in `fixtures/`.
fn corpus() -> Option<Corpus> {
    let fs = Fs::real();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let below = |dir: &str| -> Vec<(String, Vec<u8>)> {
        let dir = root.join(dir);
        let files = fs.walk(&dir).filter_map(Result::ok).filter(|(_, stat)| stat.is_file());
        let mut found: Vec<_> = files
            .filter_map(|(path, _)| {
                let name = path.strip_prefix(&dir).ok()?.to_str()?.to_owned();
                Some((name, fs.read(&path).ok()??))
            })
            .collect();
        found.sort();
        found
    };
    let world = World {
        clock: Arc::new(StepClock::new(Micros(0), 1)),
        random: Arc::new(SeededRandom::new(1)),
        host: "box".to_owned(),
        author: "ann".to_owned(),
    };
    let corpus = Corpus::of_store(&below("stores/v1/store"), &below("fuzz/configs"), &world);
    if corpus.is_empty() { None } else { Some(corpus) }
}

/// Plants each bug in turn, and fails if one survives.
fn plant(first: u64, most: u64) -> ExitCode {
    let mut survived = 0;
    for (name, mutation) in Mutation::all() {
        match search(first, most, &mutation, &Sum::default()) {
            Some(failure) => println!("caught    {name}: seed {}: {}", failure.seed, failure.what),
            None => {
                survived += 1;
                println!("SURVIVED  {name}: {most} seeds");
            }
        }
    }
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
