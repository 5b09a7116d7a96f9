//! Many at once: nothing is lost, nothing is twice.

use prov::run::Request;

use super::{Project, assert_sound, run_in};

#[test]
fn runs_of_many_threads_are_all_recorded() {
    const THREADS: usize = 8;
    const EACH: usize = 12;
    let project = Project::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let project = &project;
            scope.spawn(move || {
                for n in 0..EACH {
                    let repo = project.open();
                    let out = format!("out-{thread}-{n}.txt");
                    let request = Request::command(["sh", "-c", &format!("echo {thread} {n} > {out}")])
                        .output(out.as_str())
                        .step("many");
                    let done = run_in(&repo, &project.root, &request).unwrap();
                    assert_eq!(done.exit_code, 0, "{done:?}");
                }
            });
        }
    });
    let repo = project.open();
    let snapshot = repo.store().snapshot().unwrap();
    let mut ids = super::listed(&repo, &snapshot, &prov::query::LogOptions::default());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), THREADS * EACH);
    assert_sound(&repo);
}
