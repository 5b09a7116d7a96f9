//! A configuration: any JSON-like value, canonical. The snapshot that a run was given.

use super::{Error, Kind, Link, Record};
use crate::codec::{self, Limits, Value};

/// A configuration as it was resolved for a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Config(pub Value);

impl Record for Config {
    const KIND: Kind = Kind::CONFIG;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        Ok((Vec::new(), codec::encode(&self.0)?))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        codec::decode(body, &Limits::RECORD).map(Self).map_err(|source| Error::Damaged { kind: Self::KIND, source })
    }
}
