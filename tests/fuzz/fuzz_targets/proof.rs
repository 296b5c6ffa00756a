//! A proof is accepted if and only if a naive reading of the twelve checks accepts it. It starts from a good one,
//! is bent, and is signed after that, or bent again once it is signed.
#![no_main]

use arbitrary::Arbitrary;
use clinch::pop::Timestamp;
use clinch::pop::nonce::Nonces;
use clinch_fuzz::edits::{Draft, Edit, bend};
use clinch_fuzz::forge::{CAST, NONCE_LIFETIME, NONCES, NOW, ORIGIN, TOKENS, parts, proof_parts, verdict};
use clinch_fuzz::naive::{self, Around, sha256_text};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

#[derive(Arbitrary, Debug)]
struct Story {
    client: bool,
    signer: u8,
    method: u8,
    /// Where nonces are demanded: how many seconds ago the one in the proof was issued.
    nonce: Option<i16>,
    header: Vec<Edit>,
    claims: Vec<Edit>,
    after: After,
}

/// What happens to a proof once it is signed.
#[derive(Arbitrary, Debug)]
enum After {
    Nothing,
    Bent(u16, char),
    Twice,
    TwoInOne,
    Cut(u8),
    Longer(String),
    TwinOfTheSignature,
    Text(Vec<u8>),
}

const METHODS: [&str; 4] = ["GET", "POST", "get", "M-SEARCH"];
const PATH: &str = "/orders/7";
static OFF: LazyLock<Nonces> = LazyLock::new(Nonces::off);

fuzz_target!(|story: Story| {
    let client = &CAST.clients[usize::from(story.client)];
    let (jwt, token) = &TOKENS[usize::from(story.client)];
    let method = METHODS[usize::from(story.method) % METHODS.len()];
    let url = format!("{ORIGIN}{PATH}");
    let (header, mut claims) = proof_parts(client, jwt, method, &url);
    let mut good = Vec::new();
    if let Some(age) = story.nonce {
        let nonce = NONCES.issue(Timestamp::from_secs(NOW - i64::from(age))).unwrap();
        claims["nonce"] = nonce.clone().into();
        // Another replica's clock may be a minute ahead.
        good.extend((-60..=NONCE_LIFETIME as i64).contains(&i64::from(age)).then_some(nonce));
    }
    let signer = match story.signer {
        0..=200 => client,
        201..=225 => &CAST.thief,
        226..=255 => &CAST.clients[usize::from(!story.client)],
    };
    let header = Draft::of(&header).edited(&story.header).written();
    let claims = Draft::of(&claims).edited(&story.claims).written();
    let proofs = afterwards(signer.jws(&header, &claims), &story.after);
    let authorization = format!("DPoP {jwt}");
    let mut fields = vec![("host", &b"api.example.com"[..]), ("authorization", authorization.as_bytes())];
    fields.extend(proofs.iter().map(|proof| ("dpop", proof.as_slice())));
    let Some(parts) = parts(method, &format!("{PATH}?q=1"), &fields) else { return };

    let proofs: Vec<&[u8]> = proofs.iter().map(Vec::as_slice).collect();
    let (ath, jkt) = (sha256_text(jwt.as_bytes()), client.jkt());
    let around =
        Around { method, url: &url, ath: &ath, jkt: &jkt, nonces: story.nonce.is_some().then_some(&*good) };
    let holds = naive::proof_holds(&proofs, &around);
    let nonces = if story.nonce.is_some() { &*NONCES } else { &*OFF };
    match verdict(&parts, token, nonces) {
        Ok(verified) => {
            assert!(holds.is_some(), "accepted against the naive reading: {header} {claims}");
            let (_, said, ..) = naive::jws(std::str::from_utf8(proofs[0]).unwrap()).unwrap();
            let proof = verified.proof().unwrap();
            assert_eq!(said["jti"], proof.jti());
            assert_eq!(client.jkt(), proof.key().as_str());
            assert_eq!(naive::date(&said["iat"]).unwrap() + 65_000, proof.acceptable_until().as_millis());
            let read = jsonwebtoken::decode_header(proofs[0]);
            assert!(
                read.is_ok_and(|read| read.typ.as_deref() == Some("dpop+jwt")) || beyond_the_library(&header)
            );
        }
        Err(denial) => assert!(holds.is_none(), "refused as {denial:?}: {header} {claims}"),
    }
});

fn afterwards(mut jws: String, after: &After) -> Vec<Vec<u8>> {
    match after {
        After::Nothing => {}
        After::Bent(position, character) => bend(&mut jws, usize::from(*position), *character),
        After::Twice => return vec![jws.clone().into_bytes(), jws.into_bytes()],
        After::TwoInOne => jws = format!("{jws}, {jws}"),
        After::Cut(bytes) => jws.truncate(jws.len() - usize::from(*bytes) % jws.len()),
        After::Longer(more) => jws.push_str(more),
        After::TwinOfTheSignature => jws = twin(&jws).unwrap_or(jws),
        After::Text(text) => return vec![text.clone()],
    }
    vec![jws.into_bytes()]
}

/// The proof with n - s for s, which is as good.
fn twin(jws: &str) -> Option<String> {
    let (message, signature) = jws.rsplit_once('.')?;
    let signature = p256::ecdsa::Signature::from_slice(&naive::decode(signature)?).ok()?;
    let (r, s) = signature.split_scalars();
    let twin = p256::ecdsa::Signature::from_scalars(r, -*s).ok()?;
    Some(format!("{message}.{}", naive::encode(&twin.to_bytes())))
}

/// Whether a header has what the library reads into types of its own and clinch ignores: another `jku`, say.
fn beyond_the_library(header: &str) -> bool {
    let Some(header) = naive::object(header.as_bytes()) else { return true };
    let plain = |members: &serde_json::Map<String, serde_json::Value>, known: &[&str]| {
        members.keys().all(|name| known.contains(&name.as_str()))
    };
    header["alg"] == "Ed25519"
        || !plain(&header, &["alg", "typ", "jwk"])
        || !header["jwk"].as_object().is_some_and(|jwk| plain(jwk, &["kty", "crv", "x", "y"]))
}
