//! Reading an ordinary log entry in one pass.
//!
//! Every command reads up to a few dozen entries before it does anything. The general decoder walks each three times:
//! to check its form, to read it, and to see that writing it again gives the same bytes. This one knows the fields and
//! their order and checks all of it as it goes. It may give up on anything; what it takes, the general one takes too,
//! with the same result.

use super::entry::{Class, Edit, Entry, Expect, Inline, OpId, PackRow};
use crate::clock::Micros;
use crate::codec::{Limits, Strict};
use crate::hash::Id;
use crate::object::Kind;

/// The entry that `bytes` are the canonical form of; `None` if it is a fold, or for the general decoder to say.
pub(super) fn decode(bytes: &[u8]) -> Option<Entry> {
    if bytes.len() > Limits::RECORD.bytes {
        return None;
    }
    let mut at = Strict::new(bytes);
    let mut fields = Fields { left: at.map()?, at, next: None };
    let entry = Entry {
        n: fields.must("n")?.uint()?,
        at: Micros(i64::try_from(fields.must("at")?.uint()?).ok()?),
        by: fields.must("by")?.str()?.to_owned(),
        op: OpId::from_bytes(fields.must("op")?.bin()?.try_into().ok()?),
        cmd: fields.must("cmd")?.str()?.to_owned(),
        host: fields.must("host")?.str()?.to_owned(),
        prev: id(fields.must("prev")?)?,
        refs: fields.list("refs", edit)?,
        rely: fields.list("rely", id)?,
        packs: fields.list("packs", pack)?,
        remove: fields.list("remove", id)?,
        condemn: fields.list("condemn", id)?,
        objects: fields.list("objects", inline)?,
        features: fields.list("features", |at| Some(at.str()?.to_owned()))?,
        checkpoint: None,
    };
    fields.is_done().then_some(entry)
}

/// The fields of a record in their order. A field that may be absent is never empty.
struct Fields<'a> {
    left: usize,
    at: Strict<'a>,
    /// A key that was read and not asked for yet.
    next: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Whether the field `name` comes next; then its value does.
    fn is_next(&mut self, name: &str) -> Option<bool> {
        if self.next.is_none() && self.left > 0 {
            self.left -= 1;
            self.next = Some(self.at.str()?);
        }
        let is_next = self.next == Some(name);
        if is_next {
            self.next = None;
        }
        Some(is_next)
    }

    fn must(&mut self, name: &str) -> Option<&mut Strict<'a>> {
        self.is_next(name)?.then_some(&mut self.at)
    }

    /// The values of the field `name`; none if it isn't there.
    fn list<T>(&mut self, name: &str, item: impl Fn(&mut Strict<'a>) -> Option<T>) -> Option<Vec<T>> {
        if !self.is_next(name)? {
            return Some(Vec::new());
        }
        let at = &mut self.at;
        let count = at.array()?;
        if count == 0 || count > Limits::RECORD.entries {
            return None;
        }
        // A count is a claim: room is made for what it may honestly be.
        let mut items = Vec::with_capacity(count.min(1 << 10));
        for _ in 0..count {
            items.push(item(at)?);
        }
        Some(items)
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.next.is_none() && self.at.is_at_end()
    }
}

fn id(at: &mut Strict<'_>) -> Option<Id> {
    Id::from_bytes(at.bin()?)
}

fn edit(at: &mut Strict<'_>) -> Option<Edit> {
    if at.array()? != 3 {
        return None;
    }
    let key = at.bin()?.into();
    let expect = match at.peek()? {
        0 => Expect::Any,
        1 => Expect::Absent,
        2 => Expect::PrefixEmpty,
        _ => Expect::Is(at.bin()?.to_vec()),
    };
    if !matches!(expect, Expect::Is(_)) {
        at.uint()?;
    }
    let new = if at.nil() { None } else { Some(at.bin()?.into()) };
    Some(Edit(key, expect, new))
}

fn pack(at: &mut Strict<'_>) -> Option<PackRow> {
    if at.array()? != 5 {
        return None;
    }
    let name = id(at)?;
    let class = match at.uint()? {
        0 => Class::Records,
        1 => Class::Content,
        _ => return None,
    };
    Some(PackRow(name, class, u8::try_from(at.uint()?).ok()?, at.uint()?, at.uint()?))
}

fn inline(at: &mut Strict<'_>) -> Option<Inline> {
    if at.array()? != 2 {
        return None;
    }
    Some(Inline(Kind::new(at.str()?)?, at.bin()?.into()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::codec;
    use crate::hash::blob;
    use crate::store::entry::Checkpoint;

    fn ids() -> impl Strategy<Value = Vec<Id>> {
        vec(any::<u8>().prop_map(|n| blob(&[n])), 0..3)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..80)
    }

    fn expect() -> impl Strategy<Value = Expect> {
        prop_oneof![Just(Expect::Any), Just(Expect::Absent), Just(Expect::PrefixEmpty), bytes().prop_map(Expect::Is),]
    }

    prop_compose! {
        fn any_entry()(
            (n, at, by, op, cmd) in (any::<u64>(), any::<i64>(), ".{0,40}", any::<[u8; 16]>(), "[a-z]{0,9}"),
            (host, prev, rely, remove, condemn) in (".{0,9}", ids(), ids(), ids(), ids()),
            refs in vec((bytes(), expect(), proptest::option::of(bytes())), 0..20),
            packs in vec((any::<u8>(), any::<bool>(), any::<u8>(), any::<u64>(), any::<u32>()), 0..3),
            objects in vec(("[a-z][a-z-]{0,12}", bytes()), 0..4),
            features in vec("[a-z]{0,5}", 0..2),
        ) -> Entry {
            Entry {
                n, at: Micros(at), by, op: OpId::from_bytes(op), cmd, host,
                prev: prev.first().copied().unwrap_or(Id::ZERO), rely, remove, condemn,
                refs: refs.into_iter().map(|(key, expect, new)| Edit(key.into(), expect, new.map(Into::into))).collect(),
                packs: packs.into_iter().map(|(name, content, level, len, count)| {
                    let class = if content { Class::Content } else { Class::Records };
                    PackRow(blob(&[name]), class, level, len, count.into())
                }).collect(),
                objects: objects.into_iter().map(|(kind, bytes)| Inline(Kind::new(&kind).unwrap(), bytes.into())).collect(),
                features,
                checkpoint: None,
            }
        }
    }

    proptest! {
        #[test]
        fn every_ordinary_entry_is_read(entry in any_entry()) {
            let bytes = codec::encode(&entry).unwrap();
            let read = decode(&bytes);
            if entry.at.0 >= 0 {
                prop_assert_eq!(read, Some(entry));
            } else {
                prop_assert_eq!(read, None, "that is for the general decoder");
            }
        }

        #[test]
        fn what_is_read_the_general_decoder_reads_too(
            entry in any_entry(), at: prop::sample::Index, by: u8, what in 0..3
        ) {
            let mut bytes = codec::encode(&entry).unwrap();
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = by,
                1 => bytes.insert(at, by),
                _ => drop(bytes.remove(at)),
            }
            if let Some(read) = decode(&bytes) {
                prop_assert_eq!(codec::decode::<Entry>(&bytes, &Limits::RECORD), Ok(read));
            }
        }
    }

    #[test]
    fn folds_and_empty_lists_are_for_the_general_decoder() {
        let mut entry = Entry {
            n: 1,
            at: Micros(0),
            by: String::new(),
            op: OpId::from_bytes([0; 16]),
            cmd: String::new(),
            host: String::new(),
            prev: Id::ZERO,
            refs: vec![],
            rely: vec![],
            packs: vec![],
            remove: vec![],
            condemn: vec![],
            objects: vec![],
            features: vec![],
            checkpoint: None,
        };
        let plain = codec::encode(&entry).unwrap();
        assert!(decode(&plain).is_some());
        let mut longer = plain.clone();
        assert_eq!(longer[0], 0x87);
        longer[0] = 0x88;
        longer.extend_from_slice(b"\xa4refs\x90");
        assert!(decode(&longer).is_none() && codec::decode::<Entry>(&longer, &Limits::RECORD).is_err());
        entry.checkpoint = Some(Checkpoint::default());
        assert!(decode(&codec::encode(&entry).unwrap()).is_none());
    }
}
