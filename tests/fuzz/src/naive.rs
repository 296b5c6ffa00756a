//! A second opinion: the rules once more, as plainly as the RFCs put them and with other libraries where there
//! are any. Slow, and nobody's production code.

use crate::forge::{CAST, ISSUER, NOW, ORIGIN};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding (RFC 4648 section 5), bit by bit.
pub fn encode(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let digit = |six: &[u8]| (0..6).fold(0, |n, at| n << 1 | six.get(at).copied().unwrap_or(0));
    bits.chunks(6).map(|six| char::from(ALPHABET[usize::from(digit(six))])).collect()
}

/// The bytes of a text that is the one spelling of them.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<usize> =
        text.bytes().map(|byte| ALPHABET.iter().position(|a| *a == byte)).collect::<Option<_>>()?;
    let bits: Vec<usize> = digits.iter().flat_map(|n| (0..6).rev().map(move |at| n >> at & 1)).collect();
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |n, bit| n << 1 | *bit) as u8).collect();
    (encode(&bytes) == text).then_some(bytes)
}

/// base64url of the SHA-256.
pub fn sha256_text(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}

/// RFC 7638 section 3 and RFC 8037 section 2, from the members as they are spelled.
pub fn thumbprint(jwk: &Value) -> Option<String> {
    let names: &[&str] = match jwk["kty"].as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let member = |name: &&str| Some(format!("\"{name}\":\"{}\"", jwk[*name].as_str()?));
    let members: Vec<String> = names.iter().map(member).collect::<Option<_>>()?;
    Some(sha256_text(format!("{{{}}}", members.join(",")).as_bytes()))
}

/// An object that says each thing once, at every depth, and is not beyond what clinch cares to read.
pub fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let value: Value = serde_json::from_slice(text).ok()?;
    // Every member is written with one colon outside of a string: more colons, and a name came twice.
    let (mut colons, mut quoted, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => colons += 1,
            _ => {}
        }
    }
    let (members, depth, width) = measure(&value);
    match value {
        Value::Object(object) if members == colons && depth <= 16 && width <= 512 => Some(object),
        _ => None,
    }
}

/// Members in all, levels, and the most items or members of one.
fn measure(value: &Value) -> (usize, usize, usize) {
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => return (0, 0, 0),
    };
    let own = if value.is_object() { inner.len() } else { 0 };
    let below: Vec<_> = inner.iter().map(|v| measure(v)).collect();
    let members = own + below.iter().map(|b| b.0).sum::<usize>();
    let depth = 1 + below.iter().map(|b| b.1).max().unwrap_or(0);
    (members, depth, below.iter().map(|b| b.2).max().unwrap_or(0).max(inner.len()))
}

/// Header, payload, signed text and signature of a compact JWS.
pub fn jws(text: &str) -> Option<(Map<String, Value>, Map<String, Value>, &str, Vec<u8>)> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else { return None };
    let signature = decode(signature)?;
    let signed = &text[..header.len() + 1 + payload.len()];
    Some((object(&decode(header)?)?, object(&decode(payload)?)?, signed, signature))
}

/// Whether a JWK, by its algorithm, made the signature; with other libraries than clinch's.
pub fn signed(jwk: &Value, alg: &str, message: &[u8], signature: &[u8]) -> bool {
    let bytes = |name: &str| jwk[name].as_str().and_then(decode);
    let p256 = || {
        use p256::ecdsa::signature::Verifier;
        let point = [vec![4], bytes("x")?, bytes("y")?].concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
        let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
        key.verify(message, &signature).ok()
    };
    let ed25519 = || {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes("x")?.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        key.verify_strict(message, &signature).ok()
    };
    match (alg, jwk["kty"].as_str(), jwk["crv"].as_str()) {
        ("ES256", Some("EC"), Some("P-256")) => p256().is_some(),
        ("EdDSA" | "Ed25519", Some("OKP"), Some("Ed25519")) => ed25519().is_some(),
        _ => false,
    }
}

/// Members that no public key has.
pub const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A NumericDate in milliseconds, cut off.
pub fn date(value: &Value) -> Option<i64> {
    let seconds = value.as_f64()?; // exact up to 2^53
    (0.0..=253_402_300_799.0).contains(&seconds).then_some((seconds * 1000.0) as i64)
}

/// A date that may be missing, but not malformed.
fn optional_date(claims: &Map<String, Value>, name: &str) -> Option<Option<i64>> {
    claims.get(name).map_or(Some(None), |value| date(value).map(Some))
}

/// What the twelve checks of RFC 9449 section 4.3 need to know besides the DPoP fields of a request.
pub struct Around<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL that was called.
    pub url: &'a str,
    /// The hash of the token that came along.
    pub ath: &'a str,
    /// The thumbprint the token is bound to.
    pub jkt: &'a str,
    /// The nonces that are still good, where one is demanded.
    pub nonces: Option<&'a [String]>,
}

/// The twelve checks, in the order of the RFC.
pub fn proof_holds(fields: &[&[u8]], around: &Around<'_>) -> Option<()> {
    let yes = |condition: bool| condition.then_some(());
    let [field] = fields else { return None }; // 1
    yes(field.len() <= 8192)?;
    let (header, claims, message, signature) = jws(std::str::from_utf8(field).ok()?)?; // 2
    let text = |name: &str| claims.get(name)?.as_str(); // 3
    yes((1..=256).contains(&text("jti")?.len()))?;
    let (htm, htu, stated_ath, iat) = (text("htm")?, text("htu")?, text("ath")?, date(claims.get("iat")?)?);
    yes(header.get("typ")? == "dpop+jwt")?; // 4
    let alg = header.get("alg")?.as_str()?; // 5
    yes(matches!(alg, "ES256" | "EdDSA" | "Ed25519"))?;
    yes(!header.contains_key("crit") && !header.contains_key("b64"))?;
    let jwk = header.get("jwk")?;
    yes(PRIVATE.iter().all(|name| jwk.get(name).is_none()))?; // 7
    yes(jwk.get("use").is_none_or(|v| v == "sig"))?;
    let same = |name: &str| {
        name == alg || [name, alg] == ["EdDSA", "Ed25519"] || [name, alg] == ["Ed25519", "EdDSA"]
    };
    yes(jwk.get("alg").is_none_or(|v| v.as_str().is_some_and(same)))?;
    yes(jwk
        .get("key_ops")
        .is_none_or(|v| v.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"))))?;
    yes(htm == around.method)?; // 8
    yes(normalised(htu)? == normalised(around.url)?)?; // 9
    let nonce = claims.get("nonce").map_or(Some(None), |nonce| nonce.as_str().map(Some))?; // 10
    yes(around.nonces.is_none_or(|good| nonce.is_some_and(|nonce| good.iter().any(|g| g == nonce))))?;
    yes(iat / 1000 <= NOW + 5 && NOW <= iat / 1000 + 60)?; // 11
    yes(optional_date(&claims, "nbf")?.is_none_or(|nbf| nbf / 1000 <= NOW + 5))?;
    yes(optional_date(&claims, "exp")?.is_none_or(|exp| NOW * 1000 < exp))?;
    yes(stated_ath == around.ath && thumbprint(jwk)? == around.jkt)?; // 12
    yes(signed(jwk, alg, message.as_bytes(), &signature)) // 6: the dearest comes last here too
}

/// The rules of RFC 9068 section 4 and of clinch's issuers, for the issuer of every story.
pub fn token_holds(jwt: &str) -> Option<()> {
    let yes = |condition: bool| condition.then_some(());
    let (header, claims, message, signature) = jws(jwt)?;
    let text = |name: &str| claims.get(name)?.as_str().filter(|text| !text.is_empty());
    let typ = header.get("typ")?.as_str()?.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    yes(matches!(typ, "at+jwt" | "jwt"))?;
    yes(typ != "jwt" || ["nonce", "at_hash", "c_hash"].iter().all(|name| !claims.contains_key(*name)))?;
    yes(!header.contains_key("crit") && !header.contains_key("b64"))?;
    let alg = header.get("alg")?.as_str()?;
    let kid = header.get("kid").map_or(Some(None), |kid| kid.as_str().map(Some))?;
    yes(text("iss")? == ISSUER)?;
    let ours = |aud: &Value| aud == ORIGIN || aud == "second";
    yes(match claims.get("aud")? {
        Value::Array(all) => all.iter().all(Value::is_string) && all.iter().any(ours),
        one => ours(one),
    })?;
    let (exp, iat) = (date(claims.get("exp")?)?, date(claims.get("iat")?)?);
    let nbf = optional_date(&claims, "nbf")?.unwrap_or(iat);
    yes(NOW * 1000 < exp && iat.max(nbf) <= NOW * 1000 + SKEW && iat < exp && exp - iat <= 3_600_000)?;
    yes(claims.get("scope").is_none_or(Value::is_string))?;
    text(if claims.contains_key("client_id") { "client_id" } else { "azp" })?;
    text("sub").and(text("jti"))?;
    yes(claims.get("cnf").is_none_or(|cnf| names_a_key(cnf).unwrap_or(false)))?;
    let keys = [("k1", &CAST.issuer[0]), ("k2", &CAST.issuer[1])];
    let mut keys = keys.iter().filter(|(name, _)| kid.is_none_or(|kid| kid == *name));
    yes(keys.any(|(_, key)| signed(&key.jwk(), alg, message.as_bytes(), &signature)))
}

/// Whether a `cnf` has a member that clinch verifies; none if one is malformed (RFC 7800 section 3.1).
fn names_a_key(cnf: &Value) -> Option<bool> {
    let bound = |name: &str| match cnf.as_object()?.get(name) {
        None => Some(false),
        Some(value) => value.as_str().and_then(decode).filter(|hash| hash.len() == 32).map(|_| true),
    };
    let (jkt, x5t) = (bound("jkt")?, bound("x5t#S256")?);
    Some(jkt || x5t)
}

/// How far an issuer's clock may be ahead, in milliseconds.
const SKEW: i64 = 5_000;

/// An https URI after RFC 3986 section 6.2.2 and 6.2.3, without query and fragment.
pub fn normalised(uri: &str) -> Option<String> {
    let uri = uri.split(['?', '#']).next()?;
    let rest = uri.get(8..).filter(|_| uri[..8].eq_ignore_ascii_case("https://"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let plain = |extra: &'static str| move |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_holds = match literal {
        Some(ip) => !ip.is_empty() && ip.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.'),
        None => !host.is_empty() && host.chars().all(plain("-._~")),
    };
    let port_holds = port.is_empty() || port.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == port);
    if !host_holds || !port_holds {
        return None;
    }
    let port = if port.is_empty() || port == "443" { String::new() } else { format!(":{port}") };
    let mut kept: Vec<String> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let (segment, last) = (decoded_where_unreserved(segment)?, at + 1 == segments.len());
        match segment.as_str() {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment.clone()),
        }
        if last && (segment == "." || segment == "..") {
            kept.push(String::new());
        }
    }
    Some(format!("https://{}{port}/{}", host.to_ascii_lowercase(), kept.join("/")))
}

/// A path segment with what is unreserved in plain and the rest in capital hex; none if it is no segment.
pub fn decoded_where_unreserved(segment: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            let hex: String = chars.by_ref().take(2).collect();
            let is_hex = hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let byte = u8::from_str_radix(&hex, 16).ok().filter(|_| is_hex)?;
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c) {
            out.push(c);
        } else {
            return None;
        }
    }
    Some(out)
}
