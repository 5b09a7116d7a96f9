//! One exchange with a server, on a thread of its own: whoever waits for it can stop waiting at any time. The only user of `ureq`.

use std::sync::mpsc::Receiver;

use super::options::Options;
use super::{Error, Url};

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without a client nothing is asked"))]
pub(super) enum Asked<'a> {
    /// All of it.
    All,
    /// All of it, unless it has this tag still.
    Unless(&'a str),
    /// What would come before it.
    Head,
    /// All of it, from the server itself and not from what somebody on the way remembers.
    Fresh,
    /// As many of its last bytes.
    Last(u64),
    /// A part of it: from this byte on, so many.
    Part(u64, u64),
}

/// What comes of an exchange, in this order: a head, bytes, the end; or a failure at any time.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without a client nothing comes"))]
pub(super) enum Piece {
    /// Status and headers.
    Head(Box<Head>),
    /// Some of the body.
    Bytes(Vec<u8>),
    /// The body came whole, as far as its framing tells.
    End,
    /// Nothing more comes.
    Failed(Failure),
}

/// Status and headers of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) date: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    /// Which part of the whole comes, as it was sent.
    pub(super) range: Option<String>,
    /// The announced length.
    pub(super) length: Option<u64>,
    /// Whether the end of the body can be told from its breaking off.
    pub(super) is_delimited: bool,
}

/// Why an exchange failed.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without a client nothing comes"))]
pub(super) enum Failure {
    /// There is no connection.
    Unreachable(String, Option<std::io::Error>),
    /// There was one.
    Broken(String),
    /// The body broke off.
    Truncated,
    /// Nothing came for too long.
    Slow,
    /// It took too long to connect.
    SlowConnect,
}

#[cfg(feature = "http")]
pub(super) use with::Wire;
#[cfg(not(feature = "http"))]
pub(super) use without::Wire;

#[cfg(not(feature = "http"))]
mod without {
    use super::{Asked, Error, Options, Piece, Receiver, Url};

    /// A client that is not there.
    #[derive(Debug)]
    pub(in crate::fetch) struct Wire;

    impl Wire {
        pub(in crate::fetch) fn new(_: &Options) -> Result<Self, Error> {
            Err(Error::NotBuilt)
        }

        #[expect(clippy::unused_self, reason = "the same face as the client that is there")]
        pub(in crate::fetch) fn ask(&self, _: &Url, _: Asked<'_>) -> Result<Receiver<Piece>, Error> {
            Err(Error::NotBuilt)
        }
    }
}

#[cfg(feature = "http")]
mod with {
    use std::io::{self, Read};
    use std::sync::Arc;
    use std::sync::mpsc::{SyncSender, sync_channel};

    use ureq::http::{HeaderMap, Version, header};
    use ureq::tls::{PemItem, RootCerts, TlsConfig};
    use ureq::{Agent, Proxy, Timeout};

    use super::{Asked, Error, Failure, Head, Options, Piece, Receiver, Url};

    /// How much of a body travels at once.
    const PIECE: usize = 64 << 10;
    /// How many pieces may wait.
    const WAITING: usize = 4;
    /// The most that headers may have.
    const MAX_HEAD: usize = 64 << 10;

    /// A client.
    #[derive(Debug)]
    pub(in crate::fetch) struct Wire {
        plain: Agent,
        secure: Agent,
    }

    impl Wire {
        pub(in crate::fetch) fn new(options: &Options) -> Result<Self, Error> {
            let roots = match &options.trusted {
                None => RootCerts::WebPki,
                Some(pem) => RootCerts::Specific(Arc::new(certificates(pem)?)),
            };
            let agent = |proxy: Option<&String>| -> Result<Agent, Error> {
                let config = Agent::config_builder()
                    .http_status_as_error(false)
                    .max_redirects(0)
                    .max_redirects_will_error(false)
                    // Nothing is taken from the environment behind the caller's back.
                    .proxy(proxy.map(|text| proxy_of(text, &options.proxies.direct)).transpose()?)
                    .user_agent(concat!("prov/", env!("CARGO_PKG_VERSION")))
                    .accept("*/*")
                    .accept_encoding("identity")
                    .max_response_header_size(MAX_HEAD)
                    .timeout_resolve(Some(options.connect_timeout))
                    .timeout_connect(Some(options.connect_timeout))
                    .timeout_recv_response(Some(options.idle_timeout))
                    .timeout_per_read(Some(options.idle_timeout))
                    .timeout_per_write(Some(options.idle_timeout))
                    .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                    .build();
                Ok(config.new_agent())
            };
            Ok(Self { plain: agent(options.proxies.http.as_ref())?, secure: agent(options.proxies.https.as_ref())? })
        }

        pub(in crate::fetch) fn ask(&self, url: &Url, asked: Asked<'_>) -> Result<Receiver<Piece>, Error> {
            let agent = if url.scheme() == "https" { &self.secure } else { &self.plain };
            let mut request = match asked {
                Asked::Head => agent.head(url.whole()),
                _ => agent.get(url.whole()),
            };
            request = match asked {
                Asked::Unless(tag) => request.header(header::IF_NONE_MATCH, tag),
                Asked::Fresh => request.header(header::CACHE_CONTROL, "no-cache"),
                Asked::Last(count) => request.header(header::RANGE, format!("bytes=-{count}")),
                Asked::Part(at, count) => {
                    request.header(header::RANGE, format!("bytes={at}-{}", at.saturating_add(count.max(1) - 1)))
                }
                Asked::All | Asked::Head => request,
            };
            let (send, receive) = sync_channel(WAITING);
            // It ends by itself: whoever no longer listens fails its next send, and a silent server its next read.
            let thread = std::thread::Builder::new().name("fetch".to_owned());
            let is_head = matches!(asked, Asked::Head);
            thread
                .spawn(move || exchange(request, is_head, &send))
                .map_err(|source| Error::Option { what: format!("no thread can be started: {source}") })?;
            Ok(receive)
        }
    }

    fn exchange(request: ureq::RequestBuilder<ureq::typestate::WithoutBody>, is_head: bool, send: &SyncSender<Piece>) {
        let answer = match request.call() {
            Ok(answer) => answer,
            Err(err) => return drop(send.send(Piece::Failed(failure(err, false)))),
        };
        let head = head(&answer, is_head);
        if send.send(Piece::Head(Box::new(head))).is_err() {
            return;
        }
        let mut body = answer.into_body().into_reader();
        loop {
            let mut bytes = vec![0; PIECE];
            let piece = match body.read(&mut bytes) {
                Ok(0) => Piece::End,
                Ok(n) => {
                    bytes.truncate(n);
                    Piece::Bytes(bytes)
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => Piece::Failed(failure(ureq::Error::from(err), true)),
            };
            let is_last = !matches!(piece, Piece::Bytes(_));
            if send.send(piece).is_err() || is_last {
                return;
            }
        }
    }

    fn head(answer: &ureq::http::Response<ureq::Body>, is_head: bool) -> Head {
        let headers = answer.headers();
        let is_chunked = answer.version() == Version::HTTP_11
            && headers.get_all(header::TRANSFER_ENCODING).iter().any(|value| {
                value.to_str().is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case("chunked")))
            });
        // Of a body that does not come the library keeps no length: one of no bytes, and that of a head.
        let announced = || {
            let digits = text(headers, &header::CONTENT_LENGTH)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let is_known = is_head || announced() == Some(0);
        let length = answer.body().content_length().or_else(|| announced().filter(|_| is_known && !is_chunked));
        Head {
            status: answer.status().as_u16(),
            location: text(headers, &header::LOCATION),
            etag: text(headers, &header::ETAG),
            last_modified: text(headers, &header::LAST_MODIFIED),
            date: text(headers, &header::DATE),
            content_type: text(headers, &header::CONTENT_TYPE),
            content_encoding: text(headers, &header::CONTENT_ENCODING),
            range: text(headers, &header::CONTENT_RANGE),
            length,
            is_delimited: is_chunked || length.is_some(),
        }
    }

    fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
        headers.get(name).and_then(|value| value.to_str().ok()).map(|text| text.trim().to_owned())
    }

    fn failure(err: ureq::Error, in_body: bool) -> Failure {
        match err {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => Failure::SlowConnect,
            ureq::Error::Timeout(_) => Failure::Slow,
            ureq::Error::HostNotFound => Failure::Unreachable("there is no such host".to_owned(), None),
            ureq::Error::ConnectionFailed => Failure::Unreachable("no connection".to_owned(), None),
            ureq::Error::Rustls(err) => Failure::Unreachable(format!("no secure connection: {err}"), None),
            ureq::Error::Tls(what) => Failure::Unreachable(format!("no secure connection: {what}"), None),
            ureq::Error::Io(err) if err.kind() == io::ErrorKind::UnexpectedEof && in_body => Failure::Truncated,
            ureq::Error::BodyStalled => Failure::Truncated,
            ureq::Error::Io(err) if err.kind() == io::ErrorKind::TimedOut => Failure::Slow,
            ureq::Error::Io(err) if in_body => Failure::Broken(format!("the connection broke: {err}")),
            ureq::Error::Io(err) => Failure::Unreachable("no connection".to_owned(), Some(err)),
            err => Failure::Broken(format!("the answer is no HTTP that can be read: {err}")),
        }
    }

    fn proxy_of(text: &str, direct: &[String]) -> Result<Proxy, Error> {
        // The text may hold a password: it is in no error.
        let bad = |_| Error::Option { what: "the proxy's address can't be read".to_owned() };
        let read = Proxy::new(text).map_err(bad)?;
        let mut builder = Proxy::builder(read.protocol()).host(read.host()).port(read.port());
        if let Some(user) = read.username() {
            builder = builder.username(user);
        }
        if let Some(password) = read.password() {
            builder = builder.password(password);
        }
        for host in direct {
            builder = builder.no_proxy(host);
        }
        builder.build().map_err(bad)
    }

    fn certificates(pem: &[u8]) -> Result<Vec<ureq::tls::Certificate<'static>>, Error> {
        let bad = || Error::Option { what: "the file of trusted certificates can't be read: it is no PEM".to_owned() };
        let mut found = Vec::new();
        for item in ureq::tls::parse_pem(pem) {
            if let PemItem::Certificate(one) = item.map_err(|_| bad())? {
                found.push(one);
            }
        }
        if found.is_empty() { Err(bad()) } else { Ok(found) }
    }
}
