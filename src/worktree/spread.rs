//! Does one thing for each of many: a little by the calling thread alone, much by all processors.
//!
//! Starting the threads costs more than most commands in a small project have to do.

use rayon::prelude::*;

/// Names that one thread looks at in about the time that starting the others takes.
pub(super) const FEW_NAMES: usize = 2_000;

/// Files that one thread opens, reads or writes in that time.
pub(super) const FEW_FILES: usize = 16;

/// Bytes that one thread hashes in that time.
pub(super) const FEW_BYTES: u64 = 1 << 20;

/// Bytes that make another thread worth its while.
const BYTES_A_THREAD: u64 = 2 << 20;

/// By how many threads one file of so many bytes is hashed.
pub(super) fn threads_for(bytes: u64) -> usize {
    if bytes <= BYTES_A_THREAD {
        return 1;
    }
    usize::try_from(bytes / BYTES_A_THREAD).unwrap_or(usize::MAX).clamp(2, rayon::current_num_threads().max(2))
}

/// Whether so many files of so many bytes in all are worth more than one thread.
pub(super) fn is_much(files: usize, bytes: u64) -> bool {
    files > 1 && (files > FEW_FILES || bytes > FEW_BYTES)
}

/// What `one` makes of each item, in the order of the items; by more than one thread if it `is_much`.
pub(super) fn map<T: Sync, R: Send>(items: &[T], is_much: bool, one: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    if is_much { items.par_iter().map(one).collect() } else { items.iter().map(one).collect() }
}

/// As [`map`], for what may fail. After a failure the rest may be left undone.
///
/// # Errors
/// The failure of one item; when several fail, of any.
pub(super) fn try_map<T: Sync, R: Send, E: Send>(
    items: &[T],
    is_much: bool,
    one: impl Fn(&T) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E> {
    if is_much { items.par_iter().map(one).collect() } else { items.iter().map(one).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_however_it_is_done() {
        let items: Vec<usize> = (0..5_000).collect();
        for is_much in [false, true] {
            assert_eq!(map(&items, is_much, |n| n * 2)[4_321], 8_642);
            let failed = try_map(&items, is_much, |n| if *n == 70 { Err(*n) } else { Ok(*n) });
            assert_eq!(failed, Err(70));
        }
    }

    #[test]
    fn a_larger_file_is_hashed_by_more_threads_as_far_as_there_are_any() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        let threads = pool.install(|| [0, FEW_BYTES, 3 << 20, 7 << 20, 1 << 30].map(threads_for));
        assert_eq!(threads, [1, 1, 2, 3, 5]);
    }

    #[test]
    fn one_file_is_never_much() {
        assert!(!is_much(1, u64::MAX));
        assert!(!is_much(3, 100));
        assert!(is_much(3, FEW_BYTES + 1));
        assert!(is_much(FEW_FILES + 1, 0));
    }
}
