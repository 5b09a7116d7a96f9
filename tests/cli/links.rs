//! Files that are links to shared ones, on request.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use prov::fs::Fs;

use crate::project::project;
use crate::sandbox::Sandbox;

const CONTENT: &str = "1\n2\n3\n";

/// A project with a file and a folder on record.
fn made() -> Sandbox {
    let sandbox = project();
    sandbox.file("one.txt", CONTENT).file("many/a.txt", CONTENT).file("many/b.txt", "b\n");
    sandbox.prov(["commit", "one.txt", "-m", "one"]).ok();
    sandbox.prov(["commit", "many", "-m", "many"]).ok();
    sandbox
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Writes into a file as somebody does who does not mind that it is read-only.
fn spoil(path: &Path) {
    let file = Fs::real();
    file.set_mode(path, 0o644).unwrap();
    let mut out = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut out, b"spoilt").unwrap();
    file.set_mode(path, 0o444).unwrap();
}

#[test]
fn hard_links_are_names_of_one_read_only_file() {
    let sandbox = made();
    for to in ["x.txt", "y.txt"] {
        sandbox.prov(["restore", "one", "--to", to, "--link", "hard"]).ok();
        assert_eq!(read(&sandbox.path(to)), CONTENT);
    }
    let [x, y] = ["x.txt", "y.txt"].map(|name| std::fs::metadata(sandbox.path(name)).unwrap());
    assert_eq!(x.ino(), y.ino());
    assert_eq!(x.permissions().mode() & 0o777, 0o444);
    // A copy is nobody else's.
    sandbox.prov(["restore", "one", "--to", "copy.txt"]).ok();
    assert_ne!(std::fs::metadata(sandbox.path("copy.txt")).unwrap().ino(), x.ino());
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn what_was_changed_through_a_link_is_never_given_to_another() {
    let sandbox = made();
    for kind in ["hard", "symbolic"] {
        let [first, second, copy] = ["1", "2", "copy"].map(|name| format!("{kind}{name}.txt"));
        sandbox.prov(["restore", "one", "--to", &first, "--link", kind]).ok();
        spoil(&sandbox.path(&first));
        sandbox.prov(["restore", "one", "--to", &second, "--link", kind]).ok();
        assert_eq!(read(&sandbox.path(&second)), CONTENT, "{kind}");
        sandbox.prov(["restore", "one", "--to", &copy]).ok();
        assert_eq!(read(&sandbox.path(&copy)), CONTENT, "{kind}");
        if kind == "hard" {
            assert!(read(&sandbox.path(&first)).ends_with("spoilt"), "what the user did stays the user's");
        }
    }
    // Neither is a file that only lost its mode, or one cut off.
    sandbox.prov(["restore", "one", "--to", "3.txt", "--link", "hard"]).ok();
    Fs::real().set_mode(&sandbox.path("3.txt"), 0o666).unwrap();
    sandbox.prov(["restore", "one", "--to", "4.txt", "--link", "hard"]).ok();
    let mode = std::fs::metadata(sandbox.path("4.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o222, 0);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_symbolic_link_counts_as_its_content_and_in_folders_there_are_hard_ones() {
    let sandbox = made();
    sandbox.prov(["restore", "one", "--to", "x.txt", "--link", "symbolic"]).ok();
    let x = sandbox.path("x.txt");
    assert!(std::fs::symlink_metadata(&x).unwrap().is_symlink());
    assert_eq!(read(&x), CONTENT);
    let id = |name: &str| sandbox.prov(["--json", "id", name]).ok().json()["id"].clone();
    assert_eq!(id("x.txt"), id("one.txt"));
    sandbox.prov(["restore", "many", "--to", "again", "--link", "symbolic"]).ok();
    let a = std::fs::symlink_metadata(sandbox.path("again/a.txt")).unwrap();
    assert!(a.is_file() && a.nlink() > 1, "a link in a folder would be another folder");
    assert_eq!(id("again"), id("many"));
}

#[test]
fn gc_takes_shared_files_that_nobody_shares_and_no_others() {
    let sandbox = made();
    sandbox.prov(["restore", "one", "--to", "hard.txt", "--link", "hard"]).ok();
    sandbox.prov(["restore", "one", "--to", "soft.txt", "--link", "symbolic"]).ok();
    sandbox.prov(["gc"]).ok();
    let shared = || {
        let found = Fs::real().walk(&sandbox.path(".prov/cache/files/shared"));
        found.filter(|item| item.as_ref().is_ok_and(|(_, stat)| stat.is_file())).count()
    };
    assert_eq!(shared(), 1);
    Fs::real().remove_file(&sandbox.path("hard.txt")).unwrap();
    sandbox.prov(["gc", "-n"]).ok();
    assert_eq!(shared(), 1);
    sandbox.prov(["gc"]).ok();
    assert_eq!(shared(), 0);
    assert_eq!(read(&sandbox.path("soft.txt")), CONTENT);
    sandbox.prov(["restore", "one", "--to", "hard.txt", "--link", "hard"]).ok();
    assert_eq!(read(&sandbox.path("hard.txt")), CONTENT);
}
