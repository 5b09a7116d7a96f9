//! Writing and reading keys.

use bstr::{BStr, BString};

use crate::hash::Id;

/// Bytes that most keys have room in.
const LEN: usize = 128;

/// Builds a key component by component.
#[derive(Debug, Clone, Default)]
struct Key(Vec<u8>);

impl Key {
    fn of(name: &str) -> Self {
        Self(Vec::with_capacity(LEN)).with(name.as_bytes())
    }

    /// A whole component: `00` becomes `00 ff`, the end is `00 01`.
    fn with(mut self, component: &[u8]) -> Self {
        self = self.partial(component);
        self.0.extend([0, 1]);
        self
    }

    /// The beginning of a component, for scans by prefix.
    fn partial(mut self, start: &[u8]) -> Self {
        for (at, piece) in start.split(|&byte| byte == 0).enumerate() {
            if at > 0 {
                self.0.extend([0, 0xff]);
            }
            self.0.extend_from_slice(piece);
        }
        self
    }

    fn text(self, component: &str) -> Self {
        self.with(component.as_bytes())
    }

    fn id(self, id: &Id) -> Self {
        self.with(&id.to_bytes())
    }

    /// Newest first.
    fn inverted(self, n: u64) -> Self {
        self.with(&(u64::MAX - n).to_be_bytes())
    }

    fn done(self) -> Vec<u8> {
        self.0
    }
}

/// The components of a key; `None` if the bytes are not one.
pub fn components(key: &[u8]) -> Option<Vec<BString>> {
    let mut all = Vec::new();
    let mut one = BString::default();
    let mut bytes = key.iter();
    while let Some(&byte) = bytes.next() {
        if byte != 0 {
            one.push(byte);
            continue;
        }
        match bytes.next() {
            Some(0xff) => one.push(0),
            Some(1) => all.push(std::mem::take(&mut one)),
            _ => return None,
        }
    }
    one.is_empty().then_some(all)
}

/// The first key after every key that begins with `prefix`.
pub fn after(prefix: &[u8]) -> Vec<u8> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            break;
        }
    }
    next
}

/// A key without its rank, for refs of which there is one for each run whatever its rank; `None` for other keys.
pub fn without_rank(key: &[u8]) -> Option<Vec<u8>> {
    let mut all = components(key)?;
    let at = match all.first()?.as_slice() {
        b"results" | b"failures" => 2,
        b"steps" => 3,
        _ => return None,
    };
    if at >= all.len() {
        return None;
    }
    all.remove(at);
    Some(all.iter().fold(Key::default(), |key, part| key.with(part)).done())
}

/// The last component as text.
pub fn last_text(key: &[u8]) -> Option<String> {
    String::from_utf8(components(key)?.pop()?.into()).ok()
}

/// A key for people: its components joined by ` / `, ids and numbers in hexadecimal.
pub fn shown(key: &[u8]) -> String {
    let Some(all) = components(key) else { return format!("0x{}", crate::hash::hex(key)) };
    let one = |part: &BString| match Id::from_bytes(part) {
        Some(id) => id.to_string(),
        None if part.len() == 8 && std::str::from_utf8(part).is_err() => crate::hash::hex(part),
        None => crate::path::shown(part),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" / ")
}

/// `runs` of all projects.
pub fn all_runs() -> Vec<u8> {
    Key::of("runs").done()
}

/// What was last seen of a remote, of one project: `what` is `scenarios` or `tags`.
pub fn remote_seen(remote: &str, project: &str, what: &str, name: &str) -> Vec<u8> {
    Key::of("remotes").text(remote).text(project).text(what).text(name).done()
}

/// All of that of one kind.
pub fn remote_seen_all(remote: &str, project: &str, what: &str) -> Vec<u8> {
    Key::of("remotes").text(remote).text(project).text(what).done()
}

/// Everything seen of a remote.
pub fn remote(remote: &str) -> Vec<u8> {
    Key::of("remotes").text(remote).done()
}

/// Where content that is not here can be had: of one object, or of all that is missing for [`Id::ZERO`].
pub fn presence_of(object: &Id) -> Vec<u8> {
    Key::of("presence").id(object).done()
}

/// All refs of a kind.
pub fn all_of(kind: &str) -> Vec<u8> {
    Key::of(kind).done()
}

/// As [`presence_of`], at one remote.
pub fn presence(object: &Id, remote: &str) -> Vec<u8> {
    Key::of("presence").id(object).text(remote).done()
}

/// All that is said of content that is not here.
pub fn presences() -> Vec<u8> {
    Key::of("presence").done()
}

/// `runs` of all scenarios of a project.
pub fn runs_of_project(project: &str) -> Vec<u8> {
    Key::of("runs").text(project).done()
}

/// `runs` of a scenario, oldest first.
pub fn runs_of(project: &str, scenario: &str) -> Vec<u8> {
    Key::of("runs").text(project).text(scenario).done()
}

/// One run.
pub fn run(project: &str, scenario: &str, run: &str, object: &Id) -> Vec<u8> {
    Key::of("runs").text(project).text(scenario).text(run).id(object).done()
}

/// One run, whatever its object.
pub fn run_of(project: &str, scenario: &str, run: &str) -> Vec<u8> {
    Key::of("runs").text(project).text(scenario).text(run).done()
}

/// The run id and object of a `runs` key.
pub fn run_and_object(key: &[u8]) -> Option<(String, Id)> {
    let mut all = components(key)?;
    let object = Id::from_bytes(&all.pop()?)?;
    Some((String::from_utf8(all.pop()?.into()).ok()?, object))
}

/// The scenario of a `runs` key.
pub fn scenario_of_run(key: &[u8]) -> Option<String> {
    String::from_utf8(components(key)?.get(2)?.to_vec()).ok()
}

/// `ids` whose random part begins with `start`.
pub fn ids_prefix(start: &str) -> Vec<u8> {
    Key::of("ids").partial(start.as_bytes()).done()
}

/// `ids` of one random part.
pub fn ids_of_tail(tail: &str) -> Vec<u8> {
    Key::of("ids").text(tail).done()
}

/// Where a run is.
pub fn id(run: &str) -> Vec<u8> {
    Key::of("ids").text(crate::object::run::tail(run)).text(run).done()
}

/// Runs with a name.
pub fn names_of(name: &str) -> Vec<u8> {
    Key::of("names").text(name).done()
}

/// One run with a name.
pub fn name(name: &str, run: &str) -> Vec<u8> {
    Key::of("names").text(name).text(run).done()
}

/// Outcomes of a recipe that may be hits, newest first.
pub fn results_of(recipe: &Id) -> Vec<u8> {
    Key::of("results").id(recipe).done()
}

/// One of them.
pub fn result(recipe: &Id, rank: u64, run: &str) -> Vec<u8> {
    Key::of("results").id(recipe).inverted(rank).text(run).done()
}

/// Outcomes of a recipe that are never hits, newest first.
pub fn failures_of(recipe: &Id) -> Vec<u8> {
    Key::of("failures").id(recipe).done()
}

/// One of them.
pub fn failure(recipe: &Id, rank: u64, run: &str) -> Vec<u8> {
    Key::of("failures").id(recipe).inverted(rank).text(run).done()
}

/// The steps of a project.
pub fn steps_of_project(project: &str) -> Vec<u8> {
    Key::of("steps").text(project).done()
}

/// The runs of a step, newest first.
pub fn steps_of(project: &str, step: &str) -> Vec<u8> {
    Key::of("steps").text(project).text(step).done()
}

/// One of them.
pub fn step(project: &str, step: &str, rank: u64, run: &str) -> Vec<u8> {
    Key::of("steps").text(project).text(step).inverted(rank).text(run).done()
}

/// The step of a `steps` key.
pub fn step_of(key: &[u8]) -> Option<String> {
    String::from_utf8(components(key)?.get(2)?.to_vec()).ok()
}

/// The rank in a key that follows `prefix` with an inverted number.
pub fn rank_after(prefix: &[u8], key: &[u8]) -> Option<u64> {
    let rest = components(key.strip_prefix(prefix)?)?;
    let bytes: [u8; 8] = rest.first()?.as_slice().try_into().ok()?;
    Some(u64::MAX - u64::from_be_bytes(bytes))
}

/// `producers` of all content.
pub fn all_producers() -> Vec<u8> {
    Key::of("producers").done()
}

/// `consumers` of all content.
pub fn all_consumers() -> Vec<u8> {
    Key::of("consumers").done()
}

/// The content of a `producers`, `consumers` or `listed` key.
pub fn content_of(key: &[u8]) -> Option<Id> {
    Id::from_bytes(components(key)?.get(1)?)
}

/// The runs that made some content, newest first.
pub fn producers_of(content: &Id) -> Vec<u8> {
    Key::of("producers").id(content).done()
}

/// One of them.
pub fn producer(content: &Id, start: u64, run: &str, key: &str) -> Vec<u8> {
    Key::of("producers").id(content).inverted(start).text(run).text(key).done()
}

/// The runs that took some content, newest first.
pub fn consumers_of(content: &Id) -> Vec<u8> {
    Key::of("consumers").id(content).done()
}

/// One of them.
pub fn consumer(content: &Id, start: u64, run: &str, key: &str) -> Vec<u8> {
    Key::of("consumers").id(content).inverted(start).text(run).text(key).done()
}

/// Lists of all content.
pub fn all_listed() -> Vec<u8> {
    Key::of("listed").done()
}

/// The lists of inputs in which some content stands.
pub fn listed_of(content: &Id) -> Vec<u8> {
    Key::of("listed").id(content).done()
}

/// One place in one of them.
pub fn listed(content: &Id, list: &Id, key: &str) -> Vec<u8> {
    Key::of("listed").id(content).id(list).text(key).done()
}

/// The list and the input key of a `listed` key.
pub fn list_and_key(key: &[u8]) -> Option<(Id, String)> {
    let mut all = components(key)?;
    let artifact = String::from_utf8(all.pop()?.into()).ok()?;
    Some((Id::from_bytes(&all.pop()?)?, artifact))
}

/// The runs that took all of a list of inputs, newest first.
pub fn readers_of(list: &Id) -> Vec<u8> {
    Key::of("readers").id(list).done()
}

/// One of them.
pub fn reader(list: &Id, start: u64, run: &str) -> Vec<u8> {
    Key::of("readers").id(list).inverted(start).text(run).done()
}

/// The run id and artifact key at the end of a `producers` or `consumers` key.
pub fn run_and_key(key: &[u8]) -> Option<(String, String)> {
    let mut all = components(key)?;
    let artifact = String::from_utf8(all.pop()?.into()).ok()?;
    Some((String::from_utf8(all.pop()?.into()).ok()?, artifact))
}

/// The artifacts of a key in a scenario, newest first.
pub fn artifacts_of(project: &str, scenario: &str, artifact: &str) -> Vec<u8> {
    Key::of("artifacts").text(project).text(scenario).text(artifact).done()
}

/// One of them.
pub fn artifact(project: &str, scenario: &str, artifact: &str, start: u64, run: &str) -> Vec<u8> {
    Key::of("artifacts").text(project).text(scenario).text(artifact).inverted(start).text(run).done()
}

/// The paths of all projects that executed runs recorded as outputs.
pub fn outpaths() -> Vec<u8> {
    Key::of("outpaths").done()
}

/// The paths of a project that executed runs recorded as outputs.
pub fn outpaths_of(project: &str) -> Vec<u8> {
    Key::of("outpaths").text(project).done()
}

/// One of them.
pub fn outpath(project: &str, path: &BStr) -> Vec<u8> {
    Key::of("outpaths").text(project).with(path).done()
}

/// The last component as bytes, e.g. the path of an `outpaths` key.
pub fn last_bytes(key: &[u8]) -> Option<BString> {
    components(key)?.pop()
}

/// The scenarios of a project that were made.
pub fn scenarios_of(project: &str) -> Vec<u8> {
    Key::of("scenarios").text(project).done()
}

/// One of them.
pub fn scenario(project: &str, name: &str) -> Vec<u8> {
    Key::of("scenarios").text(project).text(name).done()
}

/// Everything said about objects.
pub fn about() -> Vec<u8> {
    Key::of("about").done()
}

/// The object, the kind and the object that says it, of an `about` key.
pub fn about_parts(key: &[u8]) -> Option<(Id, String, Id)> {
    let all = components(key)?;
    let [about, object, kind, said] = &all[..] else { return None };
    let kind = String::from_utf8(kind.to_vec()).ok()?;
    (about.as_slice() == b"about").then_some((Id::from_bytes(object)?, kind, Id::from_bytes(said)?))
}

/// What is said about an object, of one kind.
pub fn about_of(object: &Id, kind: &str) -> Vec<u8> {
    Key::of("about").id(object).text(kind).done()
}

/// One thing said about an object: its kind, and the object that says it.
pub fn about_one(object: &Id, kind: &str, said: &Id) -> Vec<u8> {
    Key::of("about").id(object).text(kind).id(said).done()
}

/// What lies staged in a workspace.
pub fn staged_of(workspace: &str) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("staged").done()
}

/// One staged path.
pub fn staged(workspace: &str, path: &BStr) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("staged").with(path).done()
}

/// Content of a workspace that was in the way of an output and was replaced.
pub fn displaced(workspace: &str, at: u64, path: &BStr) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("displaced").inverted(at).with(path).done()
}

/// The operations of a workspace, newest first.
pub fn ops_of(workspace: &str) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("ops").done()
}

/// One of them.
pub fn op(workspace: &str, at: u64, op: &[u8; 16]) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("ops").inverted(at).with(op).done()
}

/// What was displaced in a workspace, newest first.
pub fn displaced_of(workspace: &str) -> Vec<u8> {
    Key::of("workspaces").text(workspace).text("displaced").done()
}

/// The tags of a project.
pub fn tags_of(project: &str) -> Vec<u8> {
    Key::of("tags").text(project).done()
}

/// One of them.
pub fn tag(project: &str, name: &str) -> Vec<u8> {
    Key::of("tags").text(project).text(name).done()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_can_be_read_back() {
        let object = crate::hash::blob(b"x");
        let key = run("p", "main", "20261122T102030.123456Z-a-0123456789abcdef", &object);
        assert_eq!(run_and_object(&key), Some(("20261122T102030.123456Z-a-0123456789abcdef".to_owned(), object)));
        assert_eq!(scenario_of_run(&key).as_deref(), Some("main"));
        assert!(key.starts_with(&runs_of("p", "main")));
        assert!(!key.starts_with(&runs_of("p", "mai")));
        let prefix = results_of(&object);
        assert_eq!(rank_after(&prefix, &result(&object, 77, "r")), Some(77));
        assert!(result(&object, 78, "r") < result(&object, 77, "r"));
        assert!(after(&prefix) > result(&object, 0, "zzz"));
    }

    proptest! {
        #[test]
        fn keys_sort_by_their_components(a in any_components(), b in any_components()) {
            let key = |parts: &[Vec<u8>]| parts.iter().fold(Key::default(), |key, part| key.with(part)).done();
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            let back: Vec<Vec<u8>> = components(&key(&a)).unwrap().into_iter().map(Into::into).collect();
            prop_assert_eq!(back, a);
        }

        #[test]
        fn any_bytes_are_a_key_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = components(&bytes);
            let _ = shown(&bytes);
        }
    }

    fn any_components() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6),
            0..4,
        )
    }
}
