//! A corpus of hostile files and records: each is refused with words that say why, and none is taken for something else.

use super::*;
use crate::codec::{self, Limits};
use crate::hash::derived;
use crate::store::entry::CONTEXT;
use crate::store::sorted::varint;

/// `MessagePack` written by hand, so that what no encoder writes can be written.
mod raw {
    pub(super) fn text(text: &str) -> Vec<u8> {
        let mut out = match text.len() {
            len @ 0..32 => vec![0xa0 | u8::try_from(len).unwrap()],
            len => vec![0xd9, u8::try_from(len).unwrap()],
        };
        out.extend_from_slice(text.as_bytes());
        out
    }

    pub(super) fn bin(bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0xc4, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    pub(super) fn int(n: u8) -> Vec<u8> {
        if n < 128 { vec![n] } else { vec![0xcc, n] }
    }

    pub(super) fn array(items: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0x90 | u8::try_from(items.len()).unwrap()];
        out.extend(items.concat());
        out
    }

    pub(super) fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut out = match fields.len() {
            len @ 0..16 => vec![0x80 | u8::try_from(len).unwrap()],
            len => vec![0xde, 0, u8::try_from(len).unwrap()],
        };
        for (name, value) in fields {
            out.extend(text(name));
            out.extend(value);
        }
        out
    }
}

use raw::{array, bin, int, map, text};

fn id(n: u8) -> Vec<u8> {
    bin(&blob(&n.to_string()).to_bytes())
}

/// The fields of a plain entry with number 7, in canonical order.
fn fields() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("n", int(7)),
        ("at", int(1)),
        ("by", text("ann")),
        ("op", bin(&[1; 16])),
        ("cmd", text("run")),
        ("host", text("box")),
        ("prev", id(0)),
    ]
}

fn with(more: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let mut all: Vec<_> =
        fields().into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name)).collect();
    all.extend(more.iter().cloned());
    all.sort_by_key(|(name, _)| (name.len(), *name));
    map(&all)
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"provlog1".to_vec();
    bytes.extend_from_slice(body);
    let digest = derived(CONTEXT, &bytes);
    bytes.extend_from_slice(digest.digest());
    bytes
}

fn entries() -> Vec<(&'static str, Vec<u8>)> {
    let good = with(&[]);
    assert!(Entry::decode(&sealed(&good), 7).is_ok(), "the one that all others are made of is sound");
    let mut unsorted = fields();
    unsorted.swap(0, 1);
    let mut twice = fields();
    twice.insert(0, twice[0].clone());
    let checkpoint = map(&[]);
    let edit = |expect: Vec<u8>| array(&[array(&[bin(b"key"), expect, bin(b"v")])]);
    let pack = |class: u8| array(&[array(&[id(1), int(class), int(0), int(9), int(1)])]);
    let mut nested = vec![0x91; 100];
    nested.push(1);
    vec![
        ("nothing", Vec::new()),
        ("only a digest", vec![0; 32]),
        ("no magic", [b"provlog2".as_slice(), &good, &[0; 32]].concat()),
        ("a wrong digest", [b"provlog1".as_slice(), &good, &[0; 32]].concat()),
        ("no body", sealed(b"")),
        ("another number", sealed(&with(&[("n", int(8))]))),
        ("a number as text", sealed(&with(&[("n", text("7"))]))),
        ("a number written long", sealed(&with(&[("n", vec![0xcd, 0, 7])]))),
        ("a negative number", sealed(&with(&[("n", vec![0xff])]))),
        ("a number as float", sealed(&with(&[("n", vec![0xcb, 0x40, 0x1c, 0, 0, 0, 0, 0, 0])]))),
        ("fields out of order", sealed(&map(&unsorted))),
        ("a field twice", sealed(&map(&twice))),
        ("a field missing", sealed(&map(&fields()[..6]))),
        ("an unknown field", sealed(&with(&[("zzzz", int(1))]))),
        ("more after the end", sealed(&[good.as_slice(), &[0]].concat())),
        ("a body cut off", sealed(&good[..good.len() - 3])),
        ("an operation of 15 bytes", sealed(&with(&[("op", bin(&[1; 15]))]))),
        ("an operation of 17 bytes", sealed(&with(&[("op", bin(&[1; 17]))]))),
        ("an operation as text", sealed(&with(&[("op", text("0123456789abcdef"))]))),
        ("a predecessor of another algorithm", sealed(&with(&[("prev", bin(&[7; 33]))]))),
        ("a predecessor cut off", sealed(&with(&[("prev", bin(&[0x1e; 32]))]))),
        ("an author who is no text", sealed(&with(&[("by", bin(&[0xff]))]))),
        ("text that is not UTF-8", sealed(&with(&[("by", vec![0xa1, 0xff])]))),
        ("an empty list of packs", sealed(&with(&[("packs", array(&[]))]))),
        ("a pack of an unknown class", sealed(&with(&[("packs", pack(2))]))),
        ("a pack row cut off", sealed(&with(&[("packs", array(&[array(&[id(1), int(0)])]))]))),
        (
            "a pack name that is none",
            sealed(&with(&[("packs", array(&[array(&[bin(b"x"), int(0), int(0), int(9), int(1)])]))])),
        ),
        ("packs that are a map", sealed(&with(&[("packs", map(&[]))]))),
        ("an unknown expectation", sealed(&with(&[("refs", edit(int(3)))]))),
        ("an expectation that is text", sealed(&with(&[("refs", edit(text("any")))]))),
        ("an edit cut off", sealed(&with(&[("refs", array(&[array(&[bin(b"key")])]))]))),
        (
            "an object of a kind that is no word",
            sealed(&with(&[("objects", array(&[array(&[text("Blob"), bin(b"x")])]))])),
        ),
        ("an object of a kind with a path", sealed(&with(&[("objects", array(&[array(&[text("../x"), bin(b"x")])]))]))),
        ("an object of no kind", sealed(&with(&[("objects", array(&[array(&[text(""), bin(b"x")])]))]))),
        ("an object whose bytes are text", sealed(&with(&[("objects", array(&[array(&[text("blob"), int(1)])]))]))),
        ("a fold with objects", {
            let objects = array(&[array(&[text("blob"), bin(b"x")])]);
            sealed(&with(&[("objects", objects), ("checkpoint", checkpoint.clone())]))
        }),
        ("a fold with refs", sealed(&with(&[("refs", edit(int(0))), ("checkpoint", checkpoint.clone())]))),
        ("a checkpoint that is a list", sealed(&with(&[("checkpoint", array(&[]))]))),
        ("a checkpoint with an unknown field", sealed(&with(&[("checkpoint", map(&[("x", int(1))]))]))),
        ("a checkpoint with an empty list", sealed(&with(&[("checkpoint", map(&[("packs", array(&[]))]))]))),
        ("a gone file of no folder", {
            sealed(&with(&[("checkpoint", map(&[("gone", array(&[array(&[int(3), id(1)])]))]))]))
        }),
        ("an extension type", sealed(&with(&[("by", vec![0xd4, 1, 0])]))),
        ("the type that does not exist", sealed(&with(&[("by", vec![0xc1])]))),
        ("nil for a number", sealed(&with(&[("n", vec![0xc0])]))),
        ("a list of four thousand million", sealed(&with(&[("packs", vec![0xdd, 0xff, 0xff, 0xff, 0xff])]))),
        ("text of four thousand million", sealed(&with(&[("by", vec![0xdb, 0xff, 0xff, 0xff, 0xff])]))),
        ("a hundred levels", sealed(&with(&[("packs", nested)]))),
    ]
}

#[test]
fn no_hostile_entry_is_taken_and_the_log_goes_on_without_it() {
    let cases = entries();
    assert!(cases.len() >= 45, "{}", cases.len());
    for (what, bytes) in cases {
        let err = Entry::decode(&bytes, 7).expect_err(what).to_string();
        assert!(!err.is_empty(), "{what}");
        let (place, store) = memory();
        for i in 0..9 {
            record(&store, &format!("n{i}"));
        }
        place.overwrite(Folder::Log, &entry::name(7), Some(bytes));
        let store = again(&place);
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.damage()[0].file, format!("log/{}", entry::name(7)), "{what}");
        record(&store, "after");
        assert!(holds(&store.snapshot().unwrap(), "n8"), "{what}");
    }
}

/// A sorted file put together by hand: its name, and its bytes.
fn file(magic: &[u8; 8], data: &[u8], root: &[u8]) -> (Id, Vec<u8>) {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(data);
    let at = bytes.len() as u64;
    bytes.extend_from_slice(root);
    bytes.extend(at.to_le_bytes());
    bytes.extend(u32::try_from(root.len()).unwrap().to_le_bytes());
    bytes.extend(b"PRVs");
    (derived(crate::store::sorted::FILE_CONTEXT, root), bytes)
}

fn number(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, n);
    out
}

fn head(version: u8, levels: u8, count: u64, data: u64) -> Vec<u8> {
    [vec![version, levels], vec![9; 16], number(count), number(data)].concat()
}

fn row(shared: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
    [number(shared), number(key.len() as u64), key.to_vec(), number(value.len() as u64), value.to_vec()].concat()
}

fn index(codec: u64, offset: u64, stored: u64, len: u64, kind: &str) -> Vec<u8> {
    [number(codec), number(offset), number(stored), number(len), kind.as_bytes().to_vec()].concat()
}

/// Packs with one blob, `x`, as a forger would write them.
fn packs() -> Vec<(&'static str, (Id, Vec<u8>))> {
    let key = blob("x").to_bytes();
    let magic = pack::MAGIC;
    let one = |value: Vec<u8>, data: &[u8]| {
        file(&magic, data, &[head(1, 0, 1, data.len() as u64), row(0, &key, &value)].concat())
    };
    let pointer = |offset: u64, len: u64| [number(offset), number(len), vec![0; 16]].concat();
    let bomb = compress::compress(&vec![0; 1 << 20]).unwrap();
    vec![
        ("an entry beyond the data", one(index(0, 8, 9, 9, "blob"), b"x")),
        ("an entry far beyond", one(index(0, u64::MAX, 1, 1, "blob"), b"x")),
        ("an entry that wraps around", one(index(0, u64::MAX - 3, 9, 9, "blob"), b"x")),
        ("an entry within the magic", one(index(0, 0, 1, 1, "blob"), b"x")),
        ("an unknown codec", one(index(9, 8, 1, 1, "blob"), b"x")),
        ("an encrypted codec", one(index(16, 8, 1, 1, "blob"), b"x")),
        ("a codec out of range", one(index(u64::MAX, 8, 1, 1, "blob"), b"x")),
        ("plain bytes of another length", one(index(0, 8, 1, 2, "blob"), b"xy")),
        ("compressed bytes that are longer", one(index(1, 8, 2, 1, "blob"), b"xy")),
        ("compressed bytes that are no frame", one(index(1, 8, 2, 5, "blob"), b"xy")),
        ("a bomb", one(index(1, 8, bomb.len() as u64, 5000, "blob"), &bomb)),
        ("a bomb above the limit", one(index(1, 8, bomb.len() as u64, 1 << 40, "blob"), &bomb)),
        ("pieces of a record", one(index(2, 8, 33, 9, "run"), &[0x1e; 33])),
        ("no pieces", one(index(2, 8, 33, 0, "blob"), &[0x1e; 33])),
        ("a list of pieces that is no id", one(index(2, 8, 32, 9, "blob"), &[0x1e; 32])),
        ("a list of pieces that is not there", one(index(2, 8, 33, 9, "blob"), &[0x1e; 33])),
        ("pieces that are the content itself", one(index(2, 8, 33, 1, "blob"), &key)),
        ("a kind that is no word", one(index(0, 8, 1, 1, "Bl/ob"), b"x")),
        ("a kind that is not UTF-8", one([index(0, 8, 1, 1, ""), vec![0xff]].concat(), b"x")),
        ("an index row cut off", one(number(0), b"x")),
        ("other bytes", one(index(0, 8, 1, 1, "blob"), b"y")),
        ("another kind", one(index(0, 8, 1, 1, "tree"), b"x")),
        (
            "a key that is no id",
            file(&magic, b"x", &[head(1, 0, 1, 1), row(0, b"x", &index(0, 8, 1, 1, "blob"))].concat()),
        ),
        ("a newer version", file(&magic, b"x", &[head(2, 0, 1, 1), row(0, &key, &index(0, 8, 1, 1, "blob"))].concat())),
        (
            "data longer than the file",
            file(&magic, b"x", &[head(1, 0, 1, 1 << 40), row(0, &key, &index(0, 8, 1, 1, "blob"))].concat()),
        ),
        ("a root cut off", file(&magic, b"x", &[1, 0, 3])),
        ("no root", file(&magic, b"x", &[])),
        (
            "a record that shares what is not there",
            file(&magic, b"x", &[head(1, 0, 1, 1), row(5, &key, &index(0, 8, 1, 1, "blob"))].concat()),
        ),
        (
            "a record longer than the block",
            file(&magic, b"x", &[head(1, 0, 1, 1), number(0), number(1 << 40)].concat()),
        ),
        ("a length of eleven bytes", file(&magic, b"x", &[head(1, 0, 1, 1), vec![0xff; 11]].concat())),
        (
            "a block that points to itself",
            file(&magic, b"x", &[head(1, 1, 1, 1), row(0, &key, &pointer(9, 40))].concat()),
        ),
        (
            "a block beyond the file",
            file(&magic, b"x", &[head(1, 1, 1, 1), row(0, &key, &pointer(1 << 50, 40))].concat()),
        ),
        (
            "a block that wraps around",
            file(&magic, b"x", &[head(1, 1, 1, 1), row(0, &key, &pointer(u64::MAX, 40))].concat()),
        ),
        (
            "a block of a thousand million",
            file(&magic, b"x", &[head(1, 1, 1, 1), row(0, &key, &pointer(8, 1 << 30))].concat()),
        ),
        ("a pointer cut off", file(&magic, b"x", &[head(1, 1, 1, 1), row(0, &key, b"x")].concat())),
        ("two hundred levels", file(&magic, b"x", &[head(1, 200, 1, 1), row(0, &key, &pointer(8, 1))].concat())),
    ]
}

#[test]
fn no_hostile_pack_gives_bytes_and_each_is_named() {
    let cases = packs();
    assert!(cases.len() >= 35, "{}", cases.len());
    for (what, (name, bytes)) in cases {
        let (place, store) = memory();
        record(&store, "n0");
        place.overwrite(Folder::Packs, &Folder::Packs.file(&name), Some(bytes.clone()));
        let row = PackRow(name, Class::Content, 0, bytes.len() as u64, 1);
        let added = super::super::intake::AddedPack { row, ids: vec![], stretches: None };
        let collected = Arc::new(Collected { packs: vec![added], ..Collected::default() });
        let draft = Draft { collected: Some(collected), ..Draft::default() };
        store.publish(op(), "hostile", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
        let store = again(&place);
        let snapshot = store.snapshot().unwrap();
        for found in [snapshot.read(&blob("x")).map(|found| found.is_some()), {
            let mut out = Vec::new();
            snapshot.copy(&blob("x"), &mut out).map(|found| found.is_some())
        }] {
            assert!(!matches!(found, Ok(true)), "{what}");
        }
        let report = checked(&store);
        let path = format!("packs/{}", Folder::Packs.file(&name));
        let told =
            report.findings.iter().any(|one| one.severity == Severity::Error && one.file.as_ref() == Some(&path));
        assert!(told, "{what}: {report:#?}");
        record(&store, "after");
        assert!(holds(&store.snapshot().unwrap(), "n0"), "{what}");
    }
}

#[test]
fn no_hostile_record_is_decoded() {
    use crate::object::chunks::Chunks;
    use crate::object::config::Config;
    use crate::object::inputs::InputList;
    use crate::object::mark::Mark;
    use crate::object::note::Note;
    use crate::object::recipe::Recipe;
    use crate::object::scenario::Scenario;
    use crate::object::{Record, RunRecord, envelope};

    let envelope =
        |kind: &str, version: Vec<u8>, links: Vec<u8>, body: &[u8]| array(&[text(kind), version, links, body.to_vec()]);
    let no_links = array(&[]);
    let link = |strength: u8| array(&[id(1), text("blob"), int(strength)]);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no envelope", int(1)),
        ("an envelope of three", array(&[text("run"), int(1), no_links.clone()])),
        ("an envelope of five", array(&[text("run"), int(1), no_links.clone(), map(&[]), int(1)])),
        ("another kind", envelope("blob", int(1), no_links.clone(), &map(&[]))),
        ("a kind that is no word", envelope("RUN", int(1), no_links.clone(), &map(&[]))),
        ("a newer version", envelope("run", int(9), no_links.clone(), &map(&[]))),
        ("a version that is text", envelope("run", text("1"), no_links.clone(), &map(&[]))),
        ("links that are a map", envelope("run", int(1), map(&[]), &map(&[]))),
        ("a link twice", envelope("run", int(1), array(&[link(0), link(0)]), &map(&[]))),
        ("links out of order", envelope("run", int(1), array(&[link(1), link(0)]), &map(&[]))),
        ("a link of an unknown strength", envelope("run", int(1), array(&[link(3)]), &map(&[]))),
        ("an empty body", envelope("run", int(1), no_links.clone(), &map(&[]))),
        ("a body that is a list", envelope("run", int(1), no_links.clone(), &array(&[]))),
        ("an unknown field", envelope("run", int(1), no_links.clone(), &map(&[("zzz", int(1))]))),
        ("a body of a hundred levels", envelope("run", int(1), no_links.clone(), &[vec![0x91; 100], vec![1]].concat())),
        ("a list of four thousand million", envelope("run", int(1), no_links, &[0xdd, 0xff, 0xff, 0xff, 0xff])),
    ];
    let decoders: [(&str, fn(&[u8]) -> bool); 8] = [
        ("run", |bytes| RunRecord::decode(bytes).is_ok()),
        ("inputs", |bytes| InputList::decode(bytes).is_ok()),
        ("recipe", |bytes| Recipe::decode(bytes).is_ok()),
        ("scenario", |bytes| Scenario::decode(bytes).is_ok()),
        ("mark", |bytes| Mark::decode(bytes).is_ok()),
        ("note", |bytes| Note::decode(bytes).is_ok()),
        ("chunks", |bytes| Chunks::decode(bytes).is_ok()),
        ("config", |bytes| Config::decode(bytes).is_ok()),
    ];
    let mut refused = 0;
    for (kind, decode) in decoders {
        for (what, bytes) in &bodies {
            // The same with the right kind, so that it is not the kind that is refused.
            let right: Vec<u8> = match bytes.windows(4).position(|window| window == text("run")) {
                Some(at) => [&bytes[..at], &text(kind), &bytes[at + 4..]].concat(),
                None => bytes.clone(),
            };
            // A config may be any value.
            if kind == "config" && ["an empty body", "a body that is a list", "an unknown field"].contains(what) {
                continue;
            }
            assert!(!decode(&right), "{kind}: {what}");
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
    assert!(codec::decode::<Entry>(b"", &Limits::RECORD).is_err());
    assert!(envelope::Envelope::parse(b"").is_err());
}
