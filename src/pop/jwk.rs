//! Public keys (RFC 7517, 7518, 8037), their thumbprints (RFC 7638), the algorithms, the signature check.
use super::jose::Json;

/// A signature algorithm that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA P-256
    Es256,
    /// Ed25519, also under its RFC 9864 name
    EdDsa,
    /// RSA PKCS#1
    Rs256,
    /// RSA PSS
    Ps256,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: &'static [Algorithm] =
        &[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256];
    /// The name in config files, challenges and JOSE headers.
    pub fn name(self) -> &'static str {
        todo!()
    }
    /// The algorithm of a JOSE `alg` value (`EdDSA` and `Ed25519` are the same).
    pub fn from_name(_name: &str) -> Option<Algorithm> {
        todo!()
    }
}

/// A key of an issuer with the header parameters that select it.
#[derive(Clone, Debug)]
pub struct IssuerKey;

/// The keys an issuer publishes. Unusable ones are left out (RFC 7517 section 5).
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    pub(crate) keys: Vec<IssuerKey>,
}

impl KeySet {
    /// Reads a JWK Set document. `None` if it is not one; keys that can't serve are left out.
    pub fn parse(_json: &Json<'_>) -> Option<KeySet> {
        todo!()
    }
    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The SHA-256 JWK thumbprint (RFC 7638) as 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Thumbprint([u8; 43]);
impl Thumbprint {
    /// The text.
    pub fn as_str(&self) -> &str {
        todo!()
    }
}
