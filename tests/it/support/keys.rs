//! Signing keys of every kind that a JWK can name: for proofs, for tokens, and for whatever pretends to be one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate;
use serde_json::{Value, json};
use std::sync::Arc;

/// A key and the one algorithm it signs with.
#[derive(Clone)]
pub struct ProofKey {
    secret: Secret,
    alg: &'static str,
}

#[derive(Clone)]
enum Secret {
    P256(SigningKey),
    P384(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

impl ProofKey {
    /// A new one for ES256.
    pub fn new() -> ProofKey {
        ProofKey { secret: Secret::P256(SigningKey::generate()), alg: "ES256" }
    }

    /// A new one for any algorithm of JOSE that clinch knows; RSA keys have 2048 bits.
    pub fn of(alg: &'static str) -> ProofKey {
        let secret = match alg {
            "ES256" => Secret::P256(SigningKey::generate()),
            "ES384" => Secret::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap().into()),
            "EdDSA" => Secret::Ed25519(Ed25519KeyPair::generate().unwrap().into()),
            _ => Secret::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap().into()),
        };
        ProofKey { secret, alg }
    }

    /// From a private JWK for ES256.
    pub fn from_jwk(jwk: &Value) -> ProofKey {
        let secret = BASE64.decode(jwk["d"].as_str().unwrap()).unwrap();
        ProofKey { secret: Secret::P256(SigningKey::from_slice(&secret).unwrap()), alg: "ES256" }
    }

    /// The name of its algorithm.
    pub fn alg(&self) -> &'static str {
        self.alg
    }

    /// The public JWK.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        match &self.secret {
            Secret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = (text(&point.as_bytes()[1..33]), text(&point.as_bytes()[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
            Secret::P384(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-384", "x": text(&point[1..49]), "y": text(&point[49..]) })
            }
            Secret::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref()) })
            }
            Secret::Rsa(key) => {
                // RFC 8017 appendix A.1.1: the modulus stands before `02 03 01 00 01`, the exponent.
                let der = key.public_key().as_ref();
                let end = der.len() - 5;
                json!({ "kty": "RSA", "n": text(&der[end - key.public_modulus_len()..end]), "e": "AQAB" })
            }
        }
    }

    /// The private part of a P-256 key, as `d` of a JWK.
    pub fn private(&self) -> Option<String> {
        let Secret::P256(key) = &self.secret else { return None };
        Some(BASE64.encode(key.to_bytes()))
    }

    /// Its RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.jwk())
    }

    /// A signature in the form that JWS wants (RFC 7518 section 3).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.secret {
            Secret::P256(key) => {
                let signature: Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Secret::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Secret::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Secret::Rsa(key) => {
                let padding: &dyn RsaEncoding = match self.alg {
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// The RFC 7638 thumbprint of a JWK as it is written, sound or not.
pub fn thumbprint(jwk: &Value) -> String {
    let required: &[&str] = match jwk["kty"].as_str() {
        Some("RSA") => &["e", "kty", "n"],
        Some("OKP") => &["crv", "kty", "x"],
        _ => &["crv", "kty", "x", "y"],
    };
    let members: Vec<String> = required.iter().map(|name| format!(r#""{name}":{}"#, jwk[*name])).collect();
    super::proof::sha256(&format!("{{{}}}", members.join(",")))
}
