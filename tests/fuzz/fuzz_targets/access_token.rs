//! A token is accepted if and only if a naive reading of RFC 9068 accepts it, and what clinch read in it is what
//! serde_json and jsonwebtoken read.
#![no_main]

use arbitrary::Arbitrary;
use clinch_fuzz::edits::{Draft, Edit, bend};
use clinch_fuzz::forge::{CAST, ISSUER, ORIGIN, establish, token_parts};
use clinch_fuzz::naive;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
struct Story {
    signer: u8,
    bound: bool,
    header: Vec<Edit>,
    claims: Vec<Edit>,
    after: After,
}

/// What happens to a token once it is signed.
#[derive(Arbitrary, Debug)]
enum After {
    Nothing,
    Bent(u16, char),
    Cut(u8),
    Longer(String),
    Text(String),
}

fuzz_target!(|story: Story| {
    let signer = match story.signer {
        0..=180 => &CAST.issuer[0],
        181..=230 => &CAST.issuer[1],
        231..=255 => &CAST.thief,
    };
    let jkt = story.bound.then(|| CAST.clients[0].jkt());
    let (mut header, claims) = token_parts(jkt.as_deref());
    header["alg"] = signer.alg().into();
    header["kid"] = if signer.alg() == "ES256" { "k1".into() } else { "k2".into() };
    let header = Draft::of(&header).edited(&story.header).written();
    let claims = Draft::of(&claims).edited(&story.claims).written();
    let jwt = afterwards(signer.jws(&header, &claims), &story.after);

    let holds = naive::token_holds(&jwt);
    match establish(&jwt) {
        Ok(token) => {
            assert!(holds.is_some(), "accepted against the naive reading: {header} {claims}");
            let ours = clinch::pop::jose::Json::Object(token.claims().clone()).to_string();
            let ours: Value = serde_json::from_str(&ours).unwrap();
            assert_eq!(ours, Value::Object(naive::jws(&jwt).unwrap().1));
            agrees(&token, &ours);
            assert!(second_library(&jwt, &header).is_none_or(|theirs| theirs == ours), "{header} {claims}");
        }
        Err(denial) => assert!(holds.is_none(), "refused as {denial:?}: {header} {claims}"),
    }
});

fn afterwards(mut jws: String, after: &After) -> String {
    match after {
        After::Nothing => {}
        After::Bent(position, character) => bend(&mut jws, usize::from(*position), *character),
        After::Cut(bytes) => jws.truncate(jws.len() - usize::from(*bytes) % jws.len()),
        After::Longer(more) => jws.push_str(more),
        After::Text(text) => return text.clone(),
    }
    jws
}

/// What the rest of clinch asks a token for is what it says.
fn agrees(token: &clinch::pop::access_token::AccessToken, claims: &Value) {
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(claims["sub"], token.subject());
    assert_eq!(claims["jti"], token.token_id());
    assert_eq!(claims.get("client_id").unwrap_or(&claims["azp"]), token.client());
    assert_eq!(claims.get("scope").map_or("", |scope| scope.as_str().unwrap()), token.scope());
    assert_eq!(naive::date(&claims["exp"]), Some(token.expires_at().as_millis()));
    assert_eq!(naive::date(&claims["iat"]), Some(token.issued_at().as_millis()));
    let bound = token.confirmation();
    let named = |name: &str| claims.get("cnf").and_then(|cnf| cnf.get(name));
    assert_eq!(named("jkt").map(|v| v.as_str().unwrap()), bound.jkt.as_ref().map(|jkt| jkt.as_str()));
    assert_eq!(named("x5t#S256").map(|v| v.as_str().unwrap()), bound.x5t.as_ref().map(|x5t| x5t.as_str()));
}

/// The claims as jsonwebtoken verifies and reads them; none where it is stricter about what clinch ignores.
fn second_library(jwt: &str, header: &str) -> Option<Value> {
    let header = naive::object(header.as_bytes())?;
    let known = ["alg", "typ", "kid"];
    if header["alg"] == "Ed25519" || header.keys().any(|name| !known.contains(&name.as_str())) {
        return None;
    }
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    if header["alg"] == "EdDSA" {
        validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    }
    validation.validate_exp = false; // by a clock that is not ours
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ORIGIN, "second"]);
    let key = &CAST.issuer[usize::from(header["alg"] == "EdDSA")];
    let jwk = serde_json::from_value(key.jwk()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    Some(jsonwebtoken::decode::<Value>(jwt, &key, &validation).expect("the library reads it too").claims)
}
