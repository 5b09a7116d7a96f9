//! What look-ups of one pipeline share changes no recipe: that of each request is the one it has alone.

use prov::clock::{Random, SeededRandom};
use prov::repo::{Repo, World};
use prov::run::batch::Batch;
use prov::run::request::CodeMode;
use prov::run::{Request, Session, plan};

use super::{Project, environment};

fn below(random: &SeededRandom, most: usize) -> usize {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(most).unwrap()).unwrap()
}

fn one<'a>(random: &SeededRandom, of: &[&'a str]) -> &'a str {
    of[below(random, of.len())]
}

const FILES: [&str; 9] = [
    "a.py",
    "lib/b.py",
    "lib/deep/c.sh",
    "conf/x.yaml",
    "conf/y.toml",
    "data.csv",
    "sub/run.sh",
    "sub/more/d.R",
    "notes.txt",
];
const FOLDERS: [&str; 4] = ["lib", "conf", "sub", "sub/more"];
const PATTERNS: [&str; 7] = ["**/*.py", "lib/**", "*.sh", "conf/*.yaml", "sub", "nothing/*", "!lib/deep/**"];

/// A request as a task could make it: words that name files or don't, code that is narrowed or not, inputs and outputs that count as code.
fn request(random: &SeededRandom) -> Request {
    let mut words = vec![one(random, &["true", "sh", "python3", "./sub/run.sh", "no-such-program"])];
    for _ in 0..below(random, 3) {
        words.push(one(random, &FILES));
    }
    let mut request = Request::command(words).step("step");
    if below(random, 3) == 0 {
        request.cwd = one(random, &FOLDERS).into();
    }
    request = match below(random, 6) {
        0 => request.code(CodeMode::Command),
        1 => request.code(CodeMode::None),
        2 => {
            let patterns = (0..=below(random, 2)).map(|_| one(random, &PATTERNS).to_owned()).collect();
            request.code(CodeMode::Paths(patterns))
        }
        3 => request.code(CodeMode::Project),
        _ => request,
    };
    let up = if request.cwd.is_empty() { "" } else { "../" };
    if below(random, 2) == 0 {
        request = request.input_as("in", format!("{up}{}", one(random, &FILES)));
    }
    if below(random, 3) == 0 {
        request = request.input_as("folder", format!("{up}{}", one(random, &FOLDERS)));
    }
    if below(random, 2) == 0 {
        request =
            request.output_as("out", format!("{up}{}", one(random, &["made.py", "lib/made.py", "conf", "out/x"])));
    }
    request
}

/// The recipe of a request, or why it has none.
fn recipe(repo: &Repo, session: &Session<'_>, request: &Request) -> Result<String, String> {
    let snapshot = repo.store().snapshot().unwrap();
    plan(session, &snapshot, request, &environment())
        .map(|plan| plan.prepared.recipe().to_string())
        .map_err(|err| prov::run::chain(&err))
}

#[test]
fn recipes_of_a_batch_are_those_of_single_runs() {
    for seed in 0..6 {
        let random = SeededRandom::new(seed);
        let project = Project::new();
        for file in FILES {
            if below(&random, 8) > 0 {
                project.write(file, &format!("{file} {seed}\n"));
            }
        }
        if below(&random, 2) == 0 {
            project.write(".provignore", "lib/deep\n");
        }
        let repo = project.open_in(World::real(None));
        let (mut found, mut alone) = (Vec::new(), Vec::new());
        let requests: Vec<Request> = (0..60).map(|_| request(&random)).collect();
        {
            let batch = Batch::new(&repo, None).unwrap();
            let session = Session::new(&repo, project.root.clone()).in_batch(&batch);
            for request in &requests {
                found.push(recipe(&repo, &session, request));
            }
            batch.end().unwrap();
        }
        for request in &requests {
            let session = Session::new(&repo, project.root.clone());
            alone.push(recipe(&repo, &session, request));
        }
        let known = alone.iter().filter(|one| one.is_ok()).count();
        assert!(known > 10, "seed {seed}: only {known} of the requests have recipes: {alone:?}");
        for (at, (found, alone)) in found.iter().zip(&alone).enumerate() {
            assert_eq!(found, alone, "seed {seed}, {:?}", requests[at]);
        }
    }
}
