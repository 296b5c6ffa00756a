//! `revocation.feed` of `kind: redis`.

use super::needed;
use crate::config::checks::upstream::is_loopback;
use crate::config::checks::{Checks, pem};
use crate::config::file::Feed as Written;
use crate::config::words::quoted;
use crate::config::{Redis, RedisAddress};
use rustls::pki_types::CertificateDer;

/// The stream; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Redis> {
    let address = needed(c, "redis", "url", &written.url).and_then(|url| address(c, url));
    let stream = needed(c, "redis", "stream", &written.stream).and_then(|key| stream(c, key));
    let ca = match &written.ca {
        Some(file) => anchors(c, file, address.as_ref()),
        None => Some(Vec::new()),
    };
    Some(Redis { address: address?, ca: ca?, stream: stream? })
}

fn address(c: &mut Checks<'_>, written: &str) -> Option<RedisAddress> {
    let Some(address) = RedisAddress::parse(written) else {
        c.fault(URL, "this is not the URL of a Redis")
            .found(quoted(written))
            .expected("rediss://USER:PASSWORD@HOST:PORT/DB, rediss+sentinel://HOST:PORT,HOST:PORT/MASTER or rediss+cluster://HOST:PORT,HOST:PORT");
        return None;
    };
    if !address.is_encrypted() && !address.servers().iter().all(|server| is_loopback(server.host())) {
        c.warn(URL, "revocations, and a password, cross the network in clear: use rediss://");
    }
    Some(address)
}

fn stream(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let sound = !written.is_empty() && written.len() <= 512 && !written.contains(char::is_control);
    if !sound {
        c.fault("revocation.feed.stream", "this is not the key of a stream")
            .found(quoted(written))
            .expected("a key such as clinch:revocations");
    }
    sound.then(|| written.to_owned())
}

fn anchors(
    c: &mut Checks<'_>,
    file: &str,
    address: Option<&RedisAddress>,
) -> Option<Vec<CertificateDer<'static>>> {
    if !address?.is_encrypted() {
        c.fault("revocation.feed.ca", "trust anchors mean nothing without TLS")
            .expected("a url that begins with rediss");
        return None;
    }
    pem::certificates(c, "revocation.feed.ca", file)
}

const URL: &str = "revocation.feed.url";
