//! What clinch answers to each refusal, written down once more and by hand: the catalogue's codes with the exact
//! lines of the challenge. The product's own table is not asked.

use crate::support::wire::Answer;

/// The kinds of answer, under the names that the catalogue gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 401 without an error: nothing came.
    A0,
    /// 401 `invalid_dpop_proof`
    A1,
    /// 401 `invalid_token`
    A2,
    /// 401 `use_dpop_nonce` with a nonce
    A3,
    /// 400 `invalid_request`
    A4,
    /// 403 `insufficient_scope`
    A5,
    /// 400, no challenge, and the connection ends.
    A7,
    /// 421
    A8,
    /// 503 with `Retry-After`
    A9,
    /// 501
    A11,
    /// 403 without a challenge: nothing is open by omission.
    Closed,
    /// 405 with `Allow`
    Method,
}
use Code::{A0, A1, A2, A3, A4, A5, A7, A8, A9, A11, Closed, Method};

/// The algorithms that the attacked sidecar accepts in proofs.
pub const ALGS: &str = "ES256 EdDSA ES384 PS256";
/// What a scope refusal names: the scopes of the routes.
pub const SCOPES: &str = "accounts.read";

impl Code {
    /// The status.
    pub fn status(self) -> u16 {
        match self {
            A0 | A1 | A2 | A3 => 401,
            A4 | A7 => 400,
            A5 | Closed => 403,
            A8 => 421,
            A9 => 503,
            A11 => 501,
            Method => 405,
        }
    }

    fn error(self) -> Option<&'static str> {
        match self {
            A1 => Some("invalid_dpop_proof"),
            A2 => Some("invalid_token"),
            A3 => Some("use_dpop_nonce"),
            A4 => Some("invalid_request"),
            A5 => Some("insufficient_scope"),
            A0 | A7 | A8 | A9 | A11 | Closed | Method => None,
        }
    }
}

/// The exact field lines of the challenge. `attempted`: the scheme that was used, where one was understood;
/// `bearer`: whether the route takes tokens under that scheme.
pub fn challenges(code: Code, reason: &str, attempted: Option<&str>, bearer: bool) -> Vec<String> {
    if code.error().is_none() && code != A0 {
        return Vec::new();
    }
    let line = |scheme: &str| {
        let mut parameters = Vec::new();
        if let Some(error) = code.error().filter(|_| attempted.is_none_or(|a| a == scheme)) {
            parameters.push(format!(r#"error="{error}""#));
            parameters.push(format!(r#"error_description="{}""#, row(reason).1));
            if reason == "scope_insufficient" {
                parameters.push(format!(r#"scope="{SCOPES}""#));
            }
        }
        if scheme == "DPoP" {
            parameters.push(format!(r#"algs="{ALGS}""#));
        }
        format!("{scheme} {}", parameters.join(", ")).trim_end().to_owned()
    };
    let used_bearer = attempted == Some("Bearer");
    ["DPoP", "Bearer"].into_iter().filter(|s| *s == "DPoP" || bearer || used_bearer).map(line).collect()
}

/// What is wrong with an answer of clinch's own, whatever its code. `head`: it has no body.
pub fn fault(answer: &Answer, code: Code, reason: &str, challenges: &[String], head: bool) -> Option<String> {
    let expected = row(reason);
    assert_eq!(expected.0, code, "{reason} is listed with another code");
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let one = |name, value| answer.all(name) == [value];
    let checks = [
        (answer.status == code.status(), "status"),
        (answer.all("www-authenticate") == challenges, "challenge"),
        (head || problem["reason"] == reason && problem["detail"] == expected.1, "problem document"),
        (one("content-type", "application/problem+json"), "Content-Type"),
        (one("cache-control", "no-store"), "Cache-Control"),
        (answer.all("date").len() == 1, "Date"),
        (answer.all("dpop-nonce").len() == usize::from(code == A3), "DPoP-Nonce"),
        (answer.all("retry-after").len() == usize::from(code == A9), "Retry-After"),
        (answer.all("allow").len() == usize::from(code == Method), "Allow"),
        (code != A7 || one("connection", "close"), "Connection"),
    ];
    let wrong: Vec<&str> = checks.iter().filter(|(right, _)| !right).map(|(_, name)| *name).collect();
    (!wrong.is_empty())
        .then(|| format!("wrong {wrong:?}; wanted {code:?} {reason} {challenges:?}, got {answer:?}"))
}

fn row(reason: &str) -> (Code, &'static str) {
    let row = REFUSALS.iter().find(|row| row.0 == reason);
    row.map(|row| (row.1, row.2)).unwrap_or_else(|| panic!("no such reason: {reason}"))
}

const REFUSALS: &[(&str, Code, &str)] = &[
    ("request_malformed", A7, "the request is malformed"),
    ("path_ambiguous", A7, "the request path is ambiguous"),
    ("host_unknown", A8, "this host is not served here"),
    ("method_refused", A11, "this method is not served"),
    ("route_unknown", Closed, "no route for this path"),
    ("method_not_allowed", Method, "this method is not allowed here"),
    ("credentials_missing", A0, "credentials are required"),
    ("credentials_malformed", A4, "the Authorization header is malformed"),
    ("credentials_ambiguous", A4, "more than one set of credentials"),
    ("credentials_in_query", A4, "access tokens in the query are not accepted"),
    ("bearer_with_proof", A4, "a DPoP header does not go with the Bearer scheme"),
    ("token_malformed", A2, "the access token is malformed"),
    ("token_type", A2, "the token type is not accepted"),
    ("token_algorithm", A2, "the token algorithm is not accepted"),
    ("token_critical", A2, "a critical header parameter is not understood"),
    ("token_issuer", A2, "the token issuer is not accepted"),
    ("token_key_unknown", A2, "the token is signed with an unknown key"),
    ("token_signature", A2, "the token signature is wrong"),
    ("token_claims", A2, "a required token claim is missing or malformed"),
    ("token_audience", A2, "the token is for another audience"),
    ("token_expired", A2, "the token has expired"),
    ("token_not_yet_valid", A2, "the token is not valid yet"),
    ("token_lifetime", A2, "the token lives too long"),
    ("confirmation_unknown", A2, "the token is bound in a way that is not understood"),
    ("token_unbound", A2, "the token is not bound to a key"),
    ("token_bound_as_bearer", A2, "a DPoP-bound token must be sent with the DPoP scheme"),
    ("token_not_dpop_bound", A2, "the token is not bound to a DPoP key"),
    ("key_mismatch", A2, "the token is bound to another key"),
    ("certificate_missing", A2, "the token is bound to a client certificate"),
    ("certificate_mismatch", A2, "the token is bound to another certificate"),
    ("proof_kind_refused", A2, "this kind of proof of possession is not accepted here"),
    ("proof_missing", A1, "the DPoP proof is missing"),
    ("proof_duplicate", A1, "more than one DPoP proof"),
    ("proof_malformed", A1, "the DPoP proof is not a well-formed JWT"),
    ("proof_claims", A1, "a required claim of the DPoP proof is missing or malformed"),
    ("proof_type", A1, "typ is not dpop+jwt"),
    ("proof_algorithm", A1, "the algorithm of the DPoP proof is not accepted"),
    ("proof_critical", A1, "a critical header parameter is not understood"),
    ("proof_key", A1, "jwk is not a valid public key for alg"),
    ("proof_signature", A1, "the signature of the DPoP proof is wrong"),
    ("proof_key_private", A1, "jwk contains private key material"),
    ("proof_method", A1, "htm does not match the request method"),
    ("proof_target", A1, "htu does not match the request URL"),
    ("proof_before_start", A3, "the DPoP proof may be older than this server"),
    ("proof_expired", A1, "the DPoP proof is too old"),
    ("proof_not_yet_valid", A1, "the DPoP proof is from the future"),
    ("proof_token_hash", A1, "ath does not match the access token"),
    ("proof_replayed", A1, "the DPoP proof has been used before"),
    ("issuer_refused", A2, "tokens of this issuer are not accepted here"),
    ("client_refused", A5, "this client is not admitted here"),
    ("scope_insufficient", A5, "the token lacks a required scope"),
    ("keys_unavailable", A9, "the issuer's keys are not available"),
    ("replay_full", A9, "the replay memory is full"),
    ("overloaded", A9, "too many requests in flight"),
];
