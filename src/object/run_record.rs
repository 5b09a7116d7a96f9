//! A run as it is stored.

use super::inputs::{InputList, Inputs};
use super::run::Run;
use super::{AccessError, Error, Kind, Link, Record, Source};
use crate::codec;
use crate::hash::Id;

/// The record of a run: all that it says itself. The inputs of a run with many stand in a list of their own; what was read of it
/// is a [`Run`] only with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord(Run);

impl RunRecord {
    /// All that the record says itself.
    pub fn head(&self) -> &Run {
        &self.0
    }

    /// As [`RunRecord::head`]. Of a run with many inputs these are not there, only the id of their list.
    pub fn into_head(self) -> Run {
        self.0
    }

    /// The run with its inputs, wherever they stand.
    ///
    /// # Errors
    /// When their list is absent or damaged.
    pub fn whole<E: From<AccessError> + From<Error>>(self, source: &(impl Source + ?Sized)) -> Result<Run, E> {
        self.whole_with(|id| {
            let (_, bytes) = source.read(id)?.ok_or_else(|| AccessError::Damaged {
                id: *id,
                place: "the store".to_owned(),
                what: "the list of a run's inputs is missing".to_owned(),
            })?;
            Ok(InputList::decode_verified(&bytes)?)
        })
    }

    /// As [`RunRecord::whole`], with another way to lists.
    ///
    /// # Errors
    /// Whatever that way reports.
    pub fn whole_with<E>(self, read: impl FnOnce(&Id) -> Result<InputList, E>) -> Result<Run, E> {
        let mut run = self.0;
        if let Some(&id) = run.inputs.list() {
            run.inputs = Inputs::of_list(read(&id)?, id);
        }
        Ok(run)
    }
}

impl Run {
    /// The bytes of its record. Inputs that were put in a list are named, not told.
    ///
    /// # Errors
    /// When a value has no encoding or the record is above the limits.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let damaged = |source| Error::Damaged { kind: Kind::RUN, source };
        let body = codec::encode_unchecked(self).map_err(damaged)?;
        super::envelope::encode(Kind::RUN, self.version(), self.links(), &body).map_err(damaged)
    }

    /// The bytes of a record that tells all of it: for what is not published as it is.
    ///
    /// # Errors
    /// As [`Run::encode`].
    pub fn encode_whole(&self) -> Result<Vec<u8>, Error> {
        if self.inputs.are_told() {
            return self.encode();
        }
        Self { inputs: self.inputs.told(), ..self.clone() }.encode()
    }

    fn version(&self) -> u32 {
        if self.inputs.are_told() { 1 } else { RunRecord::VERSION }
    }
}

impl Record for RunRecord {
    const KIND: Kind = Kind::RUN;
    /// 1 tells all inputs itself, 2 names the list of them.
    const VERSION: u32 = 2;

    fn version(&self) -> u32 {
        self.0.version()
    }

    fn links(&self) -> Result<Vec<Link>, codec::Error> {
        Ok(self.0.links())
    }

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        Ok((self.0.links(), codec::encode_unchecked(&self.0)?))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        codec::decode_checked(body).map(Self).map_err(|source| Error::Damaged { kind: Self::KIND, source })
    }
}
