use super::scripted::{Says, Setup, active, jwt};
use super::*;
use crate::pop::forge::{self, Key, NOW};
use crate::state::issuers::published::Behaviour;
use serde_json::{Value, json};
use std::time::Duration;

/// The sample token of RFC 9449 section 7.1: two dots, and no JWT.
const OPAQUE: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

/// INTR-01, INTR-08
#[tokio::test]
async fn an_opaque_token_is_asked_about_once() {
    let setup = Setup::new(|_| ()).await;
    setup.says(Says::Json(active(setup.server())));
    let (first, others) = tokio::join!(setup.establish(OPAQUE), async {
        futures_util::future::join_all((0..20).map(|_| setup.establish(OPAQUE))).await
    });
    let token = first.unwrap();
    assert_eq!((token.issuer(), token.client()), (setup.server().name.as_str(), "app"));
    assert!(others.into_iter().all(|other| Arc::ptr_eq(&other.unwrap(), &token)));
    assert_eq!(setup.asked(), 1);
    let (headers, form) = setup.server().introspection.last();
    assert_eq!(headers["authorization"], "Basic Y2xpbmNoOmElMkZzZWNyZXQ=");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(form, format!("token_type_hint=access_token&token={}", OPAQUE.replace('~', "%7E")));
    assert!(setup.metric(r#"result="active"} 1"#), "{}", setup.telemetry.render());
}

/// DS-011: an answer that is kept is no question.
#[tokio::test]
async fn a_known_token_passes_from_those_who_may_not_ask() {
    let setup = Setup::new(|_| ()).await;
    setup.says(Says::Json(active(setup.server())));
    setup.establish("opaque").await.unwrap();
    let asked = setup.asked();
    for denial in [Denial::TooManyFailures, Denial::TooManyInFlight] {
        let establish = |token| setup.tokens.establish(token, false, move || Err(denial), NOW, Steps::NONE);
        assert!(establish("opaque").await.is_ok(), "{denial:?}");
        assert_eq!(establish("another").await.unwrap_err(), denial);
    }
    assert_eq!(setup.asked(), asked);
}

/// TK-033, INTR-06: every row, as the caller sees it.
#[tokio::test]
async fn what_the_server_says_decides_between_a_refusal_and_our_failure() {
    let html = "<html><body>{\"active\":true}</body></html>".to_owned();
    let huge = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(20 << 20));
    let (inactive, unavailable) = (Denial::TokenInactive, Denial::IntrospectionUnavailable);
    for (says, denial, result) in [
        (Says::Json(json!({ "active": "true" })), inactive, "inactive"),
        (Says::Json(json!({})), inactive, "inactive"),
        (Says::Json(json!({ "active": false })), inactive, "inactive"),
        (Says::Body("text/html", html), unavailable, "malformed"),
        (Says::Status(302), unavailable, "status"),
        (Says::Status(401), unavailable, "status"),
        (Says::Status(500), unavailable, "status"),
        (Says::Status(204), unavailable, "status"),
        (Says::Body("application/json", huge), unavailable, "too_large"),
        (Says::Nothing, unavailable, "slow"),
    ] {
        let setup = Setup::new(|c| c.timeout = Duration::from_secs(5)).await;
        setup.says(says);
        assert_eq!(setup.denial(OPAQUE).await, denial, "{result}");
        assert_eq!(setup.asked(), 1, "{result}: no redirect is followed, nothing is tried twice");
        assert!(setup.metric(&format!(r#"result="{result}"}} 1"#)), "{result}: {}", setup.telemetry.render());
        // A failure of ours is not kept: when the server is back, so is the token.
        setup.says(Says::Json(active(setup.server())));
        let again = setup.establish(OPAQUE).await.map(|_| ());
        assert_eq!(again, if denial == unavailable { Ok(()) } else { Err(denial) }, "{result}");
    }
}

/// INTR-06
#[tokio::test]
async fn nobody_there_is_our_failure_and_kept_answers_go_on() {
    let setup = Setup::new(|c| c.endpoint = Some("https://localhost:1/introspect".parse().unwrap())).await;
    assert_eq!(setup.denial(OPAQUE).await, Denial::IntrospectionUnavailable);
    let setup = Setup::new(|_| ()).await;
    setup.says(Says::Json(active(setup.server())));
    setup.establish(OPAQUE).await.unwrap();
    setup.says(Says::Status(503));
    assert_eq!(setup.denial("another").await, Denial::IntrospectionUnavailable);
    assert!(setup.establish(OPAQUE).await.is_ok());
}

/// INTR-05
#[tokio::test]
async fn without_a_cache_every_request_asks() {
    let setup = Setup::new(|c| c.cache = Duration::ZERO).await;
    setup.says(Says::Json(active(setup.server())));
    for _ in 0..2 {
        setup.establish(OPAQUE).await.unwrap();
    }
    setup.says(Says::Json(json!({ "active": false })));
    assert_eq!(setup.denial(OPAQUE).await, Denial::TokenInactive);
    assert_eq!(setup.asked(), 3);
}

/// The breaker lets a request try after a second: all seven came before that, however often it takes.
async fn seven_times_in_vain() -> Setup {
    for _ in 0..20 {
        let setup = Setup::new(|_| ()).await;
        setup.says(Says::Status(500));
        let began = std::time::Instant::now();
        for token in ["1", "2", "3", "4", "5", "6", "7"] {
            assert_eq!(setup.denial(token).await, Denial::IntrospectionUnavailable);
        }
        if began.elapsed() < Duration::from_millis(900) {
            return setup;
        }
    }
    panic!("seven refusals take more than a second, twenty times in a row");
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_left_alone() {
    let setup = seven_times_in_vain().await;
    assert_eq!(setup.asked(), 5);
    assert!(setup.metric(r#"result="breaker_open"} 2"#));
    let open =
        |n: u8| {
            setup.telemetry.render().lines().any(|l| {
                l.contains("breaker_open{") && l.ends_with(&format!(" {n}")) && !l.contains("result")
            })
        };
    assert!(open(1));
    setup.says(Says::Json(active(setup.server())));
    // After a second, and a quarter of it at the most, one request tries; what it learns is for all.
    let started = std::time::Instant::now();
    while setup.establish(OPAQUE).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(open(0) && setup.establish("another").await.is_ok());
}

/// Anybody can send a token that the server will not look at: that must not take the others' way to it.
#[tokio::test]
async fn tokens_that_the_server_blames_do_not_open_the_breaker() {
    let setup = Setup::new(|_| ()).await;
    setup.says(Says::Status(400));
    for guess in 0..20 {
        assert_eq!(setup.denial(&guess.to_string()).await, Denial::IntrospectionUnavailable);
    }
    setup.says(Says::Json(active(setup.server())));
    assert!(setup.establish(OPAQUE).await.is_ok());
}

/// TK-025: what is a JWT is never sent to anybody who did not issue it, and a broken one to nobody.
#[tokio::test]
async fn a_jwt_is_not_asked_about() {
    let setup = Setup::new(|_| ()).await;
    let server = setup.server();
    assert!(setup.establish(&jwt(server)).await.is_ok());
    let unlisted = forge::token(|_, claims| claims["iss"] = json!("https://unlisted.example"));
    assert_eq!(setup.denial(&unlisted).await, Denial::TokenIssuer);
    let good = jwt(server);
    let mut parts = good.split('.');
    let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(setup.denial(&format!("{header}.e30x.AAAA")).await, Denial::TokenMalformed);
    assert_eq!(setup.denial(&format!("{header}.{payload}.AAAA")).await, Denial::TokenSignature);
    assert_eq!(setup.asked(), 0);
}

#[tokio::test]
async fn several_issuers_are_asked_in_turn_until_one_knows_the_token() {
    let setup = Setup::with_servers(3, |_| ()).await;
    let [first, second, third] = &setup.servers[..] else { panic!("three") };
    assert_eq!(setup.denial("unknown").await, Denial::TokenInactive);
    second.introspection.says(Says::Json(active(second)));
    assert_eq!(setup.establish(OPAQUE).await.unwrap().issuer(), second.name);
    setup.establish(OPAQUE).await.unwrap();
    let asked = [first, second, third].map(|server| server.introspection.count());
    assert_eq!(asked, [2, 2, 1], "who knows it ends the search");
    // Nobody knows whether the one that can't be asked knows it.
    second.introspection.says(Says::Status(500));
    assert_eq!(setup.denial("another").await, Denial::IntrospectionUnavailable);
    // Whoever has the token decides, whoever else might say more.
    first.introspection.says(Says::Json(json!({ "active": true })));
    assert_eq!(setup.denial("third").await, Denial::TokenAudience);
}

#[tokio::test]
async fn always_means_that_both_must_agree() {
    let setup = Setup::new(|c| c.always = true).await;
    let (server, good) = (setup.server(), jwt(setup.server()));
    let forged = Key::seeded(3).jws(&forge::token_parts().0, &json!({ "iss": server.name }));
    assert_ne!(setup.denial(&forged).await, Denial::IntrospectionUnavailable);
    assert_eq!(setup.asked(), 0, "garbage asks nobody");
    let says = |name: &str, value: Value| {
        let mut answer = json!({ "active": true, "aud": "https://api.example.com" });
        answer[name] = value;
        server.introspection.says(Says::Json(answer));
    };
    says("sub", json!("alice"));
    let token = setup.establish(&good).await.unwrap();
    assert_eq!(token.token_id(), "t1");
    assert!(Arc::ptr_eq(&setup.establish(&good).await.unwrap(), &token));
    assert_eq!(setup.asked(), 1, "the answer serves for a while");
    for (at, (name, value, denial)) in [
        ("sub", json!("mallory"), Denial::TokenClaims),
        ("cnf", json!({ "jkt": forge::thief().jkt() }), Denial::ConfirmationUnknown),
        ("active", json!(false), Denial::TokenInactive),
    ]
    .into_iter()
    .enumerate()
    {
        says(name, value);
        let another = forge::token(|_, claims| {
            claims["iss"] = json!(server.name);
            claims["n"] = json!(at);
        });
        assert_eq!(setup.denial(&another).await, denial, "{name}");
    }
}

#[tokio::test]
async fn a_verified_token_in_the_cache_is_asked_about_all_the_same() {
    let setup = Setup::new(|c| (c.always, c.cache) = (true, Duration::ZERO)).await;
    let good = jwt(setup.server());
    setup.says(Says::Json(json!({ "active": true, "aud": "https://api.example.com" })));
    setup.establish(&good).await.unwrap();
    setup.says(Says::Json(json!({ "active": false })));
    assert_eq!(setup.denial(&good).await, Denial::TokenInactive);
    setup.says(Says::Status(500));
    assert_eq!(setup.denial(&good).await, Denial::IntrospectionUnavailable);
}

/// What `on_stale: introspect` does while the revocation feed is silent.
#[tokio::test]
async fn a_verified_token_is_asked_about_where_nobody_else_vouches_for_it() {
    let setup = Setup::new(|c| c.cache = Duration::ZERO).await;
    let good = jwt(setup.server());
    setup.establish(&good).await.unwrap();
    assert_eq!(setup.asked(), 0, "its signature is enough");
    setup.says(Says::Json(json!({ "active": true, "aud": "https://api.example.com" })));
    assert!(setup.establish_asking(&good).await.is_ok());
    setup.says(Says::Json(json!({ "active": false })));
    assert_eq!(setup.establish_asking(&good).await.unwrap_err(), Denial::TokenInactive);
    setup.says(Says::Status(500));
    assert_eq!(setup.establish_asking(&good).await.unwrap_err(), Denial::IntrospectionUnavailable);
    assert!(setup.establish(&good).await.is_ok(), "the feed is back");
}

/// JINT-01, JINT-05.
#[tokio::test]
async fn signed_answers_are_asked_for_and_nothing_else_is_believed() {
    let setup = Setup::new(|c| c.signed_answers = true).await;
    let server = setup.server();
    let signed = |seed, kid: &str| {
        let header = json!({ "alg": "ES256", "typ": "token-introspection+jwt", "kid": kid });
        let claims = json!({
            "iss": server.name, "aud": "clinch", "iat": NOW.as_secs(), "token_introspection": active(server),
        });
        Says::Signed(seed, header, claims)
    };
    setup.says(signed(1, "k1"));
    assert_eq!(setup.establish(OPAQUE).await.unwrap().client(), "app");
    let accept = server.introspection.last().0["accept"].clone();
    assert_eq!(accept, "application/token-introspection+jwt");
    for says in [Says::Json(active(server)), signed(3, "k1"), signed(3, "k9")] {
        setup.says(says);
        assert_eq!(setup.denial("another").await, Denial::IntrospectionUnavailable);
    }
    assert!(setup.metric(r#"result="unverified"} 3"#), "{}", setup.telemetry.render());
}

#[tokio::test]
async fn a_rotated_key_of_a_signed_answer_is_found_by_one_fetch() {
    let setup = Setup::new(|c| c.signed_answers = true).await;
    let server = setup.server();
    server.set(Behaviour::Keys(vec![(1, "k1"), (2, "k2")]));
    let header = json!({ "alg": "ES256", "typ": "token-introspection+jwt", "kid": "k2" });
    let claims = json!({
        "iss": server.name, "aud": "clinch", "iat": NOW.as_secs(), "token_introspection": active(server),
    });
    setup.says(Says::Signed(2, header, claims));
    assert!(setup.establish(OPAQUE).await.is_ok());
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn where_nobody_is_asked_a_token_that_is_no_jwt_is_malformed() {
    let verdict =
        Introspection::default().establish(OPAQUE, TokenHash::of(OPAQUE), Ok(()), NOW, Steps::NONE).await;
    assert_eq!(verdict.unwrap_err(), Denial::TokenMalformed);
}
