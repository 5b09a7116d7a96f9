//! Reading a sorted file from end to end, every rule of the format checked.

use std::sync::Arc;

use super::SortedFile;
use super::file::Broken;
use crate::store::sorted::Block;

/// Reads every block once and hands every record to `record`; tells everything that is wrong to `wrong`.
///
/// A block that can't be read is told of and passed over.
pub(in crate::store) fn verify(
    file: &SortedFile,
    magic: [u8; 8],
    record: &mut dyn FnMut(&[u8], &[u8]),
    wrong: &mut dyn FnMut(Broken),
) {
    match file.raw(0, 8) {
        Ok(found) if found == magic => {}
        Ok(_) => wrong("its first bytes are not those of its kind of file".to_owned()),
        Err(what) => wrong(what),
    }
    let mut walk = Walk { file, count: 0, extents: Vec::new(), last: Vec::new(), whole: true };
    match file.root() {
        Ok(root) => walk.block(&root, file.levels(), record, wrong),
        Err(what) => {
            walk.whole = false;
            wrong(what);
        }
    }
    if walk.whole {
        if walk.count != file.count() {
            wrong(format!("it says that it holds {} records and holds {}", file.count(), walk.count));
        }
        walk.extents.sort_unstable();
        let mut end = file.data_end();
        let tiled = walk.extents.iter().all(|&(offset, len)| {
            let fits = offset == end;
            end = offset.saturating_add(len);
            fits
        });
        if !tiled || end != file.root_at() {
            wrong("there are bytes in it that belong to nothing".to_owned());
        }
    }
}

struct Walk<'a> {
    file: &'a SortedFile,
    count: u64,
    /// Where each block lies: offset and length.
    extents: Vec<(u64, u64)>,
    /// The key before.
    last: Vec<u8>,
    whole: bool,
}

impl Walk<'_> {
    fn block(
        &mut self,
        block: &Arc<Block>,
        level: u8,
        record: &mut dyn FnMut(&[u8], &[u8]),
        wrong: &mut dyn FnMut(Broken),
    ) {
        for at in 0..block.len() {
            if level == 0 {
                let key = block.key(at);
                if self.count > 0 && self.last.as_slice() >= key {
                    wrong("its blocks are out of order".to_owned());
                }
                self.last.clear();
                self.last.extend_from_slice(key);
                self.count += 1;
                record(key, block.value(at));
                continue;
            }
            let child = SortedFile::pointer(block.value(at)).and_then(|(offset, len, _)| {
                self.extents.push((offset, len));
                self.file.child(block, at, level == 1)
            });
            match child {
                Ok(child) => self.block(&child, level - 1, record, wrong),
                Err(what) => {
                    self.whole = false;
                    wrong(what);
                }
            }
        }
    }
}
