//! Where a remote is: a folder, or a command at the other end of ssh.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;
use super::bucket::{BucketAddress, Service};
use crate::fetch::{self, Url};

/// The place of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine or of a network file system.
    Folder(PathBuf),
    /// A path on a host that ssh leads to.
    Ssh(SshAddress),
    /// A folder that a web server gives.
    Web(Url),
    /// A place in a bucket.
    Bucket(BucketAddress),
}

/// A path on a host that ssh leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// Who to be there.
    pub user: Option<String>,
    /// The host, or what ssh's own settings call it.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// The path there; relative ones are seen from where ssh puts one.
    pub path: String,
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.path.starts_with('/') { f.write_str(&self.path) } else { write!(f, "/~/{}", self.path) }
    }
}

/// Bytes of an address at most.
const MOST: usize = 4096;

impl Address {
    /// Understands `text`; relative paths are seen from `from`.
    ///
    /// # Errors
    /// [`Error::BadAddress`] for schemes that are not known, for passwords, and for whatever could be taken for an option.
    pub fn parse(text: &str, from: &Path) -> Result<Self, Error> {
        let shown = redacted(text);
        let bad = |why: &str| Error::BadAddress { url: shown.clone(), why: why.to_owned() };
        if text.is_empty() || text.len() > MOST {
            return Err(bad("it has 1 to 4096 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("control characters are not allowed"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => Ok(Self::Folder(crate::path::normal(Path::new(path)))),
                    _ => Err(bad("a file URL holds an absolute path: file:///PATH")),
                },
                "ssh" => ssh(rest).map(Self::Ssh).map_err(bad),
                "http" | "https" => web(text).map(Self::Web).map_err(|why| bad(&why)),
                "s3" => BucketAddress::parse(Service::S3, rest).map(Self::Bucket).map_err(bad),
                "gs" => BucketAddress::parse(Service::Gs, rest).map(Self::Bucket).map_err(bad),
                "az" => BucketAddress::parse(Service::Az, rest).map(Self::Bucket).map_err(bad),
                _ => Err(bad(
                    "known are paths, file://, ssh://, USER@HOST:PATH, https://, http://, s3://, gs:// and az://",
                )),
            };
        }
        // As Git has it: a colon before the first slash parts a host from a path.
        if let Some((host, path)) = text.split_once(':')
            && !host.contains('/')
        {
            let (user, host) = parted_user(host).map_err(bad)?;
            let host = checked_host(host).map_err(bad)?;
            return Ok(Self::Ssh(SshAddress { user, host, port: None, path: checked_path(path).map_err(bad)? }));
        }
        if text.starts_with('-') {
            return Err(bad("a path does not begin with `-`; write ./ before it"));
        }
        Ok(Self::Folder(crate::path::normal(&from.join(text))))
    }
}

/// An address without what stands where a password would, and without a query's.
pub fn redacted(text: &str) -> String {
    let is_web =
        |place: &str| ["http://", "https://", "s3://", "gs://", "az://"].iter().any(|scheme| place.starts_with(scheme));
    let text = match text.split_once('?') {
        Some((place, _)) if is_web(place) => place,
        _ => text,
    };
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{scheme}://{name}:***@{host}{path}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

fn web(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|err| match err {
        fetch::Error::BadUrl { what, .. } => what,
        fetch::Error::Credentials { what, .. } => format!("it holds credentials ({what})"),
        err => err.to_string(),
    })?;
    if url.has_query() { Err("the address of a folder has no query".to_owned()) } else { Ok(url) }
}

fn ssh(rest: &str) -> Result<SshAddress, &'static str> {
    let (authority, path) = rest.split_once('/').ok_or("an ssh URL names a path: ssh://HOST/PATH")?;
    let (user, host) = parted_user(authority)?;
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("what follows the host is no port")?)),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    let port = port.map(|port| port.parse().map_err(|_| "the port is no number")).transpose()?;
    let path = match path.strip_prefix("~/") {
        Some(path) => checked_path(path)?,
        None => checked_path(&format!("/{path}"))?,
    };
    Ok(SshAddress { user, host: checked_host(host)?, port, path })
}

fn parted_user(authority: &str) -> Result<(Option<String>, &str), &'static str> {
    let Some((user, host)) = authority.rsplit_once('@') else { return Ok((None, authority)) };
    if user.contains(':') {
        return Err("passwords do not belong in addresses; ssh knows keys and agents");
    }
    let is_sound = !user.starts_with('-') && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
    if user.is_empty() || !is_sound {
        return Err("the user has letters, digits and ._+-, and no `-` first");
    }
    Ok((Some(user.to_owned()), host))
}

fn checked_host(host: &str) -> Result<String, &'static str> {
    let is_sound = !host.starts_with('-') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:%".contains(&b));
    if host.is_empty() || host.len() > 255 || !is_sound {
        return Err("a host has letters, digits and ._-, and no `-` first");
    }
    Ok(host.to_owned())
}

fn checked_path(path: &str) -> Result<String, &'static str> {
    if path.is_empty() || path == "/" {
        return Err("the path is missing");
    }
    if path.starts_with('-') {
        return Err("a path does not begin with `-`");
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, Path::new("/here")).map_err(|err| err.to_string())
    }

    fn ssh_of(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> Address {
        let (user, host, path) = (user.map(str::to_owned), host.to_owned(), path.to_owned());
        Address::Ssh(SshAddress { user, host, port, path })
    }

    #[test]
    fn folders_and_hosts_are_told_apart() {
        assert_eq!(parse("/a/b").unwrap(), Address::Folder("/a/b".into()));
        assert_eq!(parse("../b").unwrap(), Address::Folder("/b".into()));
        assert_eq!(parse("./a:b").unwrap(), Address::Folder("/here/a:b".into()));
        assert_eq!(parse("file:///a/../b").unwrap(), Address::Folder("/b".into()));
        assert_eq!(parse("host:path").unwrap(), ssh_of(None, "host", None, "path"));
        assert_eq!(parse("ann@host:/p").unwrap(), ssh_of(Some("ann"), "host", None, "/p"));
        assert_eq!(parse("ssh://ann@host:22/p/q").unwrap(), ssh_of(Some("ann"), "host", Some(22), "/p/q"));
        assert_eq!(parse("ssh://[::1]:22/p").unwrap(), ssh_of(None, "::1", Some(22), "/p"));
        assert_eq!(parse("ssh://host/~/p").unwrap(), ssh_of(None, "host", None, "p"));
    }

    #[test]
    fn nothing_can_pose_as_an_option_or_hold_a_secret() {
        for bad in [
            "-oProxyCommand=x:path",
            "ssh://-oProxyCommand=x/path",
            "ssh://-l@host/path",
            "-l@host:path",
            "host:-path",
            "host:",
            "ssh://host",
            "ssh://host/",
            "ssh://ann:secret@host/p",
            "ssh://host:x/p",
            "ssh://ho st/p",
            "ssh://host;rm/p",
            "ssh://$(x)/p",
            "https://ann:secret@host/p",
            "https://host/p?token=secret",
            "https://host/p?x=y",
            "ftp://host/p",
            "file://host/p",
            "a\nb",
            "-x",
            "",
        ] {
            let err = parse(bad).unwrap_err();
            assert!(!err.contains("secret"), "{err}");
        }
    }

    #[test]
    fn addresses_survive_being_shown() {
        for text in ["ssh://ann@host:22/p/q", "ssh://host/~/p"] {
            let Address::Ssh(address) = parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(redacted("ssh://ann:secret@host/p"), "ssh://ann:***@host/p");
    }
}
