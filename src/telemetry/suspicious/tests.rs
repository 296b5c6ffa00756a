use super::*;
use crate::pop::access_token::AccessToken;
use crate::pop::forge;
use crate::pop::policy::ProofKind;
use crate::telemetry::Passed;
use crate::telemetry::RequestId;
use crate::telemetry::sink::Sink;
use std::net::SocketAddr;

fn genuine(number: u64) -> Arc<AccessToken> {
    Arc::new(forge::establish(&forge::token(|_, claims| claims["jti"] = number.to_string().into())).unwrap())
}

fn record<'a>(
    token: Option<&'a Arc<AccessToken>>,
    peer: &str,
    verdict: Result<Passed, Denial>,
) -> Record<'a> {
    Record {
        request: RequestId::random(),
        generation: 1,
        because: None,
        host: None,
        method: "GET",
        target: None,
        route: Some("/"),
        peer: SocketAddr::new(peer.parse().unwrap(), 4711),
        scheme: Some("DPoP"),
        proof: verdict.is_ok().then_some(ProofKind::Dpop),
        token,
        revocation: None,
        revoked_by: None,
        verdict,
        elapsed: Duration::ZERO,
    }
}

/// How often each kind was counted, in the order of [`KINDS`].
fn counts(suspicious: &Suspicious) -> [u64; 4] {
    suspicious.0.counters.each_ref().map(Counter::get)
}

fn see(suspicious: &Suspicious, record: &Record<'_>) {
    suspicious.decided(record, "trace", suspicious.0.began);
}

#[test]
fn one_token_from_many_networks() {
    let (suspicious, _) = Suspicious::new();
    let token = genuine(1);
    for host in 0..200 {
        see(&suspicious, &record(Some(&token), &format!("2001:db8::{host:x}"), Ok(Passed::Request)));
    }
    assert_eq!(counts(&suspicious), [0; 4], "one network has as many addresses as it likes");
    for network in 0..64 {
        see(&suspicious, &record(Some(&token), &format!("192.0.2.{network}"), Err(Denial::ProofMissing)));
    }
    assert_eq!(counts(&suspicious)[1], 1, "once in a window, whether refused or not");
}

#[test]
fn one_key_with_many_tokens() {
    let (suspicious, _) = Suspicious::new();
    let tokens: Vec<_> = (0..200).map(genuine).collect();
    for token in &tokens[..20] {
        (0..5).for_each(|_| see(&suspicious, &record(Some(token), "192.0.2.1", Ok(Passed::Request))));
    }
    for token in &tokens {
        see(&suspicious, &record(Some(token), "192.0.2.1", Err(Denial::ProofSignature)));
    }
    assert_eq!(counts(&suspicious)[0], 0, "without a good proof it is not the key's doing");
    tokens.iter().for_each(|token| see(&suspicious, &record(Some(token), "192.0.2.1", Ok(Passed::Request))));
    assert_eq!(counts(&suspicious)[0], 1);
}

#[test]
fn every_replay_and_every_burst_of_failures() {
    let (suspicious, _) = Suspicious::new();
    let token = genuine(1);
    (0..49).for_each(|_| see(&suspicious, &record(Some(&token), "192.0.2.1", Err(Denial::ProofReplayed))));
    assert_eq!(counts(&suspicious), [0, 0, 49, 0]);
    (0..9).for_each(|_| see(&suspicious, &record(Some(&token), "192.0.2.2", Err(Denial::TokenExpired))));
    assert_eq!(counts(&suspicious), [0, 0, 49, 1], "the client's, wherever it comes from");
    for denial in [Denial::NonceMissing, Denial::KeysUnavailable, Denial::RouteUnknown, Denial::RateLimited] {
        (0..200).for_each(|_| see(&suspicious, &record(None, "192.0.2.3", Err(denial))));
    }
    assert_eq!(counts(&suspicious)[3], 1, "none of these is a failure of the caller");
    (0..50).for_each(|_| see(&suspicious, &record(None, "192.0.2.3", Err(Denial::TokenSignature))));
    assert_eq!(counts(&suspicious)[3], 2, "an address, where nobody knows the client");
}

#[test]
fn the_log_says_it_once_in_a_while_and_names_nobody() {
    let (suspicious, _) = Suspicious::new();
    let token = genuine(1);
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        let replay = record(Some(&token), "192.0.2.1", Err(Denial::ProofReplayed));
        (0..30).for_each(|_| see(&suspicious, &replay));
        suspicious.decided(&replay, "trace", suspicious.0.began + SILENCE);
    });
    let text = sink.text();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().last().is_some_and(|line| line.contains("more=29")), "{text}");
    assert!(text.contains(&hashed(token.client())) && !text.contains(token.client()), "{text}");
}
