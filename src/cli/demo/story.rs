//! The story: the right callers get through, and a thief does not, in each of the ways a thief would try.

use super::caller::{Answer, Call};
use super::issuer::Token;
use super::outcome::Outcome;
use super::stage::{APP_SUBJECT, MACHINE, PAY, READ, Stage};
use super::{now, revocation};
use crate::cli::holder::{Holder, ProofFor};
use crate::pop::Denial;
use std::time::Duration;

/// One step, as it went.
pub(super) struct Told {
    pub(super) number: u8,
    pub(super) title: &'static str,
    pub(super) tale: &'static str,
    /// The requests that matter, each with its answer.
    pub(super) exchanges: Vec<(Call, Answer)>,
    pub(super) expected: Outcome,
    pub(super) seen: Outcome,
    /// From the publication of a revocation to the first refusal.
    pub(super) delay: Option<Duration>,
    /// Whether everything that the service was told belongs to the story, or only who is calling.
    pub(super) all_headers: bool,
}

/// A step before it is taken.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) tale: &'static str,
    pub(super) call: Call,
    pub(super) expected: Outcome,
}

/// Plays every step in order and tells each as soon as it is over.
pub(super) async fn play(
    stage: &Stage,
    sabotage: Option<u8>,
    mut tell: impl FnMut(&Told) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Told>> {
    let cast = Cast::new(stage, sabotage);
    let mut told = Vec::new();
    for (number, step) in (1..).zip(cast.steps()) {
        let answer = stage.network.send(&step.call).await?;
        let Step { title, tale, call, expected } = step;
        let seen = answer.outcome.clone();
        let exchanges = vec![(call, answer)];
        let all_headers = matches!(number, 1 | 6);
        told.push(Told { number, title, tale, exchanges, expected, seen, delay: None, all_headers });
        told.last().map_or(Ok(()), &mut tell)?;
    }
    let last = revocation::play(stage, cast.broken(REVOCATION)).await?;
    tell(&last)?;
    told.push(last);
    Ok(told)
}

/// How many steps there are.
pub(super) const STEPS: u8 = REVOCATION;
pub(super) const REVOCATION: u8 = 10;

impl Told {
    pub(super) fn as_expected(&self) -> bool {
        self.expected == self.seen
    }
}

/// Who is on the stage, and with which tokens.
struct Cast<'a> {
    stage: &'a Stage,
    token: Token,
    machine_token: Token,
    sabotage: Option<u8>,
}

impl<'a> Cast<'a> {
    fn new(stage: &'a Stage, sabotage: Option<u8>) -> Cast<'a> {
        let token = stage.app_token(READ, TOKEN_LIFETIME);
        Cast { stage, token, machine_token: stage.machine_token(TOKEN_LIFETIME), sabotage }
    }

    fn steps(&self) -> [Step; 9] {
        let first = self.right_caller();
        let recorded = first.call.clone();
        [
            first,
            self.bearer_downgrade(),
            self.another_key(),
            self.replay(recorded),
            self.another_url(),
            self.certificate(),
            self.no_certificate(),
            self.forged_identity(),
            self.missing_scope(),
        ]
    }

    fn right_caller(&self) -> Step {
        let signer = if self.broken(1) { &self.stage.thief } else { &self.stage.app };
        Step {
            title: "The right caller",
            tale: "Alice's app signs each request with the private key that its token is bound to; \
                   clinch checks that, and tells the service who is calling.",
            call: self.call(signer, SIGNED),
            expected: Outcome::admitted(APP_SUBJECT),
        }
    }

    fn bearer_downgrade(&self) -> Step {
        let proven = self.call(&self.stage.app, SIGNED);
        let bare = Call { scheme: "Bearer", proof: None, ..proven.clone() };
        Step {
            title: "Bearer downgrade",
            tale: "A thief found the token in a log and sends it as a plain bearer token; it is bound to \
                   a key, so on its own it opens nothing.",
            call: if self.broken(2) { proven } else { bare },
            expected: Outcome::Refused(Denial::TokenBoundAsBearer),
        }
    }

    fn another_key(&self) -> Step {
        let signer = if self.broken(3) { &self.stage.app } else { &self.stage.thief };
        Step {
            title: "Another key",
            tale: "The thief adds a flawless proof, signed by a key of their own; but the token names the \
                   thumbprint of the app's key.",
            call: self.call(signer, "signed by the thief's key"),
            expected: Outcome::Refused(Denial::KeyMismatch),
        }
    }

    fn replay(&self, recorded: Call) -> Step {
        let fresh = self.call(&self.stage.app, SIGNED);
        let proof = recorded.proof.clone().map(|(proof, _)| (proof, "recorded in step 1"));
        Step {
            title: "Replayed proof",
            tale: "The thief recorded the request of step 1, proof and all, and sends it again; clinch \
                   remembers every proof until it is too old to be used.",
            call: if self.broken(4) { fresh } else { Call { proof, ..recorded } },
            expected: Outcome::Refused(Denial::ProofReplayed),
        }
    }

    fn another_url(&self) -> Step {
        let path = if self.broken(5) { ACCOUNT } else { "/accounts/7" };
        let mut call = self.call(&self.stage.app, "");
        let url = format!("{}{path}", self.stage.origin);
        call.proof =
            Some((self.prove(&self.stage.app, "GET", &url, &self.token.text), "the app's, for /accounts/7"));
        Step {
            title: "Another URL",
            tale: "The thief got hold of a proof before it was used; but it was signed for one URL, and \
                   opens no other.",
            call,
            expected: Outcome::Refused(Denial::ProofTarget),
        }
    }

    fn certificate(&self) -> Step {
        Step {
            title: "A certificate",
            tale: "A machine's token is bound to its TLS client certificate (RFC 8705); the connection \
                   itself is the proof.",
            call: self.machine_call(!self.broken(6)),
            expected: Outcome::admitted(MACHINE),
        }
    }

    fn no_certificate(&self) -> Step {
        Step {
            title: "No certificate",
            tale: "The thief has copied the machine's token, but not the private key of its certificate, \
                   and has to connect without it.",
            call: self.machine_call(self.broken(7)),
            expected: Outcome::Refused(Denial::CertificateMissing),
        }
    }

    fn forged_identity(&self) -> Step {
        let mut call = self.call(&self.stage.app, SIGNED);
        call.extra = vec![("clinch-subject", "admin"), ("Clinch_Subject", "admin")];
        if self.broken(8) {
            let key = ("jkt", self.stage.app.thumbprint());
            call.token = self.stage.mint("admin", "banking-app", READ, (key.0, &key.1), TOKEN_LIFETIME).text;
            call.proof = Some((self.prove(&self.stage.app, "GET", &call.url, &call.token), SIGNED));
        }
        Step {
            title: "Forged identity",
            tale: "A caller poses as the administrator, in two spellings of clinch's own header; clinch \
                   removes both, and says itself who is calling.",
            call,
            expected: Outcome::admitted(APP_SUBJECT),
        }
    }

    fn missing_scope(&self) -> Step {
        let scope = if self.broken(9) { PAY } else { READ };
        let token = self.stage.app_token(scope, TOKEN_LIFETIME).text;
        let url = format!("{}/payments", self.stage.origin);
        let proof = self.prove(&self.stage.app, "POST", &url, &token);
        let call = self.call(&self.stage.app, SIGNED);
        let proof = Some((proof, SIGNED));
        Step {
            title: "Missing scope",
            tale: "The right caller with the right key reaches for a payment; its token only grants \
                   reading accounts.",
            call: Call { method: "POST", url, token, proof, ..call },
            expected: Outcome::Refused(Denial::ScopeInsufficient),
        }
    }

    fn call(&self, signer: &Holder, origin_of_proof: &'static str) -> Call {
        app_call(self.stage, &self.token, signer, origin_of_proof)
    }

    fn machine_call(&self, certificate: bool) -> Call {
        Call {
            method: "GET",
            url: format!("{}{ACCOUNT}", self.stage.origin),
            scheme: "Bearer",
            token: self.machine_token.text.clone(),
            binding: "bound to the certificate",
            proof: None,
            certificate: Some(certificate),
            extra: Vec::new(),
        }
    }

    fn prove(&self, signer: &Holder, method: &str, url: &str, token: &str) -> String {
        signer.prove(ProofFor { method, url, token: Some(token), nonce: None }, now())
    }

    /// For tests: whether this step is to go the wrong way.
    fn broken(&self, step: u8) -> bool {
        self.sabotage == Some(step)
    }
}

/// The app's everyday request, with a fresh proof by this signer.
pub(super) fn app_call(stage: &Stage, token: &Token, signer: &Holder, origin_of_proof: &'static str) -> Call {
    let url = format!("{}{ACCOUNT}", stage.origin);
    let what = ProofFor { method: "GET", url: &url, token: Some(&token.text), nonce: None };
    let proof = signer.prove(what, now());
    Call {
        method: "GET",
        url,
        scheme: "DPoP",
        token: token.text.clone(),
        binding: "bound to the app's key",
        proof: Some((proof, origin_of_proof)),
        certificate: None,
        extra: Vec::new(),
    }
}

/// Where an honest proof comes from.
pub(super) const SIGNED: &str = "signed by the app's key";
/// What the app reads.
pub(super) const ACCOUNT: &str = "/accounts/42";
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
