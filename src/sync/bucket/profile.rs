//! Files in which other programs keep keys, by profile (`~/.aws/credentials`, `~/.aws/config`).

use std::collections::BTreeMap;

/// What files say of a profile; what comes first holds. `None` if none of them knows it.
pub(super) fn read(files: &[String], profile: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    for text in files {
        let mut is_it = false;
        for line in text.lines() {
            // Values of values are indented; none of them is asked for.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            if let Some(name) = line.trim_end().strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let name = name.trim();
                is_it = name == profile || name.strip_prefix("profile ").is_some_and(|name| name.trim() == profile);
                if is_it {
                    found.get_or_insert_default();
                }
            } else if let (true, Some((name, value)), Some(found)) = (is_it, line.split_once('='), &mut found) {
                found.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| value.trim().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_put_together_from_both_files() {
        let keys = "[default]\naws_access_key_id = A\n# x\n[lab]\naws_access_key_id=L\n".to_owned();
        let config =
            "[default]\nregion = r\ns3 =\n  region = inner\n[profile lab]\nRegion= l\nendpoint_url = http://h=1\n";
        let files = [keys, config.to_owned()];
        let lab = read(&files, "lab").unwrap();
        assert_eq!((lab["aws_access_key_id"].as_str(), lab["region"].as_str()), ("L", "l"));
        assert_eq!(lab["endpoint_url"], "http://h=1");
        assert_eq!(read(&files, "default").unwrap()["region"], "r");
        assert_eq!(read(&files, "other"), None);
    }
}
