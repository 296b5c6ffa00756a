//! `dpop`: how old a proof may be, by which algorithms it is signed, and whose nonce it carries (RFC 9449).

use super::{Checks, algorithms, pem};
use crate::config::file::{Dpop, Nonce, NonceMode};
use crate::config::{NonceSecret, Nonces};
use crate::pop::nonce::Keys;
use crate::pop::policy::DpopPolicy;
use crate::pop::sha256;
use std::time::Duration;

/// RFC 9449 section 11.1: the window is seconds or minutes (DPOP-14, DPOP-15).
pub(super) fn check(c: &mut Checks<'_>, written: &Dpop) -> Option<DpopPolicy> {
    let max_age = c.within("dpop.max_age", written.max_age, Duration::from_secs(1), LONGEST_PROOF);
    let algorithms = algorithms::check(c, "dpop.algorithms", &written.algorithms);
    let max_future = c.within("dpop.max_future", written.max_future, Duration::ZERO, FARTHEST_FUTURE);
    if max_future.is_some_and(|far| far > written.max_age.0) && !c.is_unsound("dpop.max_age") {
        let path = "dpop.max_future";
        c.fault(path, "proofs from the future would be accepted for longer than others")
            .found(written.max_future.to_string())
            .expected(format!("at most `dpop.max_age`, {}", written.max_age));
        return None;
    }
    Some(DpopPolicy { algorithms: algorithms?, max_age: max_age?, max_future: max_future? })
}

/// RFC 9449 section 8.
pub(super) fn nonces(c: &mut Checks<'_>, written: &Nonce) -> Option<Nonces> {
    let (least, most) = (Duration::from_secs(10), Duration::from_secs(3600));
    let lifetime = c.within("dpop.nonce.lifetime", written.lifetime, least, most);
    let required = written.mode == NonceMode::Required;
    let secret = match &written.secret_file {
        Some(_) if !required => {
            c.warn(SECRET_FILE, "nobody needs a nonce (`mode: off`): this secret is not used");
            None
        }
        Some(file) => Some(secret(c, file)?),
        None => None,
    };
    Some(Nonces { required, lifetime: lifetime?, secret })
}

fn secret(c: &mut Checks<'_>, written: &str) -> Option<NonceSecret> {
    let bytes = pem::read(c, SECRET_FILE, written)?;
    pem::warn_if_open_to_all(c, SECRET_FILE, written);
    let read = std::str::from_utf8(&bytes).map_err(|_| "this file is not text").and_then(Keys::read);
    match read {
        Ok(keys) => Some(NonceSecret { file: c.resolve(written), keys, digest: sha256::of(&bytes) }),
        Err(why) => {
            c.fault(SECRET_FILE, why)
                .expected("one to four secrets, one a line, such as `openssl rand -hex 32` makes");
            None
        }
    }
}

const SECRET_FILE: &str = "dpop.nonce.secret_file";
/// FAPI 2.0 section 5.3.2.1: a clock that is wrong by more is broken (FAPI-08).
const FARTHEST_FUTURE: Duration = Duration::from_secs(60);
/// A proof that is older than this is not fresh by anyone's measure.
const LONGEST_PROOF: Duration = Duration::from_secs(600);
