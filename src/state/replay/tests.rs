//! From a verified request to a grant, once.

use super::*;
use crate::pop::forge::{self, DPOP_ONLY, NOW, URL};
use crate::state::revocation::Revocations;
use era::{Before, Era};
use std::time::Duration;

fn memory(max_entries: usize) -> ReplayStore {
    let era = Era::begin(NOW, Before::Orderly, Duration::from_secs(5));
    ReplayStore::Memory(memory::Memory::new(max_entries), era)
}

/// The same request, verified anew.
fn unrevoked(revocations: &Revocations, jwt: &str, proof: &str) -> Unrevoked {
    let fields = [("authorization", format!("DPoP {jwt}")), ("dpop", proof.to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let verified = forge::verdict(DPOP_ONLY, &forge::parts("GET", URL, &fields), None).unwrap();
    revocations.check(verified, &revocations.belief()).unwrap()
}

#[tokio::test]
async fn a_proof_is_granted_once_and_another_proof_for_the_same_token_again() {
    let revocations = Revocations::off();
    let store = memory(10);
    let jwt = forge::token(|_, _| ());
    let first = forge::proof(&jwt, |_, claims| claims["jti"] = "first-proof-of-this-test".into());
    let second = forge::proof(&jwt, |_, claims| claims["jti"] = "second-proof-of-this-test".into());
    assert!(store.claim(unrevoked(&revocations, &jwt, &first), NOW, Steps::NONE).await.is_ok());
    for _ in 0..2 {
        let replayed = store.claim(unrevoked(&revocations, &jwt, &first), NOW, Steps::NONE).await;
        assert_eq!(replayed.err(), Some(Denial::ProofReplayed));
    }
    assert!(store.claim(unrevoked(&revocations, &jwt, &second), NOW, Steps::NONE).await.is_ok());
    assert_eq!(store.len(), 2);
}

#[tokio::test]
async fn a_full_store_refuses() {
    let revocations = Revocations::off();
    let store = memory(0);
    let jwt = forge::token(|_, _| ());
    let proof = forge::proof(&jwt, |_, _| ());
    let refused = store.claim(unrevoked(&revocations, &jwt, &proof), NOW, Steps::NONE).await;
    assert_eq!(refused.err(), Some(Denial::ReplayFull));
}

/// RP-005
#[tokio::test]
async fn a_proof_from_before_the_memory_began_is_challenged_and_not_spent() {
    let revocations = Revocations::off();
    let store = memory(10);
    let jwt = forge::token(|_, _| ());
    let proof = forge::proof(&jwt, |_, claims| claims["iat"] = (NOW.as_secs() - 1).into());
    let refused = store.claim(unrevoked(&revocations, &jwt, &proof), NOW, Steps::NONE).await;
    assert_eq!(refused.err(), Some(Denial::ProofBeforeStart));
    assert!(store.is_empty());
}
