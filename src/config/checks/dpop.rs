//! `dpop`: how old a proof may be, and by which algorithms it is signed (RFC 9449).

use super::{Checks, algorithms};
use crate::config::file::Dpop;
use crate::pop::policy::DpopPolicy;
use std::time::Duration;

/// RFC 9449 section 11.1: the window is seconds or minutes.
pub(super) fn check(c: &mut Checks<'_>, written: &Dpop) -> Option<DpopPolicy> {
    let max_age = c.within("dpop.max_age", written.max_age, Duration::from_secs(1), LONGEST_PROOF);
    let algorithms = algorithms::check(c, "dpop.algorithms", &written.algorithms);
    let max_future = written.max_future.0;
    if max_future > written.max_age.0 && !c.is_unsound("dpop.max_age") {
        let path = "dpop.max_future";
        c.fault(path, "proofs from the future would be accepted for longer than others")
            .found(written.max_future.to_string())
            .expected(format!("at most `dpop.max_age`, {}", written.max_age));
        return None;
    }
    Some(DpopPolicy { algorithms: algorithms?, max_age: max_age?, max_future })
}

/// A proof that is older than this is not fresh by anyone's measure.
const LONGEST_PROOF: Duration = Duration::from_secs(600);
