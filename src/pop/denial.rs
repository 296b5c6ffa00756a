//! Why a request is refused: one closed table, and nothing else decides a status or a reason.
//!
//! Every row has the rule it enforces, the HTTP status, the OAuth error of the challenge (RFC 6750
//! section 3.1, RFC 9449 section 7.1), the reason (metric label, span attribute, log field, audit
//! reason: stable, snake_case) and the fixed text that helps the caller's developer. Nothing of the
//! request is ever echoed. How the challenge is written is decided in [`challenge`](super::challenge).

use http::StatusCode;

/// The `error` parameter of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// No error parameter: no credentials came (RFC 6750 section 3.1), or the refusal has no challenge.
    None,
    /// `invalid_request` (RFC 6750 section 3.1).
    InvalidRequest,
    /// `invalid_token` (RFC 6750 section 3.1).
    InvalidToken,
    /// `insufficient_scope` (RFC 6750 section 3.1).
    InsufficientScope,
    /// `invalid_dpop_proof` (RFC 9449 section 7.1).
    InvalidDpopProof,
    /// `use_dpop_nonce` (RFC 9449 section 9).
    UseDpopNonce,
    /// `insufficient_user_authentication` (RFC 9470 section 3).
    InsufficientUserAuthentication,
}

impl OAuthError {
    /// The registered name, where there is one.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            OAuthError::None => None,
            OAuthError::InvalidRequest => Some("invalid_request"),
            OAuthError::InvalidToken => Some("invalid_token"),
            OAuthError::InsufficientScope => Some("insufficient_scope"),
            OAuthError::InvalidDpopProof => Some("invalid_dpop_proof"),
            OAuthError::UseDpopNonce => Some("use_dpop_nonce"),
            OAuthError::InsufficientUserAuthentication => Some("insufficient_user_authentication"),
        }
    }
}

macro_rules! denials {
    ($($(#[doc = $doc:literal])+ $variant:ident, $status:ident, $error:ident, $reason:literal, $text:literal;)+) => {
        /// Why a request is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Denial { $($(#[doc = $doc])+ $variant,)+ }

        impl Denial {
            /// Every denial there is, for metrics that start at zero and for the documentation.
            pub const ALL: &'static [Denial] = &[$(Denial::$variant,)+];

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                match self { $(Denial::$variant => StatusCode::$status,)+ }
            }
            /// Whether it is our fault, or that of what we depend on, and no request could have done better: CONNECT and
            /// TRACE are answered 501, but it is their caller who chose them.
            pub fn is_ours(self) -> bool {
                self.status().is_server_error() && self != Denial::MethodRefused
            }
            /// The OAuth error of the challenge (BEAR-08).
            pub fn error(self) -> OAuthError {
                match self { $(Denial::$variant => OAuthError::$error,)+ }
            }
            /// The stable reason: metric label, span attribute, log field, audit reason.
            pub fn reason(self) -> &'static str {
                match self { $(Denial::$variant => $reason,)+ }
            }
            /// The rule, and where it is written: for whoever runs clinch.
            pub fn rule(self) -> &'static str {
                match self { $(Denial::$variant => concat!($($doc),+).trim_ascii_start(),)+ }
            }
            /// The fixed text for the caller's developer.
            pub fn description(self) -> &'static str {
                match self { $(Denial::$variant => $text,)+ }
            }
        }
    };
}

denials! {
    // The request itself
    /// The request breaks HTTP in a way that makes its target or framing doubtful (RFC 9112, RFC 9113).
    RequestMalformed, BAD_REQUEST, None, "request_malformed", "the request is malformed";
    /// The path has dot segments, empty segments or encoded slashes (RFC 3986), or is another route's in the
    /// eyes of a service that ignores case, `;parameters` or a slash at the end.
    PathAmbiguous, BAD_REQUEST, None, "path_ambiguous", "the request path is ambiguous";
    /// The authority is none of the public origins (RFC 9110 section 7.4).
    HostUnknown, MISDIRECTED_REQUEST, None, "host_unknown", "this host is not served here";
    /// The client showed this connection a certificate that a new configuration does not accept: another connection may
    /// do (RFC 9110 section 15.5.20).
    CertificateUnwelcome, MISDIRECTED_REQUEST, None, "certificate_unwelcome", "the client certificate of this connection is not accepted any more";
    /// CONNECT and TRACE are never forwarded (RFC 9110 section 9.3).
    MethodRefused, NOT_IMPLEMENTED, None, "method_refused", "this method is not served";
    /// No route of the policy has this path: nothing is open by omission.
    RouteUnknown, FORBIDDEN, None, "route_unknown", "no route for this path";
    /// The path has routes, none of them for this method (RFC 9110 section 15.5.6).
    MethodNotAllowed, METHOD_NOT_ALLOWED, None, "method_not_allowed", "this method is not allowed here";
    /// No protected resource has metadata under this path (RFC 9728 section 3).
    MetadataUnknown, NOT_FOUND, None, "metadata_unknown", "no protected resource has metadata here";

    // Credentials: RFC 6750 section 2, RFC 9449 section 7
    /// No credentials at all (RFC 6750 section 3.1: no error code then).
    CredentialsMissing, UNAUTHORIZED, None, "credentials_missing", "credentials are required";
    /// `Authorization` is not `scheme 1*SP token68` (RFC 9110 section 11.4).
    CredentialsMalformed, BAD_REQUEST, InvalidRequest, "credentials_malformed", "the Authorization header is malformed";
    /// More than one set of credentials (RFC 6750 section 2, RFC 9449 section 7.2).
    CredentialsAmbiguous, BAD_REQUEST, InvalidRequest, "credentials_ambiguous", "more than one set of credentials";
    /// An access token in the query (RFC 6750 section 2.3, RFC 9700 section 4.3.2).
    CredentialsInQuery, BAD_REQUEST, InvalidRequest, "credentials_in_query", "access tokens in the query are not accepted";
    /// The Bearer scheme together with a DPoP header: which one is meant (RFC 9449 section 7.2)?
    BearerWithProof, BAD_REQUEST, InvalidRequest, "bearer_with_proof", "a DPoP header does not go with the Bearer scheme";

    // The access token: RFC 9068 section 4, RFC 8725
    /// Not a JWS in compact form with a header and claims that can be read strictly (RFC 7515 section 7.1, RFC 8725 section
    /// 2.6).
    TokenMalformed, UNAUTHORIZED, InvalidToken, "token_malformed", "the access token is malformed";
    /// `typ` is none of the configured token types (RFC 9068 section 4).
    TokenType, UNAUTHORIZED, InvalidToken, "token_type", "the token type is not accepted";
    /// `alg` is not on the issuer's list (RFC 8725 section 3.1).
    TokenAlgorithm, UNAUTHORIZED, InvalidToken, "token_algorithm", "the token algorithm is not accepted";
    /// `crit` names what we do not understand (RFC 7515 section 4.1.11).
    TokenCritical, UNAUTHORIZED, InvalidToken, "token_critical", "a critical header parameter is not understood";
    /// `iss` is not on the list (RFC 9068 section 4).
    TokenIssuer, UNAUTHORIZED, InvalidToken, "token_issuer", "the token issuer is not accepted";
    /// The issuer publishes no key that fits (RFC 9068 section 4).
    TokenKeyUnknown, UNAUTHORIZED, InvalidToken, "token_key_unknown", "the token is signed with an unknown key";
    /// The signature does not verify (RFC 9068 section 4).
    TokenSignature, UNAUTHORIZED, InvalidToken, "token_signature", "the token signature is wrong";
    /// A required claim is missing or has the wrong type (RFC 9068 section 2.2).
    TokenClaims, UNAUTHORIZED, InvalidToken, "token_claims", "a required token claim is missing or malformed";
    /// `aud` names none of our audiences (RFC 9068 section 4).
    TokenAudience, UNAUTHORIZED, InvalidToken, "token_audience", "the token is for another audience";
    /// `exp` has passed (RFC 9068 section 4).
    TokenExpired, UNAUTHORIZED, InvalidToken, "token_expired", "the token has expired";
    /// `nbf` or `iat` lies in the future (RFC 7519 section 4.1.5).
    TokenNotYetValid, UNAUTHORIZED, InvalidToken, "token_not_yet_valid", "the token is not valid yet";
    /// The token lives longer than the issuer's `max_token_lifetime` (RFC 9449 section 11.2).
    TokenLifetime, UNAUTHORIZED, InvalidToken, "token_lifetime", "the token lives too long";
    /// The issuer says that the token is not active (RFC 7662 section 2.2).
    TokenInactive, UNAUTHORIZED, InvalidToken, "token_inactive", "the token is not active";

    // The binding: RFC 7800, RFC 9449 section 6, RFC 8705 section 3
    /// `cnf` is there, but malformed or without a member we can verify (RFC 7800 section 3.1).
    ConfirmationUnknown, UNAUTHORIZED, InvalidToken, "confirmation_unknown", "the token is bound in a way that is not understood";
    /// The token is not bound to a key, and the route's `proof` does not admit that (RFC 9700 section 2.2.1).
    TokenUnbound, UNAUTHORIZED, InvalidToken, "token_unbound", "the token is not bound to a key";
    /// A DPoP-bound token came under the Bearer scheme (RFC 9449 section 7.2).
    TokenBoundAsBearer, UNAUTHORIZED, InvalidToken, "token_bound_as_bearer", "a DPoP-bound token must be sent with the DPoP scheme";
    /// A token without `cnf.jkt` came under the DPoP scheme (RFC 9449 section 7.1).
    TokenNotDpopBound, UNAUTHORIZED, InvalidToken, "token_not_dpop_bound", "the token is not bound to a DPoP key";
    /// The proof's key is not the key of `cnf.jkt` (RFC 9449 section 4.3, check 12b; DPOP-18).
    KeyMismatch, UNAUTHORIZED, InvalidToken, "key_mismatch", "the token is bound to another key";
    /// The token is bound to a certificate and none came (RFC 8705 section 3).
    CertificateMissing, UNAUTHORIZED, InvalidToken, "certificate_missing", "the token is bound to a client certificate";
    /// The certificate is not that of `cnf.x5t#S256` (RFC 8705 section 3).
    CertificateMismatch, UNAUTHORIZED, InvalidToken, "certificate_mismatch", "the token is bound to another certificate";
    /// The token's binding is not one that the route's `proof` admits.
    ProofKindRefused, UNAUTHORIZED, InvalidToken, "proof_kind_refused", "this kind of proof of possession is not accepted here";

    // The DPoP proof: RFC 9449 section 4.3, in the order of its checks
    /// The DPoP scheme without a DPoP header (RFC 9449 section 7.1).
    ProofMissing, UNAUTHORIZED, InvalidDpopProof, "proof_missing", "the DPoP proof is missing";
    /// RFC 9449 section 4.3, check 1: more than one DPoP header.
    ProofDuplicate, UNAUTHORIZED, InvalidDpopProof, "proof_duplicate", "more than one DPoP proof";
    /// RFC 9449 section 4.3, check 2: not one well-formed JWT.
    ProofMalformed, UNAUTHORIZED, InvalidDpopProof, "proof_malformed", "the DPoP proof is not a well-formed JWT";
    /// RFC 9449 section 4.3, check 3: a required claim is missing or has the wrong type.
    ProofClaims, UNAUTHORIZED, InvalidDpopProof, "proof_claims", "a required claim of the DPoP proof is missing or malformed";
    /// RFC 9449 section 4.3, check 4: `typ` is not `dpop+jwt`.
    ProofType, UNAUTHORIZED, InvalidDpopProof, "proof_type", "typ is not dpop+jwt";
    /// RFC 9449 section 4.3, check 5: `alg` is not accepted.
    ProofAlgorithm, UNAUTHORIZED, InvalidDpopProof, "proof_algorithm", "the algorithm of the DPoP proof is not accepted";
    /// `crit` names what we do not understand (RFC 7515 section 4.1.11).
    ProofCritical, UNAUTHORIZED, InvalidDpopProof, "proof_critical", "a critical header parameter is not understood";
    /// RFC 9449 section 4.3, check 6: `jwk` is missing, malformed, or no key for `alg`.
    ProofKey, UNAUTHORIZED, InvalidDpopProof, "proof_key", "jwk is not a valid public key for alg";
    /// RFC 9449 section 4.3, check 6: the signature does not verify with `jwk`.
    ProofSignature, UNAUTHORIZED, InvalidDpopProof, "proof_signature", "the signature of the DPoP proof is wrong";
    /// RFC 9449 section 4.3, check 7: `jwk` has private members.
    ProofKeyPrivate, UNAUTHORIZED, InvalidDpopProof, "proof_key_private", "jwk contains private key material";
    /// RFC 9449 section 4.3, check 8: `htm` is another method.
    ProofMethod, UNAUTHORIZED, InvalidDpopProof, "proof_method", "htm does not match the request method";
    /// RFC 9449 section 4.3, check 9: `htu` is another URI.
    ProofTarget, UNAUTHORIZED, InvalidDpopProof, "proof_target", "htu does not match the request URL";
    /// RFC 9449 section 4.3, check 10: nonces are in use here and the proof has none (RFC 9449 section 9, section 11.3).
    NonceMissing, UNAUTHORIZED, UseDpopNonce, "nonce_missing", "the DPoP proof needs the nonce of this answer";
    /// RFC 9449 section 4.3, check 10: the nonce is not one of ours, or of another life of ours.
    NonceUnknown, UNAUTHORIZED, UseDpopNonce, "nonce_unknown", "the nonce of the DPoP proof is not known here";
    /// RFC 9449 section 4.3, check 10: the nonce is too old.
    NonceExpired, UNAUTHORIZED, UseDpopNonce, "nonce_expired", "the nonce of the DPoP proof has expired";
    /// The proof may have been used before the replay memory began: a fresh nonce will tell (RFC 9449 section 11.1).
    ProofBeforeStart, UNAUTHORIZED, UseDpopNonce, "proof_before_start", "the DPoP proof may be older than this server";
    /// RFC 9449 section 4.3, check 11: `iat` is too old, or `exp` has passed.
    ProofExpired, UNAUTHORIZED, InvalidDpopProof, "proof_expired", "the DPoP proof is too old";
    /// RFC 9449 section 4.3, check 11: `iat` or `nbf` lies in the future.
    ProofNotYetValid, UNAUTHORIZED, InvalidDpopProof, "proof_not_yet_valid", "the DPoP proof is from the future";
    /// RFC 9449 section 4.3, check 12a: `ath` is not the hash of the access token.
    ProofTokenHash, UNAUTHORIZED, InvalidDpopProof, "proof_token_hash", "ath does not match the access token";
    /// The proof has been used before (RFC 9449 section 11.1).
    ProofReplayed, UNAUTHORIZED, InvalidDpopProof, "proof_replayed", "the DPoP proof has been used before";

    // Authorization
    /// The route admits tokens of other issuers only (FAPI 2.0 section 6).
    IssuerRefused, UNAUTHORIZED, InvalidToken, "issuer_refused", "tokens of this issuer are not accepted here";
    /// The route admits other clients only (RFC 9068 section 5).
    ClientRefused, FORBIDDEN, InsufficientScope, "client_refused", "this client is not admitted here";
    /// The route's `spiffe_ids` admit other workloads only, and only by certificate.
    WorkloadRefused, FORBIDDEN, InsufficientScope, "workload_refused", "this workload is not admitted here";
    /// A scope of the route is missing (RFC 6750 section 3.1; HTTP-34).
    ScopeInsufficient, FORBIDDEN, InsufficientScope, "scope_insufficient", "the token lacks a required scope";
    /// `acr` or `auth_time` do not satisfy the route (RFC 9470 section 3).
    AuthenticationInsufficient, UNAUTHORIZED, InsufficientUserAuthentication, "authentication_insufficient", "a stronger or more recent authentication is required";
    /// Both of these are lacking: the challenge names both, so that the client asks for them at once (RFC 9470
    /// section 3).
    AuthenticationAndScopeInsufficient, UNAUTHORIZED, InsufficientUserAuthentication, "authentication_and_scope_insufficient", "a stronger or more recent authentication and another scope are required";
    /// The token was revoked: the feed said so (RFC 8417, RFC 9493).
    TokenRevoked, UNAUTHORIZED, InvalidToken, "token_revoked", "the token has been revoked";

    // Our own failures: the client can do nothing about them, so never 401
    /// The issuer's keys are not known, or too old to be trusted.
    KeysUnavailable, SERVICE_UNAVAILABLE, None, "keys_unavailable", "the issuer's keys are not available";
    /// The issuer can't be asked whether the token is active, or answered nonsense (RFC 7662 section 2.3).
    IntrospectionUnavailable, SERVICE_UNAVAILABLE, None, "introspection_unavailable", "the token can't be introspected";
    /// The revocation feed is silent for longer than `max_staleness`, or not caught up.
    RevocationsStale, SERVICE_UNAVAILABLE, None, "revocations_stale", "the revocation feed is stale";
    /// The replay memory is full: nothing is forgotten early.
    ReplayFull, SERVICE_UNAVAILABLE, None, "replay_full", "the replay memory is full";
    /// The shared replay store did not answer.
    ReplayUnavailable, SERVICE_UNAVAILABLE, None, "replay_unavailable", "the replay store is not available";
    /// The decision can't be written to the audit log, and the operator wants none that is not.
    AuditUnavailable, SERVICE_UNAVAILABLE, None, "audit_unavailable", "the audit log can't be written";
    /// Too many requests in flight.
    Overloaded, SERVICE_UNAVAILABLE, None, "overloaded", "too many requests in flight";
    /// The client key, or the address of who has proved nothing, has as many requests in flight as `limits.in_flight_per_key`
    /// (RFC 6585 section 4; DS-010).
    TooManyInFlight, TOO_MANY_REQUESTS, None, "too_many_in_flight", "too many requests of this client in flight";
    /// The client key has had more requests admitted than `limits.requests_per_key` (RFC 6585 section 4).
    RateLimited, TOO_MANY_REQUESTS, None, "rate_limited", "too many requests with this key";
    /// More requests of this address have failed authentication than `limits.failures_per_peer`.
    TooManyFailures, TOO_MANY_REQUESTS, None, "too_many_failures", "too many requests from this address fail authentication";
    /// The client went away while its request was being judged; nothing is answered, but who asked is not forgotten.
    Cancelled, BAD_REQUEST, None, "cancelled", "the client went away before the decision";
    /// A panic or another fault of ours: it costs this request and lets nothing through.
    Internal, INTERNAL_SERVER_ERROR, None, "internal", "internal error";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// BEAR-08, AT-07, DPOP-30, DPOP-39, STEP-01, HTTP-34
    #[test]
    fn each_error_has_its_status() {
        for denial in Denial::ALL {
            let status = denial.status().as_u16();
            match denial.error() {
                OAuthError::None => {
                    assert!([400, 401, 403, 404, 405, 421, 429, 500, 501, 503].contains(&status))
                }
                OAuthError::InvalidRequest => assert_eq!(status, 400),
                OAuthError::InvalidToken
                | OAuthError::InvalidDpopProof
                | OAuthError::UseDpopNonce
                | OAuthError::InsufficientUserAuthentication => assert_eq!(status, 401),
                OAuthError::InsufficientScope => assert_eq!(status, 403),
            }
        }
    }

    #[test]
    fn whoever_asks_for_a_tunnel_has_broken_nothing_here() {
        assert!(Denial::Internal.is_ours() && Denial::KeysUnavailable.is_ours());
        assert!(!Denial::MethodRefused.is_ours() && !Denial::TooManyFailures.is_ours());
    }

    #[test]
    fn reasons_are_labels_and_differ() {
        let reasons: BTreeSet<&str> = Denial::ALL.iter().map(|denial| denial.reason()).collect();
        assert_eq!(reasons.len(), Denial::ALL.len());
        assert!(reasons.iter().all(|reason| reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
