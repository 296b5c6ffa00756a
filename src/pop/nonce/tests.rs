//! Nonces: whose, how old, and what becomes of a forger's.

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const A: &str = "the first secret of these tests, long enough";
const B: &str = "the other secret of these tests, long enough";

fn nonces(secrets: &str, life: u8) -> Nonces {
    let lifetime = Duration::from_secs(300);
    Nonces { required: true, lifetime, life: [life; 8], keys: Keys::read(secrets).unwrap() }
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// DPOP-13, DPOP-36, DPOP-44
#[test]
fn a_nonce_is_good_for_its_lifetime_and_wears_the_characters_it_may() {
    let ours = nonces(A, 1);
    let text = ours.issue(NOW).unwrap();
    assert_eq!(text.len(), TEXT_BYTES);
    assert!(text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
    let found = Nonce { issued_at: NOW, ours: true, retiring: false };
    assert_eq!(ours.check(Some(&text), later(300)), Ok(Some(found)));
    assert_eq!(ours.check(Some(&text), later(301)), Err(Denial::NonceExpired));
    assert_eq!(ours.check(None, NOW), Err(Denial::NonceMissing));
}

/// DPOP-34
#[test]
fn it_tells_nothing_and_differs_from_moment_to_moment() {
    let ours = nonces(A, 1);
    let (one, other) = (ours.issue(NOW).unwrap(), ours.issue(Timestamp::from_millis(NOW.as_millis() + 1)));
    let other = other.unwrap();
    let alike = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b).count();
    assert!(alike < 12, "{one} {other}");
}

/// CL-050, CL-051, DPOP-13, DPOP-40
#[test]
fn what_is_not_ours_is_unknown_however_it_is_changed() {
    let ours = nonces(A, 1);
    let good = ours.issue(NOW).unwrap();
    let foreign = nonces(B, 1).issue(NOW).unwrap();
    let spaced = format!("{good} ");
    for text in ["", "x", "eyJ7S_zG.eyJH0-Z.HX4w-7v", &foreign, &spaced, &good[1..], &good[..42]] {
        assert_eq!(ours.check(Some(text), NOW), Err(Denial::NonceUnknown), "{text}");
    }
    for at in 0..good.len() {
        let mut forged = good.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(ours.check(Some(&forged), NOW), Err(Denial::NonceUnknown), "{forged}");
    }
}

#[test]
fn replicas_with_one_secret_accept_each_others_and_know_their_own() {
    let (one, other) = (nonces(A, 1), nonces(A, 2));
    let text = one.issue(NOW).unwrap();
    assert!(one.check(Some(&text), NOW).unwrap().unwrap().ours);
    assert!(!other.check(Some(&text), NOW).unwrap().unwrap().ours);
}

#[test]
fn secrets_are_exchanged_without_a_gap() {
    let (before, during, after) = (nonces(A, 1), nonces(&format!("{B}\n{A}\n"), 1), nonces(B, 1));
    let old = before.issue(NOW).unwrap();
    let found = during.check(Some(&old), NOW).unwrap().unwrap();
    let renewed = during.renewal(&found, NOW).expect("a key that seals no more is replaced");
    assert!(after.check(Some(&renewed), NOW).is_ok());
    assert_eq!(after.check(Some(&old), NOW), Err(Denial::NonceUnknown));
}

/// DPOP-37
#[test]
fn a_new_one_is_offered_when_half_the_life_is_over() {
    let ours = nonces(A, 1);
    let found = ours.check(Some(&ours.issue(NOW).unwrap()), NOW).unwrap().unwrap();
    assert_eq!(ours.renewal(&found, later(150)), None);
    assert!(ours.renewal(&found, later(151)).is_some());
}

#[test]
fn a_replica_that_is_ahead_is_believed_for_a_minute() {
    let ours = nonces(A, 1);
    let ahead = |seconds| ours.issue(later(seconds)).unwrap();
    assert!(ours.check(Some(&ahead(60)), NOW).is_ok());
    assert_eq!(ours.check(Some(&ahead(61)), NOW), Err(Denial::NonceExpired));
}

#[test]
fn where_none_is_demanded_a_foreign_one_does_no_harm() {
    let mut ours = nonces(A, 1);
    let text = ours.issue(NOW).unwrap();
    ours.required = false;
    assert_eq!(ours.check(None, NOW), Ok(None));
    assert_eq!(ours.check(Some("somebody else's"), NOW), Ok(None));
    assert!(ours.check(Some(&text), NOW).unwrap().is_some());
    assert_eq!(ours.check(Some(&text), later(301)), Ok(None));
}

#[test]
fn bad_secrets_are_named_and_not_shown() {
    for (file, word) in [
        ("", "no secret"),
        ("\n \n", "no secret"),
        ("short", "shorter"),
        (&format!("{A}\n{A}"), "twice"),
        (&[A, B, &A[1..], &B[1..], &A[2..]].join("\n"), "more than four"),
    ] {
        let why = Keys::read(file).unwrap_err();
        assert!(why.contains(word) && !why.contains(A), "{why}");
    }
    assert_eq!(format!("{:?}", Keys::read(A).unwrap()), "Keys(1)");
}
