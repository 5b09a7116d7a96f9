//! Objects and matches, as several commands show them.

use std::fmt::Write as _;

use prov::codec::{self, Limits, Value as Stored};
use prov::hash::Id;
use prov::object::envelope::Envelope;
use prov::object::{Kind, Source};
use prov::query::Match;
use serde_json::{Map, Value, json};

use super::revision::lost;
use crate::error::Failure;
use crate::output::record::{shown, word};
use crate::output::{Painter, json};

/// An object as a document: a record with its links and its body, whatever its kind; of a blob only what it is.
pub(crate) fn object_json(source: &dyn Source, id: &Id) -> Result<Value, Failure> {
    let (kind, size) = source.header(id)?.ok_or_else(|| lost(&format!("object {id}")))?;
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(id.to_string()));
    map.insert("kind".to_owned(), json!(kind.as_str()));
    map.insert("size".to_owned(), json!(size));
    if kind != Kind::BLOB {
        let (_, bytes) = super::revision::object(source, id)?;
        let envelope = Envelope::parse(&bytes)?;
        let body: Stored = codec::decode_lenient(envelope.body, &Limits::RECORD)?;
        map.insert("version".to_owned(), json!(envelope.version));
        let links = envelope.links.iter().map(|link| {
            json!({
                "id": link.id().to_string(),
                "kind": link.kind().as_str(),
                "strength": format!("{:?}", link.strength()).to_lowercase(),
            })
        });
        map.insert("links".to_owned(), links.collect());
        map.insert("body".to_owned(), with_ids(&body));
    }
    Ok(Value::Object(map))
}

/// A stored value in which ids are hexadecimal.
fn with_ids(value: &Stored) -> Value {
    match value {
        Stored::Bytes(bytes) => match Id::from_bytes(bytes) {
            Some(id) => json!(id.to_string()),
            None => json::stored(value),
        },
        Stored::List(items) => items.iter().map(with_ids).collect(),
        Stored::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), with_ids(value))).collect(),
        other => json::stored(other),
    }
}

/// The size of an object.
pub(crate) fn size_of(source: &dyn Source, id: &Id) -> Result<u64, Failure> {
    source.header(id)?.map(|(_, size)| size).ok_or_else(|| lost(&format!("object {id}")))
}

/// Where some content was seen, as an element of `matches`.
pub(crate) fn match_json(found: &Match) -> Value {
    let mut map = Map::new();
    map.insert("run".to_owned(), json!(found.run));
    map.insert("object".to_owned(), json!(found.object.to_string()));
    map.insert("role".to_owned(), json!(if found.is_output { "output" } else { "input" }));
    map.insert("key".to_owned(), json!(found.key));
    json::put_bytes(&mut map, "path", &found.path);
    map.insert("scenario".to_owned(), json!(found.scenario));
    Value::Object(map)
}

/// Where some content was seen, a line each.
pub(crate) fn matches_text(painter: Painter, matches: &[Match]) -> String {
    let mut text = String::new();
    for found in matches {
        let role = if found.is_output { "output" } else { "input" };
        let _ = writeln!(
            text,
            "    {role:<6} {}:{}  {}  ({})",
            painter.id(shown(&found.run)),
            shown(&found.key),
            shown(&found.path),
            shown(&found.scenario)
        );
    }
    text
}

/// How an artifact was tied to the run that made it.
pub(crate) fn linked_by(how: Option<prov::object::run::LinkedBy>) -> Value {
    how.map_or(Value::Null, |how| json!(word(&how)))
}
