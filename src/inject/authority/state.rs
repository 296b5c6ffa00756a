//! What the Secret holds: `tls.crt` and `tls.key` are what is served, `ca.crt` is what API servers shall trust, and
//! `ca.key`, `next-ca.crt`, `next-ca.key` sign.

use super::issue::{Pair, Said, leaf, said};
use super::{due::Terms, issue};
use crate::inject::webhook::Leaf;
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};

/// The certificates of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// What is served.
    pub(super) leaf: Pair,
    /// Who has signed it.
    pub(super) current: Pair,
    /// Who will sign the next one.
    pub(super) next: Option<Pair>,
    /// Authorities whose certificates a replica may still serve, PEM.
    pub(super) previous: Vec<String>,
}

impl State {
    /// For an injector that has none yet.
    pub(super) fn first(terms: &Terms, now: i64) -> anyhow::Result<State> {
        let current = issue::authority(now, terms.authority_lifetime)?;
        let leaf = leaf(&current, &terms.names, now, terms.lifetime)?;
        Ok(State { leaf, current, next: None, previous: Vec::new() })
    }

    /// With a new certificate of the authority that signs now.
    pub(super) fn renewed(&self, terms: &Terms, now: i64) -> anyhow::Result<State> {
        let leaf = leaf(&self.current, &terms.names, now, terms.lifetime)?;
        Ok(State { leaf, ..self.clone() })
    }

    /// With an authority to be heard of.
    pub(super) fn announced(&self, terms: &Terms, now: i64) -> anyhow::Result<State> {
        let next = issue::authority(now, terms.authority_lifetime)?;
        let previous = self.previous.iter().filter(|pem| said(pem).is_ok_and(|said| said.until > now));
        Ok(State { next: Some(next), previous: previous.cloned().collect(), ..self.clone() })
    }

    /// Signed by the authority that was announced. The one before it is trusted on, and signs no more: its key is gone.
    pub(super) fn promoted(&self, terms: &Terms, now: i64) -> anyhow::Result<State> {
        let current = self.next.clone().context("no authority was announced")?;
        let leaf = leaf(&current, &terms.names, now, terms.lifetime)?;
        let mut previous = self.previous.clone();
        previous.push(self.current.certificate.clone());
        Ok(State { leaf, current, next: None, previous })
    }

    /// What API servers shall trust.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.iter().map(|next| &next.certificate);
        let all = [&self.current.certificate].into_iter().chain(next).chain(&self.previous);
        all.map(|pem| format!("{}\n", pem.trim())).collect()
    }

    /// What the certificate that is served says, and the authority's.
    pub(super) fn said(&self) -> anyhow::Result<(Said, Said)> {
        Ok((said(&self.leaf.certificate)?, said(&self.current.certificate)?))
    }

    /// For a TLS server.
    pub(super) fn served(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        self.leaf.der()
    }

    /// The `data` of the Secret.
    pub(super) fn data(&self) -> Value {
        let mut data = Map::new();
        let mut put = |key: &str, text: &str| {
            data.insert(key.to_owned(), Value::String(STANDARD.encode(text)));
        };
        put("tls.crt", &self.leaf.certificate);
        put("tls.key", &self.leaf.key);
        put("ca.crt", &self.bundle());
        put("ca.key", &self.current.key);
        if let Some(next) = &self.next {
            put("next-ca.crt", &next.certificate);
            put("next-ca.key", &next.key);
        }
        Value::Object(data)
    }

    /// Reads a Secret: `None` where nothing is in it yet.
    ///
    /// # Errors
    /// Somebody has put something else into it.
    pub(super) fn of(secret: &Value) -> anyhow::Result<Option<State>> {
        let Some(data) = secret.get("data").and_then(Value::as_object).filter(|data| !data.is_empty()) else {
            return Ok(None);
        };
        let text = |key: &str| -> anyhow::Result<Option<String>> {
            let Some(text) = data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
                return Ok(None);
            };
            let bytes = STANDARD.decode(text).with_context(|| format!("{key} is not base64"))?;
            Ok(Some(String::from_utf8(bytes).ok().with_context(|| format!("{key} is not PEM"))?))
        };
        let needed = |key: &str| text(key)?.with_context(|| format!("{key} is missing"));
        let mut bundle = separated(&needed("ca.crt")?).into_iter();
        let current = Pair { certificate: bundle.next().context("ca.crt is empty")?, key: needed("ca.key")? };
        let next = match text("next-ca.crt")? {
            Some(certificate) => Some(Pair { certificate, key: needed("next-ca.key")? }),
            None => None,
        };
        let is_next = |pem: &String| next.as_ref().is_some_and(|next| next.certificate.trim() == pem.trim());
        let previous = bundle.filter(|pem| !is_next(pem)).collect();
        let leaf = Pair { certificate: needed("tls.crt")?, key: needed("tls.key")? };
        let state = State { leaf, current, next, previous };
        state.is_sound()?;
        Ok(Some(state))
    }

    /// Whether everything in it can be used as it is meant.
    fn is_sound(&self) -> anyhow::Result<()> {
        self.said()?;
        self.served()?;
        for pair in [&self.leaf, &self.current].into_iter().chain(&self.next) {
            let (chain, key) = pair.der()?;
            Leaf::default().put_on(chain, &key)?;
        }
        for pem in &self.previous {
            said(pem)?;
        }
        Ok(())
    }
}

impl Pair {
    fn der(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        // Not with its text, which is the key.
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        let key = key.map_err(|_| anyhow::anyhow!("a private key can't be read"))?;
        Ok((chain.context("a certificate can't be read")?, key))
    }
}

/// The certificates of a bundle, each with its marks.
fn separated(bundle: &str) -> Vec<String> {
    let ends = bundle.split_inclusive(END).filter(|part| part.contains(END));
    ends.map(|part| format!("{}\n", part.trim())).collect()
}

const END: &str = "-----END CERTIFICATE-----";
