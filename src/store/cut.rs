//! Where large content is cut: FastCDC (Xia et al., "The Design of Fast Content-Defined Chunking for Data
//! Deduplication Based Storage Systems", 2020), normalisation level 1, with the gear table and masks of the paper's
//! reference implementation. The bounds are constants of the format (`docs/format.md`, section 7.4): content cut by other
//! ones is read as well, but shares no pieces with what is here.

use std::ops::Range;

use fastcdc::v2020::FastCDC;

/// A piece is cut no sooner.
pub(super) const LEAST: usize = 64 << 10;

/// What pieces are about as long as.
const USUAL: usize = 256 << 10;

/// A piece is cut no later.
pub(super) const MOST: usize = 1 << 20;

/// The pieces at the beginning of `bytes` whose ends don't depend on what follows; all of it if `is_last`.
/// Together they are a prefix of `bytes`.
pub(super) fn pieces(bytes: &[u8], is_last: bool) -> Vec<Range<usize>> {
    let cutter = FastCDC::new(bytes, LEAST, USUAL, MOST);
    let mut pieces = Vec::with_capacity(bytes.len() / USUAL + 1);
    let mut start = 0;
    while start < bytes.len() {
        let rest = bytes.len() - start;
        if rest < MOST && !is_last {
            break;
        }
        let (_, end) = cutter.cut(start, rest);
        // The library never gives back an empty piece; an endless loop must not hang on that.
        let end = end.clamp(start + 1, bytes.len());
        pieces.push(start..end);
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Random, SeededRandom};

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; len];
        SeededRandom::new(seed).fill(&mut bytes);
        bytes
    }

    /// Bytes that another implementation makes as easily: the i-th is the top byte of
    /// `i * (i ^ 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9`, modulo 2^64.
    fn golden(len: usize) -> Vec<u8> {
        (0..len as u64)
            .map(|i| (i.wrapping_mul(i ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8)
            .collect()
    }

    #[test]
    fn cut_points_are_part_of_the_format() {
        let ends: Vec<usize> = pieces(&golden(3 << 20), true).into_iter().map(|piece| piece.end).collect();
        assert_eq!(ends, [316_996, 521_813, 944_772, 1_505_053, 2_127_859, 2_410_971, 2_728_057, 3_145_728]);
        let zeroes: Vec<usize> = pieces(&vec![0; 2_500_000], true).into_iter().map(|piece| piece.end).collect();
        assert_eq!(zeroes, [MOST, 2 * MOST, 2_500_000]);
    }

    #[test]
    fn an_insertion_moves_no_cut_far_behind_it() {
        let before = noise(8 << 20, 1);
        let mut after = before.clone();
        let middle = 4 << 20;
        after.splice(middle..middle, noise(1000, 2));
        let ends = |bytes: &[u8], from_end: bool| -> Vec<usize> {
            pieces(bytes, true).into_iter().map(|p| if from_end { bytes.len() - p.end } else { p.end }).collect()
        };
        let (old, new) = (ends(&before, true), ends(&after, true));
        let shared = old.iter().filter(|end| new.contains(end)).count();
        assert!(shared * 3 >= old.len(), "{shared} of {}", old.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn pieces_do_not_depend_on_how_the_bytes_come(seed: u64, len in 0usize..(5 << 20), step in (1usize << 20)..(3 << 20)) {
            let bytes = noise(len, seed);
            let whole = pieces(&bytes, true);
            prop_assert_eq!(whole.iter().map(Range::len).sum::<usize>(), len);
            prop_assert!(whole.iter().rev().skip(1).all(|p| (LEAST..=MOST).contains(&p.len())));
            let (mut found, mut done, mut seen) = (Vec::new(), 0, 0);
            while seen < len {
                seen = (seen + step).min(len);
                let part = pieces(&bytes[done..seen], seen == len);
                found.extend(part.iter().map(|p| done + p.start..done + p.end));
                done += part.last().map_or(0, |p| p.end);
            }
            prop_assert_eq!(found, whole);
        }
    }
}
