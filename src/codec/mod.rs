//! Canonical MessagePack with limits: the byte form of every record.
//!
//! One value has exactly one encoding: shortest integers and lengths, 64-bit floats only, map keys sorted by
//! their encoded bytes and never repeated, no extension types, nothing after the end. [`decode`] accepts
//! exactly the bytes that [`encode`] makes. This module is the only user of `rmp-serde`.

mod canonical;
mod strict;
mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use canonical::{Limits, check, skip};
pub use strict::Strict;
pub use value::Value;

/// Why bytes are not the encoding of a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a value.
    #[error("cut off at byte {at}")]
    CutOff {
        /// Where the missing part should begin.
        at: usize,
    },
    /// The bytes break a rule of the canonical form.
    #[error("not canonical at byte {at}: {rule}")]
    NotCanonical {
        /// Where the rule is broken.
        at: usize,
        /// The rule.
        rule: &'static str,
    },
    /// A limit is exceeded.
    #[error("over a limit at byte {at}: {limit}")]
    OverLimit {
        /// Where the limit is exceeded.
        at: usize,
        /// The limit.
        limit: &'static str,
    },
    /// The value is well formed but not of the wanted type.
    #[error("not the expected record: {0}")]
    Mismatch(String),
    /// The value cannot be encoded.
    #[error("cannot be encoded: {0}")]
    Encode(String),
}

/// The canonical encoding of `value`.
///
/// Structs become maps with their field names as keys; fields in any order.
///
/// # Errors
/// [`Error::Encode`] for values without an encoding (32-bit floats that are not finite and the like).
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let any = Limits { depth: canonical::DEPTH_OF_VALUES, bytes: usize::MAX, entries: usize::MAX };
    sorted(as_it_comes(value, 256)?, &any)
}

/// As [`encode`], for what will be read back with these limits.
///
/// # Errors
/// As [`encode`]; [`Error::OverLimit`] for what would not be read back.
pub fn encode_within<T: Serialize + ?Sized>(value: &T, limits: &Limits) -> Result<Vec<u8>, Error> {
    let bytes = as_it_comes(value, 256)?;
    match check(&bytes, limits) {
        Ok(()) => Ok(bytes),
        Err(err @ Error::OverLimit { .. }) => Err(err),
        Err(_) => {
            let bytes = canonical::sort_maps(&bytes)?;
            check(&bytes, limits)?;
            Ok(bytes)
        }
    }
}

/// The encoding of a value but for the order of its maps: for what is checked as a whole before anybody sees it, and put in form by
/// [`in_form`] if need be.
///
/// # Errors
/// As [`encode`].
pub fn encode_unchecked<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    as_it_comes(value, 1024)
}

/// What [`encode`] makes of the value whose [`encode_unchecked`] form this is.
///
/// # Errors
/// As [`encode`].
pub fn in_form(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    canonical::sort_maps(bytes)
}

/// A value in few bytes, its fields by their order instead of their names: for what prov keeps for itself and can make again. Neither
/// canonical nor stable from one prov to the next, so never part of an object.
///
/// # Errors
/// As [`encode`].
pub fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec(value).map_err(|err| Error::Encode(err.to_string()))
}

/// Reads back what [`pack`] wrote. The bytes have to be known to be those: nothing but their depth is limited.
///
/// # Errors
/// [`Error::Mismatch`] when they are not.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|err| Error::Mismatch(err.to_string()))
}

/// The encoding of a value, its maps and structs in the order in which they come.
fn as_it_comes<T: Serialize + ?Sized>(value: &T, len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(len);
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    value.serialize(&mut serializer).map_err(|err| Error::Encode(err.to_string()))?;
    Ok(bytes)
}

/// Puts what may not be in order in order. Most records come in order, and then looking is all there is to do.
fn sorted(bytes: Vec<u8>, limits: &Limits) -> Result<Vec<u8>, Error> {
    if check(&bytes, limits).is_ok() { Ok(bytes) } else { canonical::sort_maps(&bytes) }
}

/// Serialises a map in the order of its encoded keys, which is not that of its keys: shorter ones come first. For
/// `serialize_with`.
///
/// # Errors
/// What the serializer reports.
pub fn in_order<K, V, S>(map: &std::collections::BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Serialize + AsRef<[u8]>,
    V: Serialize,
    S: serde::Serializer,
{
    if serializer.is_human_readable() {
        return serializer.collect_map(map);
    }
    let mut entries: Vec<(&[u8], &K, &V)> = map.iter().map(|(key, value)| (key.as_ref(), key, value)).collect();
    entries.sort_by_key(|(bytes, ..)| (bytes.len(), *bytes));
    serializer.collect_map(entries.into_iter().map(|(_, key, value)| (key, value)))
}

/// Reads a value back; accepts exactly what [`encode`] makes of it.
///
/// # Errors
/// Any [`Error`]: the bytes are never trusted and never cause a panic.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, Error> {
    check(bytes, limits)?;
    decode_checked(bytes)
}

/// As [`decode`], of bytes that passed [`check`] already.
///
/// # Errors
/// [`Error::Mismatch`] when they are not what [`encode`] makes of a value of this type.
pub fn decode_checked<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let value: T = rmp_serde::from_slice(bytes).map_err(|err| Error::Mismatch(err.to_string()))?;
    let again = as_it_comes(&value, bytes.len())?;
    // What equals canonical bytes is canonical: only what comes in another order has to be sorted.
    if again == bytes || canonical::sort_maps(&again)? == bytes {
        Ok(value)
    } else {
        Err(Error::Mismatch("it holds fields or values that this record does not have".to_owned()))
    }
}

/// `value` as a [`Value`].
///
/// # Errors
/// As [`encode`].
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    decode(&encode(value)?, &Limits::RECORD)
}

/// A value of type `T` made from `value`; keys that `T` does not know are an error only if `T` says so.
///
/// # Errors
/// [`Error::Mismatch`] when it does not fit.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    decode_lenient(&encode(value)?, &Limits::RECORD)
}

/// Reads a value back; canonical bytes with fields that `T` does not know are accepted, and those fields dropped.
/// For values that are not hashed, such as those of refs.
///
/// # Errors
/// As [`decode`].
pub fn decode_lenient<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, Error> {
    check(bytes, limits)?;
    rmp_serde::from_slice(bytes).map_err(|err| Error::Mismatch(err.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        zeta: u32,
        a: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maybe: Option<i64>,
        map: BTreeMap<String, bool>,
    }

    #[test]
    fn struct_fields_are_sorted_by_their_encoded_names() {
        let sample = Sample { zeta: 1, a: vec!["x".into()], maybe: None, map: BTreeMap::new() };
        let bytes = encode(&sample).unwrap();
        assert_eq!(bytes, b"\x83\xa1a\x91\xa1x\xa3map\x80\xa4zeta\x01");
        assert_eq!(decode::<Sample>(&bytes, &Limits::RECORD).unwrap(), sample);
    }

    #[test]
    fn every_departure_from_the_canonical_form_is_refused() {
        let cases: &[(&str, &[u8])] = &[
            ("unsorted keys", b"\x82\xa1b\x01\xa1a\x01"),
            ("repeated key", b"\x82\xa1a\x01\xa1a\x01"),
            ("long integer", b"\xcc\x01"),
            ("long integer in two bytes", b"\xcd\x00\xff"),
            ("signed form of a positive", b"\xd0\x05"),
            ("long string header", b"\xd9\x01a"),
            ("long bytes header", b"\xc5\x00\x01a"),
            ("long array header", b"\xdc\x00\x01\x01"),
            ("32-bit float", b"\xca\x00\x00\x00\x00"),
            ("not a number", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
            ("infinity", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
            ("extension", b"\xd4\x01\x00"),
            ("never used", b"\xc1"),
            ("trailing byte", b"\x01\x01"),
            ("cut off", b"\xa2a"),
            ("empty", b""),
            ("not UTF-8", b"\xa1\xff"),
            ("length lie", b"\xdd\xff\xff\xff\xff\x01"),
        ];
        for (what, bytes) in cases {
            assert!(check(bytes, &Limits::RECORD).is_err(), "{what}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let mut bytes = vec![0x91; 1000];
        bytes.push(1);
        assert!(matches!(check(&bytes, &Limits::RECORD), Err(Error::OverLimit { .. })));
    }

    #[test]
    fn what_is_decoded_keeps_to_the_limits() {
        let nested = |levels: usize| {
            let mut bytes = vec![0x91; levels];
            bytes.push(1);
            bytes
        };
        let limits = Limits::RECORD;
        assert!(decode::<Value>(&nested(limits.depth), &limits).is_ok());
        for levels in [limits.depth + 1, limits.depth + 2, 100_000] {
            assert!(matches!(decode::<Value>(&nested(levels), &limits), Err(Error::OverLimit { .. })), "{levels}");
        }
        let few = Limits { entries: 3, ..limits };
        assert!(decode::<Value>(b"\x93\x01\x01\x01", &few).is_ok());
        let seven = b"\x97\x01\x01\x01\x01\x01\x01\x01";
        assert!(matches!(decode::<Value>(seven, &few), Err(Error::OverLimit { .. })));
        assert!(decode::<Value>(b"\x01\x01", &limits).is_err(), "something follows");
        assert!(decode::<Value>(b"\xcc\x01", &limits).is_err(), "not the shortest form");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut map = BTreeMap::new();
        for (k, v) in [("a", 1), ("b", 2)] {
            map.insert(k.to_owned(), v);
        }
        #[derive(Debug, Serialize, Deserialize)]
        struct Small {
            a: i32,
        }
        let bytes = encode(&map).unwrap();
        assert!(decode::<Small>(&bytes, &Limits::RECORD).is_err());
    }

    /// Maps within a map, written in the order given.
    struct InThisOrder(Vec<(String, Vec<(String, u32)>)>);

    impl Serialize for InThisOrder {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            struct Inner<'a>(&'a [(String, u32)]);
            impl Serialize for Inner<'_> {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
                }
            }
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, Inner(value))))
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_not_encoded() {
        let twice = vec![("b".to_owned(), 1), ("a".to_owned(), 2), ("b".to_owned(), 3)];
        assert!(matches!(encode(&InThisOrder(vec![("x".to_owned(), twice)])), Err(Error::Encode(_))));
    }

    #[derive(Serialize)]
    struct InOrder {
        #[serde(serialize_with = "in_order")]
        map: BTreeMap<String, u32>,
        value: Value,
    }

    proptest! {
        #[test]
        fn what_comes_in_order_is_left_as_it_is(
            map in proptest::collection::btree_map(".{0,40}", any::<u32>(), 0..20),
            value in value::tests::any_value()
        ) {
            let ordered = InOrder { map, value };
            prop_assert_eq!(as_it_comes(&ordered, 0).unwrap(), encode(&ordered).unwrap());
            prop_assert_eq!(canonical::sort_maps(&as_it_comes(&ordered, 0).unwrap()).unwrap(), encode(&ordered).unwrap());
        }

        #[test]
        fn maps_in_any_order_become_the_same_bytes(
            maps in proptest::collection::hash_map(".{0,40}", proptest::collection::hash_map("[a-c]{0,3}", any::<u32>(), 0..5), 0..20)
        ) {
            let as_it_came = maps.iter().map(|(key, map)| (key.clone(), map.clone().into_iter().collect())).collect();
            let bytes = encode(&InThisOrder(as_it_came)).unwrap();
            let sorted: BTreeMap<String, BTreeMap<String, u32>> =
                maps.into_iter().map(|(key, map)| (key, map.into_iter().collect())).collect();
            prop_assert_eq!(&encode(&sorted).unwrap(), &bytes);
            prop_assert_eq!(decode::<BTreeMap<String, BTreeMap<String, u32>>>(&bytes, &Limits::RECORD).unwrap(), sorted);
        }

        #[test]
        fn any_value_survives(value in value::tests::any_value()) {
            let bytes = encode(&value).unwrap();
            check(&bytes, &Limits::RECORD).unwrap();
            prop_assert_eq!(decode::<Value>(&bytes, &Limits::RECORD).unwrap(), value);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_survive(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = decode::<Value>(&bytes, &Limits::RECORD) {
                prop_assert_eq!(encode(&value).unwrap(), bytes);
            }
        }
    }
}
