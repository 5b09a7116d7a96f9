//! Checks of what a task made: a phase of its own, with results that say what was seen.
//!
//! Checks are no part of a recipe: their list has an id of its own ([`id`]) that is kept beside a result, so that a tightened check
//! looks again and computes nothing.

mod files;
mod json;
mod schema;
mod verdict;

pub use files::Format;
pub use verdict::{Checked, Verdict};

use crate::codec::Value;
use crate::config;
use crate::hash::{self, Id};
use crate::path::show;
use crate::pipeline::file::Run;
use crate::pipeline::perform::{Abort, Failure, Hear, Job, LastWords, Level, Location, Program, Said, World, size_of};
use crate::pipeline::task::settings::{Check, Validator};
use crate::run::execute::{Command, Context, execute};
use crate::run::interrupts::Interrupts;
use crate::run::observer::{Observer, Stream};
use files::Output;
use verdict::Seen;

/// What a task made, and what is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Where it is.
    pub location: Location,
}

/// What a list of checks is known by: equal checks in equal order have the same id, and nothing else has.
pub fn id(validators: &[Validator]) -> Id {
    let one = |validator: &Validator| {
        let of = validator.of.as_deref().map_or(Value::Null, |of| Value::Text(of.to_owned()));
        Value::List(vec![Value::Text(name(&validator.check).to_owned()), argument(&validator.check), of])
    };
    let list = Value::List(validators.iter().map(one).collect());
    hash::derived("prov 2026-11 a list of checks", config::to_json(&list).as_bytes())
}

/// The name of a check, as files have it.
pub fn name(check: &Check) -> &'static str {
    match check {
        Check::Exists => "exists",
        Check::Nonempty => "nonempty",
        Check::SizeEqual => "size_equal",
        Check::MinBytes(_) => "min_bytes",
        Check::MaxBytes(_) => "max_bytes",
        Check::MinRows(_) => "min_rows",
        Check::MaxRows(_) => "max_rows",
        Check::MinLines(_) => "min_lines",
        Check::Blake3(_) => "blake3",
        Check::Sha256(_) => "sha256",
        Check::Readable(_) => "readable",
        Check::Schema(_) => "schema",
        Check::Command(_) => "command",
    }
}

/// What a check asks for.
pub fn argument(check: &Check) -> Value {
    let text = |text: &String| Value::Text(text.clone());
    match check {
        Check::Exists | Check::Nonempty | Check::SizeEqual => Value::Null,
        Check::MinBytes(n) | Check::MaxBytes(n) | Check::MinRows(n) | Check::MaxRows(n) | Check::MinLines(n) => {
            Value::Int(i128::from(*n))
        }
        Check::Blake3(digest) | Check::Sha256(digest) => text(digest),
        Check::Readable(format) => text(format),
        Check::Schema(schema) => schema.clone(),
        Check::Command(Run::Words(words)) => Value::List(words.iter().map(text).collect()),
        Check::Command(Run::Shell(line)) => text(line),
    }
}

/// Makes the checks, in order, and gives what each saw. Of an output that is not there nothing more is looked at, and no command is
/// executed once something is wrong.
///
/// # Errors
/// It was aborted. A check that fails is a result.
pub fn validate(
    world: &World,
    job: &Job,
    validators: &[Validator],
    subjects: &[Subject],
    hear: &Hear<'_>,
    abort: &Abort,
) -> Result<Vec<Checked>, Failure> {
    let mut checked: Vec<Checked> = Vec::new();
    for (number, validator) in validators.iter().enumerate() {
        abort.check()?;
        let is_chosen = |subject: &&Subject| {
            validator.of.as_ref().is_none_or(|of| {
                subject.key.as_ref() == Some(of) || subject.location.declared == *of || subject.location.absolute == *of
            })
        };
        let chosen: Vec<&Subject> = subjects.iter().filter(is_chosen).collect();
        let is_bad = checked.iter().any(|one| one.verdict == Verdict::Fail);
        let at = |subject: &Subject| subject.location.absolute.clone();
        match &validator.check {
            Check::Command(_) if is_bad => {}
            Check::Command(run) => {
                let place = validator.of.clone().unwrap_or_default();
                checked.push(timed(world, validator, place, || command(world, job, run, &chosen, number, hear, abort)));
            }
            Check::SizeEqual if chosen.len() != 1 || job.sources.len() != 1 => {
                let place = validator.of.clone().unwrap_or_default();
                checked.push(timed(world, validator, place, || sizes(world, job, &chosen)));
            }
            _ if chosen.is_empty() => {
                let seen = || Seen::fail("the task has no such output");
                checked.push(timed(world, validator, validator.of.clone().unwrap_or_default(), seen));
            }
            check => {
                for subject in chosen {
                    let is_absent = |one: &Checked| one.of == subject.location.absolute && one.is_absent;
                    if !checked.iter().any(is_absent) {
                        checked.push(timed(world, validator, at(subject), || one(world, job, check, subject, abort)));
                    }
                    abort.check()?;
                }
            }
        }
    }
    abort.check()?;
    for one in &checked {
        let level = match one.verdict {
            Verdict::Pass => Level::Debug,
            Verdict::Unknown => Level::Warning,
            Verdict::Fail => Level::Error,
        };
        hear(Said::log(level, one.to_string()));
    }
    Ok(checked)
}

/// The first check that failed, in words: the reason why a task is not valid.
pub fn reason(checked: &[Checked]) -> Option<String> {
    checked.iter().find(|one| one.verdict == Verdict::Fail).map(ToString::to_string)
}

fn timed(world: &World, validator: &Validator, of: String, look: impl FnOnce() -> Seen) -> Checked {
    let started_at = world.clock.now();
    let seen = look();
    Checked {
        check: name(&validator.check).to_owned(),
        argument: argument(&validator.check),
        of,
        verdict: seen.verdict,
        saw: seen.saw,
        is_absent: seen.is_absent,
        started_at,
        finished_at: world.clock.now(),
    }
}

/// One check of one output.
fn one(world: &World, job: &Job, check: &Check, subject: &Subject, abort: &Abort) -> Seen {
    let Some(path) = subject.location.address().local() else {
        return Seen::unknown(format!("`{}` is not on this machine", subject.location.absolute));
    };
    let output = match Output::look(&world.fs, &path) {
        Ok(Some(output)) => output,
        Ok(None) => return Seen::absent(),
        Err(err) => return Seen::fail(format!("can't look at it: {err}")),
    };
    let looked = match check {
        Check::Exists => Ok(Seen::pass(output.in_words())),
        Check::Nonempty => Ok(Seen::judge(output.bytes > 0, output.in_words())),
        Check::MinBytes(least) => Ok(Seen::judge(output.bytes >= *least, output.in_words())),
        Check::MaxBytes(most) => Ok(Seen::judge(output.bytes <= *most, output.in_words())),
        Check::SizeEqual => Ok(match job.sources.first().map(|source| source_size(world, job, source)) {
            Some(Some(size)) => Seen::judge(size == output.bytes, format!("{} bytes, its source {size}", output.bytes)),
            _ => Seen::unknown(format!("{} bytes, its source is of unknown size", output.bytes)),
        }),
        Check::MinRows(least) => output.rows(abort).map(|rows| Seen::judge(rows.count >= *least, rows.in_words())),
        Check::MaxRows(most) => output.rows(abort).map(|rows| Seen::judge(rows.count <= *most, rows.in_words())),
        Check::MinLines(least) => output.lines(abort).map(|n| Seen::judge(n >= *least, format!("{n} lines"))),
        Check::Blake3(digest) => output.blake3().map(|seen| Seen::judge(seen == *digest, seen)),
        Check::Sha256(digest) => output.sha256().map(|seen| Seen::judge(seen == *digest, seen)),
        Check::Readable(format) => output.readable(Format::of_name(format), abort).map(Seen::pass),
        Check::Schema(wanted) => schema::compare(world, job, wanted, &output),
        Check::Command(_) => Ok(Seen::unknown("a command looks at all outputs")),
    };
    looked.unwrap_or_else(Seen::fail)
}

fn source_size(world: &World, job: &Job, source: &Location) -> Option<u64> {
    if let Some(path) = source.address().local()
        && let Ok(Some(output)) = Output::look(&world.fs, &path)
    {
        return Some(output.bytes);
    }
    size_of(world, job, source)
}

/// Whether all outputs together are as large as all sources.
fn sizes(world: &World, job: &Job, chosen: &[&Subject]) -> Seen {
    let mut made: u64 = 0;
    for subject in chosen {
        let Some(path) = subject.location.address().local() else {
            return Seen::unknown(format!("`{}` is not on this machine", subject.location.absolute));
        };
        match Output::look(&world.fs, &path) {
            Ok(Some(output)) => made = made.saturating_add(output.bytes),
            Ok(None) => return Seen::fail(format!("`{}` is not there", show(&path))),
            Err(err) => return Seen::fail(format!("can't look at `{}`: {err}", show(&path))),
        }
    }
    let known: Option<u64> = job.sources.iter().map(|source| source_size(world, job, source)).sum();
    match known.filter(|_| !job.sources.is_empty()) {
        Some(size) => Seen::judge(size == made, format!("{made} bytes, the sources {size}")),
        None => Seen::unknown(format!("{made} bytes, the sources are of unknown size")),
    }
}

/// Whether a command ends well. It finds the outputs in `PROV_OUTPUT`, one a line, and those with a key in `PROV_OUTPUT_KEY`.
fn command(
    world: &World,
    job: &Job,
    run: &Run,
    chosen: &[&Subject],
    number: usize,
    hear: &Hear<'_>,
    abort: &Abort,
) -> Seen {
    let mut command = Command::new(Program::words(run), job.cwd.clone());
    command.set_env = job.env.clone();
    command.search_path.clone_from(&world.search_path);
    command.timeout = job.timeout;
    command.must_end = true;
    let paths: Vec<&str> = chosen.iter().map(|subject| subject.location.absolute.as_str()).collect();
    command.set_env.insert("PROV_OUTPUT".into(), paths.join("\n").into());
    for subject in chosen {
        if let Some(key) = &subject.key {
            let name = format!("PROV_OUTPUT_{}", key.to_uppercase().replace('-', "_"));
            command.set_env.insert(name.into(), subject.location.absolute.clone().into());
        }
    }
    let folder = job.folder.join("checks").join(number.to_string());
    if let Err(err) = world.fs.make_dirs(&folder) {
        return Seen::fail(format!("`{}` can't be made: {err}", show(&folder)));
    }
    let Ok(interrupts) = Interrupts::by_hand() else { return Seen::fail("no process can be started") };
    let interrupter = interrupts.interrupter();
    let _watch = abort.watch(move || interrupter.raise(rustix::process::Signal::TERM.as_raw()));
    let mut printed = Printed::default();
    let context = Context {
        fs: &world.fs,
        clock: &*world.clock,
        spool_dir: &folder,
        interrupts: Some(&interrupts),
        observer: &mut printed,
        started: &mut |pid| hear(Said::Started { pid }),
        lasts: None,
    };
    let executed = execute(context, &command);
    match executed {
        Err(err) => Seen::fail(err.to_string()),
        Ok(outcome) => {
            let mut words = match outcome.exit {
                _ if outcome.timed_out => "its time was up".to_owned(),
                crate::run::exit::Exit::Code(code) => format!("it ended with code {code}"),
                crate::run::exit::Exit::Signal(signal) => format!("it was ended by signal {signal}"),
            };
            if let Some(line) = printed.0.line() {
                words = format!("{words}: {line}");
            }
            Seen::judge(outcome.is_success(), words)
        }
    }
}

/// Keeps the last line of what a command prints.
#[derive(Default)]
struct Printed(LastWords);

impl Observer for Printed {
    fn output(&mut self, _from: Stream, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests;
