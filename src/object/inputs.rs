//! What a run took: its inputs by key. Those of a run with many are an object of their own, which all runs with the same inputs share.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bstr::BString;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::run::Input;
use super::{Error, Kind, Link, Record, Strength, id_of};
use crate::codec;
use crate::hash::Id;

/// With so many inputs a run that is closed has them in a list of their own.
pub const MANY: usize = 64;

/// The inputs of a run by key.
///
/// They know whether the record of their run tells them itself or names the list that does. Whoever changes them has inputs that stand in no list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    by_key: Arc<BTreeMap<String, Input>>,
    list: Option<Id>,
}

impl Inputs {
    /// Those of a list of this id.
    pub(super) fn of_list(list: InputList, id: Id) -> Self {
        Self { by_key: list.0, list: Some(id) }
    }

    /// Those of a record that names this list, which was not read.
    fn unread(list: Id) -> Self {
        Self { by_key: Arc::default(), list: Some(list) }
    }

    /// The list in which they stand, if they do.
    pub fn list(&self) -> Option<&Id> {
        self.list.as_ref()
    }

    /// The list in which they stand with its id, if they do.
    pub fn as_list(&self) -> Option<(InputList, Id)> {
        self.list.map(|id| (InputList(Arc::clone(&self.by_key)), id))
    }

    /// Whether the record tells them itself.
    pub(super) fn are_told(&self) -> bool {
        self.list.is_none()
    }

    /// From now on they stand in a list, if they are many: its id and bytes. `None` as well if they stand in one already.
    ///
    /// # Errors
    /// When they are above the limits of the format.
    pub fn put_in_list(&mut self) -> Result<Option<(Id, Vec<u8>)>, Error> {
        if self.by_key.len() < MANY || self.list.is_some() {
            return Ok(None);
        }
        let (id, bytes) = self.as_object()?;
        self.list = Some(id);
        Ok(Some((id, bytes)))
    }

    /// Whether they are just those of this list of another run. From now on they stand in it then.
    ///
    /// # Errors
    /// As [`Inputs::put_in_list`].
    pub fn stand_in(&mut self, list: &Id) -> Result<bool, Error> {
        let told = InputList(Arc::clone(&self.by_key));
        let damaged = |source| Error::Damaged { kind: Kind::INPUTS, source };
        let (links, body) = told.to_parts().map_err(damaged)?;
        let bytes = super::envelope::as_it_comes(&Kind::INPUTS, told.version(), links, &body).map_err(damaged)?;
        let are_those = id_of(&Kind::INPUTS, &bytes) == *list;
        if are_those {
            self.list = Some(*list);
        }
        Ok(are_those)
    }

    fn as_object(&self) -> Result<(Id, Vec<u8>), Error> {
        let bytes = InputList(Arc::clone(&self.by_key)).encode()?;
        Ok((id_of(&Kind::INPUTS, &bytes), bytes))
    }

    /// The same, told by the record itself.
    #[must_use]
    pub(super) fn told(&self) -> Self {
        Self { by_key: Arc::clone(&self.by_key), list: None }
    }

    fn is_nothing(&self) -> bool {
        self.by_key.is_empty() && self.list.is_none()
    }
}

/// For `skip_serializing_if`.
pub(super) fn are_none(inputs: &Inputs) -> bool {
    inputs.is_nothing()
}

impl Deref for Inputs {
    type Target = BTreeMap<String, Input>;

    fn deref(&self) -> &Self::Target {
        &self.by_key
    }
}

impl DerefMut for Inputs {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.list = None;
        Arc::make_mut(&mut self.by_key)
    }
}

impl From<BTreeMap<String, Input>> for Inputs {
    fn from(by_key: BTreeMap<String, Input>) -> Self {
        Self { by_key: Arc::new(by_key), list: None }
    }
}

impl FromIterator<(String, Input)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (String, Input)>>(all: I) -> Self {
        all.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl IntoIterator for Inputs {
    type Item = (String, Input);
    type IntoIter = std::collections::btree_map::IntoIter<String, Input>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.by_key).into_iter()
    }
}

impl<'a> IntoIterator for &'a Inputs {
    type Item = (&'a String, &'a Input);
    type IntoIter = std::collections::btree_map::Iter<'a, String, Input>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_key.iter()
    }
}

/// A map, or the id of the list where it stands.
impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.list {
            Some(id) => id.serialize(serializer),
            None => codec::in_order(&self.by_key, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapOrId;
        impl<'de> Visitor<'de> for MapOrId {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("inputs by key, or the id of a list of inputs")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Inputs, A::Error> {
                BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(Into::into)
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Inputs, E> {
                Id::from_bytes(bytes)
                    .map(Inputs::unread)
                    .ok_or_else(|| E::custom("an id of an unknown algorithm or length"))
            }
        }
        deserializer.deserialize_any(MapOrId)
    }
}

/// The inputs of runs as an object: what all runs that took just these share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputList(pub Arc<BTreeMap<String, Input>>);

impl InputList {
    /// Contents with the keys and paths under which they stand here; what is absent is no content.
    pub fn contents(&self) -> impl Iterator<Item = (Id, &str, &BString)> {
        let there = self.0.iter().filter(|(_, input)| !input.content.is_absent());
        there.map(|(key, input)| (input.content.id(), key.as_str(), &input.path))
    }
}

/// What inputs lead to: their contents, and the runs that made them.
pub(super) fn links(inputs: &BTreeMap<String, Input>) -> Vec<Link> {
    let mut links = Vec::with_capacity(inputs.len());
    for input in inputs.values() {
        links.extend(input.content.link(if input.stored { Strength::Content } else { Strength::Weak }));
        let producer = input.producer.as_ref().and_then(|made| made.object);
        links.extend(producer.map(|id| Link(id, Kind::RUN, Strength::Record)));
    }
    links
}

impl Record for InputList {
    const KIND: Kind = Kind::INPUTS;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let told = Inputs { by_key: Arc::clone(&self.0), list: None };
        Ok((links(&self.0), codec::encode_unchecked(&told)?))
    }

    fn links(&self) -> Result<Vec<Link>, codec::Error> {
        Ok(links(&self.0))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        let told: Inputs = codec::decode_checked(body).map_err(|source| Error::Damaged { kind: Self::KIND, source })?;
        if told.by_key.is_empty() {
            return Err(Error::Invalid { kind: Self::KIND, rule: "it tells of at least one input".to_owned() });
        }
        Ok(Self(told.by_key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Micros;
    use crate::object::RunRecord;
    use crate::object::recipe::Content;
    use crate::object::run::{LinkedBy, Producer, Run, RunKind};

    const RUN: &str = "20260101T000000.000000Z-s-0000000000000000";

    fn inputs() -> impl Strategy<Value = BTreeMap<String, Input>> {
        let input =
            (any::<[u8; 2]>(), any::<u16>(), any::<bool>(), any::<bool>()).prop_map(|(seed, size, stored, made)| {
                let id = crate::hash::blob(&seed);
                let producer = made.then(|| Producer {
                    key: "o".to_owned(),
                    run: RUN.to_owned(),
                    object: stored.then_some(id),
                    linked_by: LinkedBy::Path,
                    candidates: Vec::new(),
                });
                Input {
                    path: format!("f/{size}").into(),
                    size: size.into(),
                    stored,
                    content: Content::Blob(id),
                    producer,
                }
            });
        proptest::collection::btree_map("[a-z]{1,12}(/[a-z]{1,3})?", input, 0..2 * MANY)
    }

    fn run(inputs: BTreeMap<String, Input>) -> Run {
        let mut run = Run::begun(RUN, "p", "main", RunKind::Command, "s", Micros(1));
        run.inputs = inputs.into();
        run
    }

    proptest! {
        #[test]
        fn a_run_comes_back_with_its_inputs_wherever_they_stand(all in inputs(), with_list: bool) {
            let mut run = run(all.clone());
            let list = if with_list { run.inputs.put_in_list().unwrap() } else { None };
            prop_assert_eq!(list.is_some(), with_list && all.len() >= MANY);
            let bytes = run.encode().unwrap();
            let record = RunRecord::decode(&bytes).unwrap();
            prop_assert_eq!(&record.encode().unwrap(), &bytes);
            prop_assert_eq!(record.head().inputs.list(), list.as_ref().map(|(id, _)| id));
            let envelope = crate::object::Envelope::parse(&bytes).unwrap();
            prop_assert_eq!(envelope.version, if list.is_some() { 2 } else { 1 });
            if let Some((id, told)) = &list {
                prop_assert!(record.head().inputs.is_empty());
                prop_assert_eq!(&InputList::decode(told).unwrap().encode().unwrap(), told);
                prop_assert!(envelope.links.contains(&Link(*id, Kind::INPUTS, Strength::Record)));
            }
            let whole = record.whole_with(|_| InputList::decode(&list.as_ref().unwrap().1)).unwrap();
            prop_assert_eq!(&whole, &run);
            // What waits for being published tells all of it.
            let alone = RunRecord::decode(&whole.encode_whole().unwrap()).unwrap().into_head();
            prop_assert_eq!(&*alone.inputs, &all);
            prop_assert!(alone.inputs.list().is_none());
        }

        #[test]
        fn inputs_that_are_changed_stand_in_no_list(all in inputs()) {
            prop_assume!(all.len() > MANY);
            let mut run = run(all.clone());
            let (first, _) = run.inputs.put_in_list().unwrap().unwrap();
            let key = all.keys().next().unwrap();
            run.inputs.remove(key);
            prop_assert!(run.inputs.list().is_none());
            let (second, _) = run.inputs.put_in_list().unwrap().unwrap();
            prop_assert_ne!(first, second);
        }
    }

    #[test]
    fn neither_a_list_of_nothing_nor_one_that_stands_elsewhere_is_a_list() {
        let id = crate::hash::blob(b"x");
        for body in [codec::encode(&Inputs::default()).unwrap(), codec::encode(&Inputs::unread(id)).unwrap()] {
            let bytes = crate::object::envelope::encode(Kind::INPUTS, 1, Vec::new(), &body).unwrap();
            assert!(InputList::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_record_has_the_version_of_its_form() {
        let told = run(BTreeMap::new());
        let body = codec::encode(&told).unwrap();
        let as_version = |version| crate::object::envelope::encode(Kind::RUN, version, Vec::new(), &body).unwrap();
        assert!(RunRecord::decode(&as_version(1)).is_ok());
        assert!(matches!(RunRecord::decode(&as_version(2)), Err(Error::Invalid { .. })));
        assert!(matches!(RunRecord::decode(&as_version(3)), Err(Error::TooNew { .. })));
    }
}
