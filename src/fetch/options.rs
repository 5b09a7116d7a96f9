//! What requests are bound to.

use std::time::Duration;

/// Limits, times and ways out. The default is what suits data files: large ones over slow lines, no endless waiting.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most bytes that one answer may have.
    pub max_size: u64,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long nothing may come.
    pub idle_timeout: Duration,
    /// How long all of it may take; `None` for as long as something comes.
    pub total_timeout: Option<Duration>,
    /// How many redirects are followed.
    pub max_redirects: u32,
    /// Whether redirects may lead to no other host.
    pub stays_at_host: bool,
    /// Ways out of a closed network.
    pub proxies: Proxies,
    /// Certificates to trust instead of the built-in ones: a PEM file's text.
    pub trusted: Option<Vec<u8>>,
}

/// Proxies, each as the variables of other programs name them (`http://host:port`).
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http`.
    pub http: Option<String>,
    /// For `https`.
    pub https: Option<String>,
    /// Hosts that are asked directly: names, `.domain` for all below it, `*` for all.
    pub direct: Vec<String>,
}

impl Proxies {
    /// What the variables say that other programs know as well; `text` gives one by its name, if it is not empty.
    pub fn of_variables(text: &dyn Fn(&str) -> Option<String>) -> Self {
        let all = || text("all_proxy").or_else(|| text("ALL_PROXY"));
        // Its name in upper case can be set by whoever sends a request to a web server that starts programs.
        let http = text("http_proxy").or_else(all);
        let https = text("https_proxy").or_else(|| text("HTTPS_PROXY")).or_else(all);
        let direct = text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default();
        let hosts = direct.split(',').map(str::trim).filter(|host| !host.is_empty());
        let direct = hosts.flat_map(|host| {
            let below = (!host.starts_with(['.', '*'])).then(|| format!(".{host}"));
            std::iter::once(host.to_owned()).chain(below)
        });
        Self { http, https, direct: direct.collect() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_size: 1 << 40,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            total_timeout: None,
            max_redirects: 10,
            stays_at_host: false,
            proxies: Proxies::default(),
            trusted: None,
        }
    }
}
