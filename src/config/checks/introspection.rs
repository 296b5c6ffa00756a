//! `issuers[].introspection`: how the issuer is asked about tokens (RFC 7662, RFC 9701).

use super::{Checks, issuers, pem};
use crate::config::file::{IntrospectWhen, Introspection as Written, MissingAudience as WrittenAudience};
use crate::config::tree::member;
use crate::config::words::quoted;
use crate::config::{Introspection, Secret};
use crate::pop::introspection::MissingAudience;
use std::time::Duration;

/// Everything of one issuer, its secret read.
pub(super) fn check(c: &mut Checks<'_>, path: &str, written: &Written) -> Option<Introspection> {
    let at = |key| member(path, key);
    let endpoint = match &written.endpoint {
        Some(uri) => issuers::https(c, &at("endpoint"), uri).map(Some),
        None => Some(None),
    };
    let client_id = written.client_id.as_deref().and_then(|id| client_id(c, &at("client_id"), id));
    let file = written.client_secret_file.as_deref();
    let client_secret = file.and_then(|file| secret(c, &at("client_secret_file"), file));
    let cache = c.within(&at("cache"), written.cache, Duration::ZERO, Duration::from_secs(300));
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(10));
    let timeout = c.within(&at("timeout"), written.timeout, least, most);
    let missing_audience = match written.missing_audience {
        WrittenAudience::Refuse => MissingAudience::Refuse,
        WrittenAudience::Accept => {
            c.warn(
                &at("missing_audience"),
                "a token without an audience is believed to be for you: does the server tell this client of no others?",
            );
            MissingAudience::Accept
        }
    };
    Some(Introspection {
        endpoint: endpoint?,
        client_id: client_id?,
        client_secret: client_secret?,
        always: match written.when {
            IntrospectWhen::Opaque => false,
            IntrospectWhen::Always => true,
        },
        cache: cache?,
        timeout: timeout?,
        signed_answers: written.signed_answers,
        missing_audience,
    })
}

fn client_id(c: &mut Checks<'_>, path: &str, written: &str) -> Option<String> {
    // `client-id = *VSCHAR` (RFC 6749 appendix A.1)
    if !written.is_empty() && written.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Some(written.to_owned());
    }
    c.fault(path, "this is not a client id").found(quoted(written)).expected("printable ASCII");
    None
}

/// The secret without the line end that editors put after it. Nothing of it ever reaches a message.
fn secret(c: &mut Checks<'_>, path: &str, written: &str) -> Option<Secret> {
    let bytes = pem::read(c, path, written)?;
    pem::warn_if_open_to_all(c, path, written);
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    // `client-secret = *VSCHAR` (RFC 6749 appendix A.2)
    let found = match text {
        [] => "an empty file",
        _ if text.len() > LONGEST => "more than 4 KiB",
        _ if !text.iter().all(|byte| matches!(byte, 0x20..=0x7e)) => {
            "other characters than printable ASCII, or more than one line"
        }
        _ => return String::from_utf8(text.to_vec()).ok().map(Secret::new),
    };
    c.fault(path, "there is no client secret in this file").found(found).expected("the secret, on one line");
    None
}

const LONGEST: usize = 4096;
