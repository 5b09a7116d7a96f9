//! What would make a hit give back bytes that an execution would not have made.

use std::os::unix::fs::symlink;

use prov::object::run::Cache;
use prov::run::{Error, Performed, Request};

use super::{Project, run_in};

fn shell(script: &str) -> Request {
    Request::command(["sh", "-c", script]).step("step")
}

fn fails(project: &Project, request: &Request) -> String {
    let repo = project.open();
    run_in(&repo, &project.root, request).map(|done| done.run).unwrap_err().to_string()
}

#[track_caller]
fn is_never_a_hit(performed: &Performed, because_of: &str) {
    assert_eq!(performed.exit_code, 0);
    assert!(!performed.run.sealed && performed.run.unsealed[0].contains(because_of), "{:?}", performed.run.unsealed);
}

#[test]
fn a_config_file_that_is_edited_while_the_command_runs_makes_no_result() {
    let project = Project::new();
    project.write("p.yaml", "a: 1\n");
    let mut request = shell("echo 'a: 2' > p.yaml; cp p.yaml out").output("out");
    request.config_files = vec!["p.yaml".into()];
    is_never_a_hit(&project.run(&request), "p.yaml");
    project.write("p.yaml", "a: 1\n");
    assert!(!project.run(&request).run.is_hit());
}

#[test]
fn a_config_file_that_the_command_reads_itself_counts_by_its_bytes() {
    let project = Project::new();
    for command in [vec!["cp", "p.yaml", "out"], vec!["dd", "status=none", "--if=p.yaml", "of=out"]] {
        let mut request = Request::command(command.clone()).output("out").step(command[0]).set("a=2");
        if command[0] == "dd" {
            request = Request::command(["sh", "-c", "cp p.yaml out", "sh", "--config=p.yaml"]).output("out").set("a=2");
        }
        request.config_files = vec!["p.yaml".into()];
        // One value is overridden, one spelled otherwise, and there is a comment: the config stays the same.
        for text in ["a: 1\nb: yes\n", "a: 9\nb: yes\n", "a: 9\nb: 'yes'\n", "a: 9\nb: 'yes' # why\n"] {
            project.write("p.yaml", text);
            assert!(!project.run(&request).run.is_hit(), "{text}");
            assert_eq!(project.read("out"), text);
            assert!(project.run(&request).run.is_hit(), "{text}");
        }
    }
}

#[test]
fn a_config_file_that_the_command_is_not_given_counts_by_its_values() {
    let project = Project::new();
    let mut request = shell("cp $PROV_CONFIG out").output("out");
    request.config_files = vec!["p.yaml".into()];
    project.write("p.yaml", "a: 1\n");
    project.run(&request);
    project.write("p.yaml", "# a remark\na: 1\n");
    assert!(project.run(&request).run.is_hit());
}

#[test]
fn code_that_is_changed_and_changed_back_while_the_command_runs_makes_no_result() {
    let project = Project::new();
    project.write("helper.sh", "echo A\n");
    let request = shell("echo 'echo B' > helper.sh; sh helper.sh > out; echo 'echo A' > helper.sh").output("out");
    is_never_a_hit(&project.run(&request), "helper.sh was written");
    assert_eq!(project.read("out"), "B\n");
    assert!(!project.run(&request).run.is_hit());
}

#[test]
fn a_run_that_had_to_wait_looks_at_everything_again() {
    let project = Project::new();
    project.write("x", "a\n");
    let mut request = shell("until test -e go; do sleep 0.01; done; echo more >> x").output("x");
    request.in_place.insert("x".to_owned());
    request.wait = true;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| project.run(&request));
        while std::fs::read_dir(project.root.join(".prov/live")).unwrap().count() == 0 {
            std::thread::yield_now();
        }
        let second = scope.spawn(|| project.run(&request));
        while std::fs::read_dir(project.root.join(".prov/live")).unwrap().count() < 2 {
            std::thread::yield_now();
        }
        project.write("go", "");
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_ne!(first.run.recipe, second.run.recipe, "the second began with what the first had made");
    });
    assert_eq!(project.read("x"), "a\nmore\nmore\n");
    project.write("x", "a\n");
    let again = project.run(&request);
    assert!(again.run.is_hit(), "{:?}", again.run.cache);
    assert_eq!(project.read("x"), "a\nmore\n");
}

#[test]
fn the_same_run_twice_at_once_is_executed_once() {
    let project = Project::new();
    let mut request = shell("until test -e go; do sleep 0.01; done; echo made > out; echo x >> count").output("out");
    request.wait = true;
    std::thread::scope(|scope| {
        let runs = [0, 1].map(|_| scope.spawn(|| project.run(&request)));
        while std::fs::read_dir(project.root.join(".prov/live")).unwrap().count() < 2 {
            std::thread::yield_now();
        }
        project.write("go", "");
        let hits = runs.map(|run| run.join().unwrap().run.is_hit());
        assert_eq!(hits.iter().filter(|hit| **hit).count(), 1);
    });
    assert_eq!(project.read("count"), "x\n");
}

#[test]
fn what_a_link_makes_ambiguous_is_refused() {
    let project = Project::new();
    project.write("other/dir/f", "");
    project.write("other/x", "inner");
    project.write("x", "outer");
    symlink("other/dir", project.root.join("link")).unwrap();
    let request = Request::command(["cp", "link/../x", "out"]).input("link/../x").output("out");
    assert!(fails(&project, &request).contains("can be read in two ways"));
    let plain = Request::command(["cp", "other/dir/../x", "out"]).input("other/dir/../x").output("out");
    project.run(&plain);
    assert_eq!(project.read("out"), "inner");
    assert!(fails(&project, &shell("true").input("")).contains("empty"));
}

#[test]
fn an_output_that_is_an_input_by_a_link_is_refused_and_kept() {
    let project = Project::new();
    project.write("real/a", "precious");
    symlink("real", project.root.join("link")).unwrap();
    symlink(".prov", project.root.join("store")).unwrap();
    for request in [
        shell("true").input_as("in", "real/a").output_as("o", "link/a"),
        shell("true").input_as("in", "link/a").output_as("o", "real"),
        shell("true").output("store/HEAD"),
    ] {
        let repo = project.open();
        let refused = run_in(&repo, &project.root, &request).map(|done| done.run);
        assert!(matches!(refused, Err(Error::Usage { .. })), "{refused:?}");
        assert_eq!(project.read("real/a"), "precious");
    }
    project.open();
}

#[test]
fn an_output_below_a_linked_folder_comes_back_there() {
    let project = Project::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), project.root.join("scratch")).unwrap();
    let request = shell("echo made > scratch/out").output("scratch/out");
    project.run(&request);
    std::fs::remove_file(elsewhere.path().join("out")).unwrap();
    assert!(project.run(&request).run.is_hit());
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("out")).unwrap(), "made\n");
}

#[test]
fn a_named_file_that_does_not_count_is_told_of() {
    let project = Project::new();
    project.write("data.csv", "1\n");
    let warnings = project.run(&Request::command(["cp", "data.csv", "out"]).output("out")).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("-i data.csv")), "{warnings:?}");
    let declared = project.run(&Request::command(["cp", "data.csv", "out"]).input("data.csv").output("out"));
    assert!(declared.warnings.is_empty(), "{:?}", declared.warnings);
    assert!(matches!(declared.run.cache, Cache::Miss { .. }));
}

#[test]
fn a_missing_input_is_not_brought_back_as_it_was_before_the_folder_around_it_was_made() {
    let project = Project::new();
    let wanted = |path: &str| {
        let mut request = Request::command(["cp", path, "out"]).input(path).output("out");
        request.restores_inputs = true;
        let repo = project.open();
        let done = run_in(&repo, &project.root, &request);
        done.map(|_| project.read("out"))
    };
    project.run(&shell("mkdir -p d; echo one > d/x").output("d/x"));
    std::fs::remove_dir_all(project.root.join("d")).unwrap();
    assert_eq!(wanted("d/x").unwrap(), "one\n");
    project.run(&shell("mkdir -p d; echo two > d/x").output("d"));
    std::fs::remove_dir_all(project.root.join("d")).unwrap();
    let refused = wanted("d/x");
    assert!(matches!(refused, Err(Error::InputMissing { .. })), "{refused:?}");
    // Made by itself again, it is that.
    project.run(&shell("mkdir -p d; echo three > d/x").output("d/x"));
    std::fs::remove_dir_all(project.root.join("d")).unwrap();
    assert_eq!(wanted("d/x").unwrap(), "three\n");
}
