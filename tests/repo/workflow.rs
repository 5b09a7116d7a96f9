//! One project from its first run to its lineage.

use prov::lineage::{Start, TraceOptions, trace};
use prov::run::{OutputAction, Request};

use super::{Project, assert_sound};

fn upper() -> Request {
    Request::command(["sh", "upper.sh"]).input("in.txt").output("out.txt").step("upper")
}

fn project() -> Project {
    let project = Project::new();
    project.write("in.txt", "hello\n");
    project.write("upper.sh", "tr a-z A-Z < in.txt > out.txt\necho done\n");
    project
}

#[test]
fn the_second_run_is_a_hit() {
    let project = project();
    let first = project.run(&upper());
    assert!(!first.run.is_hit(), "{first:?}");
    assert_eq!(first.exit_code, 0);
    assert!(first.run.sealed, "{:?}", first.run.unsealed);
    assert_eq!(project.read("out.txt"), "HELLO\n");
    let second = project.run(&upper());
    assert!(second.run.is_hit(), "{:?}", second.run.cache);
    assert_eq!(second.actions["out"], OutputAction::Kept);
    assert_eq!(second.replay["stdout"], b"done\n");
    std::fs::remove_file(project.root.join("out.txt")).unwrap();
    let third = project.run(&upper());
    assert_eq!(third.actions["out"], OutputAction::Restored);
    assert_eq!(project.read("out.txt"), "HELLO\n");
    assert_sound(&project.open());
}

#[test]
fn a_changed_input_misses_and_says_so() {
    let project = project();
    project.run(&upper());
    project.write("in.txt", "other\n");
    let second = project.run(&upper());
    assert!(!second.run.is_hit());
    let prov::object::run::Cache::Miss { reasons } = &second.run.cache else { panic!("{:?}", second.run.cache) };
    assert_eq!(reasons.iter().map(|r| r.part.as_str()).collect::<Vec<_>>(), ["inputs.in"]);
    assert_eq!(project.read("out.txt"), "OTHER\n");
    project.write("in.txt", "hello\n");
    let third = project.run(&upper());
    assert!(third.run.is_hit());
    assert_eq!(project.read("out.txt"), "HELLO\n");
}

#[test]
fn lineage_leads_from_the_last_output_to_the_first_input() {
    let project = project();
    project.run(&upper());
    project.write("count.sh", "wc -c < out.txt > count.txt\n");
    let count = Request::command(["sh", "count.sh"]).input("out.txt").output("count.txt").step("count");
    let counted = project.run(&count);
    let repo = project.open();
    let snapshot = repo.store().snapshot().unwrap();
    let start = Start::Run { run: counted.run.run.clone(), object: counted.object };
    let graph =
        trace(&snapshot, repo.project(), repo.scenario(), &start, TraceOptions { up: true, down: false, depth: None })
            .unwrap();
    let tree = prov::lineage::render::tree(&graph);
    assert!(tree.contains("in.txt") && tree.contains("upper"), "{tree}");
}

#[test]
fn a_name_is_given_once() {
    let project = project();
    let mut request = upper();
    request.run_name = Some("final".into());
    project.run(&request);
    project.write("in.txt", "other\n");
    let repo = project.open();
    let again = super::run_in(&repo, &project.root, &request);
    assert!(again.unwrap_err().to_string().contains("the name `final` belongs to run"));
}
