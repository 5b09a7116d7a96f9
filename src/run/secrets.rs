//! Values that reach a command and are kept nowhere.
//!
//! A secret is the value of a variable of prov's own environment. It is never part of a request, so nothing that is made of requests
//! can hold it; what a command prints of it is taken out before it is kept, and what a user types of it is refused.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use bstr::ByteSlice;

use super::Error;
use super::prepare::Environment;

/// Bytes of a secret at least: a shorter one can't be told from ordinary text.
const LEAST: usize = 4;

/// Bytes of a line of a secret in several lines that is taken out even where it stands alone.
const LEAST_LINE: usize = 8;

/// What stands in place of a secret.
const MASK: &[u8] = b"***";

/// Values of secret variables. They are never shown, not even for debugging.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Name and value.
    values: Vec<(String, Vec<u8>)>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} hidden)", self.values.len())
    }
}

impl Secrets {
    /// The values of those of these variables that are set: a lookup needs none of them.
    pub fn known(names: &BTreeSet<String>, environment: &Environment) -> Self {
        let value = |name: &String| {
            let value = environment.get(OsStr::new(name))?.as_bytes().trim_ascii_end();
            (value.len() >= LEAST).then(|| (name.clone(), value.to_vec()))
        };
        Self { values: names.iter().filter_map(value).collect() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values of all of these variables, for a command that is about to be started.
    ///
    /// # Errors
    /// One that is not set, or too short to be kept out of records.
    pub fn needed(names: &BTreeSet<String>, environment: &Environment) -> Result<Self, Error> {
        for name in names {
            let refuse = |what| Err(Error::Secret { name: name.clone(), what });
            match environment.get(OsStr::new(name)) {
                None => return refuse("is not set"),
                Some(value) if value.as_bytes().trim_ascii_end().len() < LEAST => {
                    return refuse("is too short to be kept out of records: a secret has four characters or more");
                }
                Some(_) => {}
            }
        }
        Ok(Self::known(names, environment))
    }

    /// Refuses bytes that are about to be recorded if a secret stands in them.
    ///
    /// # Errors
    /// With the variable's name and `place`, never with the value.
    pub fn check(&self, bytes: &[u8], place: &'static str) -> Result<(), Error> {
        let shown = self.values.iter().find(|(_, value)| bytes.contains_str(value));
        shown.map_or(Ok(()), |(name, _)| Err(Error::SecretShown { name: name.clone(), place }))
    }

    /// What takes the values out of a stream; `None` if there are none.
    pub(super) fn redactor(&self) -> Option<Redactor> {
        let mut needles: Vec<Vec<u8>> = Vec::new();
        for (_, value) in &self.values {
            let lines = value.lines().map(<[u8]>::trim_ascii).filter(|line| line.len() >= LEAST_LINE);
            needles.extend(lines.map(<[u8]>::to_vec));
            needles.push(value.clone());
        }
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        let mut firsts = [false; 256];
        for needle in &needles {
            firsts[usize::from(needle[0])] = true;
        }
        (!needles.is_empty()).then(|| Redactor { needles, firsts: Box::new(firsts), held: Vec::new() })
    }
}

/// Takes values out of a stream that comes in pieces; a value may be cut anywhere.
pub(super) struct Redactor {
    /// The longest first, none empty.
    needles: Vec<Vec<u8>>,
    /// Bytes that a value begins with.
    firsts: Box<[bool; 256]>,
    /// The end of what came so far, as long as it may be the beginning of a value.
    held: Vec<u8>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Takes the next piece and gives what can be passed on.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.held);
        let (out, rest) = self.clean(&all, false);
        self.held = all[rest..].to_vec();
        out
    }

    /// The rest of the stream.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.held);
        self.clean(&all, true).0
    }

    /// What `all` becomes, up to where a value may have begun that is not whole yet.
    fn clean(&self, all: &[u8], is_end: bool) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(all.len());
        let mut at = 0;
        'bytes: while at < all.len() {
            let rest = &all[at..];
            if self.firsts[usize::from(rest[0])] {
                for needle in &self.needles {
                    if rest.starts_with(needle) {
                        out.extend_from_slice(MASK);
                        at += needle.len();
                        continue 'bytes;
                    }
                    if !is_end && needle.starts_with(rest) {
                        return (out, at);
                    }
                }
            }
            out.push(rest[0]);
            at += 1;
        }
        (out, at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        Secrets { values: values.iter().map(|v| ("X".to_owned(), v.as_bytes().to_vec())).collect() }
    }

    fn cleaned(values: &[&str], pieces: &[&[u8]]) -> Vec<u8> {
        let mut redactor = secrets(values).redactor().unwrap();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| redactor.push(piece)).collect();
        out.extend(redactor.finish());
        out
    }

    #[test]
    fn a_value_is_taken_out_wherever_it_is_cut() {
        assert_eq!(cleaned(&["tok-123"], &[b"a tok-", b"12", b"3 b tok-12", b"4"]), b"a *** b tok-124");
        assert_eq!(cleaned(&["aab1", "aab12345"], &[b"aaab1", b"2345", b"aab1", b"x"]), b"a******x");
        assert_eq!(cleaned(&["tok-123"], &[b"tok-12"]), b"tok-12");
    }

    #[test]
    fn lines_of_a_long_value_are_secrets_too() {
        let key = "-----BEGIN\nabcdefghij\nxyz\n-----END--";
        assert_eq!(cleaned(&[key], &[b"abcdefghij\r\nxyz"]), b"***\r\nxyz");
        assert_eq!(cleaned(&[key], &[key.as_bytes()]), b"***");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secrets = secrets(&["tok-123"]);
        assert!(!format!("{secrets:?}").contains("tok"));
        let err = secrets.check(b"words tok-123", "the request").unwrap_err();
        assert!(!super::super::chain(&err).contains("tok-123") && !format!("{err:?}").contains("tok-123"));
        assert!(secrets.check(b"words tok-12", "the request").is_ok());
    }

    #[test]
    fn what_can_not_be_hidden_is_refused() {
        let names = BTreeSet::from(["T".to_owned()]);
        let with = |value: &str| Environment::from([("T".into(), value.into())]);
        assert!(Secrets::needed(&names, &Environment::new()).is_err());
        assert!(Secrets::needed(&names, &with("abc\n")).is_err());
        assert!(Secrets::needed(&names, &with("abcd")).is_ok());
        assert!(Secrets::known(&names, &Environment::new()).redactor().is_none());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab]{0,40}", cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let whole = cleaned(&["abab", "bbabb"], &[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let cut = cleaned(&["abab", "bbabb"], &pieces);
            prop_assert_eq!(&cut, &whole);
            prop_assert!(!cut.contains_str("abab") && !cut.contains_str("bbabb"));
        }
    }
}
