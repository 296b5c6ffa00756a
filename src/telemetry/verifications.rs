//! `clinch_verifications_total{issuer,result}`: what became of requests that brought credentials, by configured issuer.
//!
//! `refused` is the caller's fault and `failed` [ours or the issuer's](Denial::is_ours), so that `failed` over all is what an objective of
//! availability counts. `observed` would have been refused (`mode: observe`). A token that was not found to be genuine counts for the issuer that it names, if that
//! is a configured one: anybody can do that, so `refused` says little of an issuer, but `failed` does. Where no
//! configured issuer is named it is `-`.

use super::Passed;
use crate::pop::Denial;
use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The counters of every issuer, all at zero from the start.
#[derive(Clone, Debug)]
pub(crate) struct Verifications {
    pub(super) family: Family<Labels, Counter>,
    unnamed: Arc<Results>,
    issuers: Arc<ArcSwap<BTreeMap<Arc<str>, Arc<Results>>>>,
}

#[derive(Debug)]
struct Results {
    ok: Counter,
    observed: Counter,
    refused: Counter,
    failed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    issuer: Arc<str>,
    result: &'static str,
}

impl Default for Verifications {
    fn default() -> Verifications {
        let family = Family::default();
        let unnamed = Arc::new(Results::of(&family, &NONE.into()));
        Verifications { family, unnamed, issuers: Arc::default() }
    }
}

impl Verifications {
    /// An issuer of the configuration.
    pub(crate) fn expected(&self, issuer: &str) {
        if issuer == NONE || self.issuers.load().contains_key(issuer) {
            return;
        }
        let issuer: Arc<str> = issuer.into();
        let results = Arc::new(Results::of(&self.family, &issuer));
        self.issuers.rcu(|known| {
            let mut more = BTreeMap::clone(known);
            more.entry(Arc::clone(&issuer)).or_insert_with(|| Arc::clone(&results));
            more
        });
    }

    /// A request with credentials was decided.
    pub(super) fn count(&self, issuer: Option<&str>, verdict: Result<Passed, Denial>) {
        let known = self.issuers.load();
        let results = issuer.and_then(|issuer| known.get(issuer)).unwrap_or(&self.unnamed);
        match verdict {
            Ok(Passed::Observed(_)) => results.observed.inc(),
            Ok(Passed::Request | Passed::Preflight | Passed::Metadata) => results.ok.inc(),
            Err(denial) if denial.is_ours() => results.failed.inc(),
            Err(_) => results.refused.inc(),
        };
    }
}

impl Results {
    fn of(family: &Family<Labels, Counter>, issuer: &Arc<str>) -> Results {
        let counter = |result| family.get_or_create_owned(&Labels { issuer: Arc::clone(issuer), result });
        Results {
            ok: counter("ok"),
            observed: counter("observed"),
            refused: counter("refused"),
            failed: counter("failed"),
        }
    }
}

const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_issuers_have_counters() {
        let verifications = Verifications::default();
        verifications.expected("https://a.example");
        verifications.expected("https://a.example");
        let value = |issuer: &str, result| {
            let labels = Labels { issuer: issuer.into(), result };
            verifications.family.get(&labels).map(|counter| counter.get())
        };
        assert_eq!(value("https://a.example", "failed"), Some(0), "there from the start");
        verifications.count(Some("https://a.example"), Ok(Passed::Request));
        verifications.count(Some("https://a.example"), Err(Denial::ProofReplayed));
        verifications.count(Some("https://a.example"), Err(Denial::KeysUnavailable));
        verifications.count(Some("https://evil.example"), Err(Denial::TokenIssuer));
        verifications.count(None, Err(Denial::TokenMalformed));
        assert_eq!(value("https://a.example", "ok"), Some(1));
        assert_eq!(value("https://a.example", "refused"), Some(1));
        assert_eq!(value("https://a.example", "failed"), Some(1));
        assert_eq!(value("-", "refused"), Some(2));
        assert_eq!(value("https://evil.example", "refused"), None);
    }
}
