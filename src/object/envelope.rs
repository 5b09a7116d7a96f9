//! The envelope around every record: `[kind, version, links, body]`.

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::codec::{self, Limits, Strict};
use crate::hash::Id;

/// How a record depends on another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// Kept as long as the record: the history itself.
    Record = 0,
    /// Content that the record tells of; may be evicted.
    Content = 1,
    /// Named, but kept by nothing.
    Weak = 2,
}

impl Strength {
    /// The strength with this number.
    fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Record),
            1 => Some(Self::Content),
            2 => Some(Self::Weak),
            _ => None,
        }
    }
}

impl Serialize for Strength {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::of(number.into()).ok_or_else(|| serde::de::Error::custom("not a strength"))
    }
}

/// One edge from a record to another object: `[id, kind, strength]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link(pub Id, pub Kind, pub Strength);

impl Link {
    /// The object it leads to.
    pub fn id(&self) -> Id {
        self.0
    }

    /// What that object is.
    pub fn kind(&self) -> &Kind {
        &self.1
    }

    /// How strongly it is held.
    pub fn strength(&self) -> Strength {
        self.2
    }
}

/// A record, its body not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The version of its body.
    pub version: u32,
    /// Its links, sorted, none twice.
    pub links: Vec<Link>,
    /// The canonical bytes of its body.
    pub body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart. Kinds and versions that are not known are fine.
    ///
    /// # Errors
    /// When the bytes are not one canonical envelope with sorted links.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, codec::Error> {
        Self::parse_as(bytes, false)
    }

    /// As [`Envelope::parse`], of bytes that passed it before: its body is not looked through again.
    ///
    /// # Errors
    /// As [`Envelope::parse`].
    pub fn parse_verified(bytes: &'a [u8]) -> Result<Self, codec::Error> {
        Self::parse_as(bytes, true)
    }

    fn parse_as(bytes: &'a [u8], is_verified: bool) -> Result<Self, codec::Error> {
        if bytes.len() > Limits::RECORD.bytes {
            return Err(codec::Error::OverLimit { at: Limits::RECORD.bytes, limit: "bytes" });
        }
        // What is wrong is found out only where something is.
        let parsed = match Self::head(bytes) {
            Some(parsed) => parsed,
            None => Self::head_in_general(bytes)?,
        };
        if !is_verified {
            codec::check(parsed.body, &Limits { depth: Limits::RECORD.depth - 1, ..Limits::RECORD })?;
        }
        Ok(parsed)
    }

    /// All but the body in one pass. It may give up on anything; what it takes, [`Envelope::head_in_general`] takes with the same result.
    fn head(bytes: &'a [u8]) -> Option<Self> {
        let mut at = Strict::new(bytes);
        if at.array()? != 4 {
            return None;
        }
        let kind = Kind::new(at.str()?).filter(|kind| *kind != Kind::BLOB)?;
        let version = u32::try_from(at.uint()?).ok()?;
        let count = at.array()?;
        let mut links: Vec<Link> = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            if at.array()? != 3 {
                return None;
            }
            let (id, kind) = (Id::from_bytes(at.bin()?)?, Kind::new(at.str()?)?);
            let link = Link(id, kind, Strength::of(at.uint()?)?);
            if links.last().is_some_and(|last| *last >= link) {
                return None;
            }
            links.push(link);
        }
        (count <= Limits::RECORD.entries).then(|| Self { kind, version, links, body: at.rest() })
    }

    fn head_in_general(bytes: &'a [u8]) -> Result<Self, codec::Error> {
        let wrong = |what: &str| codec::Error::Mismatch(what.to_owned());
        let rest = bytes.strip_prefix(&[0x94]).ok_or_else(|| wrong("not an envelope of four parts"))?;
        let (kind, rest) = rest.split_at(codec::skip(rest, &Limits::RECORD)?);
        let (version, rest) = rest.split_at(codec::skip(rest, &Limits::RECORD)?);
        let (links, body) = rest.split_at(codec::skip(rest, &Limits::RECORD)?);
        let links: Vec<Link> = codec::decode(links, &Limits::RECORD)?;
        if !links.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(wrong("links are sorted and unique"));
        }
        let kind: Kind = codec::decode(kind, &Limits::RECORD)?;
        if kind == Kind::BLOB {
            return Err(wrong("a blob has no envelope"));
        }
        Ok(Self { kind, version: codec::decode(version, &Limits::RECORD)?, links, body })
    }
}

/// Puts a body into its envelope; links are sorted and made unique, and the maps of the body put in order if they are not.
///
/// # Errors
/// When the body has no encoding, or the whole is above the limits of a record.
pub fn encode(kind: Kind, version: u32, links: Vec<Link>, body: &[u8]) -> Result<Vec<u8>, codec::Error> {
    let mut bytes = as_it_comes(&kind, version, links, body)?;
    let head = bytes.len() - body.len();
    match codec::check(&bytes, &Limits::RECORD) {
        Err(codec::Error::NotCanonical { .. }) => {
            bytes.truncate(head);
            bytes.extend(codec::in_form(body)?);
            codec::check(&bytes, &Limits::RECORD)?;
        }
        checked => checked?,
    }
    Ok(bytes)
}

/// As [`encode`], nothing checked and the body as it comes: if its digest is that of a stored object, it is that object's bytes.
///
/// # Errors
/// As [`encode`].
pub fn as_it_comes(kind: &Kind, version: u32, links: Vec<Link>, body: &[u8]) -> Result<Vec<u8>, codec::Error> {
    let links = codec::encode_unchecked(&sorted(links))?;
    let mut bytes = Vec::with_capacity(64 + links.len() + body.len());
    bytes.push(0x94);
    bytes.extend(codec::encode(kind)?);
    bytes.extend(codec::encode(&version)?);
    bytes.extend(links);
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// Links in the order of the format: by id, kind, strength, none twice.
pub fn sorted(mut links: Vec<Link>) -> Vec<Link> {
    links.sort();
    links.dedup();
    links
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Micros;
    use crate::codec::Value;
    use crate::object::run::{Run, RunKind};
    use crate::object::{Record as _, RunRecord};

    fn links() -> impl Strategy<Value = Vec<Link>> {
        let kind = prop_oneof![
            Just(Kind::RUN),
            Just(Kind::BLOB),
            "[a-z][a-z0-9-]{0,40}".prop_filter_map("a kind", |name| Kind::new(&name))
        ];
        let strength = (0..3u64).prop_filter_map("a strength", Strength::of);
        let link = (any::<[u8; 2]>(), kind, strength)
            .prop_map(|(seed, kind, strength)| Link(crate::hash::blob(&seed), kind, strength));
        proptest::collection::vec(link, 0..20)
    }

    /// A record with maps, numbers of all widths and a few links.
    fn record(n: u64, words: &[String]) -> Vec<u8> {
        let mut run =
            Run::begun("20260101T000000.000000Z-s-0000000000000000", "p", "main", RunKind::Command, "s", Micros(1));
        run.argv = words.iter().map(|word| word.as_str().into()).collect();
        run.recipe = Some(crate::hash::blob(&n.to_le_bytes()));
        for (at, word) in words.iter().enumerate() {
            run.facets.insert(word.clone(), Value::Int(i128::from(n >> at)));
            let list = vec![Value::Null, Value::Int(-i128::from(n >> 1 >> at)), Value::Text(word.clone())];
            run.meta.insert(format!("m{word}"), Value::Map(vec![("k".to_owned(), Value::List(list))]));
        }
        run.encode().unwrap()
    }

    /// What a record's bytes must be, the long way: one canonical value as a whole, and an envelope of its kind.
    fn is_sound(kind: &Kind, bytes: &[u8]) -> bool {
        codec::check(bytes, &Limits::RECORD).is_ok()
            && Envelope::head_in_general(bytes).is_ok_and(|envelope| envelope.kind == *kind)
    }

    proptest! {
        #[test]
        fn what_passes_as_a_record_is_what_the_long_way_takes(
            n: u64, words in proptest::collection::vec("[a-z]{1,40}", 0..4),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in 0..6usize, more in 0..6u8
        ) {
            let mut bytes = record(n, &words);
            prop_assert!(super::super::verify_form(&Kind::RUN, &bytes).is_ok());
            for (at, by) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *by;
            }
            // Most stay as long as they were.
            bytes.truncate(bytes.len() - cut.saturating_sub(3));
            bytes.extend((3..more).map(|_| n.to_le_bytes()[0]));
            for kind in [Kind::RUN, Kind::NOTE] {
                prop_assert_eq!(super::super::verify_form(&kind, &bytes).is_ok(), is_sound(&kind, &bytes));
            }
            // Nothing else is ever decoded, and what is decoded is encoded to the same bytes.
            if let Ok(run) = RunRecord::decode(&bytes) {
                prop_assert!(is_sound(&Kind::RUN, &bytes));
                prop_assert_eq!(run.encode().unwrap(), bytes);
            }
        }

        #[test]
        fn a_body_whose_maps_are_in_any_order_is_put_in_form(
            links in links(), body in proptest::collection::hash_map("[a-z]{0,40}", proptest::collection::hash_map("[a-c]{0,3}", any::<u32>(), 0..5), 0..20)
        ) {
            let put = |body: &[u8]| encode(Kind::RUN, 1, links.clone(), body).unwrap();
            let bytes = put(&codec::encode_unchecked(&body).unwrap());
            prop_assert_eq!(&bytes, &put(&codec::encode(&body).unwrap()));
            prop_assert!(is_sound(&Kind::RUN, &bytes));
        }

        #[test]
        fn both_ways_to_read_an_envelope_agree(
            links in links(), version: u32, body in proptest::collection::vec(any::<u8>(), 0..20), at: prop::sample::Index, by: u8, change in 0..4
        ) {
            let mut bytes = vec![0x94];
            bytes.extend(codec::encode(&Kind::RUN).unwrap());
            bytes.extend(codec::encode(&version).unwrap());
            // Out of order, or twice, in some.
            bytes.extend(codec::encode(&if change == 0 { links } else { sorted(links) }).unwrap());
            let whole = bytes.len();
            bytes.extend_from_slice(&body);
            match change {
                1 => bytes.truncate(at.index(bytes.len())),
                2 => bytes[at.index(whole)] = by,
                _ => {}
            }
            let general = Envelope::head_in_general(&bytes);
            prop_assert_eq!(Envelope::head(&bytes), general.as_ref().ok().cloned());
            if change == 3 {
                prop_assert_eq!(general.unwrap().body, body.as_slice());
            }
        }
    }
}
