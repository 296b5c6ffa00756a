//! What the tests of the log share: a decision to be, a folder, and whoever reads the log again.

use crate::config::{self, AuditSync, OnFull};
use crate::pop::access_token::AccessToken;
use crate::pop::because::Because;
use crate::pop::policy::ProofKind;
use crate::pop::{Denial, forge};
use crate::state::audit::Position;
use crate::state::audit::chain::{self, FIRST};
use crate::state::audit::entry::Decision;
use crate::telemetry::{Passed, Record, RequestId, Telemetry, TraceId};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A decision to be.
pub(in crate::state::audit) struct Said {
    pub(in crate::state::audit) request: RequestId,
    pub(in crate::state::audit) trace: TraceId,
    pub(in crate::state::audit) token: Arc<AccessToken>,
    because: Because,
}

impl Default for Said {
    fn default() -> Said {
        let span = Telemetry::off().begin(&http::HeaderMap::new());
        let (expected, found) = (Some("this".to_owned()), Some("that".to_owned()));
        let because = Because { rule: Denial::ProofReplayed.rule(), expected, found };
        let token = Arc::new(forge::establish(&forge::token(|_, _| ())).unwrap());
        Said { request: span.request_id(), trace: span.trace_id(), token, because }
    }
}

impl Said {
    pub(in crate::state::audit) fn record(&self, verdict: Result<Passed, Denial>) -> Record<'_> {
        Record {
            request: self.request,
            generation: 3,
            method: "GET",
            target: Some("https://api.example.com/a"),
            host: None,
            route: Some("/{*rest}"),
            peer: "[2001:db8::1]:443".parse().unwrap(),
            scheme: Some("DPoP"),
            proof: Some(ProofKind::Dpop),
            token: Some(&self.token),
            revocation: None,
            revoked_by: None,
            because: verdict.is_err().then_some(&self.because),
            verdict,
            elapsed: Duration::ZERO,
        }
    }

    pub(in crate::state::audit) fn decision(&self, verdict: Result<Passed, Denial>) -> Decision {
        Decision::of(&self.record(verdict), self.trace, Some(&Position::Number(17)))
    }
}

/// A folder that is gone after the test, and what is in it.
pub(in crate::state::audit) struct Folder(PathBuf);

impl Folder {
    pub(in crate::state::audit) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("clinch-audit-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
    pub(in crate::state::audit) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    pub(in crate::state::audit) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
    /// The records of all files of the one log, in their order; the open file is the last.
    pub(in crate::state::audit) fn records(&self) -> Vec<Value> {
        let mut names = self.names();
        names.retain(|name| name.ends_with(".jsonl") && !name.contains("unverified"));
        names.sort_by_key(|name| (name == "audit.jsonl", name.clone()));
        let texts: Vec<Vec<u8>> = names.iter().map(|name| fs::read(self.at(name)).unwrap()).collect();
        follow(&texts)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Unseals every complete line; each must follow the one before.
pub(in crate::state::audit) fn follow(texts: &[Vec<u8>]) -> Vec<Value> {
    let (mut prev, mut sequence, mut records) = (FIRST, 0, Vec::new());
    for text in texts {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            let line = &line[..line.len() - 1];
            let seal = chain::unseal(line).unwrap();
            assert_eq!((seal.prev, seal.sequence), (prev, sequence + 1));
            (prev, sequence) = (seal.hash, seal.sequence);
            let record: Value = serde_json::from_slice(line).unwrap();
            if let Some((signed, signature)) = seal.signed {
                UnparsedPublicKey::new(&ED25519, key().public_key().as_ref())
                    .verify(signed, &signature)
                    .unwrap();
            }
            assert_eq!(seal.signed.is_some(), record["kind"] == "checkpoint");
            records.push(record);
        }
    }
    records
}

fn key() -> Arc<Ed25519KeyPair> {
    Arc::new(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
}

pub(in crate::state::audit) fn config(file: &Path) -> config::Audit {
    config::Audit {
        file: file.to_owned(),
        key: Some(key()),
        checkpoint: Duration::from_secs(3600),
        sync: AuditSync::Second,
        on_full: OnFull::Deny,
        rotate_size: u64::MAX,
        rotate_every: Duration::from_secs(86_400),
        replica: Some("a".to_owned()),
    }
}
