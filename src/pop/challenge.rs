//! The only writer of `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1).
//!
//! One field line per scheme. The error goes to the scheme that was used; the others that the route
//! accepts are named without one (RFC 9449 section 7.2). Without credentials there is no error at all.

use super::Denial;
use super::algorithm::Algorithm;
use super::credentials::Scheme;
use super::denial::OAuthError;
use super::policy::Requirements;
use http::{HeaderValue, StatusCode};
use std::fmt::Write;

/// The challenges for a refusal; none for one that is not about credentials.
///
/// `attempted` is the scheme the caller used, where that is known; `demands` those of the route.
pub fn challenges(
    denial: Denial,
    attempted: Option<Scheme>,
    demands: Option<&Requirements>,
    algorithms: &[Algorithm],
) -> Vec<HeaderValue> {
    if denial.error() == OAuthError::None && denial.status() != StatusCode::UNAUTHORIZED {
        return Vec::new();
    }
    let proof = demands.map(|d| d.proof).unwrap_or_default();
    let accepted = |scheme: Scheme| match scheme {
        Scheme::Dpop => proof.dpop,
        Scheme::Bearer => proof.bearer || (proof.mtls && !proof.all),
    };
    // Whoever sends two schemes, or a garbled one, has attempted whatever is accepted here.
    let blamed = |scheme: Scheme| denial.error() != OAuthError::None && attempted.is_none_or(|a| a == scheme);
    let named = |scheme: &Scheme| accepted(*scheme) || attempted == Some(*scheme) && blamed(*scheme);
    let lines = [Scheme::Dpop, Scheme::Bearer].into_iter().filter(named);
    lines.filter_map(|s| challenge(s, denial, blamed(s), demands, algorithms)).collect()
}

fn challenge(
    scheme: Scheme,
    denial: Denial,
    blamed: bool,
    demands: Option<&Requirements>,
    algorithms: &[Algorithm],
) -> Option<HeaderValue> {
    let mut parameters = Parameters(scheme.name().to_owned());
    if let Some(error) = denial.error().as_str().filter(|_| blamed) {
        parameters.add("error", error);
        parameters.add("error_description", denial.description());
    }
    if let (true, OAuthError::InsufficientScope, Some(demands)) = (blamed, denial.error(), demands) {
        parameters.add("scope", &demands.scopes.join(" "));
    }
    if scheme == Scheme::Dpop {
        let names: Vec<&str> = algorithms.iter().map(|a| a.name()).collect();
        parameters.add("algs", &names.join(" "));
    }
    HeaderValue::try_from(parameters.0).ok()
}

/// A challenge under construction. Values are fixed texts, algorithm names and configured scopes:
/// none has a quote or a backslash (RFC 6750 section 3).
struct Parameters(String);

impl Parameters {
    fn add(&mut self, name: &str, value: &str) {
        let separator = if self.0.contains(' ') { "," } else { "" };
        let _ = write!(self.0, "{separator} {name}=\"{value}\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::policy::ProofRule;

    fn of(denial: Denial, attempted: Option<Scheme>, proof: ProofRule) -> Vec<String> {
        let demands = Requirements {
            proof,
            scopes: vec!["a.read".to_owned(), "b".to_owned()],
            ..Requirements::default()
        };
        let lines = challenges(denial, attempted, Some(&demands), &[Algorithm::Es256, Algorithm::EdDsa]);
        lines.iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    const DPOP: ProofRule = ProofRule { dpop: true, mtls: false, all: false, bearer: false };
    const EITHER: ProofRule = ProofRule { dpop: true, mtls: true, all: false, bearer: false };
    const BOTH: ProofRule = ProofRule { dpop: true, mtls: true, all: true, bearer: false };

    #[test]
    fn without_credentials_there_is_no_error() {
        assert_eq!(of(Denial::CredentialsMissing, None, DPOP), [r#"DPoP algs="ES256 EdDSA""#]);
        assert_eq!(of(Denial::CredentialsMissing, None, EITHER), [r#"DPoP algs="ES256 EdDSA""#, "Bearer"]);
        assert_eq!(of(Denial::CredentialsMissing, None, BOTH), [r#"DPoP algs="ES256 EdDSA""#]);
    }

    #[test]
    fn the_error_goes_to_the_scheme_that_was_used() {
        let description = r#"error_description="a DPoP-bound token must be sent with the DPoP scheme""#;
        assert_eq!(
            of(Denial::TokenBoundAsBearer, Some(Scheme::Bearer), DPOP),
            [
                r#"DPoP algs="ES256 EdDSA""#.to_owned(),
                format!(r#"Bearer error="invalid_token", {description}"#)
            ]
        );
        assert_eq!(
            of(Denial::ProofReplayed, Some(Scheme::Dpop), EITHER),
            [
                r#"DPoP error="invalid_dpop_proof", error_description="the DPoP proof has been used before", algs="ES256 EdDSA""#,
                "Bearer"
            ]
        );
    }

    #[test]
    fn two_schemes_at_once_blame_both() {
        let lines = of(Denial::CredentialsAmbiguous, None, EITHER);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(r#"error="invalid_request""#)));
    }

    #[test]
    fn a_missing_scope_is_named() {
        let lines = of(Denial::ScopeInsufficient, Some(Scheme::Dpop), DPOP);
        assert!(
            lines[0].contains(r#"error="insufficient_scope""#) && lines[0].contains(r#"scope="a.read b""#)
        );
    }

    #[test]
    fn what_is_not_about_credentials_has_no_challenge() {
        for denial in [Denial::RouteUnknown, Denial::HostUnknown, Denial::KeysUnavailable, Denial::ReplayFull]
        {
            assert!(of(denial, Some(Scheme::Dpop), EITHER).is_empty());
        }
    }

    #[test]
    fn every_denial_with_401_has_a_challenge_and_no_text_breaks_one() {
        for denial in Denial::ALL {
            if denial.status() == StatusCode::UNAUTHORIZED {
                assert!(!of(*denial, None, EITHER).is_empty(), "{denial:?}");
            }
            let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(denial.description().bytes().all(allowed), "{denial:?}");
        }
    }
}
