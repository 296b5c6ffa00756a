//! The service's identity headers: whatever a token claims, they are visible ASCII, say exactly what it said, and
//! cannot be split.
#![no_main]

use arbitrary::Arbitrary;
use clinch::pop::Timestamp;
use clinch::pop::identity;
use clinch::pop::nonce::Nonces;
use clinch::pop::policy::ProofKind;
use clinch::state::replay::era::{Before, Era};
use clinch::state::replay::{Grant, ReplayStore, memory::Memory};
use clinch::state::revocation::Revocations;
use clinch_fuzz::edits::{Name, Piece};
use clinch_fuzz::forge::{CAST, ISSUER, NOW, establish, parts, token_parts, verdict};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Arbitrary, Debug)]
struct Story {
    subject: String,
    client: String,
    token_id: String,
    scope: String,
    claim: Piece,
    other: Vec<(Name, Piece)>,
    outside: Vec<(Vec<u8>, Vec<u8>)>,
}

static REVOCATIONS: LazyLock<Arc<Revocations>> = LazyLock::new(Revocations::off);
static REPLAY: LazyLock<ReplayStore> = LazyLock::new(|| {
    let era = Era::begin(Timestamp::from_secs(NOW), Before::Orderly, Duration::ZERO);
    ReplayStore::Memory(Memory::new(10), era)
});

fuzz_target!(|story: Story| {
    let extra = [(HeaderName::from_static("x-claim"), "the claim".to_owned())];
    let mut headers = outside(&story.outside);
    identity::strip(&mut headers, &extra);
    for name in headers.keys() {
        let folded = name.as_str().to_ascii_lowercase().replace(['_', '.'], "-");
        assert!(!folded.starts_with("clinch-") && folded != "x-claim", "{name}");
    }
    let Some((grant, claims)) = granted(&story) else { return };
    let before = headers.len();
    grant.write_identity(&extra, &mut headers);

    let written: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("clinch-") || *name == "x-claim")
        .map(|(name, value)| (name.as_str(), value.to_str().expect("visible ASCII")))
        .collect();
    assert_eq!(before + written.len(), headers.len(), "no other header appears");
    for (name, value) in &written {
        let list = *name == "clinch-scope" || *name == "x-claim";
        assert!(
            value.bytes().all(|b| b.is_ascii_graphic() || (b == b' ' && *name == "clinch-scope")),
            "{name}: {value}"
        );
        assert!(list || !value.contains(','), "{name}: {value}");
        assert!(!value.contains(['"', ';', '\\']), "{name}: {value}");
    }
    let value = |name: &str| {
        let mut found = written.iter().filter(|(n, _)| *n == name);
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none(), "{name} twice");
        value
    };
    let says = |name: &str, text: &str| assert_eq!(value(name).map(decoded).as_deref(), Some(text), "{name}");
    says("clinch-subject", &story.subject);
    says("clinch-client", &story.client);
    says("clinch-token-id", &story.token_id);
    says("clinch-issuer", ISSUER);
    assert_eq!(value("clinch-proof"), Some(ProofKind::Bearer.as_str()));
    assert!(value("clinch-key").is_none() && value("clinch-certificate-subject").is_none());
    let scopes: Vec<String> =
        value("clinch-scope").unwrap().split(' ').filter(|s| !s.is_empty()).map(decoded).collect();
    assert_eq!(scopes, story.scope.split(' ').filter(|s| !s.is_empty()).collect::<Vec<_>>());
    assert_eq!(value("x-claim").map(|v| v.split(',').map(decoded).collect()), items(&claims["the claim"]));
});

/// Through all of clinch, with a token that is bound to no key, so that one signature is enough.
fn granted(story: &Story) -> Option<(Grant, Value)> {
    let (header, mut claims) = token_parts(None);
    claims["sub"] = story.subject.clone().into();
    claims["client_id"] = story.client.clone().into();
    claims["jti"] = story.token_id.clone().into();
    claims["scope"] = story.scope.clone().into();
    claims["the claim"] = serde_json::from_str(&story.claim.text(4)).ok()?;
    let more =
        Piece::Object(story.other.iter().take(4).map(|(n, p)| (n.clone(), p.clone())).collect()).text(4);
    claims["more"] = serde_json::from_str(&more).unwrap_or_default();
    let jwt = CAST.issuer[0].jws(&header.to_string(), &claims.to_string());
    let token = Arc::new(establish(&jwt).ok()?);
    let authorization = format!("Bearer {jwt}");
    let parts =
        parts("GET", "/", &[("host", b"api.example.com"), ("authorization", authorization.as_bytes())])?;
    let verified =
        verdict(&parts, &token, &Nonces::off()).expect("an unbound token where those are admitted");
    let now = Timestamp::from_secs(NOW);
    let unrevoked = REVOCATIONS.check(verified, &REVOCATIONS.belief()).unwrap();
    let mut claim = pin!(REPLAY.claim(unrevoked, now, clinch::telemetry::Steps::NONE));
    match claim.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(grant) => Some((grant.unwrap(), claims)),
        Poll::Pending => panic!("the memory store waits for nothing"),
    }
}

fn outside(fields: &[(Vec<u8>, Vec<u8>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().take(8) {
        // Every other name is one that a forger would choose.
        let spelled = [b"clinch-subject", b"CLINCH_Subject", b"clinch.subject"][name.len() % 3];
        let name = if name.len() % 2 == 0 { name.as_slice() } else { spelled };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// What a service reads: percent-decoded.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = if *byte == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            &tail[2..]
        } else {
            bytes.push(*byte);
            tail
        };
    }
    String::from_utf8(bytes).unwrap()
}

/// What the header of a claim should say, item by item.
fn items(claim: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match claim {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => Some(vec![String::new()]),
        Value::Array(items) => Some(items.iter().map(text).collect()),
        one => Some(vec![text(one)]),
    }
}
