//! Keeping a manifest file current that others write too.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{result_of, root_result, to_bytes};
use crate::clock::Micros;
use crate::fs::Fs;
use crate::interchange::Error;
use crate::pipeline::rollup::Outcome;

/// How long another prov that writes the file is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the file is read again because somebody who takes no lock has changed it meanwhile.
const TRIES: usize = 32;

/// Puts the steps of `fresh` into the manifest in `file`, which is made if it is not there. All other steps and fields stay as they
/// are, and so does a step whose record there ended later. Gives the keys of the steps that were put in.
///
/// Processes of prov take turns by a lock beside the file; if another program changes it between reading and writing, it is read again.
///
/// # Errors
/// When the file is no manifest, or can't be read or written. It is whole in any case.
pub fn merge(fs: &Fs, file: &Path, fresh: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let failed = |doing| move |source| Error::Io { doing, path: file.to_owned(), source };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs.make_dirs(folder).map_err(failed("write"))?;
    }
    let mut lock_name = std::ffi::OsString::from(".");
    lock_name.push(file.file_name().unwrap_or_default());
    lock_name.push(".prov-lock");
    // Without a lock, which some file systems don't have, the comparison below still sees most of what others do.
    let _lock = fs.lock(&file.with_file_name(lock_name), PATIENCE);
    for _ in 0..TRIES {
        let before = fs.stat(file).map_err(failed("look at"))?;
        let found = fs.read(file).map_err(failed("read"))?;
        let (manifest, changed) = merged(file, found.as_deref(), fresh)?;
        if changed.is_empty() && found.is_some() {
            return Ok(changed);
        }
        let after = fs.stat(file).map_err(failed("look at"))?;
        let is_same = match (&before, &after) {
            (Some(before), Some(after)) => before.same_content(after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if is_same {
            fs.replace(file, &to_bytes(&manifest), true).map_err(failed("write"))?;
            return Ok(changed);
        }
    }
    Err(Error::Restless { file: file.to_owned() })
}

fn merged(
    file: &Path,
    found: Option<&[u8]>,
    fresh: &Map<String, Value>,
) -> Result<(Map<String, Value>, Vec<String>), Error> {
    let empty = Map::new();
    let new = fresh.get("steps").and_then(Value::as_object).unwrap_or(&empty);
    let Some(bytes) = found.filter(|bytes| !bytes.trim_ascii().is_empty()) else {
        return Ok((fresh.clone(), new.keys().cloned().collect()));
    };
    let mut root = super::import::parse(file, bytes)?;
    let mut changed = Vec::new();
    if let Some(Value::Object(steps)) = root.get_mut("steps") {
        for (key, step) in new {
            let is_newer = steps.get(key).is_none_or(|old| {
                result_of(old) == Outcome::Pending && old != step
                    || result_of(step) != Outcome::Pending && ended(step) >= ended(old) && old != step
            });
            if is_newer {
                steps.insert(key.clone(), step.clone());
                changed.push(key.clone());
            }
        }
        let result = root_result(steps);
        root.insert("result".to_owned(), json!(result.as_str()));
    }
    if let Some(modified) = fresh.get("modified_at").filter(|_| !changed.is_empty()) {
        root.insert("modified_at".to_owned(), modified.clone());
    }
    Ok((root, changed))
}

fn ended(step: &Value) -> Option<Micros> {
    step.get("finished_run_at").and_then(Value::as_str).and_then(Micros::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(steps: &[(&str, &str, &str)]) -> Map<String, Value> {
        let one = |(key, result, at): &(&str, &str, &str)| {
            let step = json!({ "name": key, "result": result, "finished_run_at": at, "tasks": [] });
            ((*key).to_owned(), step)
        };
        let steps: Map<String, Value> = steps.iter().map(one).collect();
        let root = json!({ "result": "pending", "started_at": "2026-01-01T00:00:00Z", "modified_at": "2026-02-01T00:00:00Z",
                           "log": [], "steps": steps });
        root.as_object().unwrap().clone()
    }

    fn results(fs: &Fs, file: &Path) -> Vec<(String, String)> {
        let root: Value = serde_json::from_slice(&fs.read(file).unwrap().unwrap()).unwrap();
        let steps = root["steps"].as_object().unwrap();
        let mut all = vec![("root".to_owned(), root["result"].as_str().unwrap().to_owned())];
        all.extend(steps.iter().map(|(key, step)| (key.clone(), step["result"].as_str().unwrap().to_owned())));
        all
    }

    #[test]
    fn other_steps_stay_and_the_newest_record_of_a_step_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, file) = (Fs::real(), dir.path().join("a/manifest.json"));
        merge(&fs, &file, &manifest(&[("pis_a", "success", "2026-01-02T00:00:00Z")])).unwrap();
        merge(&fs, &file, &manifest(&[("pts_b", "failure", "2026-01-02T00:00:00Z")])).unwrap();
        let of =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(results(&fs, &file), of(&[("root", "failure"), ("pis_a", "success"), ("pts_b", "failure")]));
        let older =
            manifest(&[("pis_a", "failure", "2026-01-01T00:00:00Z"), ("pts_b", "success", "2026-01-03T00:00:00Z")]);
        assert_eq!(merge(&fs, &file, &older).unwrap(), ["pts_b"]);
        assert_eq!(results(&fs, &file), of(&[("root", "success"), ("pis_a", "success"), ("pts_b", "success")]));
        assert!(merge(&fs, &file, &manifest(&[("pts_b", "pending", "")])).unwrap().is_empty());
        let names: Vec<_> = fs.names(file.parent().unwrap()).unwrap();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn what_is_no_manifest_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, file) = (Fs::real(), dir.path().join("manifest.json"));
        for text in ["[1]", "{\"steps\": 1}", "{\"result\": \"succ"] {
            fs.replace(&file, text.as_bytes(), false).unwrap();
            assert!(merge(&fs, &file, &manifest(&[("a_b", "success", "")])).is_err(), "{text}");
            assert_eq!(fs.read(&file).unwrap().unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn sixteen_writers_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("manifest.json");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..5 {
                        let key = format!("pis_step{n}_{round}");
                        merge(&Fs::real(), file, &manifest(&[(&key, "success", "2026-01-02T00:00:00Z")])).unwrap();
                    }
                });
            }
        });
        assert_eq!(results(&Fs::real(), &file).len(), 1 + 16 * 5);
    }
}
