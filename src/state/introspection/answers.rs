//! Answers that are kept for a short while (INTR-05), by the hash of the token (INTR-08): one cache for each
//! issuer.
//!
//! Good ones and refusals apart, each within its own bounds, so that a flood of guesses drives no good token out
//! (INTR-07). What is kept is what the issuer said, never a decision: binding, revocation and scopes are
//! judged at every request (TK-034). A revocation event purges nothing here, and need not: the revocation
//! index is asked at every request after the token is established, so a kept answer admits no revoked token.
//! (RV-040)

use super::flights::Outcome;
use crate::pop::access_token::{AccessToken, TokenHash};
use crate::pop::{Denial, Timestamp};
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one issuer said lately.
#[derive(Debug)]
pub(super) struct Answers {
    good: Cache<TokenHash, Kept>,
    refused: Cache<TokenHash, Denial>,
    keep: Duration,
}

#[derive(Clone, Debug)]
struct Kept {
    token: Arc<AccessToken>,
    lifetime: Duration,
    weight: u32,
}

impl Answers {
    /// None yet; each is kept for so long at the most, and refusals never for longer than a few seconds.
    pub(super) fn new(keep: Duration) -> Answers {
        let good = Cache::builder()
            .max_capacity(GOOD_BYTES)
            .weigher(|_, kept: &Kept| kept.weight)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetime)
            .build();
        let refused = Cache::builder().max_capacity(REFUSED).time_to_live(keep.min(REFUSED_LIFETIME)).build();
        Answers { good, refused, keep }
    }

    /// Whether any are kept.
    pub(super) fn are_kept(&self) -> bool {
        !self.keep.is_zero()
    }

    /// The token that is still good.
    pub(super) fn good(&self, hash: &TokenHash, now: Timestamp) -> Option<Outcome> {
        let kept = self.good.get(hash)?;
        Some(kept.token.still_valid(now).map(|()| kept.token))
    }

    /// Why the token was refused a moment ago.
    pub(super) fn refused(&self, hash: &TokenHash) -> Option<Denial> {
        self.refused.get(hash)
    }

    /// Keeps an answer, but not for longer than its token lives (INTR-04), and a failure of ours not at all.
    pub(super) fn keep(&self, hash: TokenHash, outcome: &Outcome, bytes: usize, now: Timestamp) {
        if !self.are_kept() {
            return;
        }
        match outcome {
            Ok(token) => {
                let lifetime = self.keep.min(token.expires_at().since(now));
                let weight = u32::try_from(bytes.saturating_mul(2) + ENTRY_BYTES).unwrap_or(u32::MAX);
                self.good.insert(hash, Kept { token: Arc::clone(token), lifetime, weight });
            }
            Err(Denial::IntrospectionUnavailable) => {}
            Err(denial) => {
                self.good.invalidate(&hash);
                self.refused.insert(hash, *denial);
            }
        }
    }
}

struct Lifetime;

impl Expiry<TokenHash, Kept> for Lifetime {
    fn expire_after_create(&self, _: &TokenHash, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.lifetime)
    }
    fn expire_after_update(
        &self,
        _: &TokenHash,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.lifetime)
    }
}

const GOOD_BYTES: u64 = 64 * 1024 * 1024;
const ENTRY_BYTES: usize = 2048;
const REFUSED: u64 = 10_000;
const REFUSED_LIFETIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::forge::{self, NOW};
    use serde_json::json;

    fn token(seconds: i64) -> Arc<AccessToken> {
        let jwt = forge::token(|_, claims| claims["exp"] = json!(NOW.as_secs() + seconds));
        Arc::new(forge::establish(&jwt).unwrap())
    }

    /// INTR-04.
    #[test]
    fn no_answer_outlives_its_token() {
        let answers = Answers::new(Duration::from_secs(60));
        let (short, long) = (token(1), token(300));
        answers.keep(short.hash(), &Ok(Arc::clone(&short)), 100, NOW);
        answers.keep(long.hash(), &Ok(Arc::clone(&long)), 100, NOW);
        let lifetime = |token: &AccessToken| answers.good.get(&token.hash()).unwrap().lifetime.as_secs();
        assert_eq!((lifetime(&short), lifetime(&long)), (1, 60));
        let then = NOW.plus(Duration::from_secs(1));
        assert_eq!(answers.good(&short.hash(), then).unwrap().unwrap_err(), Denial::TokenExpired);
        assert!(answers.good(&long.hash(), then).unwrap().is_ok());
    }

    #[test]
    fn failures_of_ours_are_not_kept_and_refusals_replace_what_was_good() {
        let answers = Answers::new(Duration::from_secs(60));
        let token = token(300);
        let hash = token.hash();
        answers.keep(hash, &Ok(Arc::clone(&token)), 100, NOW);
        answers.keep(hash, &Err(Denial::IntrospectionUnavailable), 0, NOW);
        assert!(answers.good(&hash, NOW).is_some() && answers.refused(&hash).is_none());
        answers.keep(hash, &Err(Denial::TokenInactive), 0, NOW);
        assert!(answers.good(&hash, NOW).is_none());
        assert_eq!(answers.refused(&hash), Some(Denial::TokenInactive));
    }

    #[test]
    fn nothing_is_kept_where_the_operator_wants_nothing_kept() {
        let answers = Answers::new(Duration::ZERO);
        let token = token(300);
        answers.keep(token.hash(), &Ok(Arc::clone(&token)), 100, NOW);
        answers.keep(TokenHash::of("x"), &Err(Denial::TokenInactive), 0, NOW);
        assert!(answers.good(&token.hash(), NOW).is_none() && answers.refused(&TokenHash::of("x")).is_none());
    }

    /// INTR-07: guesses fill their own cache only.
    #[test]
    fn a_flood_of_guesses_drives_no_good_token_out() {
        let answers = Answers::new(Duration::from_secs(60));
        let token = token(300);
        answers.keep(token.hash(), &Ok(Arc::clone(&token)), 100, NOW);
        for guess in 0..2 * REFUSED {
            answers.keep(TokenHash::of(&guess.to_string()), &Err(Denial::TokenInactive), 0, NOW);
        }
        answers.refused.run_pending_tasks();
        assert!(answers.refused.entry_count() <= REFUSED);
        assert!(answers.good(&token.hash(), NOW).is_some());
    }
}
