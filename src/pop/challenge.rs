//! The only writer of `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1).
//!
//! One field line per scheme. The error goes to the scheme that was used; the others that the route
//! accepts are named without one (RFC 9449 section 7.2). Without credentials there is no error at all. Each
//! names the metadata of the resource (RFC 9728 section 5.1), where that is published.

use super::Denial;
use super::algorithm::Algorithm;
use super::credentials::Scheme;
use super::denial::OAuthError;
use super::policy::Requirements;
use http::{HeaderValue, StatusCode};
use std::fmt::Write;

/// What a challenge is made of besides the refusal.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The scheme the caller used, where that is known.
    pub attempted: Option<Scheme>,
    /// The demands of the route.
    pub demands: Option<&'a Requirements>,
    /// What proofs may be signed with.
    pub algorithms: &'a [Algorithm],
    /// The URL of the resource's metadata (RFC 9728 section 5.1): characters of a URI only.
    pub resource_metadata: Option<&'a str>,
}

/// Whether a refusal is about credentials, so that there are challenges for it.
pub fn is_about_credentials(denial: Denial) -> bool {
    denial.error() != OAuthError::None || denial.status() == StatusCode::UNAUTHORIZED
}

/// The challenges for a refusal; none for one that is not about credentials. Without credentials there is no error
/// (DPOP-25, DPOP-26, BEAR-05, BEAR-09, HTTP-33), and whoever has sent a bound token as Bearer reads of the
/// DPoP scheme as well (DPOP-31).
pub fn challenges(denial: Denial, asked: &Asked<'_>) -> Vec<HeaderValue> {
    if !is_about_credentials(denial) {
        return Vec::new();
    }
    let attempted = asked.attempted;
    let proof = asked.demands.map(|d| d.proof).unwrap_or_default();
    let accepted = |scheme: Scheme| match scheme {
        Scheme::Dpop => proof.dpop,
        Scheme::Bearer => proof.bearer || (proof.mtls && !proof.all),
    };
    // Whoever sends two schemes, or a garbled one, has attempted whatever is accepted here (DPOP-32, DPOP-33).
    let blamed = |scheme: Scheme| denial.error() != OAuthError::None && attempted.is_none_or(|a| a == scheme);
    let named = |scheme: &Scheme| accepted(*scheme) || attempted == Some(*scheme) && blamed(*scheme);
    let lines = [Scheme::Dpop, Scheme::Bearer].into_iter().filter(named);
    lines.filter_map(|s| challenge(s, denial, blamed(s), asked)).collect()
}

/// `algs` is the list that the verifier goes by (DPOP-06, DPOP-27, PRM-12), and the metadata is named where there is some
/// (PRM-07, DPOP-28).
fn challenge(scheme: Scheme, denial: Denial, blamed: bool, asked: &Asked<'_>) -> Option<HeaderValue> {
    let mut parameters = Parameters(scheme.name().to_owned());
    if let Some(error) = denial.error().as_str().filter(|_| blamed) {
        parameters.add("error", error);
        parameters.add("error_description", denial.description());
    }
    if let (true, Some(demands)) = (blamed, asked.demands) {
        add_what_is_lacking(denial, demands, &mut parameters);
    }
    if scheme == Scheme::Dpop {
        let names: Vec<&str> = asked.algorithms.iter().map(|a| a.name()).collect();
        parameters.add("algs", &names.join(" "));
    }
    if let Some(url) = asked.resource_metadata {
        parameters.add("resource_metadata", url);
    }
    HeaderValue::try_from(parameters.0).ok()
}

/// `scope` (RFC 6750 section 3), `acr_values` in order of preference and `max_age` in seconds (RFC 9470
/// section 3; STEP-01, STEP-02, STEP-03).
fn add_what_is_lacking(denial: Denial, demands: &Requirements, parameters: &mut Parameters) {
    if denial.error() == OAuthError::InsufficientUserAuthentication {
        if !demands.acr.is_empty() {
            parameters.add("acr_values", &demands.acr.join(" "));
        }
        if let Some(age) = demands.max_auth_age {
            parameters.add("max_age", &age.as_secs().to_string());
        }
    }
    if matches!(denial, Denial::ScopeInsufficient | Denial::AuthenticationAndScopeInsufficient) {
        parameters.add("scope", &demands.scopes.join(" "));
    }
}

/// A challenge under construction. Values are fixed texts, algorithm names, configured scopes and contexts,
/// and URLs: none has a quote or a backslash (RFC 6750 section 3; BEAR-07). Each name is added once (BEAR-06).
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
        lines(denial, attempted, &demands, None)
    }

    fn lines(
        denial: Denial,
        attempted: Option<Scheme>,
        demands: &Requirements,
        resource_metadata: Option<&str>,
    ) -> Vec<String> {
        let algorithms = &[Algorithm::Es256, Algorithm::EdDsa];
        let lines =
            challenges(denial, &Asked { attempted, demands: Some(demands), algorithms, resource_metadata });
        lines.iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    const DPOP: ProofRule = ProofRule { dpop: true, mtls: false, all: false, bearer: false };
    const EITHER: ProofRule = ProofRule { dpop: true, mtls: true, all: false, bearer: false };
    const BOTH: ProofRule = ProofRule { dpop: true, mtls: true, all: true, bearer: false };

    /// DPOP-25, DPOP-26, DPOP-27, BEAR-05, BEAR-09, DG-004
    #[test]
    fn without_credentials_there_is_no_error() {
        assert_eq!(of(Denial::CredentialsMissing, None, DPOP), [r#"DPoP algs="ES256 EdDSA""#]);
        assert_eq!(of(Denial::CredentialsMissing, None, EITHER), [r#"DPoP algs="ES256 EdDSA""#, "Bearer"]);
        assert_eq!(of(Denial::CredentialsMissing, None, BOTH), [r#"DPoP algs="ES256 EdDSA""#]);
    }

    /// DPOP-26, DPOP-31, DPOP-32, DG-001
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

    /// DPOP-33, BEAR-02, AU-001
    #[test]
    fn two_schemes_at_once_blame_both() {
        let lines = of(Denial::CredentialsAmbiguous, None, EITHER);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(r#"error="invalid_request""#)));
    }

    /// BEAR-08, FAPI-04, HTTP-34
    #[test]
    fn a_missing_scope_is_named() {
        let lines = of(Denial::ScopeInsufficient, Some(Scheme::Dpop), DPOP);
        assert!(
            lines[0].contains(r#"error="insufficient_scope""#) && lines[0].contains(r#"scope="a.read b""#)
        );
    }

    /// STEP-01, STEP-02, STEP-03, TK-030
    #[test]
    fn a_poor_authentication_is_told_what_would_do_and_the_scope_only_if_that_lacks_too() {
        let mut demands = Requirements {
            proof: DPOP,
            scopes: vec!["a.read".to_owned()],
            acr: vec!["urn:gold".to_owned(), "silver".to_owned()],
            max_auth_age: Some(std::time::Duration::from_secs(300)),
            ..Requirements::default()
        };
        let of = |denial, demands: &Requirements| lines(denial, Some(Scheme::Dpop), demands, None);
        let text = "a stronger or more recent authentication is required";
        assert_eq!(
            of(Denial::AuthenticationInsufficient, &demands),
            [format!(
                r#"DPoP error="insufficient_user_authentication", error_description="{text}", acr_values="urn:gold silver", max_age="300", algs="ES256 EdDSA""#
            )]
        );
        let both = of(Denial::AuthenticationAndScopeInsufficient, &demands);
        assert!(
            both[0].contains(r#"acr_values="urn:gold silver", max_age="300", scope="a.read", algs"#),
            "{both:?}"
        );
        let scope = of(Denial::ScopeInsufficient, &demands);
        assert!(!scope[0].contains("acr_values") && !scope[0].contains("max_age"), "{scope:?}");
        demands.acr.clear();
        assert!(!of(Denial::AuthenticationInsufficient, &demands)[0].contains("acr_values"));
    }

    /// PRM-07, PRM-07
    #[test]
    fn every_challenge_names_the_metadata() {
        let demands = Requirements { proof: EITHER, ..Requirements::default() };
        let url = "https://api.example.com/.well-known/oauth-protected-resource/a";
        for denial in [Denial::CredentialsMissing, Denial::CredentialsAmbiguous, Denial::ScopeInsufficient] {
            let lines = lines(denial, None, &demands, Some(url));
            let named = format!("resource_metadata=\"{url}\"");
            assert!(lines.len() == 2 && lines.iter().all(|l| l.matches(&named).count() == 1), "{lines:?}");
        }
        assert!(lines(Denial::RouteUnknown, None, &demands, Some(url)).is_empty());
    }

    #[test]
    fn what_is_not_about_credentials_has_no_challenge() {
        for denial in [Denial::RouteUnknown, Denial::HostUnknown, Denial::KeysUnavailable, Denial::ReplayFull]
        {
            assert!(of(denial, Some(Scheme::Dpop), EITHER).is_empty());
        }
    }

    /// HTTP-33, BEAR-05, BEAR-06, BEAR-07
    #[test]
    fn every_denial_with_401_has_a_challenge_and_no_text_breaks_one() {
        for denial in Denial::ALL {
            if denial.status() == StatusCode::UNAUTHORIZED {
                assert!(!of(*denial, None, EITHER).is_empty(), "{denial:?}");
            }
            let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(denial.description().bytes().all(allowed), "{denial:?}");
            for line in of(*denial, None, EITHER) {
                let mut names: Vec<&str> =
                    line.split(' ').filter_map(|p| Some(p.split_once("=\"")?.0)).collect();
                names.sort_unstable();
                assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{line}");
            }
        }
    }
}
