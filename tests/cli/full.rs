//! A disk that is really full, and one without a file left: small mounts of their own, where this user may make some.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::Sandbox;

/// A tmpfs on a folder of a sandbox; unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    /// `None`, with a word on why, where nothing can be mounted.
    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    fn new(at: &Path, options: &str) -> Option<Self> {
        prov::fs::Fs::real().make_dirs(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        match done {
            Ok(done) if done.status.success() => Some(Self(at.to_owned())),
            other => {
                eprintln!("skipped: nothing can be mounted here: {other:?}");
                None
            }
        }
    }

    fn resize(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(done.success(), "{options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Records and stages until nothing goes any more, makes room, and looks at what was acknowledged.
fn fill_up(sandbox: &Sandbox, mount: &Mount, more: &str) {
    sandbox.prov(["-C", "full", "init"]).ok();
    let at = |words: &[&str]| sandbox.prov(["-C", "full"].iter().chain(words));
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..400 {
        let command = format!("printf %s {n} >out.txt; head -c 20000 /dev/zero | tr '\\0' {} >>out.txt", n % 10);
        let done = at(&[
            "run",
            "--json",
            "--name",
            "fill",
            "-S",
            &format!("n={n}"),
            "-o",
            "out=out.txt",
            "--",
            "sh",
            "-c",
            &command,
        ]);
        // A command that went well does so on a full disk too; its run is on record only if that says so.
        let said = if done.code == 0 { done.json() } else { serde_json::Value::Null };
        if said["object"].is_string() {
            acknowledged.push((n, said["run"].as_str().unwrap_or_default().to_owned()));
        } else {
            assert!(done.code < 128 && !done.err().contains("panicked"), "{done}");
            refused += 1;
        }
        let noted = at(&["note", "@last", "-m", "still here"]);
        assert!(noted.code < 126, "{noted}");
        if refused > 5 {
            break;
        }
    }
    assert!(refused > 5 && acknowledged.len() > 3, "{refused} refused after {}", acknowledged.len());
    // What is there can be read without any room, and garbage can be taken away.
    at(&["log", "--all"]).ok();
    assert!(at(&["gc"]).code < 126);
    mount.resize(more);
    at(&["fsck"]).ok();
    let listed = at(&["--json", "log", "--all", "-n", "1000"]).ok().json();
    let listed: Vec<&str> = listed["runs"].as_array().unwrap().iter().filter_map(|run| run["run"].as_str()).collect();
    for (n, run) in acknowledged.iter().filter(|(_, run)| !run.is_empty()) {
        assert!(listed.contains(&run.as_str()), "{run} was acknowledged and is gone");
        let text = at(&["cat", &format!("{run}:out")]).ok().out();
        assert!(text.starts_with(&n.to_string()) && text.len() > 20_000, "{run}");
    }
    at(&["run", "--name", "after", "-o", "after=after.txt", "--", "sh", "-c", "echo x >after.txt"]).ok();
    at(&["fsck"]).ok();
}

#[test]
fn nothing_acknowledged_is_lost_on_a_full_disk() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::new(&sandbox.path("full"), "size=400k") else { return };
    fill_up(&sandbox, &mount, "size=16m");
}

#[test]
fn nothing_acknowledged_is_lost_where_no_file_can_be_made() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::new(&sandbox.path("full"), "size=16m,nr_inodes=60") else { return };
    fill_up(&sandbox, &mount, "nr_inodes=10000");
}
