//! Projects whose making was cut off.

use prov::repo::{InitOptions, Places, Repo, World};

use super::{Project, assert_sound};

#[test]
fn an_init_that_was_killed_before_the_store_was_one_is_finished_by_the_next() {
    let project = Project::new();
    let dot = project.root.join(".prov");
    std::fs::remove_file(dot.join("HEAD")).unwrap();
    std::fs::remove_file(dot.join("store/format")).unwrap();
    let init = || Repo::init(&project.root, &InitOptions::default(), &Places::default(), World::real(None));
    let (repo, made) = init().unwrap();
    assert!(made);
    assert_sound(&repo);
}
