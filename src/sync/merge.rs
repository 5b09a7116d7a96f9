//! Settings that were changed on both sides: merged field by field from what both had; what can't be merged is kept twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Value;
use crate::object::scenario::Scenario;

/// A scenario's settings with its config written out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// All but the config.
    pub(super) scenario: Scenario,
    /// The config; a map, empty if there is none.
    pub(super) config: Value,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    /// What holds from now on.
    pub(super) settings: Settings,
    /// The fields that both sides changed, each in another way: there `settings` has what this side has.
    pub(super) conflicts: Vec<String>,
}

/// One value of three: whoever changed it wins; `None` if both did.
fn three<T: PartialEq + Clone>(base: &T, ours: &T, theirs: &T) -> Option<T> {
    if ours == theirs || theirs == base {
        Some(ours.clone())
    } else if ours == base {
        Some(theirs.clone())
    } else {
        None
    }
}

/// Merges settings. Without `base` nothing is known of what both had: then whatever a side does not say was not said.
pub(super) fn settings(base: Option<&Settings>, ours: &Settings, theirs: &Settings) -> Merged {
    let nothing = Settings {
        scenario: Scenario::named(&ours.scenario.name, ours.scenario.created_at),
        config: Value::Map(Vec::new()),
    };
    let base = base.unwrap_or(&nothing);
    let (b, o, t) = (&base.scenario, &ours.scenario, &theirs.scenario);
    let mut conflicts = Vec::new();
    let mut merged = ours.clone();
    merged.scenario.created_at = o.created_at.min(t.created_at);
    match three(&b.description, &o.description, &t.description) {
        Some(description) => merged.scenario.description = description,
        None => conflicts.push("description".to_owned()),
    }
    match three(&b.base, &o.base, &t.base) {
        Some(base) => merged.scenario.base = base,
        None => conflicts.push("base".to_owned()),
    }
    // Another epoch forgets earlier results; the higher one forgets those of both.
    merged.scenario.epoch = three(&b.epoch, &o.epoch, &t.epoch).unwrap_or_else(|| o.epoch.max(t.epoch));
    merged.scenario.tags = labels(&b.tags, &o.tags, &t.tags);
    merged.scenario.run_tags = labels(&b.run_tags, &o.run_tags, &t.run_tags);
    merged.scenario.required = labels(&b.required, &o.required, &t.required);
    match three(&b.alias, &o.alias, &t.alias) {
        Some(alias) => merged.scenario.alias = alias,
        None => conflicts.push("alias".to_owned()),
    }
    match three(&b.restore, &o.restore, &t.restore) {
        Some(restore) => merged.scenario.restore = restore,
        None => conflicts.push("restore".to_owned()),
    }
    match three(&b.closed, &o.closed, &t.closed) {
        Some(closed) => merged.scenario.closed = closed,
        None => conflicts.push("closed".to_owned()),
    }
    let map = |facets: &BTreeMap<String, Value>| {
        Value::Map(facets.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    };
    let (ours_of, theirs_of) = (map(&o.run_facets), map(&t.run_facets));
    let facets = values("run_facets", Some(&map(&b.run_facets)), Some(&ours_of), Some(&theirs_of), &mut conflicts);
    if let Some(Value::Map(entries)) = facets {
        merged.scenario.run_facets = entries.into_iter().collect();
    }
    let config = values("config", Some(&base.config), Some(&ours.config), Some(&theirs.config), &mut conflicts);
    merged.config = config.unwrap_or_else(|| Value::Map(Vec::new()));
    Merged { settings: merged, conflicts }
}

/// Merges labels one by one: what one side took away is gone, what one side added is there.
fn labels(base: &BTreeSet<String>, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> BTreeSet<String> {
    let is_kept = |label: &&String| {
        let (in_ours, in_theirs) = (ours.contains(*label), theirs.contains(*label));
        (in_ours && in_theirs) || !base.contains(*label)
    };
    ours.union(theirs).filter(is_kept).cloned().collect()
}

/// Merges values, maps key by key.
fn values(
    name: &str,
    base: Option<&Value>,
    ours: Option<&Value>,
    theirs: Option<&Value>,
    conflicts: &mut Vec<String>,
) -> Option<Value> {
    if let (Some(Value::Map(o)), Some(Value::Map(t))) = (ours, theirs) {
        let empty = Vec::new();
        let b = if let Some(Value::Map(b)) = base { b } else { &empty };
        let find = |map: &[(String, Value)], key: &str| -> Option<Value> {
            map.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
        };
        let mut keys: Vec<&String> = o.iter().chain(t).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut merged = Vec::new();
        for key in keys {
            let (b, o, t) = (find(b, key), find(o, key), find(t, key));
            if let Some(value) = values(&format!("{name}.{key}"), b.as_ref(), o.as_ref(), t.as_ref(), conflicts) {
                merged.push((key.clone(), value));
            }
        }
        return Some(Value::Map(merged));
    }
    three(&base, &ours, &theirs)
        .unwrap_or_else(|| {
            conflicts.push(name.to_owned());
            ours
        })
        .cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Micros;

    fn made(description: &str, epoch: u64, tags: &[&str], config: &[(&str, i128)]) -> Settings {
        let scenario = Scenario {
            description: description.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            epoch,
            ..Scenario::named("s", Micros(5))
        };
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), Value::Int(*value))).collect();
        Settings { scenario, config: Value::Map(config) }
    }

    #[test]
    fn what_one_side_changed_is_taken() {
        let base = made("a", 1, &["x", "y"], &[("rate", 1), ("gone", 1)]);
        let ours = made("b", 1, &["x", "z"], &[("rate", 2), ("gone", 1)]);
        let theirs = made("a", 2, &["x", "y", "w"], &[("rate", 1), ("new", 3)]);
        let merged = settings(Some(&base), &ours, &theirs);
        assert_eq!(merged.conflicts, Vec::<String>::new());
        assert_eq!(merged.settings, made("b", 2, &["w", "x", "z"], &[("new", 3), ("rate", 2)]));
    }

    #[test]
    fn what_both_changed_is_named_and_stays_as_it_is_here() {
        let base = made("a", 1, &[], &[("rate", 1)]);
        let ours = made("b", 2, &[], &[("rate", 2)]);
        let theirs = made("c", 3, &[], &[("rate", 3)]);
        let merged = settings(Some(&base), &ours, &theirs);
        assert_eq!(merged.conflicts, ["description", "config.rate"]);
        assert_eq!(merged.settings, made("b", 3, &[], &[("rate", 2)]));
    }

    #[test]
    fn without_a_base_what_a_side_does_not_say_is_no_change() {
        let merged = settings(None, &made("", 0, &[], &[("a", 1)]), &made("d", 0, &["t"], &[("b", 2)]));
        assert_eq!(merged.settings, made("d", 0, &["t"], &[("a", 1), ("b", 2)]));
        assert!(merged.conflicts.is_empty());
    }

    fn any_settings() -> impl Strategy<Value = Settings> {
        let tags = proptest::collection::btree_set(prop_oneof![Just("p"), Just("q")], 0..3);
        let config = proptest::collection::btree_map(prop_oneof![Just("a"), Just("b"), Just("c")], 0..3i128, 0..3);
        (prop_oneof![Just(""), Just("d"), Just("e")], 0..3u64, tags, config).prop_map(|(text, epoch, tags, config)| {
            let tags: Vec<&str> = tags.into_iter().collect();
            let config: Vec<(&str, i128)> = config.into_iter().collect();
            made(text, epoch, &tags, &config)
        })
    }

    proptest! {
        #[test]
        fn both_sides_come_to_the_same_unless_they_conflict(base in any_settings(), a in any_settings(), b in any_settings()) {
            let (one, other) = (settings(Some(&base), &a, &b), settings(Some(&base), &b, &a));
            prop_assert_eq!(&one.conflicts, &other.conflicts);
            if one.conflicts.is_empty() {
                prop_assert_eq!(&one.settings, &other.settings);
            }
            // Meeting again with what was seen changes nothing.
            let again = settings(Some(&b), &one.settings, &b);
            prop_assert_eq!(again.settings, one.settings);
        }

        #[test]
        fn who_changed_nothing_takes_all(base in any_settings(), theirs in any_settings()) {
            let merged = settings(Some(&base), &base, &theirs);
            prop_assert!(merged.conflicts.is_empty());
            prop_assert_eq!(merged.settings, theirs);
        }
    }
}
