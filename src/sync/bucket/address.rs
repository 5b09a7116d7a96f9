//! What a place in a bucket is called.

use std::fmt;

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `s3://`: Amazon's, and all servers that speak its protocol.
    S3,
    /// `gs://`: Google's.
    Gs,
    /// `az://`: a container of Azure.
    Az,
}

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keys {
    /// The environment, then the profile that it names, then the default one.
    #[default]
    Environment,
    /// This profile of the user's files.
    Profile(String),
    /// What the machine in a cloud is given by its surroundings.
    Instance,
    /// None: anybody may read there.
    Nobody,
}

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    /// Whose bucket it is.
    pub service: Service,
    /// Its name.
    pub bucket: String,
    /// What the names of all files begin with, without a slash at its ends; empty for the whole bucket.
    pub prefix: String,
    /// Another server than the service's own.
    pub endpoint: Option<String>,
    /// Where the bucket is.
    pub region: Option<String>,
    /// Where the keys come from.
    pub keys: Keys,
    /// Whether the bucket stands in the path and not in the host; `None` for what suits the server.
    pub path_style: Option<bool>,
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.service {
            Service::S3 => "s3",
            Service::Gs => "gs",
            Service::Az => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl BucketAddress {
    /// Understands what follows `scheme://`.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it is repeated.
    pub(in crate::sync) fn parse(service: Service, rest: &str) -> Result<Self, &'static str> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if bucket.contains(['@', ':']) {
            return Err("keys do not belong in addresses: they come from the environment or from your own files");
        }
        if bucket.is_empty() || bucket.len() > 255 || bucket.starts_with(['-', '.']) || !bucket.bytes().all(is_name) {
            return Err("a bucket has letters, digits and ._-");
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '%', '#']);
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err("its path has empty parts, `.`, `..` or odd characters");
        }
        let mut address = Self {
            service,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            keys: Keys::default(),
            path_style: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            address.option(pair)?;
        }
        Ok(address)
    }

    fn option(&mut self, pair: &str) -> Result<(), &'static str> {
        let (name, value) = pair.split_once('=').ok_or("what follows `?` is NAME=VALUE&...")?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let plain = || (!value.is_empty() && value.bytes().all(is_plain)).then(|| value.to_owned());
        match name {
            "endpoint" => {
                let url = crate::fetch::Url::parse(value).map_err(|_| "its endpoint is no http(s) address")?;
                if url.has_query() {
                    return Err("its endpoint has a query");
                }
                self.endpoint = Some(url.place().trim_end_matches('/').to_owned());
            }
            "region" => self.region = Some(plain().ok_or("its region has odd characters")?),
            "profile" => self.keys = Keys::Profile(plain().ok_or("its profile has odd characters")?),
            "keys" => {
                self.keys = match value {
                    "instance" => Keys::Instance,
                    "none" => Keys::Nobody,
                    _ => return Err("keys are `instance` or `none`; keys themselves do not belong in addresses"),
                }
            }
            "path-style" => {
                self.path_style = Some(match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err("path-style is true or false"),
                });
            }
            _ => return Err("known are endpoint, region, profile, keys and path-style"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_their_options_are_read() {
        let text = "data/team/project/?endpoint=http://127.0.0.1:9000/&region=eu-1&profile=lab&path-style=true";
        let address = BucketAddress::parse(Service::S3, text).unwrap();
        assert_eq!(address.to_string(), "s3://data/team/project");
        assert_eq!(address.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!((address.region.as_deref(), address.path_style), (Some("eu-1"), Some(true)));
        assert_eq!(address.keys, Keys::Profile("lab".to_owned()));
        assert_eq!(BucketAddress::parse(Service::Gs, "data").unwrap().to_string(), "gs://data");
    }

    #[test]
    fn keys_and_tricks_are_refused_without_being_repeated() {
        for bad in [
            "",
            "/x",
            "AKIA:hunter2@data/x",
            "-data/x",
            "data/../x",
            "data//x",
            "data/x?secret=hunter2",
            "data/x?keys=hunter2",
            "data/x?endpoint=file:///x",
            "data/x?endpoint=http://a:hunter2@h",
            "data/x?path-style=maybe",
            "data/x?region",
        ] {
            let err = BucketAddress::parse(Service::S3, bad).unwrap_err();
            assert!(!err.contains("hunter2"), "{err}");
        }
    }
}
