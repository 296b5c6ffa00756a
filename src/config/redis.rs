//! Where a Redis stream of revocations is: one server, a master that Sentinels know, or a node of a cluster.
//!
//! Decides what URLs are understood, for the configuration and for command lines. Nothing in one is ignored: no
//! query, no fragment (`#insecure` would end the checks of TLS), and a user only with a password.

use super::secrecy::without_passwords;
use http::uri::Authority;
use rustls::pki_types::CertificateDer;
use std::fmt;

/// A Redis stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub address: RedisAddress,
    /// The trust anchors for its TLS; the system's if there are none here.
    pub ca: Vec<CertificateDer<'static>>,
    /// Its key.
    pub stream: String,
}

/// A Redis, as a URL names it; its Debug shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    tls: bool,
    /// `user:password@` as written, or nothing.
    login: String,
    servers: Vec<Authority>,
    kind: RedisKind,
}

/// What stands at the addresses of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisKind {
    /// `redis://`: the one server, with the number of its database or nothing.
    Single(String),
    /// `redis+sentinel://`: Sentinels, which know the master of this name.
    Sentinel(String),
    /// `redis+cluster://`: nodes of a cluster, each of which knows who has the stream.
    Cluster,
}

impl RedisAddress {
    /// Reads `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `redis+sentinel://[…@]HOST[:PORT],…/MASTER` or
    /// `redis+cluster://[…@]HOST[:PORT],…`, and the same with `rediss` for TLS. `None` if it is none of these.
    pub fn parse(url: &str) -> Option<RedisAddress> {
        let (scheme, rest) = url.split_once("://")?;
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match hosts.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), hosts),
        };
        let (base, suffix) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        let (kind, port) = match suffix {
            "" if is_database(path) => (RedisKind::Single(path.to_owned()), 6379),
            "sentinel" if is_master_name(path) => (RedisKind::Sentinel(path.to_owned()), 26379),
            "cluster" if path.is_empty() => (RedisKind::Cluster, 6379),
            _ => return None,
        };
        let servers: Option<Vec<Authority>> = hosts.split(',').map(|host| server(host, port)).collect();
        let servers = servers.filter(|all| all.len() == 1 || !matches!(kind, RedisKind::Single(_)))?;
        let address = RedisAddress { tls, login, servers, kind };
        address.login_is_sound().then_some(address)
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// What stands there.
    pub fn kind(&self) -> &RedisKind {
        &self.kind
    }

    /// Where to begin: each with its port.
    pub fn servers(&self) -> &[Authority] {
        &self.servers
    }

    /// The URL of one server, with the login. `server` is one of [`RedisAddress::servers`], or where they point to.
    pub fn url(&self, server: &Authority) -> String {
        let database = match &self.kind {
            RedisKind::Single(database) => database,
            RedisKind::Sentinel(_) | RedisKind::Cluster => "",
        };
        format!("{}://{}{server}/{database}", self.scheme(), self.login)
    }

    /// The same without the login, for a Sentinel that has none.
    pub fn url_without_login(&self, server: &Authority) -> String {
        format!("{}://{server}/", self.scheme())
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "rediss" } else { "redis" }
    }

    /// A user without a password would be refused for want of one; other characters want percent-encoding.
    fn login_is_sound(&self) -> bool {
        self.login.is_empty()
            || (self.login.contains(':') && format!("{}h", self.login).parse::<Authority>().is_ok())
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<&str> = self.servers.iter().map(Authority::as_str).collect();
        let url = format!("{}://{}{}", self.scheme(), self.login, servers.join(","));
        f.debug_struct("RedisAddress")
            .field("url", &without_passwords(&url))
            .field("kind", &self.kind)
            .finish()
    }
}

/// A server and its port.
pub(super) fn server(written: &str, port: u16) -> Option<Authority> {
    let authority: Authority = written.parse().ok()?;
    let (_, rest) = authority.as_str().rsplit_once(authority.host())?;
    match (authority.host(), rest, authority.port_u16()) {
        ("", ..) | (.., Some(0)) => None,
        (host, "", _) => format!("{host}:{port}").parse().ok(),
        (.., Some(_)) => Some(authority),
        (.., None) => None,
    }
}

fn is_database(path: &str) -> bool {
    path.len() < 5 && path.bytes().all(|b| b.is_ascii_digit())
}

fn is_master_name(path: &str) -> bool {
    !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn urls(url: &str) -> Vec<String> {
        let address = RedisAddress::parse(url).unwrap();
        address.servers().iter().map(|server| address.url(server)).collect()
    }

    #[test]
    fn each_form_is_read() {
        assert_eq!(urls("redis://127.0.0.1"), ["redis://127.0.0.1:6379/"]);
        assert_eq!(urls("rediss://u:p%40@h:7000/3"), ["rediss://u:p%40@h:7000/3"]);
        assert_eq!(urls("redis://:p@[::1]:1/"), ["redis://:p@[::1]:1/"]);
        assert_eq!(urls("redis+sentinel://u:p@a,b:7/m.1"), ["redis://u:p@a:26379/", "redis://u:p@b:7/"]);
        assert_eq!(urls("rediss+cluster://a,[::1]"), ["rediss://a:6379/", "rediss://[::1]:6379/"]);
        let address = RedisAddress::parse("rediss+sentinel://u:p@a/m").unwrap();
        assert_eq!(address.url_without_login(&address.servers()[0]), "rediss://a:26379/");
        assert_eq!((address.kind(), address.is_encrypted()), (&RedisKind::Sentinel("m".to_owned()), true));
    }

    #[test]
    fn what_is_left_in_doubt_is_refused() {
        for url in [
            "127.0.0.1:6379",
            "redis:127.0.0.1",
            "redis://",
            "redis://:0",
            "redis://h:0",
            "redis://h:",
            "redis://h:99999",
            "redis://user@h",
            "redis://@h",
            "redis://u:p w@h",
            "redis://h/db",
            "redis://h/0?protocol=resp3",
            "rediss://h/#insecure",
            "redis://a,b",
            "redis+sentinel://a",
            "redis+sentinel://a/m/1",
            "redis+cluster://a/0",
            "redis+cluster://a,,b",
            "redis+unix://a",
            "valkey://a",
            "nats://a",
        ] {
            assert_eq!(RedisAddress::parse(url), None, "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let address = RedisAddress::parse("rediss+sentinel://u:s3cret@a,b/m").unwrap();
        let shown = format!("{address:?}");
        assert!(!shown.contains("s3cret") && shown.contains("a:26379,b:26379"), "{shown}");
    }
}
