//! What format a file or folder has, told by its name and by how it begins.
//!
//! | format | name ends with | begins with |
//! |---|---|---|
//! | `csv`, `tsv`, `json`, `jsonl`, `geojson`, `yaml`, `toml`, `xml`, `html`, `md`, `txt`, `svg` | `.csv`, `.tsv`, `.json`, `.jsonl` or `.ndjson`, `.geojson`, `.yaml` or `.yml`, `.toml`, `.xml`, `.html`, `.md`, `.txt` or `.log`, `.svg` | |
//! | `csv.gz`, `json.zst`, ... | one of these with `.gz`, `.bz2`, `.xz`, `.zst` | as the outer one |
//! | `parquet`, `arrow`, `feather`, `orc`, `avro`, `hdf5`, `netcdf`, `npy`, `sqlite`, `png`, `jpeg`, `gif`, `tiff`, `pdf`, `zip`, `gz`, `bz2`, `xz`, `zst` | their usual endings | their magic bytes |
//! | `npz`, `xlsx`, `docx`, `omx`, `gpkg` | these | as `zip`, `hdf5`, `sqlite` |
//! | `zarr` | | a folder with `.zgroup`, `.zarray`, `.zmetadata` or `zarr.json` |
//!
//! Where name and beginning contradict each other the beginning is right, and a file that should begin with magic bytes and does not has
//! no known format.

/// Bytes from the beginning of a file that are looked at.
pub(super) const HEAD: u64 = 512;

/// How files of a format begin: at which byte, with what.
const MAGIC: &[(&str, usize, &[u8])] = &[
    ("parquet", 0, b"PAR1"),
    ("arrow", 0, b"ARROW1"),
    ("feather", 0, b"FEA1"),
    ("orc", 0, b"ORC"),
    ("avro", 0, b"Obj\x01"),
    ("hdf5", 0, b"\x89HDF\r\n\x1a\n"),
    ("netcdf", 0, b"CDF\x01"),
    ("netcdf", 0, b"CDF\x02"),
    ("netcdf", 0, b"CDF\x05"),
    ("npy", 0, b"\x93NUMPY"),
    ("sqlite", 0, b"SQLite format 3\0"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("jpeg", 0, b"\xff\xd8\xff"),
    ("gif", 0, b"GIF8"),
    ("tiff", 0, b"II*\0"),
    ("tiff", 0, b"MM\0*"),
    ("pdf", 0, b"%PDF-"),
    ("zip", 0, b"PK\x03\x04"),
    ("zip", 0, b"PK\x05\x06"),
    ("gz", 0, b"\x1f\x8b"),
    ("bz2", 0, b"BZh"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zst", 0, b"\x28\xb5\x2f\xfd"),
];

/// Formats that are another one inside, and which.
const WITHIN: &[(&str, &str)] = &[
    ("npz", "zip"),
    ("xlsx", "zip"),
    ("docx", "zip"),
    ("omx", "hdf5"),
    ("netcdf", "hdf5"),
    ("gpkg", "sqlite"),
    ("feather", "arrow"),
];

/// Formats that are text.
const TEXT: &[&str] = &["csv", "tsv", "json", "jsonl", "geojson", "yaml", "toml", "xml", "html", "md", "txt", "svg"];

const PACKED: &[&str] = &["gz", "bz2", "xz", "zst"];

fn by_ending(ending: &str) -> Option<&'static str> {
    Some(match ending {
        "csv" => "csv",
        "tsv" => "tsv",
        "json" => "json",
        "jsonl" | "ndjson" => "jsonl",
        "geojson" => "geojson",
        "yaml" | "yml" => "yaml",
        "toml" => "toml",
        "xml" => "xml",
        "html" | "htm" => "html",
        "md" => "md",
        "txt" | "log" => "txt",
        "svg" => "svg",
        "parquet" | "pq" => "parquet",
        "arrow" | "arrows" => "arrow",
        "feather" => "feather",
        "orc" => "orc",
        "avro" => "avro",
        "h5" | "hdf5" | "hdf" => "hdf5",
        "nc" | "nc4" | "netcdf" | "cdf" => "netcdf",
        "npy" => "npy",
        "npz" => "npz",
        "sqlite" | "sqlite3" | "db" => "sqlite",
        "gpkg" => "gpkg",
        "omx" => "omx",
        "png" => "png",
        "jpg" | "jpeg" => "jpeg",
        "gif" => "gif",
        "tif" | "tiff" => "tiff",
        "pdf" => "pdf",
        "zip" => "zip",
        "xlsx" => "xlsx",
        "docx" => "docx",
        "gz" => "gz",
        "bz2" => "bz2",
        "xz" => "xz",
        "zst" => "zst",
        _ => return None,
    })
}

/// The format that a file name says.
fn by_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?.to_lowercase();
    let (stem, ending) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
    let format = by_ending(ending)?;
    if PACKED.contains(&format) {
        let inner = stem.rsplit_once('.').and_then(|(_, inner)| by_ending(inner)).filter(|inner| TEXT.contains(inner));
        return Some(inner.map_or_else(|| format.to_owned(), |inner| format!("{inner}.{format}")));
    }
    Some(format.to_owned())
}

/// The format that the beginning of a file says.
fn by_head(head: &[u8]) -> Option<&'static str> {
    MAGIC
        .iter()
        .find(|(_, at, magic)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(name, ..)| *name)
}

/// The format as which a file of this one begins: itself, what it is inside, or how it is packed; `None` for text and what is unknown.
fn outermost(format: &str) -> Option<&str> {
    let last = format.rsplit_once('.').map_or(format, |(_, last)| last);
    if MAGIC.iter().any(|(name, ..)| *name == last) {
        return Some(last);
    }
    WITHIN.iter().find(|(name, _)| *name == last).map(|(_, outer)| *outer)
}

fn begins_as(format: &str, head: &[u8]) -> bool {
    let found = by_head(head);
    found.is_some()
        && (found == outermost(format) || WITHIN.iter().any(|(inner, outer)| *inner == format && found == Some(*outer)))
}

/// The format of a file; `None` if it is none of those that are known.
pub(super) fn of_file(name: &[u8], head: &[u8]) -> Option<String> {
    let (named, found) = (by_name(name), by_head(head));
    match (named, found) {
        (Some(named), Some(_)) if begins_as(&named, head) => Some(named),
        (Some(named), Some(_)) if TEXT.contains(&named.as_str()) && is_text(head) => Some(named),
        (_, Some(found)) => Some(found.to_owned()),
        (Some(named), None) if outermost(&named).is_none() => Some(named),
        (_, None) => None,
    }
}

fn is_text(head: &[u8]) -> bool {
    !head.contains(&0) && !head.iter().any(|&b| b < 9)
}

/// Whether the names in a folder are those of a Zarr store.
pub(super) fn is_zarr<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> bool {
    names.any(|name| matches!(name, b".zgroup" | b".zarray" | b".zmetadata" | b"zarr.json"))
}

/// Why a file that begins like this can't have the format that a user named; `None` if it may. Formats that are not known are believed.
pub(super) fn contradiction(format: &str, head: &[u8]) -> Option<String> {
    let found = by_head(head);
    let what =
        || found.map_or_else(|| "no beginning that is known".to_owned(), |found| format!("the beginning of {found}"));
    if outermost(format).is_some() {
        return (!begins_as(format, head)).then(|| format!("it is said to be {format} and has {}", what()));
    }
    if !TEXT.contains(&format) {
        return None;
    }
    if !is_text(head) {
        return Some(format!("it is said to be {format} and is not text: it has {}", what()));
    }
    let first = head.iter().copied().find(|b| !b.is_ascii_whitespace());
    let may_begin = match (format, first) {
        ("geojson", first) => first == Some(b'{'),
        ("json", first) => first.is_some_and(|b| b"{[\"-0123456789tfn".contains(&b)),
        ("xml" | "svg", first) => first == Some(b'<') || first == Some(0xef),
        _ => true,
    };
    (!may_begin).then(|| format!("it is said to be {format} and does not begin like that"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_tell_formats() {
        let of = |name: &str, head: &[u8]| of_file(name.as_bytes(), head);
        for (name, head, format) in [
            ("a.csv", &b"x,y\n"[..], "csv"),
            ("a.CSV.gz", b"\x1f\x8b\x08", "csv.gz"),
            ("a.gz", b"\x1f\x8b\x08", "gz"),
            ("a.parquet", b"PAR1....", "parquet"),
            ("a.bin", b"PAR1....", "parquet"),
            ("a.csv", b"PAR1\0\0", "parquet"),
            ("a.nc", b"\x89HDF\r\n\x1a\n", "netcdf"),
            ("a.h5", b"\x89HDF\r\n\x1a\n", "hdf5"),
            ("a.nc", b"CDF\x01", "netcdf"),
            ("a.geojson", b"{}", "geojson"),
            ("a.ndjson", b"{}", "jsonl"),
            ("a.png", b"\x89PNG\r\n\x1a\n", "png"),
            ("a.npz", b"PK\x03\x04", "npz"),
            ("orc.txt", b"ORCs live here", "txt"),
        ] {
            assert_eq!(of(name, head).as_deref(), Some(format), "{name}");
        }
        for (name, head) in [("a.parquet", &b"not"[..]), ("a", b"text"), (".csv", b"x"), ("a.csv.gz", b"x,y")] {
            assert_eq!(of(name, head), None, "{name}");
        }
        assert!(is_zarr([&b"0.0"[..], b".zarray"].into_iter()));
    }

    #[test]
    fn a_named_format_is_checked_where_that_is_possible() {
        assert!(contradiction("parquet", b"x,y").is_some());
        assert!(contradiction("csv", b"PAR1\0").is_some());
        assert!(contradiction("json", b"<html>").is_some());
        assert!(contradiction("csv.gz", b"x,y").is_some());
        for (format, head) in
            [("parquet", &b"PAR1"[..]), ("json", b" [1]"), ("csv", b"a,b"), ("gtfs", b"PK\x03\x04"), ("csv", b"")]
        {
            assert!(contradiction(format, head).is_none(), "{format}");
        }
    }
}
