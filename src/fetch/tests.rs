//! A client against a real server on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use super::testing::{Reply, Server};
use super::*;
use crate::fs::Fs;
use crate::progress::{Cancel, Silent};

static NEVER: Cancel = Cancel::new();
const WATCH: Watch<'static> = Watch { cancel: &NEVER, progress: &Silent };

fn client() -> Client {
    Client::new(Options::default()).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn get(url_text: &str) -> Result<(Got, Vec<u8>), Error> {
    let mut bytes = Vec::new();
    client().get(&url(url_text), None, &mut bytes, WATCH).map(|got| (got, bytes))
}

fn refused(reply: Reply) -> Error {
    let server = Server::new(move |_| reply.clone());
    get(&server.url("/a")).unwrap_err()
}

#[test]
fn content_comes_whole_by_length_and_in_chunks() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/length" => Reply::content("hello"),
        "/empty" => Reply::content(""),
        "/large" => Reply::content(vec![7; 3 << 20]),
        _ => Reply::status(200).with("transfer-encoding", "chunked").body("3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"),
    });
    for (path, wanted) in [
        ("/length", b"hello".to_vec()),
        ("/chunks", b"hello".to_vec()),
        ("/empty", Vec::new()),
        ("/large", vec![7; 3 << 20]),
    ] {
        let (got, bytes) = get(&server.url(path)).unwrap();
        let Got::New { answer, size } = got else { panic!("{path}: {got:?}") };
        assert_eq!((answer.status, size), (200, wanted.len() as u64), "{path}");
        assert_eq!(bytes, wanted);
    }
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["accept-encoding"], "identity");
    assert!(asked.headers["user-agent"].starts_with("prov/"));
    assert!(!asked.headers.contains_key("authorization"));
}

#[test]
fn a_part_is_never_taken_for_the_whole() {
    let err = refused(Reply::status(200).with("content-length", "10").body("hello"));
    assert!(matches!(err, Error::Truncated { got: 5, expected: Some(10), .. }), "{err:?}");
    for body in ["5\r\nhello\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n3"] {
        let err = refused(Reply::status(200).with("transfer-encoding", "chunked").body(body));
        assert!(matches!(err, Error::Truncated { .. }), "{body:?}: {err:?}");
    }
    let err = refused(Reply::status(200).with("transfer-encoding", "chunked").body("zz\r\nhello\r\n0\r\n\r\n"));
    assert!(matches!(err, Error::Broken { .. }), "{err:?}");
    // Without a length an answer ends with the line, whole or not.
    let err = refused(Reply::status(200).body("hello"));
    assert!(matches!(err, Error::NoLength { .. }), "{err:?}");
    let err = refused(Reply::raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n").body("0\r\n\r\n"));
    assert!(matches!(err, Error::NoLength { .. }), "{err:?}");
    let err = refused(Reply::content("x").with("content-length", "7"));
    assert!(matches!(err, Error::Broken { .. } | Error::Truncated { .. }), "two lengths: {err:?}");
    for nothing in ["", "HTTP/1.1 200", "hello"] {
        let err = refused(Reply::raw(nothing));
        assert!(matches!(err, Error::Broken { .. } | Error::Unreachable { .. }), "{nothing:?}: {err:?}");
    }
}

#[test]
fn an_answer_without_content_is_an_error_with_its_status() {
    for status in [204, 206, 400, 401, 403, 404, 410, 418, 429, 500, 503] {
        let err = refused(Reply::status(status).with("content-length", "2").body("no"));
        assert!(matches!(err, Error::Status { status: s, .. } if s == status), "{status}: {err:?}");
        assert_eq!(err.may_pass(), matches!(status, 429 | 500 | 503), "{status}");
    }
    assert!(matches!(refused(Reply::status(304)), Error::NotAsked { .. }));
}

#[test]
fn redirects_are_followed_so_far_and_not_everywhere() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/a/one" => Reply::status(302).with("location", "../two"),
        "/two" => Reply::status(307).with("location", "/three?x=1"),
        "/three?x=1" => Reply::content("there"),
        "/round" => Reply::status(301).with("location", "/round"),
        "/nowhere" => Reply::status(301),
        "/file" => Reply::status(301).with("location", "file:///etc/passwd"),
        _ => Reply::status(301).with("location", "http://me:hunter2@127.0.0.1/"),
    });
    let (got, bytes) = get(&server.url("/a/one")).unwrap();
    let Got::New { answer, .. } = got else { panic!() };
    assert_eq!((bytes.as_slice(), answer.redirects), (&b"there"[..], 2));
    assert_eq!(answer.from.whole(), server.url("/three?x=1"));
    server.count();
    assert!(matches!(get(&server.url("/round")), Err(Error::Redirects { limit: 10, .. })));
    assert_eq!(server.count(), 11);
    for path in ["/nowhere", "/file", "/login"] {
        let err = get(&server.url(path)).unwrap_err();
        assert!(matches!(err, Error::BadRedirect { .. }), "{err:?}");
        assert!(!format!("{err} {err:?}").contains("hunter2"));
    }
}

#[test]
fn what_is_unchanged_is_not_sent_again_and_what_changed_is() {
    let server =
        Server::new(|asked| match (asked.path.as_str(), asked.headers.get("if-none-match").map(String::as_str)) {
            ("/tag", Some("\"1\"")) => Reply::status(304).with("etag", "\"1\""),
            ("/tag" | "/rude", _) => Reply::content("tagged").with("etag", "\"1\""),
            ("/new", None) => Reply::content("old").with("etag", "\"1\""),
            ("/new", _) => Reply::content("new").with("etag", "\"2\""),
            ("/time", None) => Reply::content("timed")
                .with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
                .with("date", "Sun, 06 Nov 1999 08:49:37 GMT"),
            ("/weak", None) => Reply::content("weak").with("etag", "W/\"1\""),
            other => panic!("{other:?}"),
        });
    let client = client();
    for (path, unchanged) in [("/tag", true), ("/rude", true), ("/new", false), ("/time", true), ("/weak", false)] {
        let url = url(&server.url(path));
        let mut bytes = Vec::new();
        let Got::New { answer, .. } = client.get(&url, None, &mut bytes, WATCH).unwrap() else { panic!() };
        let known = answer.known();
        assert_eq!(known.is_some(), path != "/weak");
        let mut again = Vec::new();
        let got = client.get(&url, known.as_ref(), &mut again, WATCH).unwrap();
        assert_eq!(matches!(got, Got::Unchanged { .. }), unchanged, "{path}: {got:?}");
        assert_eq!(again.is_empty(), unchanged, "{path}");
    }
}

#[test]
fn limits_hold_for_size_and_time_and_a_caller_can_stop_at_once() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/announced" => Reply::content("123456"),
        "/chunks" => Reply::status(200).with("transfer-encoding", "chunked").body("6\r\n123456\r\n0\r\n\r\n"),
        "/silent" => Reply::raw("").hanging(),
        _ => Reply::status(200).with("content-length", "10").body("12345").hanging(),
    });
    let options = || Options { max_size: 5, ..Options::default() };
    for path in ["/announced", "/chunks"] {
        let err = Client::new(options()).unwrap().get(&url(&server.url(path)), None, &mut Vec::new(), WATCH);
        assert!(matches!(err, Err(Error::TooLarge { limit: 5, .. })), "{path}: {err:?}");
    }
    let brief = Duration::from_millis(80);
    for (path, options) in [
        ("/silent", Options { idle_timeout: brief, connect_timeout: brief, ..Options::default() }),
        ("/half", Options { idle_timeout: brief, ..Options::default() }),
        ("/half", Options { total_timeout: Some(brief), ..Options::default() }),
    ] {
        let err = Client::new(options).unwrap().get(&url(&server.url(path)), None, &mut Vec::new(), WATCH);
        assert!(matches!(err, Err(Error::TimedOut { .. })), "{path}: {err:?}");
    }
    let cancel = Cancel::new();
    cancel.raise();
    let watch = Watch { cancel: &cancel, progress: &Silent };
    let err = client().get(&url(&server.url("/half")), None, &mut Vec::new(), watch);
    assert!(matches!(err, Err(Error::Cancelled)), "{err:?}");
}

#[test]
fn packed_answers_are_refused_unless_the_file_itself_is_packed() {
    let server = Server::new(|_| Reply::content("bytes").with("content-encoding", "gzip"));
    assert!(matches!(get(&server.url("/a.csv")), Err(Error::Encoded { .. })));
    assert_eq!(get(&server.url("/a.csv.gz?x")).unwrap().1, b"bytes");
}

#[test]
fn nobody_there_is_said_and_may_pass() {
    // A port that was just free.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let err = get(&format!("http://127.0.0.1:{port}/")).unwrap_err();
    assert!(matches!(err, Error::Unreachable { .. }) && err.may_pass() && err.is_of_network(), "{err:?}");
    // No TLS there.
    let server = Server::new(|_| Reply::content("x"));
    let err = get(&server.url("/").replace("http:", "https:")).unwrap_err();
    assert!(matches!(err, Error::Unreachable { .. } | Error::Broken { .. }), "{err:?}");
}

#[test]
fn a_proxy_is_asked_and_its_password_is_in_no_error() {
    let server = Server::new(|asked| Reply::content(asked.path.clone()));
    let through = |direct: Vec<String>| {
        let proxy = server.url("").replace("http://", "http://me:hunter2@");
        let proxies = Proxies { http: Some(proxy), https: None, direct };
        Client::new(Options { proxies, ..Options::default() })
    };
    let mut bytes = Vec::new();
    through(Vec::new()).unwrap().get(&url("http://data.invalid/x?y=1"), None, &mut bytes, WATCH).unwrap();
    assert_eq!(bytes, b"data.invalid:80/x?y=1");
    let mut bytes = Vec::new();
    through(vec!["127.0.0.1".to_owned()]).unwrap().get(&url(&server.url("/z")), None, &mut bytes, WATCH).unwrap();
    assert_eq!(bytes, b"/z");
    let proxies = Proxies { http: Some("gopher://me:hunter2@h".to_owned()), ..Proxies::default() };
    let err = Client::new(Options { proxies, ..Options::default() }).unwrap_err();
    assert!(!format!("{err:?}").contains("hunter2"));
    assert!(Client::new(Options { trusted: Some(b"nothing".to_vec()), ..Options::default() }).is_err());
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let server = Server::new(|asked| match (asked.path.as_str(), asked.headers.get("if-none-match")) {
        ("/good", None) => Reply::content("good").with("etag", "\"g\""),
        ("/good", Some(_)) => Reply::status(304),
        _ => Reply::status(200).with("content-length", "10").body("part"),
    });
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let names = || Fs::real().names(folder.path()).unwrap().len();
    let save =
        |path: &str, known: Option<&Known>| to_file(&client(), &Fs::real(), &url(&server.url(path)), known, &to, WATCH);
    assert!(save("/bad", None).is_err());
    assert_eq!(names(), 0);
    let Saved::New { answer, id, size } = save("/good", None).unwrap() else { panic!() };
    assert_eq!((id, size), (crate::hash::blob(b"good"), 4));
    assert!(matches!(save("/good", answer.known().as_ref()).unwrap(), Saved::Unchanged { .. }));
    assert!(save("/bad", None).is_err());
    assert_eq!((std::fs::read(&to).unwrap(), names()), (b"good".to_vec(), 1));
}

#[test]
fn a_write_that_fails_at_any_step_leaves_no_file() {
    use crate::fs::NthEffect;
    let server = Server::new(|_| Reply::content("content"));
    let mut nth = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        let fault = std::sync::Arc::new(NthEffect::from_then_on(nth, 28));
        let fs = Fs::with_fault(std::sync::Arc::<NthEffect>::clone(&fault));
        let done = to_file(&client(), &fs, &url(&server.url("/")), None, &to, WATCH);
        if !fault.has_struck() {
            assert!(done.is_ok() && nth > 1);
            break;
        }
        assert!(matches!(done, Err(Error::Write { .. })), "{done:?}");
        assert!(!to.exists());
        nth += 1;
    }
}

#[test]
fn a_look_brings_no_content_but_says_what_is_known_of_it() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/there" => Reply::status(302).with("location", "/here"),
        "/here" => {
            Reply::status(200).with("content-length", "12345").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        }
        _ => Reply::status(404),
    });
    let answer = client().look(&url(&server.url("/there")), WATCH).unwrap();
    assert_eq!(
        (answer.size, answer.modified().unwrap().rfc3339().as_str()),
        (Some(12345), "1994-11-06T08:49:37.000000Z")
    );
    assert!(matches!(client().look(&url(&server.url("/no")), WATCH), Err(Error::Status { status: 404, .. })));
}
