//! Project Wycheproof: signatures made to slip through, each verdict compared with the published one.
//!
//! What clinch is asked is what a request asks it: is this a key, and did it sign this? Where the verdict is not the
//! published one, the reason stands in [`difference`], and a reason that no vector needs any more fails too.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use clinch::pop::algorithm::Algorithm;
use clinch::pop::jose::Json;
use clinch::pop::jwk::{JwkFault, PublicJwk};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wycheproof::TestResult;

/// What clinch made of one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Accepted,
    Refused,
    /// No key at all, so no signature is looked at.
    NoKey,
}

/// One published vector.
struct Vector {
    set: &'static str,
    number: usize,
    published: TestResult,
    flags: String,
    verdict: Verdict,
}

/// Why clinch may differ; `None` if it must not.
fn difference(vector: &Vector) -> Option<&'static str> {
    match (vector.published, vector.verdict, vector.flags.as_str()) {
        // RFC 8017 appendix B.1: in this encoding the parameters are NULL. Leaving them out is a habit of old software.
        (TestResult::Acceptable, Verdict::Refused, "MissingNull") => Some("PKCS#1 without the NULL"),
        // Above 4096 bits a verification costs more than a caller should be able to buy.
        (_, Verdict::NoKey, _) if vector.set.starts_with("rsa 8192") => Some("RSA above 4096 bits"),
        // RFC 7518 section 3.5: the salt is as long as the hash, and MGF1 has the same hash. Signatures with other
        // parameters are as good as their own, and none of ours.
        (TestResult::Valid, Verdict::Refused, _) if vector.set.ends_with("other parameters") => {
            Some("PSS with other parameters")
        }
        // The same from the other side: "salt length changed to 32" is wrong for a salt of 0, and right for PS256.
        (TestResult::Invalid, Verdict::Accepted, "ModifiedSignature")
            if (vector.set, vector.number) == SALT_OF_32 =>
        {
            Some("PSS with our parameters after all")
        }
        _ => None,
    }
}

/// In the set of salts of length 0.
const SALT_OF_32: (&str, usize) = ("pss 2048 256, other parameters", 69);

/// JWS-06, JWS-09, JWS-10, BCP-05, PF-023
#[test]
fn verdicts_are_those_of_wycheproof() {
    let mut vectors = Vec::new();
    ecdsa(&mut vectors);
    ed25519(&mut vectors);
    rsa_pkcs1(&mut vectors);
    rsa_pss(&mut vectors);

    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in &vectors {
        let agrees = match vector.published {
            TestResult::Valid => vector.verdict == Verdict::Accepted,
            TestResult::Invalid => vector.verdict != Verdict::Accepted,
            TestResult::Acceptable => false, // a choice, and a choice has a reason
        };
        match difference(vector) {
            _ if agrees => {}
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => wrong.push(format!(
                "{} {}: {:?} is {:?} ({})",
                vector.set, vector.number, vector.published, vector.verdict, vector.flags
            )),
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
    // What is tried, and how often each reason is needed: a reason that explains more than it should shows here.
    let known: BTreeMap<&str, usize> = BTreeMap::from([
        ("PKCS#1 without the NULL", 3),
        ("RSA above 4096 bits", 8),
        ("PSS with other parameters", 256),
        ("PSS with our parameters after all", 1),
    ]);
    assert_eq!((vectors.len(), reasons), (2900, known));
}

/// High S is not among the differences: it is legal in JOSE, and in the vectors (`SignatureMalleabilityBitcoin` is
/// another set's rule).
fn ecdsa(vectors: &mut Vec<Vector>) {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (set, name, crv, algorithm) in [
        ("ecdsa P-256", TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::Es256),
        ("ecdsa P-384", TestName::EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::Es384),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at((group.key.key.len() - 1) / 2);
            let key = key(json!({ "kty": "EC", "crv": crv, "x": BASE64.encode(x), "y": BASE64.encode(y) }));
            for test in group.tests {
                let verdict = verdict(&key, algorithm, &test.msg, &test.sig);
                let (published, flags) = (test.result, flags(&test.flags));
                vectors.push(Vector { set, number: test.tc_id, published, flags, verdict });
            }
        }
    }
}

fn ed25519(vectors: &mut Vec<Vector>) {
    use wycheproof::eddsa::{TestName, TestSet};
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = key(json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(&group.key.pk[..]) }));
        for test in group.tests {
            let verdict = verdict(&key, Algorithm::EdDsa, &test.msg, &test.sig);
            let (published, flags) = (test.result, flags(&test.flags));
            vectors.push(Vector { set: "ed25519", number: test.tc_id, published, flags, verdict });
        }
    }
}

fn rsa_pkcs1(vectors: &mut Vec<Vector>) {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (set, name) in [
        ("rsa 2048", TestName::Rsa2048Sha256),
        ("rsa 3072", TestName::Rsa3072Sha256),
        ("rsa 4096", TestName::Rsa4096Sha256),
        ("rsa 8192", TestName::Rsa8192Sha256),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let verdict = verdict(&key, Algorithm::Rs256, &test.msg, &test.sig);
                let (published, flags) = (test.result, flags(&test.flags));
                vectors.push(Vector { set, number: test.tc_id, published, flags, verdict });
            }
        }
    }
}

fn rsa_pss(vectors: &mut Vec<Vector>) {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    for (set, name, algorithm) in [
        ("pss 2048 256", TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256),
        ("pss 3072 256", TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256),
        ("pss 4096 256", TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256),
        ("pss 2048 384", TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384),
        ("pss 4096 384", TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384),
        ("pss 4096 512", TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512),
        ("pss 2048 256, other parameters", TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::Ps256),
        ("pss 2048 256 sha1, other parameters", TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256),
        ("pss 4096 512 32, other parameters", TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let verdict = verdict(&key, algorithm, &test.msg, &test.sig);
                let (published, flags) = (test.result, flags(&test.flags));
                vectors.push(Vector { set, number: test.tc_id, published, flags, verdict });
            }
        }
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<PublicJwk, JwkFault> {
    // The vectors write integers as DER does, with a zero before a high bit; a JWK has none (RFC 7518 section 6.3.1).
    let minimal = |bytes: &[u8]| BASE64.encode(&bytes[bytes.iter().take_while(|b| **b == 0).count()..]);
    key(json!({ "kty": "RSA", "n": minimal(n), "e": minimal(e) }))
}

fn key(jwk: Value) -> Result<PublicJwk, JwkFault> {
    PublicJwk::parse(&Json::parse_object(jwk.to_string().as_bytes()).unwrap())
}

fn verdict(
    key: &Result<PublicJwk, JwkFault>,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Verdict {
    match key {
        Err(_) => Verdict::NoKey,
        Ok(key) if key.verifies(algorithm, message, &BASE64.encode(signature)) => Verdict::Accepted,
        Ok(_) => Verdict::Refused,
    }
}

fn flags(flags: &[impl std::fmt::Debug]) -> String {
    flags.iter().map(|flag| format!("{flag:?}")).collect::<Vec<_>>().join(" ")
}
