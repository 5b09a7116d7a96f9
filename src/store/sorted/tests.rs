//! Sorted files: round trips, walks, damage.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::hash::Id;
use crate::store::backend::{Backend, Folder, ReadAt};
use crate::store::memory::MemoryBackend;

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let slice = self.0.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(slice);
        Ok(())
    }
}

fn written(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> (Id, Vec<u8>) {
    let place = MemoryBackend::new();
    let mut writer = Writer::new(place.stage().unwrap(), *b"provtab1").unwrap();
    for (key, value) in records {
        writer.record(key, value).unwrap();
    }
    let finished = writer.finish([9; 16]).unwrap();
    let name = finished.name;
    finished.staged.publish(Folder::Tables, "x").unwrap();
    let bytes = place.read(Folder::Tables, "x").unwrap().unwrap();
    assert_eq!(bytes.len() as u64, finished.len);
    (name, bytes)
}

fn open(name: &Id, bytes: &[u8]) -> Result<Arc<SortedFile>, Broken> {
    SortedFile::open(Box::new(Bytes(bytes.to_vec())), name).map(Arc::new)
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn all(mut cursor: Cursor) -> Result<Records, Broken> {
    let mut out = Vec::new();
    while let Some((key, value)) = cursor.record() {
        out.push((key.to_vec(), value.to_vec()));
        cursor.advance()?;
    }
    Ok(out)
}

fn faults(file: &SortedFile) -> (Vec<Broken>, usize) {
    let (mut wrong, mut records) = (Vec::new(), 0);
    verify(file, *b"provtab1", &mut |_, _| records += 1, &mut |what| wrong.push(what));
    (wrong, records)
}

fn many(n: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..n).map(|i| (format!("key-{:08}", i * 2).into_bytes(), vec![7; (i % 60) as usize])).collect()
}

fn any_records() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let key = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        proptest::collection::vec(0u8..3, 0..12),
        proptest::collection::vec(any::<u8>(), 30..34),
    ];
    let value = prop_oneof![
        9 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 3000..20_000),
    ];
    proptest::collection::btree_map(key, value, 0..300)
}

#[test]
fn files_of_any_size_are_read_back() {
    for n in [0, 1, 300, 5_000, 120_000] {
        let records = many(n);
        let (name, bytes) = written(&records);
        let file = open(&name, &bytes).unwrap();
        assert_eq!(file.count(), n);
        assert_eq!(faults(&file), (vec![], records.len()), "{n}");
        let forward: Vec<_> = records.clone().into_iter().collect();
        assert_eq!(all(Cursor::forward(&file, b"").unwrap()).unwrap(), forward);
        let backward: Vec<_> = records.into_iter().rev().collect();
        assert_eq!(all(Cursor::backward(&file, None).unwrap()).unwrap(), backward);
        for i in (0..n).step_by(97) {
            assert!(file.get(format!("key-{:08}", i * 2).as_bytes()).unwrap().is_some());
            assert_eq!(file.get(format!("key-{:08}", i * 2 + 1).as_bytes()).unwrap(), None);
        }
        assert_eq!(file.get(b"").unwrap(), None);
        assert_eq!(file.get(b"z").unwrap(), None);
    }
}

#[test]
fn large_files_have_more_than_one_level_of_pointers() {
    let (name, bytes) = written(&many(120_000));
    assert!(open(&name, &bytes).unwrap().levels() >= 2);
}

#[test]
fn keys_out_of_order_are_not_written() {
    let mut writer = Writer::new(MemoryBackend::new().stage().unwrap(), *b"provtab1").unwrap();
    writer.record(b"b", b"").unwrap();
    assert!(writer.record(b"b", b"").is_err());
    assert!(writer.record(b"a", b"").is_err());
}

#[test]
fn every_flipped_byte_is_noticed_and_never_gives_a_wrong_answer() {
    let records = many(400);
    let (name, bytes) = written(&records);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let Ok(file) = open(&name, &bad) else { continue };
        assert!(!faults(&file).0.is_empty(), "byte {at} is not noticed");
        if at % 29 == 0 {
            for (key, value) in &records {
                if let Ok(found) = file.get(key) {
                    assert_eq!(found.as_ref(), Some(value), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (name, bytes) = written(&many(600));
    for len in 0..bytes.len() {
        assert!(open(&name, &bytes[..len]).is_err(), "cut at {len}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(open(&name, &longer).is_err());
}

#[test]
fn a_key_that_shares_more_than_it_says_is_damage_to_everyone_who_reads_it() {
    // `aa` and `ab`, the second written out although it begins as the first one does: who searches for it would not find it.
    let bytes = vec![0, 2, b'a', b'a', 0, 0, 2, b'a', b'b', 0];
    let sound = vec![0, 2, b'a', b'a', 0, 1, 1, b'b', 0];
    let page = |bytes: &[u8]| Arc::new(super::page::Page::new(bytes.to_vec(), 0));
    assert!(super::block::Block::parse(page(&sound)).is_ok());
    assert!(super::walker::Walker::new(page(&sound)).seek_from(b"ab").is_ok_and(|is_there| is_there));
    let told = "a key shares more with the one before than it says";
    assert_eq!(super::block::Block::parse(page(&bytes)).unwrap_err(), told);
    assert_eq!(super::walker::Walker::new(page(&bytes)).seek_from(b"ab"), Err(told));
    let mut walker = super::walker::Walker::new(page(&bytes));
    assert_eq!((walker.step(), walker.step()), (Ok(true), Err(told)));
}

#[test]
fn a_damaged_block_costs_only_its_own_records() {
    let records = many(2_000);
    let (name, mut bytes) = written(&records);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let file = open(&name, &bytes).unwrap();
    let readable = records.keys().filter(|key| file.get(key).is_ok()).count();
    assert!(readable > 1_500 && readable < 2_000, "{readable}");
    let (wrong, seen) = faults(&file);
    assert_eq!((wrong.len(), seen), (1, readable));
}

#[test]
fn keys_that_share_nearly_all_of_their_bytes_are_not_written_out_to_be_remembered() {
    // Eight bytes a record, and each stands for a key of sixteen thousand.
    let mut block = super::block::BlockBuilder::default();
    let mut key = vec![b'k'; super::KEY_MAX];
    let at = key.len() - 3;
    for n in 0..20_000u32 {
        key[at..].copy_from_slice(&n.to_be_bytes()[1..]);
        block.push(&key, b"");
    }
    assert!(block.bytes.len() < 256 << 10, "{}", block.bytes.len());
    let page = Arc::new(super::page::Page::new(block.bytes, 0));
    for _ in 0..40 {
        let mut walker = super::walker::Walker::new(Arc::clone(&page));
        assert_eq!(walker.seek_from(&key), Ok(true));
        assert_eq!(walker.record().map(|(found, _)| found == key), Some(true));
    }
    assert!(page.remembered() <= super::block::KEYS_MAX, "{}", page.remembered());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lookups_and_walks_agree_with_a_map(records in any_records(), probes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..20)) {
        let (name, bytes) = written(&records);
        let file = open(&name, &bytes).unwrap();
        prop_assert_eq!(faults(&file), (vec![], records.len()));
        for key in records.keys().chain(&probes) {
            let got = file.get(key).unwrap();
            prop_assert_eq!(got.as_ref(), records.get(key));
            let forward = all(Cursor::forward(&file, key).unwrap()).unwrap();
            let expected: Vec<_> = records.range(key.clone()..).map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(forward, expected);
            let backward = all(Cursor::backward(&file, Some(key)).unwrap()).unwrap();
            let expected: Vec<_> = records.range(..key.clone()).rev().map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(file.begins_at_or_after(key).unwrap(), expected.is_empty());
            prop_assert_eq!(backward, expected);
        }
    }

    #[test]
    fn a_page_that_is_asked_often_answers_as_one_that_is_asked_once(
        records in any_records(), keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 1..8), at: prop::sample::Index, by: u8
    ) {
        let mut block = super::block::BlockBuilder::default();
        for (key, value) in &records {
            block.push(key, value);
        }
        let mut bytes = block.bytes;
        if let (0..128, 1..) = (by, bytes.len()) {
            // Damaged, and yet what its checksum is of.
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(by);
        }
        let find = |page: &Arc<super::page::Page>, key: &[u8]| {
            let mut walker = super::walker::Walker::new(Arc::clone(page));
            let found = walker.seek_from(key)?;
            let record = walker.record().map(|(key, value)| (key.to_vec(), value.to_vec()));
            Ok::<_, &'static str>((found, record, walker.step()?, walker.record().map(|(key, _)| key.to_vec())))
        };
        let often = Arc::new(super::page::Page::new(bytes.clone(), 0));
        for key in keys.iter().cycle().take(40).chain(records.keys()) {
            let once = Arc::new(super::page::Page::new(bytes.clone(), 0));
            prop_assert_eq!(find(&often, key), find(&once, key));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let shared = Arc::new(super::page::Page::new(bytes.clone(), 0));
        let _ = Block::parse(Arc::clone(&shared));
        for key in [&b""[..], b"key", &bytes] {
            let mut walker = super::walker::Walker::new(Arc::clone(&shared));
            let _ = walker.seek(key);
            while let Ok(true) = walker.step() {}
        }
        let _ = open(&Id::ZERO, &bytes);
    }
}
