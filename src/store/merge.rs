//! Merging sorted files: which ones, and their records in one stream.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::io;
use std::sync::Arc;

use super::sorted::{Broken, Cursor, SortedFile};

/// How many neighbours of one level become one file of the next. Four keeps a store of ten thousand small
/// transactions under a hundred files at every moment; eight does not.
pub(super) const RATIO: usize = 4;

/// Bytes up to which the newest files become one with every new one: rewriting them costs less than that every lookup meets each of them.
pub(super) const SMALL: u64 = 64 << 10;

/// Packs and history files of this size and above are left to `gc`.
pub(super) const FILE_MAX: u64 = 8 << 20;

/// Tables of this size and above are left as they are. A question meets every table, but only packs of one class until one has what it
/// asks for: so tables may grow larger. Four of those that are left make one of about 160 MiB, once in some hundred thousand runs.
pub(super) const TABLE_MAX: u64 = 48 << 20;

/// The same for a fold that brings a large table itself, as those of a transfer do: nobody asks in between, and the rest can wait.
pub(super) const TABLE_MAX_OF_MANY: u64 = 12 << 20;

/// New records of a fold, in bytes, from which on it brings a large table.
pub(super) const MANY: usize = 8 << 20;

/// Bytes of packs and history files that one command merges at most.
pub(super) const BUDGET: u64 = 64 << 20;

/// Bytes of tables that one command merges at most.
pub(super) const TABLE_BUDGET: u64 = 224 << 20;

/// A file that may be merged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) level: u8,
    pub(super) len: u64,
}

/// Which files are merged with a new one, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// How many of the candidates, from the first.
    pub(super) taken: usize,
    /// The level of the file that is made.
    pub(super) level: u8,
}

/// What [`plan`] goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// [`RATIO`].
    pub(super) ratio: usize,
    /// [`SMALL`].
    pub(super) small: u64,
}

/// How it is done outside of simulated worlds.
pub(super) const MANNER: Manner = Manner { ratio: RATIO, small: SMALL };

/// Chooses from `candidates`, newest first and of rising level, within `budget`, of which it takes its part.
pub(super) fn plan(has_new: bool, candidates: &[Candidate], manner: Manner, budget: &mut u64) -> Plan {
    let Manner { ratio, small } = manner;
    let mut plan = Plan { taken: 0, level: 0 };
    let mut carry = usize::from(has_new);
    if has_new {
        let mut bytes = 0u64;
        for file in candidates.iter().take_while(|file| file.level == 0) {
            bytes = bytes.saturating_add(file.len);
            if bytes > small.min(*budget) {
                break;
            }
            plan.taken += 1;
        }
        *budget -= candidates[..plan.taken].iter().map(|file| file.len).sum::<u64>();
    }
    loop {
        let run = candidates[plan.taken..].iter().take_while(|file| file.level <= plan.level);
        let mut bytes = 0u64;
        let mut fitting = 0;
        let mut all_fit = true;
        for file in run {
            if bytes.saturating_add(file.len) > *budget {
                all_fit = false;
                break;
            }
            bytes += file.len;
            fitting += 1;
        }
        if fitting + carry < ratio {
            return plan;
        }
        *budget -= bytes;
        plan.taken += fitting;
        plan.level = plan.level.saturating_add(1);
        carry = 1;
        if !all_fit {
            return plan;
        }
    }
}

/// Why a merge stopped.
#[derive(Debug)]
pub(super) enum MergeError {
    /// The source with this position among the files is damaged.
    Source(usize, Broken),
    /// What takes the records failed.
    Out(io::Error),
}

/// Takes a key and its value.
pub(super) type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<()>;

/// Hands the records of `new` and `files` to `each` in the order of keys; of equal keys the first source's, `new`
/// before all files. Holds one block of each file at a time.
pub(super) fn merge(
    new: &BTreeMap<Vec<u8>, Vec<u8>>,
    files: &[Arc<SortedFile>],
    each: Each<'_>,
) -> Result<(), MergeError> {
    let mut fresh: btree_map::Iter<'_, Vec<u8>, Vec<u8>> = new.iter();
    let mut first = fresh.next();
    let mut cursors = Vec::with_capacity(files.len());
    for (at, file) in files.iter().enumerate() {
        cursors.push(Cursor::forward(file, b"").map_err(|what| MergeError::Source(at, what))?);
    }
    let mut taken: Vec<u8> = Vec::new();
    loop {
        let mut best: Option<(&[u8], &[u8])> = first.map(|(key, value)| (key.as_slice(), value.as_slice()));
        for cursor in &cursors {
            if let Some((key, value)) = cursor.record()
                && best.is_none_or(|(other, _)| key < other)
            {
                best = Some((key, value));
            }
        }
        let Some((key, value)) = best else { return Ok(()) };
        each(key, value).map_err(MergeError::Out)?;
        taken.clear();
        taken.extend_from_slice(key);
        if first.is_some_and(|(other, _)| *other == taken) {
            first = fresh.next();
        }
        for (at, cursor) in cursors.iter_mut().enumerate() {
            if cursor.record().is_some_and(|(other, _)| other == taken) {
                cursor.advance().map_err(|what| MergeError::Source(at, what))?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(has_new: bool, levels: &[u8], budget: u64) -> Plan {
        let candidates: Vec<_> = levels.iter().map(|&level| Candidate { level, len: 10 }).collect();
        plan(has_new, &candidates, Manner { ratio: RATIO, small: 9 }, &mut { budget })
    }

    #[test]
    fn small_files_are_taken_along() {
        let plan = |lens: &[(u8, u64)], small| {
            let candidates: Vec<_> = lens.iter().map(|&(level, len)| Candidate { level, len }).collect();
            plan(true, &candidates, Manner { ratio: RATIO, small }, &mut { BUDGET })
        };
        assert_eq!(plan(&[(0, 5), (0, 30)], 20), Plan { taken: 1, level: 0 });
        assert_eq!(plan(&[(0, 5), (0, 10), (0, 6)], 20), Plan { taken: 2, level: 0 });
        assert_eq!(plan(&[(1, 5)], 20), Plan { taken: 0, level: 0 });
        assert_eq!(plan(&[(0, 30), (0, 30), (0, 30)], 20), Plan { taken: 3, level: 1 });
        assert_eq!(plan(&[(0, 5), (0, 30), (0, 30), (0, 30), (1, 90)], 20), Plan { taken: 4, level: 1 });
    }

    #[test]
    fn full_levels_are_carried_on() {
        assert_eq!(planned(true, &[0, 0], 1000), Plan { taken: 0, level: 0 });
        assert_eq!(planned(true, &[0, 0, 0, 1, 1], 1000), Plan { taken: 3, level: 1 });
        assert_eq!(planned(true, &[0, 0, 0, 1, 1, 1, 2], 1000), Plan { taken: 6, level: 2 });
        assert_eq!(planned(false, &[0, 0, 0], 1000), Plan { taken: 0, level: 0 });
        assert_eq!(planned(false, &[0, 0, 0, 0, 1], 1000), Plan { taken: 4, level: 1 });
    }

    #[test]
    fn the_budget_is_kept() {
        assert_eq!(planned(true, &[0, 0, 0, 1, 1, 1], 40), Plan { taken: 3, level: 1 });
        assert_eq!(planned(true, &[0; 9], 50), Plan { taken: 5, level: 1 });
        assert_eq!(planned(true, &[0; 9], 20), Plan { taken: 0, level: 0 });
    }

    #[test]
    fn files_stay_few_however_many_are_made() {
        let mut files: Vec<Candidate> = Vec::new();
        for made in 1..=10_000u64 {
            let plan = plan(true, &files, Manner { ratio: RATIO, small: 3 }, &mut u64::MAX.clone());
            let len = 1 + files.drain(..plan.taken).map(|file| file.len).sum::<u64>();
            files.insert(0, Candidate { level: plan.level, len });
            assert!(files.len() <= 1 + 3 * (made.ilog(4) as usize + 1), "{made}: {}", files.len());
        }
    }
}
