//! A web server for tests, on the loopback interface, that says exactly what it is told to. It needs nothing but the standard library, so the
//! tests of the program use it as well.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "not each test crate uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path with its query.
    pub path: String,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What to answer: bytes as they go over the line.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    head: String,
    body: Vec<u8>,
    /// Keep the line open and silent after it, until the server ends.
    hangs: bool,
}

impl Reply {
    /// A status and headers, without a body.
    pub fn status(status: u16) -> Self {
        Self { head: format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n"), ..Self::default() }
    }

    /// Content of an announced length.
    pub fn content(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self { body: body.to_vec(), ..Self::status(200).with("content-length", &body.len().to_string()) }
    }

    /// An answer as one line of text, status line included.
    pub fn raw(text: impl Into<String>) -> Self {
        Self { head: text.into(), ..Self::default() }
    }

    /// With a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// With these bytes after the headers.
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }

    /// Nothing comes after it, and no end.
    pub fn hanging(self) -> Self {
        Self { hangs: true, ..self }
    }
}

type Answering = dyn Fn(&Asked) -> Reply + Send + Sync;

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    over: (Mutex<bool>, Condvar),
    asked: Mutex<Vec<Asked>>,
}

/// A server that lives as long as this.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// A server that answers like this.
    pub fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (here, answer): (_, Arc<Answering>) = (Arc::clone(&shared), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if here.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (here, answer) = (Arc::clone(&here), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &here, &*answer));
            }
        });
        Self { address, shared }
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How often something was asked since the last time of asking this.
    pub fn count(&self) -> usize {
        std::mem::take(&mut *self.shared.asked.lock().unwrap()).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        *self.shared.over.0.lock().unwrap() = true;
        self.shared.over.1.notify_all();
        // The listener waits for one more.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shared: &Shared, answer: &Answering) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let Some((method, mut asked)) = next_request(&mut lines) else { return };
    if method == "CONNECT" {
        // A proxy that leads nowhere but here.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let Some((_, inner)) = next_request(&mut lines) else { return };
        asked = Asked { path: format!("{}{}", asked.path, inner.path), headers: inner.headers };
    }
    shared.asked.lock().unwrap().push(asked.clone());
    let reply = answer(&asked);
    let mut bytes = reply.head.into_bytes();
    if !bytes.is_empty() {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(&reply.body);
    // Whoever asked may be gone.
    let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
    if reply.hangs {
        let mut over = shared.over.0.lock().unwrap();
        while !*over {
            over = shared.over.1.wait(over).unwrap();
        }
    }
}

fn next_request(lines: &mut BufReader<TcpStream>) -> Option<(String, Asked)> {
    let mut line = String::new();
    if lines.read_line(&mut line).unwrap_or(0) == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            return Some((method, Asked { path, headers }));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}
