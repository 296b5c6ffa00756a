//! Step-up authentication (RFC 9470): was the user authenticated well enough, and recently enough, for this route?
//!
//! Both are facts of the authentication, fixed when it took place and not when a token was refreshed
//! (RFC 9470 section 6.1): the claims `acr` and `auth_time` of the token (RFC 9068 section 2.2.1). What
//! the refusal says is decided in [`challenge`](super::challenge).

use super::Timestamp;
use super::access_token::{AccessToken, CLOCK_SKEW};
use super::policy::Requirements;
use std::time::Duration;

/// Whether the token's `acr` is one of the route's and its `auth_time` recent enough. What is missing or
/// malformed satisfies nothing (STEP-04, TK-030).
pub(super) fn is_authenticated_well_enough(
    token: &AccessToken,
    demands: &Requirements,
    now: Timestamp,
) -> bool {
    let acr = token.claims().get("acr").and_then(|acr| acr.as_str());
    let auth_time = token.claims().get("auth_time").and_then(|time| time.as_numeric_date());
    let strong = demands.acr.is_empty() || acr.is_some_and(|acr| demands.acr.iter().any(|one| one == acr));
    let recent = demands.max_auth_age.is_none_or(|age| auth_time.is_some_and(|at| is_recent(at, age, now)));
    strong && recent
}

/// Counted in whole seconds, the edge included. An authentication that is still to come, by more than
/// clocks may differ, is none.
fn is_recent(auth_time: Timestamp, max_age: Duration, now: Timestamp) -> bool {
    auth_time <= now.plus(CLOCK_SKEW) && now.as_secs() <= auth_time.plus(max_age).as_secs()
}

#[cfg(test)]
mod tests {
    use super::super::forge::{NOW, establish, token};
    use super::*;
    use serde_json::{Value, json};

    fn satisfies(demands: &Requirements, claims: Value) -> bool {
        let jwt = token(|_, all| {
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        });
        is_authenticated_well_enough(&establish(&jwt).unwrap(), demands, NOW)
    }

    /// TK-030, STEP-04
    #[test]
    fn the_acr_is_one_of_the_list_in_this_spelling() {
        let demands =
            Requirements { acr: vec!["gold".into(), "urn:silver".into()], ..Requirements::default() };
        for good in ["gold", "urn:silver"] {
            assert!(satisfies(&demands, json!({ "acr": good })), "{good}");
        }
        for poor in [
            json!("bronze"),
            json!("Gold"),
            json!("gold urn:silver"),
            json!(""),
            json!(["gold"]),
            json!(1),
            json!(null),
        ] {
            assert!(!satisfies(&demands, json!({ "acr": poor })), "{poor}");
        }
        assert!(!satisfies(&demands, json!({})));
        assert!(
            satisfies(&Requirements::default(), json!({ "acr": 1, "auth_time": "x" })),
            "nothing is asked"
        );
    }

    /// TK-030, STEP-04
    #[test]
    fn the_authentication_is_recent_to_the_second() {
        let max_auth_age = Some(Duration::from_secs(300));
        let demands = Requirements { max_auth_age, ..Requirements::default() };
        let now = NOW.as_secs();
        for (auth_time, expected) in [
            (json!(now), true),
            (json!(now - 300), true),
            (json!(now - 301), false),
            (json!(now + 5), true),
            (json!(now + 6), false),
            (json!(now as f64 - 299.5), true),
            (json!((now - 10).to_string()), false),
            (json!(-1), false),
            (json!(null), false),
        ] {
            assert_eq!(satisfies(&demands, json!({ "auth_time": auth_time })), expected, "{auth_time}");
        }
        assert!(!satisfies(&demands, json!({})));
    }

    #[test]
    fn both_must_hold_where_both_are_asked() {
        let demands = Requirements {
            acr: vec!["gold".into()],
            max_auth_age: Some(Duration::from_secs(300)),
            ..Requirements::default()
        };
        let now = NOW.as_secs();
        assert!(satisfies(&demands, json!({ "acr": "gold", "auth_time": now })));
        assert!(!satisfies(&demands, json!({ "acr": "gold" })));
        assert!(!satisfies(&demands, json!({ "acr": "gold", "auth_time": now - 301 })));
        assert!(!satisfies(&demands, json!({ "acr": "bronze", "auth_time": now })));
    }
}
