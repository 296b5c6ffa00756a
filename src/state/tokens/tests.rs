use super::*;
use crate::pop::forge::{self, Key, NOW};
use crate::state::issuers::published::{Behaviour, Published, eventually, start};
use serde_json::json;

/// A token of this issuer, signed with the key of that seed.
fn token(published: &Published, seed: u8, kid: &str) -> String {
    let (mut header, mut claims) = forge::token_parts();
    claims["iss"] = json!(published.name);
    header["kid"] = json!(kid);
    Key::seeded(seed).jws(&header, &claims)
}

struct Setup {
    published: Arc<Published>,
    tokens: Tokens,
}

impl Setup {
    async fn new(keys: &[(u8, &'static str)], change: impl FnOnce(&mut crate::config::Issuer)) -> Setup {
        let published = Published::start(Behaviour::Keys(keys.to_vec())).await;
        let mut config = published.config();
        change(&mut config);
        let (issuers, telemetry) = start(&config);
        eventually("ready", || issuers.unready().is_empty()).await;
        Setup { published, tokens: Tokens::new(issuers, Introspection::default(), telemetry.metrics.clone()) }
    }
    async fn establish(&self, token: &str) -> Result<Arc<AccessToken>, Denial> {
        self.tokens.establish(token, false, || Ok(()), NOW, Steps::NONE).await
    }
    fn hits(&self) -> u64 {
        self.tokens.metrics.token_cache_hits.get()
    }
}

#[tokio::test]
async fn a_signature_is_verified_once() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    let token = token(&setup.published, 1, "k1");
    let first = setup.establish(&token).await.unwrap();
    let second = setup.establish(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((setup.hits(), setup.tokens.metrics.token_cache_misses.get()), (1, 1));
}

/// AT-06, TK-019
#[tokio::test]
async fn a_kept_token_still_expires() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    let token = token(&setup.published, 1, "k1");
    let expires = setup.establish(&token).await.unwrap().expires_at();
    let expired = setup.tokens.establish(&token, false, || Ok(()), expires, Steps::NONE).await;
    assert_eq!(expired.unwrap_err(), Denial::TokenExpired);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    let forged = token(&setup.published, 3, "k1");
    for _ in 0..2 {
        assert_eq!(setup.establish(&forged).await.unwrap_err(), Denial::TokenSignature);
    }
    setup.tokens.genuine.run_pending_tasks();
    assert_eq!(setup.tokens.genuine.entry_count(), 0);
    assert_eq!(setup.published.fetches(), 1, "a wrong signature fetches nothing");
}

/// JWKS-05, JW-001
#[tokio::test]
async fn a_rotated_key_is_found_by_one_fetch() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    setup.published.set(Behaviour::Keys(vec![(1, "k1"), (2, "k2")]));
    assert!(setup.establish(&token(&setup.published, 2, "k2")).await.is_ok());
    assert_eq!(setup.published.fetches(), 2);
    assert_eq!(
        setup.establish(&token(&setup.published, 2, "k3")).await.unwrap_err(),
        Denial::TokenKeyUnknown
    );
    assert_eq!(setup.published.fetches(), 2, "within the cooldown");
}

/// JWKS-05, JWKS-10, JW-004
#[tokio::test]
async fn an_unknown_key_in_an_outage_is_our_failure() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    setup.published.set(Behaviour::Status(500));
    for _ in 0..2 {
        let verdict = setup.establish(&token(&setup.published, 2, "k2")).await;
        assert_eq!(verdict.unwrap_err(), Denial::KeysUnavailable);
    }
    assert!(setup.establish(&token(&setup.published, 1, "k1")).await.is_ok(), "known keys work");
}

/// JWKS-06, JW-020
#[tokio::test]
async fn a_withdrawn_key_takes_its_tokens_along() {
    let setup =
        Setup::new(&[(1, "k1"), (2, "k2")], |c| c.jwks_refresh = std::time::Duration::from_millis(20)).await;
    let (withdrawn, kept) = (token(&setup.published, 1, "k1"), token(&setup.published, 2, "k2"));
    setup.establish(&withdrawn).await.unwrap();
    setup.establish(&kept).await.unwrap();
    setup.published.set(Behaviour::Keys(vec![(2, "k2")]));
    let name = setup.published.name.clone();
    eventually("replaced", || setup.tokens.issuers.find(&name).unwrap().keys.len() == 1).await;
    assert_eq!(setup.establish(&withdrawn).await.unwrap_err(), Denial::TokenKeyUnknown);
    assert!(setup.establish(&kept).await.is_ok());
}

/// JWKS-07, JW-006
#[tokio::test]
async fn keys_that_are_too_old_take_their_tokens_along() {
    let setup = Setup::new(&[(1, "k1")], |c| c.jwks_max_stale = std::time::Duration::from_secs(3)).await;
    let token = token(&setup.published, 1, "k1");
    setup.establish(&token).await.unwrap();
    let name = setup.published.name.clone();
    eventually("too old", || setup.tokens.issuers.find(&name).is_err()).await;
    assert_eq!(setup.establish(&token).await.unwrap_err(), Denial::KeysUnavailable);
}

/// DS-011: who is not trusted gets nothing looked at; what is known needs no look.
#[tokio::test]
async fn only_known_tokens_pass_from_those_who_are_not_trusted() {
    let setup = Setup::new(&[(1, "k1")], |_| ()).await;
    let (known, new) = (token(&setup.published, 1, "k1"), token(&setup.published, 1, "k2"));
    setup.establish(&known).await.unwrap();
    let (misses, fetches) = (setup.tokens.metrics.token_cache_misses.get(), setup.published.fetches());
    for denial in [Denial::TooManyFailures, Denial::TooManyInFlight] {
        let distrust = || Err(denial);
        assert!(setup.tokens.establish(&known, false, distrust, NOW, Steps::NONE).await.is_ok());
        for unknown in [&*new, "no.j.wt", "opaque", ""] {
            let refused = setup.tokens.establish(unknown, false, distrust, NOW, Steps::NONE).await;
            assert_eq!(refused.unwrap_err(), denial, "{unknown}");
        }
    }
    assert_eq!(setup.tokens.metrics.token_cache_misses.get(), misses, "no signature was checked");
    assert_eq!(setup.published.fetches(), fetches, "no key was asked for");
}
