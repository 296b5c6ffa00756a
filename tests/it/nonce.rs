//! Nonces (RFC 9449 sections 8 and 9), and what a process that remembers nothing does with proofs older than itself.

use crate::support::eventually;
use crate::support::oauth_client::Bind;
use crate::support::proof::{Proof, ProofKey, now};
use crate::support::wire::Answer;
use crate::support::world::{World, url};
use serde_json::{Value, json};

const PATH: &str = "/accounts/1";
const REQUIRED: &str = "  nonce: { mode: required, lifetime: 10s }\n";

/// A3 of the standards' answers, to the header; gives the nonce that it offers.
fn assert_challenged(answer: &Answer, description: &str) -> String {
    assert_eq!(answer.status, 401, "{answer:?}");
    let challenge =
        format!(r#"DPoP error="use_dpop_nonce", error_description="{description}", algs="ES256 EdDSA""#);
    assert!(answer.all("www-authenticate")[0].starts_with(&challenge), "{answer:?}");
    assert_eq!(answer.one("cache-control"), "no-store");
    answer.one("dpop-nonce").to_owned()
}

const MISSING: &str = "the DPoP proof needs the nonce of this answer";
const UNKNOWN: &str = "the nonce of the DPoP proof is not known here";
const EXPIRED: &str = "the nonce of the DPoP proof has expired";
const BEFORE_START: &str = "the DPoP proof may be older than this server";

fn proof(key: &ProofKey, token: &str, nonce: Value) -> String {
    Proof::new(key, "GET", &url(PATH), token).claim("nonce", nonce).sign(key)
}

/// DPOP-13, DPOP-37, DPOP-39, DPOP-04, DPOP-35
#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_finds_its_way_with_one_challenge() {
    let world = World::with_dpop(REQUIRED).await;
    let call = json!({ "method": "GET", "url": url(PATH) });
    let outcome = world.client(Bind::Dpop, json!([call, call, call])).await;
    assert_eq!(outcome.answers.iter().map(|a| a.status).collect::<Vec<_>>(), [200, 200, 200]);
    assert_eq!(outcome.challenges, 1);
}

/// CL-050, CL-051, DPOP-35, DPOP-38, DPOP-44, DPOP-13, DPOP-39, DPOP-40, DPOP-44
#[tokio::test(flavor = "multi_thread")]
async fn only_a_nonce_of_ours_will_do() {
    let world = World::with_dpop(REQUIRED).await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let with = async |nonce: Value| world.get_with_proof(PATH, &token, &proof(&key, &token, nonce)).await;

    let nonce = assert_challenged(&with(json!(null)).await, MISSING);
    let (last, others) = (nonce.chars().last().unwrap(), &nonce[..nonce.len() - 1]);
    let flipped = format!("{others}{}", if last == 'A' { 'E' } else { 'A' });
    for unknown in [flipped, others.to_owned(), format!("{nonce} "), "eyJ7S_zG.eyJH0-Z.HX4w-7v".to_owned()] {
        assert_challenged(&with(json!(unknown)).await, UNKNOWN);
    }
    for wrong_type in [json!(7), json!([nonce]), json!({}), json!(false)] {
        let answer = with(wrong_type).await;
        assert!(answer.all("www-authenticate")[0].contains("invalid_dpop_proof"), "{answer:?}");
        assert!(answer.all("dpop-nonce").is_empty());
    }
    assert!(world.service.received().is_empty());
    assert_eq!(with(json!(nonce)).await.status, 200);
    assert_eq!(with(json!(nonce)).await.status, 200, "a nonce may be used by many proofs");
    assert!(world.service.received().iter().all(|r| r.header("dpop-nonce").is_none()));
}

/// CL-052, CL-052, DPOP-14, DPOP-16: a nonce says when a proof was made, and still a proof is no older and no newer than the window.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_nonce_does_not_excuse_a_wrong_time() {
    let world = World::with_dpop(REQUIRED).await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let nonce = assert_challenged(&world.get_as_owner(PATH, &token, &key).await, MISSING);
    for iat in [now() - 600, now() + 365 * 86_400] {
        let proof = Proof::new(&key, "GET", &url(PATH), &token);
        let proof = proof.claim("nonce", json!(nonce)).claim("iat", json!(iat)).sign(&key);
        let answer = world.get_with_proof(PATH, &token, &proof).await;
        assert!(answer.all("www-authenticate")[0].contains("invalid_dpop_proof"), "{answer:?}");
    }
}

/// DPOP-37, DPOP-38, RP-011: half way through its life a nonce is replaced on a good answer; in the end it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn nonces_roll_over_before_they_expire() {
    let world = World::with_dpop(REQUIRED).await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let first = assert_challenged(&world.get_as_owner(PATH, &token, &key).await, MISSING);
    let with =
        async |nonce: &str| world.get_with_proof(PATH, &token, &proof(&key, &token, json!(nonce))).await;
    assert!(with(&first).await.all("dpop-nonce").is_empty(), "it is new");
    let next = eventually("a new nonce on a good answer", async || {
        let answer = with(&first).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let offered = answer.all("dpop-nonce").first().map(|nonce| (*nonce).to_owned());
        offered.inspect(|_| assert_eq!(answer.one("cache-control"), "no-store"))
    });
    let next = next.await;
    assert_ne!(first, next);
    let expired = eventually("the end of the first nonce", async || {
        Some(with(&first).await).filter(|answer| answer.status != 200)
    });
    assert_challenged(&expired.await, EXPIRED);
    assert_eq!(with(&next).await.status, 200);
}

/// RP-002: with a secret of its own, a nonce and so a proof is good at one replica only; with a shared one at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_makes_replicas_one() {
    let world = World::with_dpop(REQUIRED).await;
    let replica = world.another_clinch().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let nonce = assert_challenged(&world.get_as_owner(PATH, &token, &key).await, MISSING);
    let proof_of_one = proof(&key, &token, json!(nonce));
    assert_eq!(world.get_with_proof(PATH, &token, &proof_of_one).await.status, 200);
    assert_challenged(&world.get_at(&replica, PATH, &token, &proof_of_one).await, UNKNOWN);
}

/// CF-019: secrets are exchanged while requests come in, and nobody notices but by a new nonce.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_exchanged_without_a_restart() {
    let (one, two) = ("the first secret, which is long enough", "another secret, which is long enough too");
    let folder = crate::support::temporary::Folder::new();
    let file = folder.write("nonce.secrets", one);
    let lines = format!("  nonce: {{ mode: required, secret_file: {} }}\n", file.display());
    let world = World::with_dpop(&lines).await;
    let replica = world.another_clinch().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let at_replica =
        async |nonce: &str| world.get_at(&replica, PATH, &token, &proof(&key, &token, json!(nonce))).await;
    // A replica that has just started can't know what an older nonce was used for.
    let first = eventually("a nonce of one replica to be good at the other", async || {
        let nonce = assert_challenged(&world.get_as_owner(PATH, &token, &key).await, MISSING);
        (at_replica(&nonce).await.status == 200).then_some(nonce)
    });
    let first = first.await;

    folder.write("nonce.secrets", "too short");
    folder.write("nonce.secrets", &format!("{two}\n{one}\n"));
    let offered = eventually("the new secret to be noticed", async || {
        let answer = at_replica(&first).await;
        assert_eq!(answer.status, 200, "the old secret still opens: {answer:?}");
        answer.all("dpop-nonce").first().map(|nonce| (*nonce).to_owned())
    });
    let offered = offered.await;
    folder.write("nonce.secrets", two);
    let refused = eventually("the old secret to be gone", async || {
        Some(at_replica(&first).await).filter(|answer| answer.status != 200)
    });
    assert_challenged(&refused.await, UNKNOWN);
    assert_eq!(at_replica(&offered).await.status, 200);
    for line in replica.program.output().lines() {
        assert!(!line.contains("long enough"), "a secret in the log: {line}");
    }
}

/// RP-005: whoever remembers nothing does not take a proof that was used before for a new one.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_no_older_proof_is_accepted_as_it_is() {
    let mut world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let used = proof(&key, &token, json!(null));
    assert_eq!(world.get_with_proof(PATH, &token, &used).await.status, 200);
    world.restart_clinch().await;
    assert_challenged(&world.get_with_proof(PATH, &token, &used).await, BEFORE_START);
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200, "after an orderly end at once");
}

/// RP-005: after a crash not even a proof from a clock that is ahead; a nonce settles it at once.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_nonce_settles_what_is_in_doubt() {
    let mut world = World::with_dpop("  max_age: 60s\n  max_future: 60s\n").await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let ahead = Proof::new(&key, "GET", &url(PATH), &token).claim("iat", json!(now() + 4)).sign(&key);
    assert_eq!(world.get_with_proof(PATH, &token, &ahead).await.status, 200);
    world.crash_clinch().await;
    let nonce = assert_challenged(&world.get_with_proof(PATH, &token, &ahead).await, BEFORE_START);
    assert_challenged(&world.get_as_owner(PATH, &token, &key).await, BEFORE_START);
    let settled = proof(&key, &token, json!(nonce));
    assert_eq!(world.get_with_proof(PATH, &token, &settled).await.status, 200);
    let again = world.get_with_proof(PATH, &token, &settled).await;
    assert!(again.all("www-authenticate")[0].contains("has been used before"), "{again:?}");
    assert_eq!(world.service.received().len(), 2);
}

/// RP-005: a stop can't wait for every clock: where it did not, it is no orderly end.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_that_did_not_wait_for_the_last_proof_a_nonce_is_asked_for_as_well() {
    let mut world = World::with_dpop("  max_age: 60s\n  max_future: 60s\n").await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let ahead = Proof::new(&key, "GET", &url(PATH), &token).claim("iat", json!(now() + 55)).sign(&key);
    assert_eq!(world.get_with_proof(PATH, &token, &ahead).await.status, 200);
    world.restart_clinch().await;
    assert_challenged(&world.get_with_proof(PATH, &token, &ahead).await, BEFORE_START);
    assert_eq!(world.service.received().len(), 1);
}
