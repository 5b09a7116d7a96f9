//! Finding objects by the beginning of their ids.

use std::collections::BTreeMap;

use super::backend::Folder;
use super::early::Early;
use super::error::Error;
use super::pack::PackRecord;
use super::snapshot::{File, Snapshot};
use super::sorted::Cursor;
use crate::hash::{BLAKE3, ID_LEN, Id};
use crate::object::Kind;

impl Snapshot {
    /// The objects whose ids begin with these hexadecimal digits (lower case), at most `limit` of them, by id. Damaged packs are passed over.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn find_ids(&self, digits: &str, limit: usize) -> Result<Vec<(Id, Kind)>, Error> {
        let mut found: BTreeMap<Id, Kind> = BTreeMap::new();
        if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        for (id, &(at, position)) in self.inline() {
            if id.to_string().starts_with(digits) {
                found.insert(*id, self.inner.log.entries[at].entry.objects[position].0.clone());
            }
        }
        // The smallest id with this beginning: the digits, then zeros.
        let lowest = crate::hash::unhex(&format!("{digits:0<64}")).unwrap_or_default();
        let mut key = Vec::with_capacity(ID_LEN);
        key.push(BLAKE3);
        key.extend(lowest);
        let packs = &self.state().packs;
        let mut early = Early::new(self, Folder::Packs, packs.len());
        for (at, row) in packs.iter().enumerate() {
            early.before(at, &|at| packs[at].name(), &|file| drop(Cursor::forward(file, &key)));
            let file = match self.file(Folder::Packs, &row.name())? {
                File::Here(file) => file,
                File::Lost => continue,
                File::Moved(newer) => return newer.find_ids(digits, limit),
            };
            let Ok(mut cursor) = Cursor::forward(&file, &key) else { continue };
            let mut here = 0;
            while let Some((raw, value)) = cursor.record() {
                let Some(id) = Id::from_bytes(raw).filter(|id| id.to_string().starts_with(digits)) else { break };
                let Ok(record) = PackRecord::parse(value, &file) else { break };
                found.insert(id, record.kind);
                here += 1;
                if here >= limit || cursor.advance().is_err() {
                    break;
                }
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }
}
