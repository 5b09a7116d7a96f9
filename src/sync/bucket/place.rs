//! A bucket as a place of a store. The only user of `object_store`, and of the runtime that it needs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, WriteMultipart,
};
use tokio::runtime::{Builder, Runtime};

use super::address::{BucketAddress, Keys, Service};
use super::profile;
use super::remembered::Remembered;
use crate::fs::Fs;
use crate::store::backend::{Queued, ReadAt, Staged};
use crate::store::{Ahead, Backend, BackendError, Folder, Outcome, Parts};
use crate::sync::place::Means;

/// Bytes of the end of a file that come when it is opened.
const TAIL: u64 = 64 << 10;

/// Bytes of a part of a file that is written or read in parts, several at once.
const PART: usize = 8 << 20;

/// Parts that are under way at once.
const AT_ONCE: usize = 4;

/// How often is tried to find out what became of a write.
const ATTEMPTS: u32 = 5;

/// The first pause between two attempts; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);

type Failed = object_store::Error;

/// A bucket. Clones are the same place.
#[derive(Debug, Clone)]
struct Bucket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Before the runtime, so that it goes first.
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
    address: BucketAddress,
    fs: Fs,
    cache: Option<PathBuf>,
    remembered: Mutex<Remembered>,
    /// As it was loaded.
    before: Remembered,
    /// What the last listing of the log said of each entry.
    listed: Mutex<BTreeMap<String, String>>,
    lost: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place at `address`; nothing is asked of it yet.
///
/// # Errors
/// When there are no keys, or what is said of the server can't be used.
pub(in crate::sync) fn connect(
    address: &BucketAddress,
    fs: &Fs,
    means: &Means,
) -> Result<Arc<dyn Backend>, BackendError> {
    let failed = |source: io::Error| BackendError::Io { action: "reach", file: address.to_string(), source };
    let (store, server) = client(address, means).map_err(failed)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let cache = means.cache.clone();
    let remembered = Remembered::load(fs, cache.as_deref(), &format!("{server} {address}"));
    let shared = Shared {
        store,
        runtime,
        address: address.clone(),
        fs: fs.clone(),
        cache,
        before: remembered.clone(),
        remembered: Mutex::new(remembered),
        listed: Mutex::default(),
        lost: Mutex::default(),
    };
    Ok(Arc::new(Bucket { shared: Arc::new(shared) }))
}

fn other(err: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(err)
}

fn client(address: &BucketAddress, means: &Means) -> io::Result<(Arc<dyn ObjectStore>, String)> {
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: PAUSE, max_backoff: Duration::from_secs(10), base: 2. },
        max_retries: 6,
        retry_timeout: Duration::from_secs(120),
    };
    let is_plain = address.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let options = |allows_http: bool| {
        ClientOptions::new()
            .with_allow_http(allows_http)
            .with_connect_timeout(Duration::from_secs(15))
            .with_timeout(Duration::from_secs(300))
    };
    let variables = || means.variables.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    match address.service {
        Service::S3 => s3(address, means, retry, &options),
        Service::Gs => {
            let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(&address.bucket);
            for (name, value) in variables() {
                if let Ok(key) = name.parse::<GoogleConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if address.keys == Keys::Nobody {
                builder = builder.with_skip_signature(true);
            }
            let built = builder.with_retry(retry).with_client_options(options(is_plain)).build();
            Ok((Arc::new(built.map_err(other)?), "gs".to_owned()))
        }
        Service::Az => {
            let mut builder = MicrosoftAzureBuilder::new().with_container_name(&address.bucket);
            for (name, value) in variables() {
                if let Ok(key) = name.parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(endpoint) = &address.endpoint {
                builder = builder.with_endpoint(endpoint.clone());
            }
            if address.keys == Keys::Nobody {
                builder = builder.with_skip_signature(true);
            }
            let built = builder.with_retry(retry).with_client_options(options(is_plain)).build();
            Ok((Arc::new(built.map_err(other)?), "az".to_owned()))
        }
    }
}

fn s3(
    address: &BucketAddress,
    means: &Means,
    retry: RetryConfig,
    options: &dyn Fn(bool) -> ClientOptions,
) -> io::Result<(Arc<dyn ObjectStore>, String)> {
    let variable = |name: &str| means.variables.get(name);
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &means.variables.0 {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let named = match &address.keys {
        Keys::Profile(name) => Some(name.as_str()),
        _ => variable("AWS_PROFILE"),
    };
    let found = profile::read(&means.profiles.0, named.unwrap_or("default"));
    if let (None, Some(name)) = (&found, named) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("none of your files knows the profile `{name}`")));
    }
    let found = found.unwrap_or_default();
    let of_profile = |name: &str| found.get(name).map(String::as_str);
    // A profile that is named in the address holds, else the environment's own keys come first.
    let is_of_environment = variable("AWS_ACCESS_KEY_ID").is_some() && !matches!(address.keys, Keys::Profile(_));
    let mut has_keys = is_of_environment
        || variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        || variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some()
        || variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").is_some();
    if !is_of_environment
        && let (Some(id), Some(secret)) = (of_profile("aws_access_key_id"), of_profile("aws_secret_access_key"))
    {
        has_keys = true;
        builder = builder
            .with_config(AmazonS3ConfigKey::AccessKeyId, id)
            .with_config(AmazonS3ConfigKey::SecretAccessKey, secret);
        if let Some(token) = of_profile("aws_session_token") {
            builder = builder.with_config(AmazonS3ConfigKey::Token, token);
        }
    }
    match address.keys {
        Keys::Nobody => builder = builder.with_skip_signature(true),
        Keys::Instance => {}
        // The surroundings of a machine are asked only if somebody says so: elsewhere nobody answers for a long time.
        _ if !has_keys => return Err(io::Error::new(io::ErrorKind::PermissionDenied, "there are no keys for it")),
        _ => {}
    }
    let region = address.region.as_deref().or(variable("AWS_REGION")).or(variable("AWS_DEFAULT_REGION"));
    let region = region.or(of_profile("region")).unwrap_or("us-east-1");
    let endpoint = address.endpoint.as_deref().or(variable("AWS_ENDPOINT_URL_S3")).or(variable("AWS_ENDPOINT_URL"));
    let endpoint = endpoint.or(of_profile("endpoint_url")).map(|endpoint| endpoint.trim_end_matches('/'));
    let in_path = address.path_style.unwrap_or(endpoint.is_some());
    if let Some(endpoint) = endpoint {
        let whole = match endpoint.split_once("://") {
            Some((scheme, host)) if !in_path => format!("{scheme}://{}.{host}", address.bucket),
            _ => endpoint.to_owned(),
        };
        builder = builder.with_endpoint(whole);
    }
    let allows_http = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let built = builder
        .with_bucket_name(&address.bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(!in_path)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry)
        .with_client_options(options(allows_http))
        .build();
    Ok((Arc::new(built.map_err(other)?), endpoint.unwrap_or(region).to_owned()))
}

/// What an error says, with all its causes, on one line.
fn words(err: &Failed) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        let more = err.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = err.source();
    }
    let line: Vec<&str> = text.split_whitespace().collect();
    crate::path::shown(line.join(" ").chars().take(600).collect::<String>().as_bytes())
}

/// Whether the server refuses, and will go on refusing.
fn is_refusal(err: &Failed) -> bool {
    matches!(
        err,
        Failed::PermissionDenied { .. }
            | Failed::Unauthenticated { .. }
            | Failed::NotImplemented { .. }
            | Failed::NotSupported { .. }
            | Failed::InvalidPath { .. }
    )
}

impl Shared {
    fn place(&self) -> String {
        self.address.to_string()
    }

    fn key(&self, file: &str) -> Key {
        if self.address.prefix.is_empty() {
            Key::from(file)
        } else {
            Key::from(format!("{}/{file}", self.address.prefix))
        }
    }

    fn wait<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    /// An error as the system would say it: nothing that a server refuses or a network loses says anything about a file.
    fn plain(&self, err: &Failed) -> io::Error {
        let said = words(err);
        locked(&self.lost).get_or_insert_with(|| said.clone());
        io::Error::new(io::ErrorKind::ConnectionAborted, said)
    }

    fn failed(&self, action: &'static str, file: &str, err: &Failed) -> BackendError {
        BackendError::Io { action, file: format!("{}/{file}", self.place()), source: self.plain(err) }
    }

    /// Bytes of a file with the size of the whole; `None` if there is none.
    fn get(&self, file: &str, range: Option<GetRange>) -> Result<Option<(u64, Vec<u8>)>, Failed> {
        let key = self.key(file);
        let asked = |range| async {
            let found = self.store.get_opts(&key, GetOptions { range, ..GetOptions::default() }).await?;
            let size = found.meta.size;
            Ok((size, found.bytes().await?.to_vec()))
        };
        match again(|| self.wait(asked(range.clone()))) {
            Err(Failed::NotFound { .. }) => Ok(None),
            // Some servers know no end without a beginning.
            Err(Failed::NotSupported { .. }) if matches!(range, Some(GetRange::Suffix(_))) => {
                let size = match again(|| self.wait(self.store.head(&key))) {
                    Err(Failed::NotFound { .. }) => return Ok(None),
                    head => head?.size,
                };
                let from = size.saturating_sub(TAIL);
                let range = (from < size).then_some(GetRange::Bounded(from..size));
                again(|| self.wait(asked(range.clone()))).map(Some)
            }
            got => got.map(Some),
        }
    }

    /// Whether these bytes lie under the name: `None` if nothing does.
    fn is_there(&self, file: &str, bytes: &[u8]) -> Result<Option<bool>, Failed> {
        let found = self.get(file, Some(GetRange::Suffix(TAIL)))?;
        Ok(found.map(|(size, tail)| size == bytes.len() as u64 && bytes.ends_with(&tail)))
    }

    /// Creates a file unless there is one. What became of a write whose answer got lost is found out by reading.
    fn create(&self, file: &str, bytes: &[u8]) -> Result<Outcome, Failed> {
        let key = self.key(file);
        let payload = PutPayload::from(bytes.to_vec());
        let mut pause = PAUSE;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(pause);
                pause *= 2;
            }
            let put = if bytes.len() <= 2 * PART {
                let options = PutOptions::from(PutMode::Create);
                self.wait(self.store.put_opts(&key, payload.clone(), options)).map(drop)
            } else {
                match self.is_there(file, bytes) {
                    Ok(Some(true)) => return Ok(Outcome::Won),
                    Ok(Some(false)) => return Ok(Outcome::Lost),
                    Ok(None) => self.wait(self.in_parts(&key, bytes)),
                    Err(err) => Err(err),
                }
            };
            let err = match put {
                Ok(()) => return Ok(Outcome::Won),
                Err(err) if is_refusal(&err) => return Err(err),
                Err(err) => err,
            };
            match (self.is_there(file, bytes), attempt) {
                (Ok(Some(true)), _) => return Ok(Outcome::Won),
                (Ok(Some(false)), _) => return Ok(Outcome::Lost),
                (_, last) if last + 1 == ATTEMPTS => drop(self.plain(&err)),
                _ => {}
            }
        }
        Ok(Outcome::Unknown)
    }

    /// Writes a large file in parts, several at once. Only for names that nobody else can have.
    async fn in_parts(&self, key: &Key, bytes: &[u8]) -> Result<(), Failed> {
        let mut upload = WriteMultipart::new_with_chunk_size(self.store.put_multipart(key).await?, PART);
        for part in bytes.chunks(PART) {
            upload.wait_for_capacity(AT_ONCE).await?;
            upload.write(part);
        }
        upload.finish().await.map(drop)
    }

    /// Makes sure, once for each place, that the server creates files only where there are none.
    fn prove(&self) -> Result<(), BackendError> {
        if locked(&self.remembered).creates {
            return Ok(());
        }
        let mut random = [0; 16];
        crate::clock::Random::fill(&crate::clock::SystemRandom, &mut random);
        let file = format!("{}/probe-{}", Folder::Tmp, crate::hash::hex(&random));
        let key = self.key(&file);
        let refused = |err: &Failed| match err {
            Failed::NotImplemented { .. } | Failed::NotSupported { .. } => {
                BackendError::NoAtomicCreate { place: self.place() }
            }
            err if is_refusal(err) => BackendError::ReadOnly { place: self.place(), source: other(words(err)) },
            err => self.failed("write", &file, err),
        };
        let first = self.create(&file, b"first").map_err(|err| refused(&err))?;
        let options = PutOptions::from(PutMode::Create);
        let second = self.wait(self.store.put_opts(&key, PutPayload::from_static(b"second"), options));
        let kept = self.get(&file, None);
        let _ = self.wait(self.store.delete(&key));
        let is_kept = matches!(&kept, Ok(Some((_, bytes))) if bytes == b"first");
        match second {
            Err(Failed::AlreadyExists { .. }) if first == Outcome::Won && is_kept => {
                locked(&self.remembered).creates = true;
                Ok(())
            }
            Ok(_) | Err(Failed::NotImplemented { .. } | Failed::AlreadyExists { .. }) => {
                Err(BackendError::NoAtomicCreate { place: self.place() })
            }
            Err(err) => Err(refused(&err)),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let now = locked(&self.remembered);
        if let Some(cache) = self.cache.as_ref().filter(|_| *now != self.before) {
            now.save(&self.fs, cache);
        }
    }
}

#[derive(Debug)]
struct BucketFile {
    shared: Arc<Shared>,
    file: String,
}

impl Parts for BucketFile {
    fn part(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let (shared, key) = (&self.shared, self.shared.key(&self.file));
        let mut asked = Vec::new();
        let mut at = offset;
        while at < offset + len {
            let end = (at + PART as u64 / 4).min(offset + len);
            let (store, key, range) = (Arc::clone(&shared.store), key.clone(), at..end);
            asked.push((range.clone(), shared.runtime.spawn(async move { store.get_range(&key, range).await })));
            at = end;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        for part in asked {
            let (range, part) = part;
            let part = match shared.wait(part).map_err(io::Error::other)? {
                Err(_) => again(|| shared.wait(shared.store.get_range(&key, range.clone()))),
                part => part,
            };
            bytes.extend_from_slice(&part.map_err(|err| shared.plain(&err))?);
        }
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(other("it answers with another number of bytes")) }
    }
}

#[derive(Debug)]
struct BucketStaged {
    shared: Arc<Shared>,
    bytes: Vec<u8>,
}

impl Write for BucketStaged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for BucketStaged {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn publish(self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError> {
        self.shared.prove()?;
        let file = format!("{folder}/{name}");
        self.shared
            .create(&file, &self.bytes)
            .map_err(|err| BackendError::ReadOnly { place: self.shared.place(), source: other(words(&err)) })
    }
}

impl Backend for Bucket {
    fn place(&self) -> String {
        self.shared.place()
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        Ok(self.list(folder)?.into_iter().map(|(name, _)| name).collect())
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let shared = &self.shared;
        let key = shared.key(folder.as_str());
        let listed = again(|| shared.wait(shared.store.list_with_delimiter(Some(&key))));
        let listed = listed.map_err(|err| shared.failed("list", folder.as_str(), &err))?;
        let mut said = BTreeMap::new();
        let mut found = Vec::new();
        for meta in listed.objects {
            let Some(name) = meta.location.filename() else { continue };
            if let (Folder::Log, Some(tag)) = (folder, &meta.e_tag) {
                said.insert(name.to_owned(), format!("{tag} {} {}", meta.size, meta.last_modified.timestamp_micros()));
            }
            found.push((name.to_owned(), meta.size));
        }
        if folder == Folder::Log {
            // An entry is remembered as long as the server says of its name what it said of it.
            locked(&shared.remembered).entries.retain(|name, (tag, _)| said.get(name) == Some(tag));
            *locked(&shared.listed) = said;
        }
        Ok(found)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        let shared = &self.shared;
        let tag = if folder == Folder::Log { locked(&shared.listed).get(name).cloned() } else { None };
        if let (Some(tag), Some((known, bytes))) = (&tag, locked(&shared.remembered).entries.get(name))
            && known == tag
        {
            return Ok(Some(bytes.to_vec()));
        }
        let file = format!("{folder}/{name}");
        let found = shared.get(&file, None).map_err(|err| shared.failed("read", &file, &err))?;
        if let (Some(tag), Some((_, bytes))) = (tag, &found) {
            locked(&shared.remembered).entries.insert(name.to_owned(), (tag, bytes.as_slice().into()));
        }
        Ok(found.map(|(_, bytes)| bytes))
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        let shared = &self.shared;
        let file = format!("{folder}/{name}");
        let found =
            shared.get(&file, Some(GetRange::Suffix(TAIL))).map_err(|err| shared.failed("open", &file, &err))?;
        Ok(found.map(|(size, tail)| {
            let file = BucketFile { shared: Arc::clone(shared), file };
            Box::new(Ahead::new(file, size, tail)) as Box<dyn ReadAt>
        }))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Ok(Box::new(BucketStaged { shared: Arc::clone(&self.shared), bytes: Vec::new() }))
    }

    fn sync(&self, _folder: Folder) -> Result<(), BackendError> {
        Ok(())
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        let shared = &self.shared;
        let file = format!("{folder}/{name}");
        match shared.wait(shared.store.delete(&shared.key(&file))) {
            Ok(()) | Err(Failed::NotFound { .. }) => Ok(()),
            Err(err) => Err(shared.failed("remove", &file, &err)),
        }
    }

    fn prepare(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let found = self.shared.get("format", None).map_err(|err| self.shared.failed("read", "format", &err))?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        let source = io::Error::new(io::ErrorKind::Unsupported, "a bucket's store can't be repaired in its place");
        Err(BackendError::Io { action: "set aside", file: format!("{}/format", self.place()), source })
    }

    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError> {
        self.shared.prove()?;
        self.shared.create("format", bytes).map_err(|err| self.shared.failed("create", "format", &err))
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn lost(&self) -> Option<String> {
        locked(&self.shared.lost).clone()
    }
}

/// Reads once more what broke off on the way. What a server answers with an error was tried again already.
fn again<T>(ask: impl Fn() -> Result<T, Failed>) -> Result<T, Failed> {
    let mut pause = PAUSE;
    for _ in 0..2 {
        match ask() {
            Err(Failed::Generic { .. }) => std::thread::sleep(pause),
            done => return done,
        }
        pause *= 2;
    }
    ask()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the server is named by whoever runs the tests")]
mod tests {
    use super::*;

    /// An empty place on the S3 server that `PROV_TEST_S3` names, in the bucket `prov-tests`.
    fn empty() -> Arc<dyn Backend> {
        let endpoint = std::env::var("PROV_TEST_S3").unwrap();
        let mut random = [0; 8];
        crate::clock::Random::fill(&crate::clock::SystemRandom, &mut random);
        let text = format!("prov-tests/{}?endpoint={endpoint}", crate::hash::hex(&random));
        let address = BucketAddress::parse(Service::S3, &text).unwrap();
        let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let means = Means { variables: crate::sync::Variables(keys.to_vec()), ..Means::default() };
        connect(&address, &Fs::real(), &means).unwrap()
    }

    #[test]
    fn a_bucket_does_what_every_place_must() {
        let Ok(endpoint) = std::env::var("PROV_TEST_S3") else {
            println!("not run: PROV_TEST_S3 names no server");
            return;
        };
        // The bucket itself is not prov's to make.
        let host = endpoint.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let text =
            format!("PUT /prov-tests HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
        crate::store::tests::contract::over(empty);
    }
}
