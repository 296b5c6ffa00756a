//! Where the attacks take place: clinch as shipped, logging everything and exporting every span, between an issuer
//! and a service that the test owns. What is said anywhere is kept, and searched for secrets at the end.

use super::answers::{challenges, fault};
use super::case::{Call, Case, Expected, PATH, Who};
use super::config::config;
use crate::support::clinch::Clinch;
use crate::support::echo::{Echo, Received};
use crate::support::issuer::Issuer;
use crate::support::pki::Pki;
use crate::support::proof::{Jwt, ProofKey};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, Caller, converse, plain_get, rest};
use crate::support::world::{url, write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Everything that an attack needs.
pub struct Stage {
    pub pki: Pki,
    /// The issuer that clinch trusts.
    pub issuer: Issuer,
    /// Another issuer that clinch trusts.
    pub other: Issuer,
    pub service: Echo,
    pub clinch: Clinch,
    /// The key that good tokens are bound to.
    pub key: ProofKey,
    collector: Echo,
    kept: Mutex<Kept>,
    _folder: Folder,
}

/// The issuers, before clinch has asked them for anything.
pub struct Parts {
    pub issuer: Issuer,
    pub other: Issuer,
}

/// What was sent that must stay secret, and all that was answered.
#[derive(Default)]
struct Kept {
    secrets: BTreeSet<String>,
    answers: String,
}

/// How often each reason was counted; grants under `granted`.
pub type Counts = BTreeMap<String, u64>;

impl Stage {
    /// Starts everything with the default config.
    pub async fn start() -> Stage {
        Stage::with(|config| config).await
    }

    /// Starts everything with the config changed.
    pub async fn with(change: impl Fn(String) -> String) -> Stage {
        Stage::unready(change, |_| ()).await
    }

    /// The same, with parts that are prepared before clinch starts.
    pub async fn unready(change: impl Fn(String) -> String, prepare: impl Fn(&Parts)) -> Stage {
        let (pki, folder) = (Pki::new(), Folder::new());
        let parts = Parts { issuer: Issuer::start(&pki).await, other: Issuer::start(&pki).await };
        prepare(&parts);
        let Parts { issuer, other } = parts;
        let (service, collector) = (Echo::start().await, Echo::start().await);
        let text = change(config(&issuer, &other, &service, &collector));
        let clinch = Clinch::start_unready(&write(&folder, &pki, &text)).await;
        let kept = Mutex::default();
        let key = ProofKey::new();
        Stage { pki, issuer, other, service, clinch, key, collector, kept, _folder: folder }
    }

    /// A good token, bound to [`Stage::key`].
    pub fn good_token(&self) -> String {
        let token = self.issuer.sign(&self.issuer.token_for(&self.key));
        self.keep_secret(&token);
        token
    }

    /// A good proof for the baseline request with a token.
    pub fn good_proof(&self, token: &str) -> Jwt {
        Jwt::new(&self.key, "GET", &url(PATH), token)
    }

    /// A good request to a path.
    pub fn good(&self, path: &str) -> Call {
        self.good_for("GET", path)
    }

    /// A good request with any method to a path.
    pub fn good_for(&self, method: &str, path: &str) -> Call {
        let token = self.good_token();
        let htu = url(path.split('?').next().unwrap_or_default());
        let proof = Jwt::new(&self.key, method, &htu, &token).sign(&self.key);
        Call::get(path).method(method).dpop(&token, &proof)
    }

    /// Remembers what must never be seen again: a token or proof and its parts, a key.
    pub fn keep_secret(&self, text: &str) {
        let mut kept = self.kept.lock().unwrap();
        let worth = |part: &&str| part.len() >= LEAST_SECRET;
        // The header of a JWT says nothing that a key's name does not say too; the rest does.
        kept.secrets.extend(text.split('.').skip(1).filter(worth).map(str::to_owned));
        kept.secrets.extend(Some(text).filter(worth).map(str::to_owned));
    }

    /// Sends a request on a connection of its own. The answer, if one came; and whether, when asked, the
    /// connection then ended without another.
    pub async fn send(&self, call: &Call, to_the_end: bool) -> (Option<Answer>, bool) {
        for (name, value) in &call.fields {
            if ["authorization", "dpop"].contains(&name.to_lowercase().as_str()) {
                let value = String::from_utf8_lossy(value);
                value.split([' ', ',', '\t']).for_each(|word| self.keep_secret(word));
            }
        }
        let mut stream = self.caller(call.who).connect().await;
        let answer = converse(&mut stream, &call.bytes(), call.method == "HEAD").await;
        // Whoever does not say that the connection ends would be waited for until it idles.
        let told = answer.as_ref().is_none_or(|answer| answer.all("connection") == ["close"]);
        let ended = to_the_end && told && rest(&mut stream).await.is_some_and(|left| left.is_empty());
        self.kept.lock().unwrap().answers.push_str(&format!("{answer:?}\n"));
        (answer, ended)
    }

    /// Somebody with or without a certificate.
    pub fn caller(&self, who: Who) -> Caller {
        let identity = match who {
            Who::Nobody => None,
            Who::Client => Some(&self.pki.client),
            Who::Thief => Some(&self.pki.thief),
        };
        Caller::new(self.clinch.address, &self.pki, identity)
    }

    /// Sends every case; a panic that names each one that did not come out as it should.
    pub async fn run(&self, cases: Vec<Case>) {
        self.clinch.becomes_ready().await;
        let mut faults = Vec::new();
        for case in &cases {
            if let Err(fault) = self.attempt(case).await {
                faults.push(format!("{}: {fault}", case.id));
            }
        }
        let told = self.clinch.program.output();
        let panics: Vec<&str> = told.lines().filter(|line| line.contains("panicked")).collect();
        assert!(
            faults.is_empty(),
            "{} of {} cases:\n{}\n{panics:?}",
            faults.len(),
            cases.len(),
            faults.join("\n")
        );
    }

    /// Sends one case and judges what came of it.
    pub async fn attempt(&self, case: &Case) -> Result<(), String> {
        let (before, seen) = (self.counts().await, self.service.received().len());
        let call = (case.make)(self);
        let ends = match case.expected {
            Expected::Broken(_) => true,
            Expected::Refused(code, _) => code == super::answers::Code::A7,
            Expected::Granted => false,
        };
        let (answer, ended) = self.send(&call, ends).await;
        let counted = difference(&before, &self.counts().await);
        let received = self.service.received();
        let new = &received[seen..];
        let count = |what: &str| Counts::from([(what.to_owned(), 1)]);
        let broken = Err(format!("{answer:?}, counted {counted:?}, the service saw {new:?}"));
        if ends && !ended {
            return Err(format!("the connection stays open after {answer:?}"));
        }
        match (case.expected, answer) {
            (Expected::Granted, Some(answer)) if answer.status == 200 && counted == count("granted") => {
                match new {
                    [one] if (case.sees)(one) && self.is_clean(one) => Ok(()),
                    _ => Err(format!("the service saw {new:?}")),
                }
            }
            (Expected::Broken(status), Some(answer))
                if answer.status == status && counted.is_empty() && new.is_empty() =>
            {
                Ok(())
            }
            (Expected::Refused(code, reason), Some(answer)) => {
                let challenges = expected_challenges(&call, code, reason);
                match fault(&answer, code, reason, &challenges, call.method == "HEAD") {
                    None if counted == count(reason) && new.is_empty() => Ok(()),
                    None => broken_with(&answer, &counted, new),
                    Some(fault) => Err(fault),
                }
            }
            _ => broken,
        }
    }

    /// `clinch_requests_total` by reason, over all routes.
    pub async fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for line in self.metrics().await.lines().filter(|line| line.starts_with("clinch_requests_total{")) {
            let label =
                |name: &str| line.split(&format!("{name}=\"")).nth(1).and_then(|l| l.split('"').next());
            let reason = label("reason").filter(|r| *r != "-").or(label("verdict")).expect("labels");
            let count: u64 = line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number");
            *counts.entry(reason.to_owned()).or_default() += count;
        }
        counts
    }

    /// The metrics page.
    pub async fn metrics(&self) -> String {
        plain_get(self.clinch.admin, "/metrics").await.expect("metrics").body
    }

    /// The end: no secret was said anywhere, nothing panicked, and nothing but grants reached the service.
    pub async fn finish(mut self) {
        let granted = self.counts().await.get("granted").copied().unwrap_or_default();
        let mut said = self.metrics().await + &format!("{:?}", self.clinch.ready().await);
        self.clinch.program.terminate();
        self.clinch.program.ended().await;
        said += &self.clinch.program.output();
        assert!(!said.contains("panicked"), "{said}");
        for line in self.clinch.program.output().lines() {
            let record: Option<serde_json::Value> = serde_json::from_str(line).ok();
            assert!(record.is_some() && !line.contains(char::is_control), "no line of the log: {line:?}");
        }
        let spans = self.collector.received();
        assert!(!spans.is_empty() && said.contains("clinch::decision"), "nothing was exported or logged");
        spans.iter().for_each(|batch| said += &String::from_utf8_lossy(&batch.body));
        let keys = [&self.key, &self.issuer.key, &self.other.key].into_iter().filter_map(ProofKey::private);
        let identities = [&self.pki.server, &self.pki.client, &self.pki.thief];
        let files =
            identities.iter().flat_map(|identity| identity.key.lines()).filter(|l| !l.starts_with('-'));
        keys.chain(files.map(str::to_owned)).for_each(|key| self.keep_secret(&key));
        let kept = self.kept.lock().unwrap();
        assert!(!kept.secrets.is_empty(), "nothing to look for");
        said += &kept.answers;
        for secret in &kept.secrets {
            let at = said.find(secret.as_str());
            assert!(at.is_none(), "{secret} is told: {:?}", at.map(|at| around(&said, at)));
        }
        let seen = self.service.received().len() as u64;
        assert!(seen <= granted, "the service saw {seen} requests, and {granted} were granted");
    }

    fn is_clean(&self, received: &Received) -> bool {
        let kept = self.kept.lock().unwrap();
        received.headers.iter().all(|(_, value)| !kept.secrets.iter().any(|secret| value.contains(secret)))
    }
}

/// What was counted between two looks.
pub fn difference(before: &Counts, after: &Counts) -> Counts {
    let new = after.iter().map(|(what, count)| (what.clone(), count - before.get(what).unwrap_or(&0)));
    new.filter(|(_, count)| *count > 0).collect()
}

fn broken_with(answer: &Answer, counted: &Counts, new: &[Received]) -> Result<(), String> {
    Err(format!("the right answer {}, but counted {counted:?}, and the service saw {new:?}", answer.status))
}

fn expected_challenges(call: &Call, code: super::answers::Code, reason: &str) -> Vec<String> {
    let unread =
        ["credentials_malformed", "credentials_ambiguous", "credentials_in_query", "credentials_missing"];
    let attempted = call.scheme().filter(|_| !unread.contains(&reason));
    let dpop_only = ["/dpop/", "/both/", "/clients/", "/issuers/"]
        .iter()
        .any(|path| call.target.starts_with(path.as_bytes()));
    challenges(code, reason, attempted, !dpop_only)
}

fn around(text: &str, at: usize) -> String {
    let bytes = &text.as_bytes()[at.saturating_sub(300)..text.len().min(at + 300)];
    String::from_utf8_lossy(bytes).into_owned()
}

/// Shorter texts are in everything.
const LEAST_SECRET: usize = 20;
