//! `identity.assertion`: what signs it, and whom it is for.

use crate::config::Assertion;
use crate::config::checks::{Checks, pem};
use crate::config::file::Assertion as Written;
use crate::config::words::quoted;
use crate::pop::assertion::Keys;
use std::sync::Arc;
use std::time::Duration;

/// The assertion, if it is sent.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Assertion> {
    let lifetime = c.within("identity.assertion.lifetime", written.lifetime, SHORTEST, LONGEST);
    if !written.enabled {
        if written.key_file.is_some() && !c.is_unsound("identity.assertion.enabled") {
            c.warn(KEY_FILE, "no assertion is sent (`enabled: false`): this key is not used");
        }
        return None;
    }
    let audience = written.audience.as_deref().filter(|audience| !audience.trim().is_empty());
    if audience.is_none() && !c.is_unsound(AUDIENCE) {
        c.fault(AUDIENCE, "an assertion is sent, and this does not say to whom")
            .found(written.audience.as_deref().map_or("no `audience`".to_owned(), quoted))
            .expected("a name of the service that no other service accepts, such as accounts.internal");
    }
    if written.key_file.is_none() && !c.is_unsound(KEY_FILE) {
        c.fault(KEY_FILE, "an assertion is sent, and nothing signs it")
            .found("no `key_file`")
            .expected(MAKES_ONE);
    }
    let keys = keys(c, written.key_file.as_deref()?)?;
    Some(Assertion { keys: Arc::new(keys), lifetime: lifetime?, audience: audience?.to_owned() })
}

fn keys(c: &mut Checks<'_>, written: &str) -> Option<Keys> {
    let bytes = pem::read(c, KEY_FILE, written)?;
    pem::warn_if_open_to_all(c, KEY_FILE, written);
    match Keys::read(&bytes) {
        Ok(keys) => Some(keys),
        Err(why) => {
            c.fault(KEY_FILE, why).found(pem::contents(&bytes)).expected(MAKES_ONE);
            None
        }
    }
}

const KEY_FILE: &str = "identity.assertion.key_file";
const AUDIENCE: &str = "identity.assertion.audience";
const MAKES_ONE: &str = "one to four P-256 keys in PEM, such as `openssl genpkey -algorithm EC -pkeyopt \
                         ec_paramgen_curve:P-256` makes";
/// Less would be over before a slow service has looked.
const SHORTEST: Duration = Duration::from_secs(10);
/// It says who calls now.
const LONGEST: Duration = Duration::from_secs(600);
