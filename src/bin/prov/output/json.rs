//! Documents for scripts: `{"schema": "prov.<what>/1", ...}`.

use prov::clock::Micros;
use prov::codec::Value as Stored;
use serde_json::{Map, Value, json};

/// The start of a document of kind `what`.
pub(crate) fn document(what: &str) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("schema".to_owned(), json!(format!("prov.{what}/1")));
    document
}

/// Puts bytes under `key`: as text, and if they are not UTF-8, escaped, with the exact bytes in base64 under `key_b64`.
pub(crate) fn put_bytes(map: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        map.insert(key.to_owned(), json!(text));
    } else {
        map.insert(key.to_owned(), json!(prov::path::shown(bytes)));
        map.insert(format!("{key}_b64"), json!(base64(bytes)));
    }
}

/// A list of bytes under `key`, with a list in base64 under `key_b64` if any of them is not UTF-8.
pub(crate) fn put_bytes_list<B: AsRef<[u8]>>(map: &mut Map<String, Value>, key: &str, items: &[B]) {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map_or_else(|_| prov::path::shown(bytes), ToOwned::to_owned);
    map.insert(key.to_owned(), items.iter().map(|item| text(item.as_ref())).collect());
    if items.iter().any(|item| std::str::from_utf8(item.as_ref()).is_err()) {
        map.insert(format!("{key}_b64"), items.iter().map(|item| base64(item.as_ref())).collect());
    }
}

/// A moment: RFC 3339 in UTC with microseconds.
pub(crate) fn time(at: Micros) -> Value {
    json!(at.rfc3339())
}

/// A stored value; bytes that are not UTF-8 become `{"b64": ...}`.
pub(crate) fn stored(value: &Stored) -> Value {
    match value {
        Stored::Null => Value::Null,
        Stored::Bool(v) => json!(v),
        Stored::Int(v) => match (i64::try_from(*v), u64::try_from(*v)) {
            (Ok(v), _) => json!(v),
            (_, Ok(v)) => json!(v),
            _ => json!(v.to_string()),
        },
        Stored::Float(v) => json!(v),
        Stored::Text(v) => json!(v),
        Stored::Bytes(v) => std::str::from_utf8(v).map_or_else(|_| json!({ "b64": base64(v) }), |text| json!(text)),
        Stored::List(items) => items.iter().map(stored).collect(),
        Stored::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), stored(value))).collect(),
    }
}

/// Base64 with padding, the standard alphabet.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0u32, |group, (i, &byte)| group | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            if i <= chunk.len() {
                text.push(char::from(ALPHABET[(group >> (18 - 6 * i) & 0x3f) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe", "//4="),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn only_bytes_that_are_no_text_get_a_twin() {
        let mut map = document("x");
        put_bytes(&mut map, "path", b"a\nb");
        put_bytes(&mut map, "other", b"a\xff");
        put_bytes_list(&mut map, "argv", &[&b"a"[..], b"\xff"]);
        assert_eq!(
            Value::Object(map),
            json!({"schema": "prov.x/1", "path": "a\nb", "other": "a\\xff", "other_b64": "Yf8=",
                   "argv": ["a", "\\xff"], "argv_b64": ["YQ==", "/w=="]})
        );
    }
}
