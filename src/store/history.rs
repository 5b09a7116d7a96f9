//! History files: the folded log (`docs/format.md`, section 7.3), and the second copy of a checkpoint in them.

use std::sync::Arc;

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, Folder};
use super::entry::{Entry, FileRow, OpId};
use super::files::{Files, Unusable};
use super::sorted::{Broken, Cursor, SortedFile};
use crate::codec::{self, Limits};
use crate::hash::Id;

pub(super) const MAGIC: [u8; 8] = *b"provhis1";

const CHECKPOINT: u8 = b'c';
const OP: u8 = b'o';
const REF: u8 = b'r';

/// The key of an operation's record.
pub(super) fn op_key(op: OpId) -> Vec<u8> {
    let mut key = vec![OP];
    key.extend_from_slice(&op.to_bytes());
    key
}

/// The key of the copy of fold `number`.
pub(super) fn checkpoint_key(number: u64) -> Vec<u8> {
    let mut key = vec![CHECKPOINT];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number in the key of a copy; `None` if it is another key.
pub(super) fn parse_checkpoint_key(key: &[u8]) -> Option<u64> {
    match key.split_first() {
        Some((&CHECKPOINT, rest)) => rest.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

/// The key of the edit of `key` by entry `number`.
pub(super) fn edit_key(key: &[u8], number: u64) -> Vec<u8> {
    let mut out = vec![REF];
    out.extend_from_slice(key);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

/// The ref key and the entry number in the key of an edit; `None` if it is another key.
pub(super) fn parse_edit_key(key: &[u8]) -> Option<(&[u8], u64)> {
    let (&REF, rest) = key.split_first()? else { return None };
    let (key, number) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    Some((key, u64::from_be_bytes(number.try_into().ok()?)))
}

/// Whether a record of a history file is one.
pub(super) fn is_record(key: &[u8], value: &[u8]) -> bool {
    match key.first() {
        Some(&OP) => key.len() == 17,
        Some(&REF) => codec::decode::<Change>(value, &Limits::RECORD).is_ok(),
        Some(&CHECKPOINT) => codec::decode::<Entry>(value, &Limits::RECORD).is_ok(),
        _ => false,
    }
}

/// What an edit did: `[old, new]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change(pub(super) Option<BString>, pub(super) Option<BString>);

/// The fold `entry` as its own history file keeps it: that file's row is blank, for its name is not known yet.
pub(super) fn copy_of(entry: &Entry, level: u8) -> Result<Vec<u8>, codec::Error> {
    let mut copy = entry.clone();
    if let Some(checkpoint) = &mut copy.checkpoint {
        checkpoint.history.insert(0, FileRow(Id::ZERO, level, 0, 0));
    }
    codec::encode(&copy)
}

/// A fold found in a history file.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    pub(super) entry: Entry,
    pub(super) digest: Id,
}

/// All folds of which the folder holds copies. What is damaged is passed over.
pub(super) fn copies(backend: &dyn Backend, files: &Files) -> Result<Vec<Copied>, super::backend::BackendError> {
    let mut found = Vec::new();
    for name in backend.names(Folder::History)? {
        let Some(id) = Folder::History.parse(&name) else { continue };
        let file = match files.get(Folder::History, &id) {
            Ok(file) => file,
            Err(Unusable::Denied(err)) => return Err(err),
            Err(Unusable::Absent | Unusable::Broken(_)) => continue,
        };
        found.extend(copies_in(&file, &id).unwrap_or_default());
    }
    Ok(found)
}

fn copies_in(file: &Arc<SortedFile>, name: &Id) -> Result<Vec<Copied>, Broken> {
    let mut found = Vec::new();
    // A file keeps only the copy of the fold that made it, so the blank row is the file itself.
    let mut cursor = Cursor::forward(file, &[CHECKPOINT])?;
    while let Some((key, value)) = cursor.record() {
        let Some(number) = parse_checkpoint_key(key) else { break };
        let mut entry: Entry = codec::decode(value, &Limits::RECORD).map_err(|err| err.to_string())?;
        let blank = entry.checkpoint.as_mut().and_then(|c| c.history.first_mut()).filter(|row| row.name() == Id::ZERO);
        if let Some(row) = blank
            && entry.n == number
        {
            *row = FileRow(*name, row.level(), file.len(), file.count());
            let (_, digest) = entry.encode().map_err(|err| err.to_string())?;
            found.push(Copied { entry, digest });
        }
        cursor.advance()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_and_read_back() {
        assert_eq!(parse_checkpoint_key(&checkpoint_key(9)), Some(9));
        assert_eq!(parse_edit_key(&edit_key(b"key", 9)), Some((b"key".as_slice(), 9)));
        assert_eq!(parse_edit_key(&checkpoint_key(9)), None);
        assert_eq!(parse_checkpoint_key(&op_key(OpId::from_bytes([1; 16]))), None);
    }
}
