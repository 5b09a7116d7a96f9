//! The file of a bundle: a plain tar (POSIX ustar) of a store's folder, so that `tar xf` makes a store of it that can be fetched from.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::FOLDERS;
use crate::clock::Micros;
use crate::fs::{Fs, Input};
use crate::store::Folder;

/// The folder that all names begin with.
const TOP: &str = "prov-bundle";

/// Bytes of a header, and what all lengths are rounded up to.
const BLOCK: u64 = 512;

/// Files in a bundle at most.
const FILES: usize = 1 << 20;

/// What a person finds who unpacks it.
const README: &str = "This is a store of prov: runs, and what they need. `prov bundle import FILE` brings the file that it came from\n\
into a project, `prov clone FILE DIR` makes a project of it; this folder does as well as the file.\n";

/// Where a file lies in a bundle: position and length.
pub(super) type Place = (u64, u64);

/// What a bundle holds: files by folder, or by none, and name.
pub(super) type Files = BTreeMap<(Option<Folder>, String), Place>;

fn header(name: &str, len: u64, at: Micros) -> io::Result<[u8; 512]> {
    let mut block = [0; 512];
    let too_long = || io::Error::other("a name or a file is too long for a bundle");
    let mut put = |from: usize, room: usize, text: &str| -> io::Result<()> {
        let field = block.get_mut(from..from + room).filter(|_| text.len() <= room).ok_or_else(too_long)?;
        field[..text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    };
    let seconds = u64::try_from(at.0 / 1_000_000).unwrap_or(0);
    put(0, 100, name)?;
    put(100, 8, "0000444\0")?;
    put(108, 8, "0000000\0")?;
    put(116, 8, "0000000\0")?;
    put(124, 12, &format!("{len:011o}\0"))?;
    put(136, 12, &format!("{seconds:011o}\0"))?;
    put(148, 8, "        ")?;
    put(156, 1, "0")?;
    put(257, 8, "ustar\x0000")?;
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Writes the store in `folder` to a file that must not be there; flushed, and its length.
pub(super) fn write(fs: &Fs, folder: &Path, at: Micros, to: &Path) -> io::Result<u64> {
    let mut out = io::BufWriter::with_capacity(1 << 20, fs.create_new(to, 0o666)?);
    let mut size = 0;
    let mut add = |name: &str, path: Option<&Path>| -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is gone"));
        let input = path.map(|path| fs.open_at(path)).transpose()?;
        let len = input.as_ref().map_or(Ok(README.len() as u64), Input::size)?;
        out.write_all(&header(&format!("{TOP}/{name}"), len, at)?)?;
        match &input {
            None => out.write_all(README.as_bytes())?,
            Some(input) => {
                let mut buffer = vec![0; 1 << 20];
                let mut from = 0;
                while from < len {
                    let part = usize::try_from(len - from).unwrap_or(usize::MAX).min(buffer.len());
                    let part = buffer.get_mut(..part).ok_or_else(gone)?;
                    input.read_exact_at(part, from)?;
                    out.write_all(part)?;
                    from += part.len() as u64;
                }
            }
        }
        let rest = usize::try_from(len.next_multiple_of(BLOCK) - len).unwrap_or(0);
        out.write_all(&[0; 512][..rest])?;
        size += BLOCK + len.next_multiple_of(BLOCK);
        Ok(())
    };
    add("README", None)?;
    add("format", Some(&folder.join("format")))?;
    for part in FOLDERS {
        let dir = folder.join(part.as_str());
        let mut names = fs.names(&dir)?;
        names.sort();
        for name in names {
            let name = name.to_str().ok_or_else(|| io::Error::other("a name is no text"))?;
            add(&format!("{part}/{name}"), Some(&dir.join(name)))?;
        }
    }
    out.write_all(&[0; 1024])?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.sync()?;
    Ok(size + 2 * BLOCK)
}

fn number(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

/// The files of a bundle. Only what a store has is one, each of them once, and nothing may be missing at the end.
pub(super) fn read(input: &Input) -> io::Result<Files> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let len = input.size()?;
    let mut files = Files::new();
    let mut at = 0u64;
    loop {
        let mut block = [0; 512];
        if at.checked_add(BLOCK).is_none_or(|end| end > len) {
            return Err(bad(if at == 0 { "it is no bundle" } else { "it is cut off" }));
        }
        input.read_exact_at(&mut block, at)?;
        at += BLOCK;
        if block.iter().all(|&byte| byte == 0) {
            return if files.is_empty() { Err(bad("it is no bundle")) } else { Ok(files) };
        }
        let sum = number(&block[148..156]);
        let mut blank = block;
        blank[148..156].fill(b' ');
        let is_sound = sum == Some(blank.iter().map(|&byte| u64::from(byte)).sum());
        if !is_sound || &block[257..262] != b"ustar" {
            return Err(bad(if at == BLOCK { "it is no bundle" } else { "it is damaged" }));
        }
        let name = block[..100].split(|&byte| byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(TOP)?.strip_prefix('/'));
        let (Some(name), Some(size)) = (name, number(&block[124..136])) else { return Err(bad("it is no bundle")) };
        let end = size.checked_next_multiple_of(BLOCK).and_then(|size| at.checked_add(size));
        let Some(end) = end.filter(|&end| end <= len) else { return Err(bad("it is cut off")) };
        let is_name = |name: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain)
        };
        let key = match name.split_once('/') {
            None if name == "README" || name == "format" => Some((None, name.to_owned())),
            Some((folder, name)) if is_name(name) => {
                let folder = FOLDERS.into_iter().find(|known| known.as_str() == folder);
                folder.map(|folder| (Some(folder), name.to_owned()))
            }
            // Whoever unpacked it and packed it again has folders in it.
            _ if block[156] == b'5' && size == 0 => None,
            _ => return Err(bad("it holds what no store has")),
        };
        if let Some(key) = key {
            if !matches!(block[156], b'0' | 0) || files.len() >= FILES {
                return Err(bad("it holds what no store has"));
            }
            if files.insert(key, (at, size)).is_some() {
                return Err(bad("it holds a file twice"));
            }
        } else if block[156] != b'5' {
            return Err(bad("it holds what no store has"));
        }
        at = end;
    }
}
