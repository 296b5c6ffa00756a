//! The audit log: what a request pays for its record, and what the writer's thread pays.
//!
//! `cargo bench --bench audit` prints both. A push is timed in batches by the wall clock, for it never waits; the writer by the
//! scheduler's account of its thread. The file lies in the folder for temporary files, so `TMPDIR` chooses the disk.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use clinch::config::{self, AuditSync, OnFull};
use clinch::pop::Timestamp;
use clinch::pop::access_token::{AccessToken, Expected, TokenHash, Unverified};
use clinch::pop::algorithm::Algorithm;
use clinch::pop::jose::Json;
use clinch::pop::key_set::KeySet;
use clinch::pop::policy::ProofKind;
use clinch::state::audit::{Audit, Position};
use clinch::telemetry::{Passed, Record, Telemetry};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const BATCH: usize = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::temp_dir().join(format!("clinch-bench-audit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let telemetry = Telemetry::off();
    let config = config::Audit {
        file: folder.join("audit.jsonl"),
        key: None,
        checkpoint: Duration::from_secs(60),
        sync: AuditSync::Second,
        on_full: OnFull::Deny,
        rotate_size: u64::MAX,
        rotate_every: Duration::from_secs(86_400),
        replica: None,
    };
    let audit = Audit::start(&config, 1, &telemetry.metrics.audit).unwrap();
    let (token, span) = (Arc::new(token()), telemetry.begin(&http::HeaderMap::new()));
    let record = Record {
        request: span.request_id(),
        generation: 1,
        method: "GET",
        target: Some("https://api.example.com/accounts/7/transfers/2026"),
        host: None,
        route: Some("/accounts/{*rest}"),
        peer: ([192, 0, 2, 1], 4711).into(),
        scheme: Some("DPoP"),
        proof: Some(ProofKind::Dpop),
        token: Some(&token),
        revocation: None,
        revoked_by: None,
        because: None,
        verdict: Ok(Passed::Request),
        elapsed: Duration::ZERO,
    };
    let mut pushes = Vec::with_capacity(ROUNDS);
    let before = writer_time();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..BATCH {
            assert!(audit.decided(&record, span.trace_id(), Some(&Position::Number(17))).unwrap().is_none());
        }
        pushes.push(started.elapsed().as_nanos() as f64 / BATCH as f64);
        while audit.queued() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    while telemetry.metrics.audit.records.get() < (ROUNDS * BATCH) as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let spent = writer_time() - before;
    let records = telemetry.metrics.audit.records.get();
    let bytes = std::fs::metadata(&config.file).unwrap().len();
    audit.stop(Duration::from_secs(5)).await;
    std::fs::remove_dir_all(folder).unwrap();
    pushes.sort_by(f64::total_cmp);
    println!(
        "push    {:.0} ns a request (median of {ROUNDS} batches; least {:.0}, most {:.0})",
        pushes[ROUNDS / 2],
        pushes[0],
        pushes[ROUNDS - 1]
    );
    println!(
        "writer  {:.2} us a record of {} bytes",
        spent.as_secs_f64() * 1e6 / records as f64,
        bytes / records
    );
}

/// Time that the writer's thread had a processor (Linux).
fn writer_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let mut writers = threads.filter(|thread| read(thread.join("comm")).trim() == "clinch-audit");
    let account = read(writers.next().unwrap().join("schedstat"));
    Duration::from_nanos(account.split(' ').next().unwrap().parse().unwrap())
}

fn token() -> AccessToken {
    let now = Timestamp::from_secs(1_700_000_000);
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (B64.encode(point.x().unwrap()), B64.encode(point.y().unwrap()));
    let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k1","x":"{x}","y":"{y}"}}]}}"#);
    let keys = KeySet::parse(&Json::parse(keys.as_bytes()).unwrap()).unwrap();
    let header = B64.encode(r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#);
    let claims = B64.encode(CLAIMS);
    let signature: Signature = key.sign(format!("{header}.{claims}").as_bytes());
    let jwt = format!("{header}.{claims}.{}", B64.encode(signature.to_bytes()));
    let expected = Arc::new(Expected {
        issuer: "https://as.example.com".into(),
        audiences: vec!["https://api.example.com".to_owned()],
        algorithms: vec![Algorithm::Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
    });
    Unverified::parse(&jwt).unwrap().verify(TokenHash::of(&jwt), &expected, &keys, now).unwrap()
}

const CLAIMS: &str = r#"{"iss":"https://as.example.com","aud":"https://api.example.com","sub":"9c7e6c1e-8a7e-4a7b-9f6e-2a1d4c5b6e7f","client_id":"mobile-app","jti":"5e2b9a1c-7d4f-4c1b-8a6e-0f1b7a6e6f0c","iat":1699999990,"exp":1700000300,"scope":"orders.read","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}"#;
