//! Which files differ between two trees.

use bstr::{BStr, BString};

use super::explain::{ReadObject, short};
use crate::hash::Id;
use crate::object::Kind;
use crate::object::run::{Reason, ReasonKind};
use crate::object::tree::{self, Entry, EntryKind};
use crate::path::shown;

/// Reasons about one tree at most; further files are counted in one more.
const MAX_FILES: usize = 100;

/// Folders are entered this deep.
const MAX_DEPTH: usize = 200;

/// What tells more of a file that both trees have: its path, what it was and is. Nothing told means that the file itself is the reason.
pub(super) type Detail<'a> = &'a dyn Fn(&BStr, &Entry, &Entry) -> Vec<Reason>;

/// Adds a reason `<part><sign><path>` for every file that differs. A folder that can't be read is one reason of its own.
pub(super) fn diff(
    part: (&str, char),
    before: Id,
    after: Id,
    read: ReadObject<'_>,
    detail: Detail<'_>,
    reasons: &mut Vec<Reason>,
) {
    let mut found = Found { part: part.0, sign: part.1, detail, reasons: Vec::new(), more: 0 };
    folder(before, after, &BString::default(), 0, read, &mut found);
    reasons.append(&mut found.reasons);
    if found.more > 0 {
        reasons.push(Reason {
            part: part.0.to_owned(),
            kind: ReasonKind::Changed,
            before: None,
            after: Some(format!("{} more files", found.more)),
        });
    }
}

struct Found<'a> {
    part: &'a str,
    sign: char,
    detail: Detail<'a>,
    reasons: Vec<Reason>,
    more: usize,
}

impl Found<'_> {
    fn add(&mut self, path: &BStr, before: Option<String>, after: Option<String>) {
        if self.reasons.len() >= MAX_FILES {
            self.more += 1;
            return;
        }
        let kind = match (&before, &after) {
            (None, _) => ReasonKind::Added,
            (_, None) => ReasonKind::Removed,
            _ => ReasonKind::Changed,
        };
        let part =
            if path.is_empty() { self.part.to_owned() } else { format!("{}{}{}", self.part, self.sign, shown(path)) };
        self.reasons.push(Reason { kind, part, after, before });
    }
}

fn folder(before: Id, after: Id, path: &BString, depth: usize, read: ReadObject<'_>, found: &mut Found<'_>) {
    if before == after {
        return;
    }
    let (Some(old), Some(new)) = (list(before, read), list(after, read)) else {
        found.add(path.as_ref(), Some(short(before)), Some(short(after)));
        return;
    };
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.name.cmp(&b.name),
        };
        let a = if order.is_le() { old.next() } else { None };
        let b = if order.is_ge() { new.next() } else { None };
        entry(a.as_ref(), b.as_ref(), path, depth, read, found);
    }
}

fn entry(
    before: Option<&Entry>,
    after: Option<&Entry>,
    folder_path: &BString,
    depth: usize,
    read: ReadObject<'_>,
    found: &mut Found<'_>,
) {
    let Some(name) = before.or(after).map(|e| &e.name) else {
        return;
    };
    let mut path = folder_path.clone();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    match (before, after) {
        (Some(a), Some(b)) if (a.id, a.kind) == (b.id, b.kind) => {}
        (Some(a), Some(b)) if a.kind == EntryKind::Tree && b.kind == EntryKind::Tree && depth < MAX_DEPTH => {
            folder(a.id, b.id, &path, depth + 1, read, found);
        }
        (Some(a), Some(b)) => {
            let told_more = (found.detail)(path.as_ref(), a, b);
            if told_more.is_empty() || found.reasons.len() + told_more.len() > MAX_FILES {
                found.add(path.as_ref(), Some(told(a)), Some(told(b)));
            } else {
                found.reasons.extend(told_more);
            }
        }
        _ => found.add(path.as_ref(), before.map(told), after.map(told)),
    }
}

fn told(entry: &Entry) -> String {
    format!("{} {}", entry.kind.name(), short(entry.id))
}

fn list(id: Id, read: ReadObject<'_>) -> Option<Vec<Entry>> {
    tree::list(id, &mut |id| read(&Kind::TREE, id).ok_or(())).ok()
}
