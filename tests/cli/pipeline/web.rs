//! Tasks that read from servers.

use std::sync::{Arc, Mutex};

use super::{run, with};
use crate::project::{exists, read};
use crate::server::{Reply, Server};

/// A server that answers with what it is told, and with its tag.
fn serving(text: &str) -> (Server, Arc<Mutex<(u16, String)>>) {
    let said = Arc::new(Mutex::new((200, text.to_owned())));
    let here = Arc::clone(&said);
    let server = Server::new(move |asked| {
        let (status, text) = here.lock().unwrap().clone();
        let tag = format!("\"{text}\"");
        match asked.headers.get("if-none-match") {
            _ if status != 200 => Reply::status(status),
            Some(known) if *known == tag => Reply::status(304).with("etag", &tag),
            _ => Reply::content(&text).with("etag", &tag),
        }
    });
    (server, said)
}

fn pipeline(url: &str) -> String {
    format!(
        "steps:\n  s:\n    - {{name: get, type: download, source: '{url}', destination: in/raw.csv}}\n    - {{name: copy it, type: copy, source: '{url}', destination: own.csv}}\n    - {{name: use, run: 'wc -c < in/raw.csv > n.txt', inputs: [in/raw.csv], outputs: [n.txt]}}\n"
    )
}

#[test]
fn what_a_server_gives_is_an_input_by_its_bytes() {
    let (server, said) = serving("one");
    let sandbox = with(&pipeline(&server.url("/a/raw.csv")));
    let first = run(&sandbox, &[]).ends(0);
    assert_eq!(first.ends_of(&["get", "copy it", "use"]), ["success"; 3], "{}", first.outcome);
    assert_eq!((read(&sandbox, "in/raw.csv"), read(&sandbox, "own.csv")), ("one".to_owned(), "one".to_owned()));
    let again = run(&sandbox, &[]).ends(0);
    assert_eq!(again.ends_of(&["get", "copy it", "use"]), ["hit"; 3], "{}", again.outcome);
    said.lock().unwrap().1 = "three".to_owned();
    let changed = run(&sandbox, &[]).ends(0);
    assert_eq!(changed.ends_of(&["get", "copy it", "use"]), ["success"; 3], "{}", changed.outcome);
    assert_eq!(read(&sandbox, "n.txt").trim(), "5");
    said.lock().unwrap().1 = "one".to_owned();
    let back = run(&sandbox, &[]).ends(0);
    assert_eq!(back.ends_of(&["get", "copy it", "use"]), ["hit"; 3], "{}", back.outcome);
    assert_eq!(read(&sandbox, "in/raw.csv"), "one");
}

#[test]
fn a_server_that_is_gone_is_a_failure_unless_nobody_has_to_ask_it() {
    let (server, _) = serving("one");
    let sandbox = with(&pipeline(&server.url("/a/raw.csv")));
    run(&sandbox, &[]).ends(0);
    drop(server);
    let gone = run(&sandbox, &["-k"]).ends(1);
    assert_eq!(gone.ends_of(&["get", "copy it"]), ["failure"; 2], "{}", gone.outcome);
    assert_eq!(gone.task("get")["error"]["type"], "fetch", "{}", gone.outcome);
    assert!(exists(&sandbox, "in/raw.csv"), "what was there stays");
    sandbox.file("prov.toml", "[steps.s]\nfreshness = \"1h\"\n");
    let remembered = run(&sandbox, &[]).ends(0);
    assert_eq!(remembered.ends_of(&["get", "copy it", "use"]), ["hit"; 3], "{}", remembered.outcome);
}

#[test]
fn what_a_server_refuses_is_tried_again_as_often_as_the_task_says() {
    let (server, said) = serving("one");
    said.lock().unwrap().0 = 503;
    let url = server.url("/a/raw.csv");
    let sandbox = with(&format!(
        "steps:\n  s:\n    - {{name: get, type: download, source: '{url}', destination: raw.csv, retries: {{count: 2, delay: 1ms}}}}\n"
    ));
    let refused = run(&sandbox, &[]).ends(1);
    assert_eq!((refused.end("get"), server.count()), ("failure", 3), "{}", refused.outcome);
    let tries = sandbox.prov(["--json", "pipeline", "status"]).ok().json()["tasks"][0]["tries"].clone();
    assert_eq!(tries, 3);
}
