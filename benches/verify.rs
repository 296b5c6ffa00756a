//! The core with a cached token, beside the one signature check it cannot do without.
//!
//! `cargo bench --bench verify` prints both and their ratio from one run. `core` is all that happens
//! to a DPoP request between the neutral request and `Verified`; `signature` is the P-256 verification
//! of the same proof through the same library call; their difference is what our own code costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use clinch::pop::access_token::{AccessToken, Expected, TokenHash, Unverified};
use clinch::pop::algorithm::Algorithm;
use clinch::pop::credentials::Credentials;
use clinch::pop::jose::{Compact, Json};
use clinch::pop::jwk::PublicJwk;
use clinch::pop::key_set::KeySet;
use clinch::pop::nonce::Nonces;
use clinch::pop::policy::{Access, DpopPolicy, ProofRule, Requirements, Route, Routes};
use clinch::pop::target_uri::Origin;
use clinch::pop::{self, Request, Timestamp};
use criterion::Criterion;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn main() {
    let scene = Scene::new();
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("signature", |b| b.iter(|| scene.signature()));
    criterion.bench_function("core", |b| b.iter(|| scene.core()));
    criterion.final_summary();
    scene.report();
}

/// A request in order, its token already in a cache.
struct Scene {
    parts: http::request::Parts,
    origins: Vec<Origin>,
    routes: Routes,
    dpop: DpopPolicy,
    nonces: Nonces,
    cache: HashMap<[u8; 32], Arc<AccessToken>>,
    proof: String,
    key: PublicJwk,
}

impl Scene {
    fn new() -> Scene {
        let (issuer, client) =
            (SigningKey::from_slice(&[1; 32]).unwrap(), SigningKey::from_slice(&[2; 32]).unwrap());
        let key = PublicJwk::parse(&Json::parse_object(jwk(&client).as_bytes()).unwrap()).unwrap();
        let jwt = sign(
            &issuer,
            r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#,
            &format!(
                r#"{{"iss":"https://as.example.com","aud":"https://api.example.com","sub":"alice","client_id":"app","jti":"9c7e6c1e-8a7e-4a7b","iat":1699999990,"exp":1700000300,"scope":"orders.read orders.write","cnf":{{"jkt":"{}"}}}}"#,
                key.thumbprint().as_str()
            ),
        );
        let ath = B64.encode(sha256(jwt.as_bytes()));
        let proof = sign(
            &client,
            &format!(r#"{{"alg":"ES256","typ":"dpop+jwt","jwk":{}}}"#, jwk(&client)),
            &format!(
                r#"{{"jti":"0f1b7a6e-6f0c-4f6e-9b52-7f2f1f6f4a11","htm":"GET","htu":"https://api.example.com/orders/7","iat":1700000000,"ath":"{ath}"}}"#
            ),
        );
        let parts = http::Request::get("/orders/7")
            .header("host", "api.example.com")
            .header("dpop", &proof)
            .header("authorization", format!("DPoP {jwt}"))
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let rule = ProofRule { dpop: true, ..ProofRule::default() };
        let demands =
            Requirements { proof: rule, scopes: vec!["orders.read".to_owned()], ..Requirements::default() };
        let mut routes = Routes::default();
        routes
            .add(Route {
                path: "/orders/{id}".into(),
                methods: vec![http::Method::GET],
                access: Access::Protected(demands),
            })
            .unwrap();
        let dpop = DpopPolicy {
            algorithms: vec![Algorithm::Es256],
            max_age: Duration::from_secs(60),
            max_future: Duration::from_secs(5),
        };
        let cache = HashMap::from([(sha256(jwt.as_bytes()), Arc::new(establish(&issuer, &jwt)))]);
        Scene {
            parts,
            origins: vec![Origin::parse("https://api.example.com").unwrap()],
            routes,
            dpop,
            nonces: Nonces::off(),
            cache,
            proof,
            key,
        }
    }

    /// What the gate does for a request whose token is cached, without the memory behind it.
    fn core(&self) {
        let request = Request::of(black_box(&self.parts), None, &self.origins).unwrap();
        let route = self.routes.find(request.method, request.target.path()).unwrap();
        let Access::Protected(demands) = &route.access else { unreachable!() };
        let credentials = Credentials::of(&request).unwrap();
        let token = Arc::clone(&self.cache[&sha256(credentials.token().as_bytes())]);
        black_box(
            pop::verify(&request, &credentials, token, demands, &self.dpop, &self.nonces, NOW).unwrap(),
        );
    }

    fn signature(&self) {
        let compact = Compact::split(black_box(&self.proof)).unwrap();
        assert!(self.key.verifies(Algorithm::Es256, compact.signing_input.as_bytes(), compact.signature));
    }

    /// Rounds of both in turn, so that a noisy neighbour disturbs them alike; medians.
    fn report(&self) {
        let round = |work: &dyn Fn()| {
            let started = Instant::now();
            (0..500).for_each(|_| work());
            started.elapsed().as_nanos() as f64 / 500_000.0
        };
        let (mut signature, mut core) = (Vec::new(), Vec::new());
        for _ in 0..41 {
            signature.push(round(&|| self.signature()));
            core.push(round(&|| self.core()));
        }
        let (signature, core) = (median(&mut signature), median(&mut core));
        println!(
            "signature {signature:.2} us, core {core:.2} us, ratio {:.3}, ours {:.2} us",
            core / signature,
            core - signature
        );
    }
}

fn establish(issuer: &SigningKey, jwt: &str) -> AccessToken {
    let keys = format!(r#"{{"keys":[{}]}}"#, jwk(issuer));
    let keys = KeySet::parse(&Json::parse(keys.as_bytes()).unwrap()).unwrap();
    let expected = Arc::new(Expected {
        issuer: "https://as.example.com".into(),
        audiences: vec!["https://api.example.com".to_owned()],
        algorithms: vec![Algorithm::Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
    });
    Unverified::parse(jwt).unwrap().verify(TokenHash::of(jwt), &expected, &keys, NOW).unwrap()
}

fn jwk(key: &SigningKey) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
        B64.encode(point.x().unwrap()),
        B64.encode(point.y().unwrap())
    )
}

fn sign(key: &SigningKey, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signature: Signature = key.sign(input.as_bytes());
    format!("{input}.{}", B64.encode(signature.to_bytes()))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
