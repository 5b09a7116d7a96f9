//! Addresses of the web, as far as prov takes them.

use std::fmt;

use super::Error;
use crate::hash::{Id, derived};

/// Names of query parameters whose values are keys, compared in lower case.
const SECRET: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "auth_token",
    "authorization",
    "awsaccesskeyid",
    "bearer",
    "client_secret",
    "passwd",
    "password",
    "private_token",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Names of query parameters that mean that the address is signed: who may read it and how long, not what is read.
const SIGNED: &[&str] = &["sig", "signature", "x-amz-signature", "x-goog-signature"];

/// Names of query parameters that belong to a signature.
const OF_SIGNATURE: &[&str] = &[
    "awsaccesskeyid",
    "expires",
    "key-pair-id",
    "policy",
    "se",
    "sig",
    "signature",
    "ske",
    "skoid",
    "sks",
    "skt",
    "sktid",
    "skv",
    "sp",
    "spr",
    "st",
    "sv",
];

/// The longest address.
const MAX_LEN: usize = 8192;

/// An `http` or `https` address without user and password and without a fragment: scheme and host in lower case, the scheme's own port left
/// out, everything that is no plain character percent-encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Url {
    is_secure: bool,
    /// Host, with its port if that isn't the scheme's own.
    host: String,
    /// From the slash on, with the query.
    path: String,
}

impl Url {
    /// Whether a text means an address of the web rather than a path.
    pub fn is_meant(text: &[u8]) -> bool {
        let begins = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
        begins(b"http://") || begins(b"https://")
    }

    /// Takes an address as a user typed it. It will be recorded, so one that holds credentials is refused: user and password, or a query
    /// parameter that is named as keys are.
    ///
    /// # Errors
    /// What is wrong with it, without its credentials.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let url = Self::read(text)?;
        let key = url.parameters().find(|(name, value)| is_one_of(name, SECRET) && !value.is_empty());
        match key.map(|(name, _)| format!("the query parameter `{name}`")) {
            Some(what) => Err(Error::Credentials { host: url.host, what }),
            None => Ok(url),
        }
    }

    /// As [`Url::parse`], with keys in the query, as in the target of a redirect: never recorded, and hidden when shown.
    fn read(text: &str) -> Result<Self, Error> {
        let bad = |what: &str| Error::BadUrl { url: without_user(text), what: what.to_owned() };
        if text.len() > MAX_LEN {
            let url = without_user(text).chars().take(80).chain("...".chars()).collect();
            return Err(Error::BadUrl { url, what: format!("it is longer than {MAX_LEN} bytes") });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad("only http and https are known")),
        };
        if text.chars().any(|c| c.is_ascii_control() || c == ' ' || c == '\\') {
            return Err(bad("it holds a blank, a backslash or a control character"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = match authority.rsplit_once('@') {
            None => authority,
            Some((_, host)) => {
                let host = host.chars().take(255).collect();
                return Err(Error::Credentials { host, what: "a user or password before `@`".to_owned() });
            }
        };
        let host = host(authority, is_secure).map_err(bad)?;
        let path = encoded(path);
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        Ok(Self { is_secure, host, path: resolved(&path) })
    }

    /// The address of what has this name in the folder that this one leads to; the query is dropped.
    ///
    /// # Errors
    /// When the name makes no address.
    pub fn below(&self, name: &str) -> Result<Self, Error> {
        Self::read(&format!("{}/{name}", self.place().trim_end_matches('/')))
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.path.contains('?')
    }

    /// Where a redirect from here leads.
    ///
    /// # Errors
    /// When it can't be followed, or leads from https to http.
    pub(super) fn join(&self, location: &str) -> Result<Self, Error> {
        let bad = |what: String| Error::BadRedirect { url: self.shown(), what };
        let location = location.trim();
        let scheme = if self.is_secure { "https" } else { "http" };
        let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
        let text = if has_scheme {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", self.host)
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = match location.as_bytes().first() {
                Some(b'?') => path,
                None | Some(b'#') => &self.path,
                Some(_) => path.rfind('/').map_or("/", |at| &path[..=at]),
            };
            format!("{scheme}://{}{folder}{location}", self.host)
        };
        let to = Self::read(&text).map_err(|err| bad(err.to_string()))?;
        if self.is_secure && !to.is_secure {
            return Err(Error::Downgrade { url: self.shown(), to: to.place() });
        }
        Ok(to)
    }

    /// All of it, to be sent.
    pub(super) fn whole(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.host, self.path)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The host, with its port if that isn't the scheme's own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// For people and records: the values of parameters that are named as keys are shown as `***`.
    pub fn shown(&self) -> String {
        if !self.parameters().any(|(name, value)| is_one_of(name, SECRET) && !value.is_empty()) {
            return self.whole();
        }
        let shown: Vec<String> = self
            .parameters()
            .map(|(name, value)| {
                let value = if is_one_of(name, SECRET) && !value.is_empty() { "***" } else { value };
                if value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
            })
            .collect();
        format!("{}?{}", self.place(), shown.join("&"))
    }

    /// Without its query.
    pub fn place(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme(), self.host)
    }

    /// The name of what it leads to: what follows the last slash, decoded; `None` if nothing does, or it is no name for a file.
    pub fn file_name(&self) -> Option<String> {
        let path = self.path.split('?').next().unwrap_or_default();
        let name = decoded(path.rsplit('/').next().unwrap_or_default())?;
        let is_name = !name.is_empty()
            && name.len() <= 200
            && name != "."
            && name != ".."
            && !name.chars().any(|c| c == '/' || c.is_control());
        is_name.then_some(name)
    }

    /// Names what is read there, without who may read it and how long: equal for an address that was signed twice.
    pub(super) fn resource(&self) -> Id {
        derived("prov fetch resource v1", self.unsigned().as_bytes())
    }

    /// Names the address in full, keys included, without giving them away.
    pub fn id(&self) -> Id {
        derived("prov fetch address v1", self.whole().as_bytes())
    }

    fn unsigned(&self) -> String {
        if !self.parameters().any(|(name, _)| is_one_of(name, SIGNED)) {
            return self.whole();
        }
        let of_signature = |name: &str| {
            let name = name.to_ascii_lowercase();
            OF_SIGNATURE.contains(&name.as_str()) || name.starts_with("x-amz-") || name.starts_with("x-goog-")
        };
        let kept: Vec<String> = self
            .parameters()
            .filter(|(name, _)| !of_signature(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}?{}", self.place(), kept.join("&"))
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    // Another spelling of the same name is the same name to a server.
    let name = decoded(name).unwrap_or_else(|| name.to_owned()).to_ascii_lowercase();
    names.contains(&name.as_str())
}

/// For an error about a text that could not be read: no user and no query, where keys could be.
fn without_user(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => text.to_owned(),
    };
    crate::path::shown(shown.as_bytes())
}

/// Host and port, checked and in one form.
fn host(authority: &str, is_secure: bool) -> Result<String, &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("its host is an address without its closing bracket")?;
        let address: std::net::Ipv6Addr = address.parse().map_err(|_| "its host is no IPv6 address")?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("its port isn't clear")?) };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        if !host.is_ascii() {
            return Err("its host has characters beyond ASCII: write it in its form with `xn--`");
        }
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
            return Err("it has no host, or one with odd characters");
        }
        (host.to_ascii_lowercase(), port)
    };
    let own = if is_secure { 443 } else { 80 };
    match port.filter(|port| !port.is_empty()) {
        None => Ok(host),
        Some(port) => {
            let digits = port.bytes().all(|b| b.is_ascii_digit());
            let port: u16 = port.parse().ok().filter(|port| digits && *port > 0).ok_or("its port is no number")?;
            Ok(if port == own { host } else { format!("{host}:{port}") })
        }
    }
}

/// With everything percent-encoded that can't be sent as it is; what is encoded already stays.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| after.get(..2)).flatten().and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path without `.` and `..`, which servers would resolve as well.
fn resolved(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        match *part {
            "." | ".." => {
                if *part == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn one_address_has_one_form() {
        for (typed, form) in [
            ("HTTPS://Example.ORG", "https://example.org/"),
            ("https://example.org:443/a#part", "https://example.org/a"),
            ("http://example.org:80?x=1", "http://example.org/?x=1"),
            ("http://h:8080/a/./b/../c", "http://h:8080/a/c"),
            ("http://h/a/..", "http://h/"),
            ("http://h/../../a", "http://h/a"),
            ("http://[::0001]:9/x", "http://[::1]:9/x"),
            ("http://h/é %".trim_end_matches(" %"), "http://h/%C3%A9"),
            ("http://h/a%20b?q={x}", "http://h/a%20b?q=%7Bx%7D"),
        ] {
            assert_eq!(url(typed).whole(), form, "{typed}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_says_why() {
        for text in [
            "ftp://h/a",
            "http://",
            "http:///a",
            "http://h:0/",
            "http://h:99999/",
            "http://h:+80/",
            "http://a b/",
            "http://h/a\nb",
            "http://h\\@evil/",
            "http://ü/",
            "http://[::1",
            "http://[x]/",
            "http://[::1]x/",
            "h/a",
        ] {
            assert!(matches!(Url::parse(text), Err(Error::BadUrl { .. })), "{text}");
        }
        assert!(matches!(Url::parse(&format!("http://h/{}", "a".repeat(9000))), Err(Error::BadUrl { .. })));
    }

    #[test]
    fn credentials_are_refused_and_never_repeated() {
        for text in [
            "https://me:hunter2@h/a",
            "https://hunter2@h/a",
            "https://me:hunter2@h:x/",
            "https://h@hunter2@g/",
            "https://h/a?b=1&token=hunter2",
            "https://h/a?X-Amz-Signature=hunter2",
            "https://h/?%74oken=hunter2",
            "ftp://me:hunter2@h/a",
            "https://me:hunter2@h/ b",
            "https://h /?token=hunter2",
        ] {
            let err = Url::parse(text).unwrap_err();
            let said = format!("{err} {err:?}");
            // The last part before the host of the fourth is the user's name, not a password.
            assert!(!said.contains("hunter2"), "{text}: {said}");
        }
        assert_eq!(url("https://h/?token").shown(), "https://h/?token", "a parameter without a value is no key");
    }

    #[test]
    fn redirects_lead_on_but_never_from_https_to_http_nor_to_credentials() {
        let from = url("https://h/a/b?x=1");
        for (to, whole) in [
            ("c", "https://h/a/c"),
            ("/c?y=2", "https://h/c?y=2"),
            ("?y=2", "https://h/a/b?y=2"),
            ("//g/c", "https://g/c"),
            ("https://g:8/c", "https://g:8/c"),
            ("../c", "https://h/c"),
            ("", "https://h/a/b?x=1"),
            ("c:d", "error"),
            ("./c:d", "https://h/a/c:d"),
        ] {
            match from.join(to) {
                Ok(to) => assert_eq!(to.whole(), whole),
                Err(err) => assert_eq!(whole, "error", "{to}: {err}"),
            }
        }
        assert!(matches!(from.join("http://h/a/b"), Err(Error::Downgrade { .. })));
        assert!(url("http://h/").join("https://h/").is_ok());
        for to in ["file:///etc/passwd", "https://me:hunter2@h/", "gopher://h/"] {
            let err = from.join(to).unwrap_err();
            assert!(matches!(err, Error::BadRedirect { .. }) && !format!("{err:?}").contains("hunter2"), "{err:?}");
        }
    }

    #[test]
    fn a_signed_address_is_shown_without_its_key_and_names_the_same_thing_when_signed_again() {
        let from = url("https://h/");
        let one = from.join("https://s/o.csv?X-Amz-Signature=aaaa&X-Amz-Date=1&versionId=3").unwrap();
        let two = from.join("https://s/o.csv?X-Amz-Signature=bbbb&X-Amz-Date=2&versionId=3").unwrap();
        let other = from.join("https://s/o.csv?X-Amz-Signature=bbbb&X-Amz-Date=2&versionId=4").unwrap();
        assert_eq!(one.shown(), "https://s/o.csv?X-Amz-Signature=***&X-Amz-Date=1&versionId=3");
        assert!(!format!("{one:?}").contains("aaaa"));
        assert_eq!((one.resource() == two.resource(), two.resource() == other.resource()), (true, false));
        assert_ne!(one.id(), two.id());
        // Parameters that only look like a part of a signature count where nothing is signed.
        assert_ne!(url("https://h/?se=1").resource(), url("https://h/?se=2").resource());
    }

    #[test]
    fn the_name_is_what_follows_the_last_slash() {
        for (text, name) in [
            ("https://h/a/data%20x.csv?y=1", Some("data x.csv")),
            ("https://h/", None),
            ("https://h/a/", None),
            ("https://h/a%2Fb", None),
            ("https://h/%2e%2e", None),
            ("https://h/%00", None),
        ] {
            assert_eq!(url(text).file_name().as_deref(), name, "{text}");
        }
    }
}
