//! The refs that were edited since the checkpoint, found in the entries that edited them.

use std::ops::Range;

use super::load::Loaded;

/// Where the newest edit of each ref lies: position of the entry, position among its edits; in the order of the refs' keys.
#[derive(Debug, Default)]
pub(super) struct Overlay(Vec<(u32, u32)>);

impl Overlay {
    /// Of the entries at these positions, oldest first.
    pub(super) fn of(entries: &[Loaded], counting: &[usize]) -> Self {
        let edits = |at: usize| entries[at].entry.refs.len();
        let mut order = Vec::with_capacity(counting.iter().map(|&at| edits(at)).sum());
        for &at in counting {
            // Neither is ever that large: what an entry may hold is limited by its bytes.
            order.extend((0..edits(at)).filter_map(|position| Some((at.try_into().ok()?, position.try_into().ok()?))));
        }
        let key = |place: (u32, u32)| &*entries[place.0 as usize].entry.refs[place.1 as usize].0;
        // Stable: of edits of one ref the newest stays the last.
        order.sort_by(|&one, &other| key(one).cmp(key(other)));
        order.dedup_by(|newer, kept| {
            let is_same = key(*newer) == key(*kept);
            if is_same {
                *kept = *newer;
            }
            is_same
        });
        Self(order)
    }

    /// To be read, together with the entries that it was made of.
    pub(super) fn over<'a>(&'a self, entries: &'a [Loaded]) -> Edited<'a> {
        Edited { order: &self.0, entries }
    }
}

/// The refs that were edited, by key: the value that the newest edit gave it, or that it deleted the ref.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edited<'a> {
    order: &'a [(u32, u32)],
    entries: &'a [Loaded],
}

impl<'a> Edited<'a> {
    /// Whether no ref was edited.
    pub(super) fn is_empty(self) -> bool {
        self.order.is_empty()
    }

    /// What was made of a ref; `None` if it was not edited.
    pub(super) fn get(self, key: &[u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let found = self.order.binary_search_by(|&place| self.edit(place).0.cmp(key)).ok()?;
        Some(self.edit(self.order[found]))
    }

    /// All of them.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.order.iter().map(move |&place| self.edit(place))
    }

    /// Those from `lower` on and before `upper`.
    pub(super) fn range(self, lower: &[u8], upper: Option<&[u8]>) -> Self {
        let before = |key: &[u8]| self.order.partition_point(|&place| self.edit(place).0 < key);
        let Range { start, end } = before(lower)..upper.map_or(self.order.len(), before);
        Self { order: self.order.get(start..end).unwrap_or_default(), entries: self.entries }
    }

    /// The one with the smallest key.
    pub(super) fn first(self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        self.order.first().map(|&place| self.edit(place))
    }

    /// The one with the greatest key.
    pub(super) fn last(self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        self.order.last().map(|&place| self.edit(place))
    }

    fn edit(self, place: (u32, u32)) -> (&'a [u8], Option<&'a [u8]>) {
        let edit = &self.entries[place.0 as usize].entry.refs[place.1 as usize];
        (&edit.0, edit.2.as_ref().map(|value| value.as_slice()))
    }
}
