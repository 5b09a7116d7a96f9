//! A store behind a web server with certificates of its own: believed only where these are named, and never led elsewhere.

#![expect(clippy::disallowed_methods, reason = "tests make the files they work on")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::project::read;
use crate::sandbox::{Outcome, Sandbox};
use crate::sync::{history, machine, push, said, shared, text, twice};

/// Gives the files of a folder over TLS, and leads elsewhere from `/redirect/` and `/plain/`.
const SERVER: &str = r#"
import http.server, ssl, sys
class Site(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        for prefix, to in [("/redirect/", "https://user:hunter2@localhost:%d/"), ("/plain/", "http://localhost:%d/")]:
            if self.path.startswith(prefix):
                self.send_response(302)
                self.send_header("Location", to % port + self.path[len(prefix):])
                self.end_headers()
                return
        super().do_GET()
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
port = server.server_address[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("../server.pem", "../server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(port, flush=True)
server.serve_forever()
"#;

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificates of an own authority, `ca.pem`, and of a server that it vouches for; `None` where there is no openssl.
fn certificates(dir: &Path) -> Option<()> {
    let openssl = |words: &str| {
        let done =
            Command::new("openssl").args(words.split(' ')).current_dir(dir).stdin(Stdio::null()).output().ok()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=own -addext keyUsage=critical,keyCertSign"
    ))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
    std::fs::write(dir.join("more"), "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n").unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem -extfile more")
}

fn start(root: &Path) -> Option<Server> {
    let mut child = Command::new("python3")
        .args(["-c", SERVER])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the server does not start: {line}"));
    Some(Server { child, port })
}

fn refused(sandbox: &Sandbox, url: &str) -> Outcome {
    let refused = sandbox.prov(["clone", url, "."]).ends(6);
    assert!(!sandbox.path(".prov/store").exists(), "{refused}");
    assert!(!refused.err().contains("hunter2"), "{refused}");
    refused
}

#[test]
fn a_server_is_believed_only_where_its_certificates_are_named() {
    let dir = shared();
    let root = dir.path().join("www");
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(&root.join("project"))]).ok();
    twice(&a, "in.txt", "out.txt").misses();
    std::fs::create_dir(&root).unwrap();
    push(&a);
    let (Some(()), Some(server)) = (certificates(dir.path()), start(&root)) else {
        eprintln!("SKIPPED: there is no openssl or no python3 on this machine (see .ci/run)");
        return;
    };
    let url = |path: &str| format!("https://localhost:{}/{path}", server.port);
    let unknown = refused(&machine(), &url("project"));
    assert!(unknown.err().contains("certificate") && unknown.err().contains("SSL_CERT_FILE"), "{unknown}");
    let trusting = || machine().with("SSL_CERT_FILE", &text(&dir.path().join("ca.pem")));
    let led = refused(&trusting(), &url("redirect/project"));
    assert!(led.err().contains("holds credentials"), "{led}");
    let plain = refused(&trusting(), &url("plain/project"));
    assert!(plain.err().contains("redirects from https to http"), "{plain}");

    let b = trusting();
    said("clone", b.prov(["--json", "clone", &url("project"), "."]));
    twice(&b, "in.txt", "out.txt").hits();
    assert_eq!(read(&b, "out.txt"), read(&a, "out.txt"));
    b.prov(["fetch"]).ok();
    assert!(history(&a).iter().all(|run| history(&b).contains(run)));
    b.prov(["push", &url("project")]).ends(7);
}
