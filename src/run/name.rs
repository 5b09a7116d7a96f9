//! Names of runs and steps.

use bstr::{BStr, BString, ByteSlice};

use crate::clock::{Micros, Random};
use crate::object::run::BASE32;
use crate::path::shown;

/// A new run id: `<UTC time>-<slug>-<16 base32 characters>`, the last part 80 random bits.
pub fn run_id(at: Micros, step: &str, random: &dyn Random) -> String {
    let mut bits = [0u8; 10];
    random.fill(&mut bits);
    let mut tail = String::with_capacity(16);
    for five in bits.chunks(5) {
        let word = five.iter().fold(0u64, |sum, &byte| (sum << 8) | u64::from(byte));
        for shift in (0..8).rev() {
            tail.push(char::from(BASE32[(word >> (shift * 5) & 31) as usize]));
        }
    }
    format!("{}-{}-{tail}", at.compact(), slug(step))
}

/// `step` as part of a run id: lower case, every run of characters other than `a-z0-9` one `_`, at most 40 of them.
pub fn slug(step: &str) -> String {
    let mut slug = String::new();
    for c in step.chars().flat_map(char::to_lowercase) {
        if slug.len() >= 40 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('_') {
            slug.push('_');
        }
    }
    if slug.is_empty() { "_".to_owned() } else { slug }
}

/// Words in front of a script that do not name a step.
const INTERPRETERS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "python", "python2", "python3", "Rscript", "R", "julia", "node", "perl",
    "ruby", "awk", "gawk", "mawk", "java", "matlab", "octave", "env", "time", "nice", "uv", "poetry", "conda",
    "mpirun", "mpiexec", "srun", "make", "php", "lua", "deno", "bun",
];

/// The name of a step whose user gave it none: the stem of the script after an interpreter, else the name of the program.
/// A pure function of the words, so that the same command is the same step on every machine.
pub fn step_of(argv: &[bstr::BString]) -> String {
    let stem = |word: &BStr| {
        let name = word.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let stem = match name.rfind_byte(b'.') {
            Some(at) if at > 0 => &name[..at],
            _ => name,
        };
        crate::path::shown(stem)
    };
    let mut words = argv.iter().map(|word| word.as_bstr());
    let Some(first) = words.next() else { return "run".to_owned() };
    let program = stem(first);
    let versionless = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if INTERPRETERS.contains(&program.as_str()) || INTERPRETERS.contains(&versionless) {
        let script = words.find(|word| {
            !word.starts_with(b"-")
                && !word.contains(&b'=')
                && !word.contains(&b' ')
                && !word.contains(&b'{')
                && word.rfind_byte(b'.').is_some_and(|at| at > 0)
        });
        if let Some(script) = script {
            return stem(script);
        }
    }
    if program.is_empty() { "run".to_owned() } else { program }
}

/// A command's words for people.
pub fn command_line(argv: &[BString]) -> String {
    let quote = |word: &BString| {
        let text = shown(word);
        let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%{}".contains(c));
        if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    fn step(words: &[&str]) -> String {
        step_of(&words.iter().map(|w| (*w).into()).collect::<Vec<_>>())
    }

    #[test]
    fn steps_are_named_after_the_script() {
        assert_eq!(step(&["python", "-u", "src/clean.py", "in.csv"]), "clean");
        assert_eq!(step(&["python3.11", "clean.py"]), "clean");
        assert_eq!(step(&["./bin/fit", "data.csv"]), "fit");
        assert_eq!(step(&["sort", "data.csv"]), "sort");
        assert_eq!(step(&["sh", "-c", "cat a.txt"]), "sh");
        assert_eq!(step(&[".hidden"]), ".hidden");
        assert_eq!(step(&[]), "run");
    }

    #[test]
    fn run_ids_sort_by_time_and_never_repeat() {
        let random = SeededRandom::new(1);
        let a = run_id(Micros(1_795_342_830_123_456), "Clean Data!", &random);
        let b = run_id(Micros(1_795_342_830_123_457), "a", &random);
        assert!(a.starts_with("20261122T102030.123456Z-clean_data_-"), "{a}");
        assert_eq!(crate::object::run::tail(&a).len(), 16);
        assert!(crate::object::run::is_tail_prefix(crate::object::run::tail(&a), 16));
        assert!(a < b);
    }
}
