//! Refs on their way: very many are held for a while, so keys and values lie one after another in one piece of memory.

use crate::store::RefEdit;

/// Refs that are set whatever they were, each with its value.
#[derive(Debug, Default)]
pub(super) struct PackedRefs {
    bytes: Vec<u8>,
    /// Where each key and each value ends; it begins where the one before ends.
    ends: Vec<(u32, u32)>,
}

impl PackedRefs {
    /// Takes the refs that `edits` set.
    pub(super) fn of(edits: &[RefEdit]) -> Self {
        let pairs = || edits.iter().filter_map(|edit| Some((edit.key.as_slice(), edit.new.as_deref()?)));
        Self::of_pairs(pairs)
    }

    /// Takes keys and values, in this order.
    pub(super) fn of_pairs<'p, I: Iterator<Item = (&'p [u8], &'p [u8])>>(pairs: impl Fn() -> I) -> Self {
        let (mut count, mut len) = (0, 0);
        for (key, value) in pairs() {
            count += 1;
            len += key.len() + value.len();
        }
        let mut refs = Self { bytes: Vec::with_capacity(len), ends: Vec::with_capacity(count) };
        for (key, value) in pairs() {
            refs.bytes.extend_from_slice(key);
            let end = refs.end();
            refs.bytes.extend_from_slice(value);
            refs.ends.push((end, refs.end()));
        }
        refs
    }

    fn end(&self) -> u32 {
        // A record has 16 MiB at most, and a portion of refs less.
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Keys and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(key, value)| {
            let pair = (&self.bytes[start..key as usize], &self.bytes[key as usize..value as usize]);
            start = value as usize;
            pair
        })
    }

    /// The edits that set them.
    pub(super) fn edits(&self) -> Vec<RefEdit> {
        let mut edits = Vec::with_capacity(self.ends.len());
        edits.extend(self.iter().map(|(key, value)| RefEdit::set(key.to_vec(), value.to_vec())));
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_come_back_as_they_were() {
        let edits = vec![
            RefEdit::set(b"a".to_vec(), b"1".to_vec()),
            RefEdit::set(b"b".to_vec(), Vec::new()),
            RefEdit::set(b"longer".to_vec(), vec![7; 300]),
        ];
        assert_eq!(PackedRefs::of(&edits).edits(), edits);
        assert!(PackedRefs::default().edits().is_empty());
    }
}
