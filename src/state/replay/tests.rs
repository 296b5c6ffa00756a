//! From a verified request to a grant, once.

use super::*;
use crate::pop::forge::{self, DPOP_ONLY, NOW, URL};
use crate::state::revocation::Revocations;

/// The same request, verified anew.
fn unrevoked(revocations: &Revocations, jwt: &str, proof: &str) -> Unrevoked {
    let fields = [("authorization", format!("DPoP {jwt}")), ("dpop", proof.to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let verified = forge::verdict(DPOP_ONLY, &forge::parts("GET", URL, &fields), None).unwrap();
    revocations.check(verified, NOW).unwrap()
}

#[tokio::test]
async fn a_proof_is_granted_once_and_another_proof_for_the_same_token_again() {
    let revocations = Revocations::start(None, &[]).unwrap();
    let store = ReplayStore::Memory(memory::Memory::new(10));
    let jwt = forge::token(|_, _| ());
    let first = forge::proof(&jwt, |_, claims| claims["jti"] = "first-proof-of-this-test".into());
    let second = forge::proof(&jwt, |_, claims| claims["jti"] = "second-proof-of-this-test".into());
    assert!(store.claim(unrevoked(&revocations, &jwt, &first), NOW).await.is_ok());
    for _ in 0..2 {
        let replayed = store.claim(unrevoked(&revocations, &jwt, &first), NOW).await;
        assert_eq!(replayed.err(), Some(Denial::ProofReplayed));
    }
    assert!(store.claim(unrevoked(&revocations, &jwt, &second), NOW).await.is_ok());
    assert_eq!(store.len(), 2);
}

#[tokio::test]
async fn a_full_store_refuses() {
    let revocations = Revocations::start(None, &[]).unwrap();
    let store = ReplayStore::Memory(memory::Memory::new(0));
    let jwt = forge::token(|_, _| ());
    let proof = forge::proof(&jwt, |_, _| ());
    let refused = store.claim(unrevoked(&revocations, &jwt, &proof), NOW).await;
    assert_eq!(refused.err(), Some(Denial::ReplayFull));
}
