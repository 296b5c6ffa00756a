#![allow(clippy::unwrap_used)]

use super::due::Terms;
use super::state::State;
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const NOW: i64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn terms() -> Terms {
    let days = |days: u64| Duration::from_secs(days * DAY);
    Terms {
        names: vec!["we.us.svc".to_owned()],
        lifetime: days(90),
        authority_lifetime: days(730),
        spread: Duration::from_secs(300),
    }
}

fn secret(state: &State) -> Value {
    json!({ "data": state.data() })
}

/// As the API server does: by the bundle of the webhook configuration, for the Service's name.
fn trusts(bundle: &str, state: &State, at: i64) -> bool {
    let mut roots = RootCertStore::empty();
    for pem in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(pem.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let (chain, _) = state.served().unwrap();
    let name = ServerName::try_from("we.us.svc").unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap()));
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).is_ok()
}

#[test]
fn what_is_written_into_the_secret_is_read_from_it() {
    let first = State::first(&terms(), NOW).unwrap();
    let announced = first.announced(&terms(), NOW).unwrap();
    let promoted = announced.promoted(&terms(), NOW).unwrap();
    let again = promoted.announced(&terms(), NOW).unwrap();
    for state in [first, announced, promoted, again] {
        assert_eq!(State::of(&secret(&state)).unwrap().unwrap(), state);
    }
    assert_eq!(State::of(&json!({ "data": {} })).unwrap(), None);
    assert_eq!(State::of(&json!({})).unwrap(), None);
}

#[test]
fn every_certificate_is_trusted_by_the_bundle_that_was_known_before_it_was_served() {
    let mut state = State::first(&terms(), NOW).unwrap();
    let (first, first_bundle) = (state.clone(), state.bundle());
    assert!(trusts(&first_bundle, &state, NOW));
    assert!(trusts(&first_bundle, &state, NOW - 3000), "a clock that lags");
    let renewed = state.renewed(&terms(), NOW + 60 * 86_400).unwrap();
    assert!(trusts(&first_bundle, &renewed, NOW + 100 * 86_400), "no new authority: nothing to be told");
    for rotation in 1..4 {
        let now = NOW + rotation * 480 * 86_400;
        let announced = state.renewed(&terms(), now).unwrap().announced(&terms(), now).unwrap();
        assert!(trusts(&announced.bundle(), &announced, now), "the old one is served on");
        let promoted = announced.promoted(&terms(), now).unwrap();
        assert!(trusts(&announced.bundle(), &promoted, now), "everybody was told before");
        assert!(trusts(&promoted.bundle(), &announced, now), "a replica that is late");
        assert!(!trusts(&state.bundle(), &promoted, now), "who was not told");
        state = promoted;
    }
    assert!(!trusts(&state.bundle(), &first, NOW), "an authority that has ended is forgotten");
    assert!(!state.data().to_string().contains(&STANDARD.encode(&first.current.key)));
}

#[test]
fn a_secret_that_others_have_spoilt_is_noticed() {
    let state = State::first(&terms(), NOW).unwrap().announced(&terms(), NOW).unwrap();
    let other = State::first(&terms(), NOW).unwrap();
    let sound = secret(&state);
    for key in ["tls.crt", "tls.key", "ca.crt", "ca.key", "next-ca.key"] {
        let mut missing = sound.clone();
        missing["data"].as_object_mut().unwrap().remove(key);
        assert!(State::of(&missing).is_err(), "{key} is missing");
        for bad in ["", "!", "AAAA"] {
            let mut spoilt = sound.clone();
            spoilt["data"][key] = json!(bad);
            assert!(State::of(&spoilt).is_err(), "{key} is {bad:?}");
        }
    }
    for (key, pem) in
        [("tls.key", &other.leaf.key), ("ca.key", &other.current.key), ("next-ca.key", &other.leaf.key)]
    {
        let mut foreign = sound.clone();
        foreign["data"][key] = json!(STANDARD.encode(pem));
        let error = format!("{:#}", State::of(&foreign).unwrap_err());
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}

#[test]
fn keys_are_not_shown() {
    let state = State::first(&terms(), NOW).unwrap();
    assert!(!format!("{state:?}").contains("PRIVATE KEY"));
}
