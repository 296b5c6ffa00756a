//! `clinch_requests_total{route,verdict,reason}`: found by route and reason without building a label.
//!
//! The routes are those of the configuration (a reload may add some), the reasons those of the closed table
//! of denials, so the number of counters is bounded. Each appears when it first counts.

use super::Passed;
use crate::pop::Denial;
use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The counters of every route, and of requests that found none.
#[derive(Debug, Default)]
pub(super) struct Requests {
    family: Family<Labels, Counter>,
    unrouted: Route,
    routes: ArcSwap<BTreeMap<Box<str>, Arc<Route>>>,
}

impl Requests {
    /// What the registry renders.
    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }

    /// Counts one decision.
    pub(super) fn count(&self, route: Option<&str>, verdict: Result<Passed, Denial>) {
        match route {
            None => self.unrouted.count(&self.family, NONE, verdict),
            Some(path) => match self.routes.load().get(path) {
                Some(known) => known.count(&self.family, path, verdict),
                None => self.added(path).count(&self.family, path, verdict),
            },
        }
    }

    #[cold]
    fn added(&self, path: &str) -> Arc<Route> {
        self.routes.rcu(|known| {
            let mut more = BTreeMap::clone(known);
            more.entry(path.into()).or_default();
            more
        });
        self.routes.load().get(path).cloned().unwrap_or_default()
    }
}

/// The counters of one route: of refusals, of grants, and of refusals that were only observed.
#[derive(Debug)]
struct Route([OnceLock<Counter>; REASONS + PASSED + REASONS]);

impl Default for Route {
    fn default() -> Self {
        Route(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl Route {
    fn count(&self, family: &Family<Labels, Counter>, route: &str, verdict: Result<Passed, Denial>) {
        let (index, verdict, reason) = match verdict {
            Ok(Passed::Request) => (REASONS, GRANTED, NONE),
            Ok(Passed::Preflight) => (REASONS + 1, GRANTED, "preflight"),
            Ok(Passed::Metadata) => (REASONS + 2, GRANTED, "metadata"),
            Ok(Passed::Observed(want)) => (REASONS + PASSED + want as usize, "observed", want.reason()),
            Err(denial) => (denial as usize, "refused", denial.reason()),
        };
        let created = || family.get_or_create_owned(&Labels { route: route.into(), verdict, reason });
        self.0[index].get_or_init(created).inc();
    }
}

/// The labels, built once per counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    route: Box<str>,
    verdict: &'static str,
    reason: &'static str,
}

const REASONS: usize = Denial::ALL.len();
/// How many kinds of grants there are.
const PASSED: usize = 3;
const GRANTED: &str = "granted";
const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    fn value(requests: &Requests, route: &str, verdict: &'static str, reason: &'static str) -> u64 {
        requests.family.get_or_create(&Labels { route: route.into(), verdict, reason }).get()
    }

    #[test]
    fn counts_by_route_and_reason() {
        let requests = Requests::default();
        requests.count(Some("/a/{*rest}"), Ok(Passed::Request));
        requests.count(Some("/a/{*rest}"), Ok(Passed::Request));
        requests.count(Some("/a/{*rest}"), Err(Denial::ProofReplayed));
        requests.count(Some("/b"), Ok(Passed::Request));
        requests.count(None, Err(Denial::RouteUnknown));
        assert_eq!(value(&requests, "/a/{*rest}", "granted", "-"), 2);
        assert_eq!(value(&requests, "/a/{*rest}", "refused", "proof_replayed"), 1);
        assert_eq!(value(&requests, "/b", "granted", "-"), 1);
        assert_eq!(value(&requests, "-", "refused", "route_unknown"), 1);
        let absent =
            Labels { route: "/b".into(), verdict: "refused", reason: Denial::ProofReplayed.reason() };
        assert!(requests.family.get(&absent).is_none(), "only what happened is there");
    }

    #[test]
    fn every_denial_has_its_own_counter() {
        let requests = Requests::default();
        for denial in Denial::ALL {
            requests.count(None, Err(*denial));
            requests.count(None, Ok(Passed::Observed(*denial)));
        }
        for denial in Denial::ALL {
            for verdict in ["refused", "observed"] {
                assert_eq!(value(&requests, "-", verdict, denial.reason()), 1, "{denial:?}");
            }
        }
    }

    #[test]
    fn racing_threads_lose_no_count() {
        let requests = Requests::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..1000 {
                        requests.count(Some(&format!("/{}", i % 7)), Ok(Passed::Request));
                    }
                });
            }
        });
        let total: u64 = (0..7).map(|i| value(&requests, &format!("/{i}"), "granted", "-")).sum();
        assert_eq!(total, 4000);
    }
}
