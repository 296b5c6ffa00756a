//! What holds for every input, not only for the examples: names of resources, of keys and of moments.

use crate::support::proof::{ProofKey, jwt};
use clinch::pop::access_token::{Expected, TokenHash, Unverified};
use clinch::pop::algorithm::Algorithm;
use clinch::pop::credentials::Credentials;
use clinch::pop::jose::{Json, base64url, base64url_decode};
use clinch::pop::jwk::PublicJwk;
use clinch::pop::key_set::KeySet;
use clinch::pop::nonce::Nonces;
use clinch::pop::policy::{DpopPolicy, ProofRule, Requirements};
use clinch::pop::target_uri::{Origin, TargetUri};
use clinch::pop::{self, Denial, Request, Timestamp};
use clinch::state::replay::era::{Before, Era};
use clinch::state::replay::{ReplayStore, memory::Memory};
use clinch::state::revocation::Revocations;
use clinch::telemetry::Steps;
use http::{HeaderMap, HeaderName};
use proptest::prelude::*;
use serde_json::json;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What a path says, one unit a character: two paths are one resource exactly when their units are the same.
#[derive(Clone, Debug, PartialEq)]
enum Unit {
    /// Unreserved: may be written plainly or encoded (RFC 3986 section 6.2.2.2).
    Plain(u8),
    /// Reserved, and meant as such.
    Reserved(u8),
    /// Encoded, because plainly it would mean something else, or nothing.
    Encoded(u8),
    Slash,
}

/// How a unit is written. The bits choose among its spellings.
fn spelled(units: &[Unit], bits: &[bool]) -> String {
    let mut bits = bits.iter().cycle();
    let mut bit = || *bits.next().unwrap();
    let mut text = String::from("/");
    for unit in units {
        match unit {
            Unit::Slash => text.push('/'),
            Unit::Reserved(byte) => text.push(char::from(*byte)),
            Unit::Plain(byte) if bit() => text.push(char::from(*byte)),
            Unit::Plain(byte) | Unit::Encoded(byte) if bit() => text.push_str(&format!("%{byte:02X}")),
            Unit::Plain(byte) | Unit::Encoded(byte) => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![
        6 => prop::sample::select(&b"abcAB019-_~"[..]).prop_map(Unit::Plain),
        2 => prop::sample::select(&b"!$&'()*+,;=:@"[..]).prop_map(Unit::Reserved),
        2 => prop::sample::select(&b"!$&'()*+,=:@ %\"<>[]^`{|}\xc3\xa9"[..]).prop_map(Unit::Encoded),
        2 => Just(Unit::Slash),
    ]
}

/// Units that make a path a request may have: no empty segments. (There are no dots among the units.)
fn path() -> impl Strategy<Value = Vec<Unit>> {
    prop::collection::vec(unit(), 0..12).prop_map(|mut units| {
        units.dedup_by(|a, b| *a == Unit::Slash && *b == Unit::Slash);
        if units.first() == Some(&Unit::Slash) {
            units.remove(0);
        }
        units
    })
}

/// A path, and one that is the same or differs in a single unit.
fn neighbours() -> impl Strategy<Value = (Vec<Unit>, Vec<Unit>)> {
    (path(), any::<prop::sample::Index>(), prop::option::of(unit()), any::<bool>()).prop_map(
        |(path, at, unit, replace)| {
            let mut other = path.clone();
            if let Some(unit) = unit {
                let at = at.index(path.len() + 1);
                if replace && at < path.len() { other[at] = unit } else { other.insert(at, unit) }
            }
            (path, other)
        },
    )
}

const ORIGIN: &str = "https://api.example.com";

fn target(path: &str) -> Result<TargetUri, Denial> {
    let request = http::Request::builder().uri(path).header("host", "api.example.com").body(()).unwrap();
    TargetUri::of(&request.into_parts().0, &[Origin::parse(ORIGIN).unwrap()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// DPOP-12: whatever the spelling, the same text; and that text is its own spelling.
    #[test]
    fn a_resource_has_one_normalised_name(path in path(), bits in prop::collection::vec(any::<bool>(), 7)) {
        let one = target(&spelled(&path, &[true])).unwrap();
        let other = target(&spelled(&path, &bits)).unwrap();
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(&target(one.path()).unwrap(), &one);
    }

    /// DPOP-10, DPOP-12: a proof for one resource is never a proof for another, however it is written.
    #[test]
    fn an_htu_names_its_resource_and_no_other(
        (one, other) in neighbours(),
        bits in prop::collection::vec(any::<bool>(), 7),
        origin in prop::sample::select(&["https://api.example.com", "HTTPS://API.example.com:443", "https://api.example.com:"][..]),
        detour in prop::sample::select(&["", "/.", "/x/..", "/%2e", "/x/%2E."][..]),
        tail in prop::sample::select(&["", "?q=/a", "#f"][..]),
    ) {
        let target = target(&spelled(&one, &[true, false, true])).unwrap();
        let path = spelled(&other, &bits);
        let htu = format!("{origin}{detour}{path}{tail}");
        prop_assert_eq!(target.is_named_by(&htu), one == other, "{} for {}", htu, target.as_str());
        for elsewhere in ["https://api.example.com:8443", "https://api.example.co", "http://api.example.com", "https://u@api.example.com"] {
            let htu = format!("{elsewhere}{path}");
            prop_assert!(!target.is_named_by(&htu), "{}", htu);
        }
    }

    /// THUMB-01, THUMB-04: a key has one name, whatever else its JWK says and in whatever order.
    #[test]
    fn a_thumbprint_does_not_depend_on_order_or_on_other_members(
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        extra in prop::collection::vec(("[a-z]{3,8}_", "\\PC{0,8}"), 4),
    ) {
        let mut members = vec![
            ("kty".to_owned(), "EC".to_owned()),
            ("crv".to_owned(), "P-256".to_owned()),
            ("x".to_owned(), "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs".to_owned()),
            ("y".to_owned(), "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA".to_owned()),
        ];
        members.extend(extra.into_iter().enumerate().map(|(at, (name, value))| (format!("{name}{at}"), value)));
        let text: Vec<String> =
            order.iter().map(|at| format!("{}: {}", json!(members[*at].0), json!(members[*at].1))).collect();
        let text = format!("{{{}}}", text.join(", "));
        let key = PublicJwk::parse(&Json::parse_object(text.as_bytes()).unwrap()).unwrap();
        let thumbprint = key.thumbprint();
        prop_assert_eq!(thumbprint.as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    /// JWS-04: bytes have one spelling, and nothing else is a spelling of anything.
    #[test]
    fn base64url_is_read_in_its_one_spelling(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(),
        noise in prop::sample::select(&['=', '+', '/', ' ', '\n', '.', 'é', '\0'][..]),
        text in "[A-Za-z0-9_-]{0,20}",
    ) {
        let spelling = base64url(&bytes);
        prop_assert_eq!(base64url_decode(&spelling), Some(bytes));
        let mut noisy = spelling.clone();
        noisy.insert(at.index(spelling.len() + 1), noise);
        prop_assert_eq!(base64url_decode(&noisy), None);
        for padding in ["=", "=="] {
            prop_assert_eq!(base64url_decode(&format!("{spelling}{padding}")), None);
        }
        if let Some(read) = base64url_decode(&text) {
            prop_assert_eq!(base64url(read), text);
        }
    }

    /// AT-12, CL-039: a NumericDate is what the number says, cut to milliseconds, in the years 1970 to 9999.
    #[test]
    fn a_numeric_date_is_what_a_float_says(
        number in prop_oneof![
            "-?(0|[1-9][0-9]{0,12})",
            "-?(0|[1-9][0-9]{0,11})\\.[0-9]{1,9}",
            "-?[1-9](\\.[0-9]{1,9})?[eE][+-]?[0-9]{1,2}",
            (253_402_300_700_i64..253_402_300_900).prop_map(|n| n.to_string()),
        ],
    ) {
        let read = Json::parse(number.as_bytes()).unwrap().as_numeric_date().map(Timestamp::as_millis);
        let seconds: f64 = number.parse().unwrap();
        let expected = (0.0..=253_402_300_799.0).contains(&seconds).then(|| (seconds * 1000.0).trunc() as i64);
        prop_assert_eq!(read, expected);
        for text in [format!("\"{number}\""), format!("[{number}]")] {
            prop_assert_eq!(Json::parse(text.as_bytes()).unwrap().as_numeric_date(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What a token claims is what the service reads, and no claim ends a header, splits a list or adds a line.
    #[test]
    fn claims_arrive_as_they_were_said(
        subject in "\\PC{1,12}|[\0-\u{7f}]{1,12}",
        items in prop::collection::vec("[\\PC,%;\"\\\\ \r\n]{0,8}", 1..4),
        scopes in prop::collection::vec("[!-~é,%]{1,6}", 0..4),
    ) {
        let headers = identity(&subject, &items, &scopes.join(" "));
        let values = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        prop_assert_eq!(values("clinch-subject").into_iter().map(decoded).collect::<Vec<_>>(), vec![subject]);
        let [list] = values("x-team")[..] else { panic!("one line") };
        prop_assert_eq!(list.split(',').map(decoded).collect::<Vec<_>>(), items);
        let [list] = values("clinch-scope")[..] else { panic!("one line") };
        prop_assert_eq!(list.split(' ').filter(|s| !s.is_empty()).map(decoded).collect::<Vec<_>>(), scopes);
        for (name, value) in &headers {
            let plain = |b: u8| b.is_ascii_graphic() && !b"\"\\;".contains(&b) || b == b' ' && name == "clinch-scope";
            prop_assert!(value.as_bytes().iter().all(|b| plain(*b)), "{}: {:?}", name, value);
        }
    }
}

/// The identity headers of a request by a token with these claims.
fn identity(subject: &str, team: &[String], scope: &str) -> HeaderMap {
    static SIGNER: LazyLock<ProofKey> = LazyLock::new(ProofKey::new);
    const NOW: i64 = 1_700_000_000;
    let claims = json!({
        "iss": "https://as.example.com", "aud": ORIGIN, "sub": subject, "client_id": "c", "jti": "t",
        "iat": NOW, "exp": NOW + 60, "scope": scope, "team": team,
    });
    let jwt = jwt(&json!({ "typ": "at+jwt", "alg": "ES256" }), &claims, &SIGNER);
    let set = json!({ "keys": [SIGNER.jwk()] }).to_string();
    let expected = Expected {
        issuer: "https://as.example.com".into(),
        audiences: vec![ORIGIN.to_owned()],
        algorithms: vec![Algorithm::Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(60),
    };
    let keys = KeySet::parse(&Json::parse(set.as_bytes()).unwrap()).unwrap();
    let now = Timestamp::from_secs(NOW);
    let token = Unverified::parse(&jwt)
        .unwrap()
        .verify(TokenHash::of(&jwt), &Arc::new(expected), &keys, now)
        .unwrap();

    let request = http::Request::builder().uri("/").header("host", "api.example.com");
    let request = request.header("authorization", format!("Bearer {jwt}")).body(()).unwrap();
    let (parts, ()) = request.into_parts();
    let request = Request::of(&parts, None, &[Origin::parse(ORIGIN).unwrap()]).unwrap();
    let credentials = Credentials::of(&request).unwrap();
    let demands =
        Requirements { proof: ProofRule { bearer: true, ..ProofRule::default() }, ..Requirements::default() };
    let dpop = DpopPolicy { algorithms: Vec::new(), max_age: Duration::ZERO, max_future: Duration::ZERO };
    let verified =
        pop::verify(&request, &credentials, Arc::new(token), &demands, &dpop, &Nonces::off(), now).unwrap();
    let unrevoked = Revocations::off().check(verified, &Revocations::off().belief()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let era = Era::begin(now, Before::Orderly, Duration::ZERO);
    let grant = runtime
        .block_on(ReplayStore::Memory(Memory::new(1), era).claim(unrevoked, now, Steps::NONE))
        .unwrap();
    let mut headers = HeaderMap::new();
    grant.write_identity(&[(HeaderName::from_static("x-team"), "team".to_owned())], &mut headers);
    headers
}

/// Percent-decoded, as a service does it.
fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}
