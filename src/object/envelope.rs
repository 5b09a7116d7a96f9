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

/// Puts a body into its envelope; links are sorted and made unique.
///
/// # Errors
/// When the whole is above the limits of a record.
pub fn encode(kind: Kind, version: u32, links: Vec<Link>, body: &[u8]) -> Result<Vec<u8>, codec::Error> {
    let mut bytes = vec![0x94];
    bytes.extend(codec::encode(&kind)?);
    bytes.extend(codec::encode(&version)?);
    bytes.extend(codec::encode(&sorted(links))?);
    bytes.extend_from_slice(body);
    codec::check(&bytes, &Limits::RECORD)?;
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

    proptest! {
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
