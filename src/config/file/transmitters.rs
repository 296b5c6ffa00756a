//! `revocation.transmitters` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of `revocation.transmitters`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Transmitter {
    /// Its identifier, compared character by character with the `iss` of its events.
    #[schemars(required)]
    pub(in crate::config) issuer: Option<String>,
    /// The `aud` its events have for us: one of these, where it is a list.
    #[schemars(required)]
    pub(in crate::config) audience: Option<Audience>,
    /// The signature algorithms that are accepted: ES256, ES384, EdDSA, PS256, PS384, PS512, RS256.
    #[serde(default = "algorithms")]
    #[schemars(length(min = 1))]
    pub(in crate::config) algorithms: Vec<String>,
    /// Where its keys are; null discovers them at `/.well-known/ssf-configuration`.
    pub(in crate::config) jwks_uri: Option<String>,
    /// A PEM file of extra trust anchors for its TLS.
    pub(in crate::config) ca: Option<String>,
    /// The issuers whose tokens it may revoke, each one of `issuers`; by default itself.
    #[schemars(length(min = 1))]
    pub(in crate::config) speaks_for: Option<Vec<String>>,
    /// The claims of access tokens in which its subjects' tenant and device are.
    #[serde(default)]
    pub(in crate::config) claims: Claims,
    /// What becomes of an event whose subject names no user, session, client or device that tokens have.
    #[serde(default)]
    pub(in crate::config) wildcard: Wildcard,
    /// The subject members that its metadata calls critical: an event is discarded if clinch can't process one.
    #[serde(default)]
    pub(in crate::config) critical_subject_members: Vec<String>,
    /// Credential types that its credential changes have besides those of CAEP.
    #[serde(default)]
    pub(in crate::config) credential_types: Vec<String>,
    /// Where its events are fetched to be put on the feed (RFC 8936); null fetches none.
    pub(in crate::config) poll: Option<Poll>,
}
fn algorithms() -> Vec<String> {
    ["RS256", "ES256", "PS256", "EdDSA"].map(str::to_owned).to_vec()
}

/// `revocation.transmitters[].audience`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Audience {
    /// This one.
    One(String),
    /// Any of these.
    Any(#[schemars(length(min = 1))] Vec<String>),
}

/// `revocation.transmitters[].poll`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Poll {
    /// The `endpoint_url` of the stream, https.
    #[schemars(required)]
    pub(in crate::config) endpoint: Option<String>,
    /// A file with the value of the `Authorization` header, on one line.
    pub(in crate::config) authorization_file: Option<String>,
}

/// `revocation.transmitters[].claims`
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Claims {
    /// The claim that equals a subject's `tenant`; null matches no tenant.
    pub(in crate::config) tenant: Option<String>,
    /// The claim that equals a subject's `device`; null matches no device.
    pub(in crate::config) device: Option<String>,
}

/// `revocation.transmitters[].wildcard`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Wildcard {
    /// It is rejected.
    #[default]
    Refuse,
    /// It revokes all tokens of the tenant, or of the issuers the transmitter speaks for.
    Allow,
}
