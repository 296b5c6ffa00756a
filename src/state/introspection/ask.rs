//! One question to an introspection endpoint: an authenticated POST over TLS (RFC 7662 section 2.1), and the answer
//! read. Caching, deadline and what a failure means are the callers' matter. (INTR-01)

use crate::config::{Introspection, Issuer};
use crate::pop::Timestamp;
use crate::pop::introspection::{self, Answer, SIGNED_TYPE, Terms, Unbelievable};
use crate::state::https::{Fault, Https};
use crate::state::issuers::discovery::discover;
use crate::state::issuers::{Issuers, Refetched};
use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use http_body_util::Full;
use rustls::RootCertStore;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

/// The endpoint of one issuer, and who we are there.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) terms: Terms,
    https: Https,
    configured: Option<Uri>,
    discovered: ArcSwapOption<Uri>,
    authorization: HeaderValue,
    client_id: String,
    signed: bool,
    issuers: Arc<Issuers>,
}

impl Endpoint {
    pub(super) fn new(
        issuer: &Issuer,
        config: &Introspection,
        roots: RootCertStore,
        issuers: Arc<Issuers>,
    ) -> anyhow::Result<Endpoint> {
        let expected = Arc::clone(&issuer.expected);
        Ok(Endpoint {
            terms: Terms { expected, missing_audience: config.missing_audience },
            https: Https::new(&issuer.ca, roots, KEPT_CONNECTIONS)?,
            configured: config.endpoint.clone(),
            discovered: ArcSwapOption::empty(),
            authorization: basic(&config.client_id, config.client_secret.expose())?,
            client_id: config.client_id.clone(),
            signed: config.signed_answers,
            issuers,
        })
    }

    /// What the server says of this token.
    pub(super) async fn ask(&self, token: &str, now: Timestamp) -> Result<Answer, Fault> {
        let started = Instant::now();
        let mut form = String::with_capacity(token.len() + FORM.len());
        form.push_str(FORM);
        form_encode(token, &mut form);
        let accept = if self.signed { ACCEPT_SIGNED } else { ACCEPT_PLAIN };
        let mut request = Request::new(Full::new(Bytes::from(form)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.address().await?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, accept);
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(header::CONTENT_TYPE, FORM_TYPE);
        let answer = self.https.exchange(request).await;
        if answer.is_err() {
            self.discovered.store(None); // it may have moved
        }
        let (headers, body) = answer?;
        if self.signed {
            self.believe(&headers, &body, now, started).await
        } else {
            introspection::plain(&body).ok_or(Fault::Malformed)
        }
    }

    /// A signed answer, and no other where one is asked for (JINT-01, JINT-05). Fetches the keys once if its
    /// key is new.
    async fn believe(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
        started: Instant,
    ) -> Result<Answer, Fault> {
        if !is_signed_type(headers) {
            return Err(Fault::Unverified);
        }
        let read = || {
            let expected = &self.terms.expected;
            let known = self.issuers.find(&expected.issuer).map_err(|_| Fault::NoKeys)?;
            // The answer was made after the request came: as much later as the question took.
            let now = now.plus(started.elapsed());
            Ok(introspection::signed(body, expected, &self.client_id, &known.keys, now))
        };
        let mut answer = read()?;
        if matches!(answer, Err(Unbelievable::KeyUnknown))
            && self.issuers.refetch(&self.terms.expected.issuer).await == Refetched::Fresh
        {
            answer = read()?;
        }
        answer.map_err(|_| Fault::Unverified)
    }

    async fn address(&self) -> Result<Uri, Fault> {
        if let Some(uri) = &self.configured {
            return Ok(uri.clone());
        }
        if let Some(uri) = self.discovered.load_full() {
            return Ok(Uri::clone(&uri));
        }
        let uri = discover(&self.https, &self.terms.expected.issuer, "introspection_endpoint").await?;
        self.discovered.store(Some(Arc::new(uri.clone())));
        Ok(uri)
    }
}

fn is_signed_type(headers: &HeaderMap) -> bool {
    let written = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = written.split(';').next().unwrap_or("").trim();
    essence.to_ascii_lowercase().strip_prefix("application/") == Some(SIGNED_TYPE)
}

/// `client_secret_basic`: both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &str) -> anyhow::Result<HeaderValue> {
    let mut pair = String::new();
    form_encode(client_id, &mut pair);
    pair.push(':');
    form_encode(secret, &mut pair);
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))?;
    value.set_sensitive(true); // its Debug shows nothing
    Ok(value)
}

/// `application/x-www-form-urlencoded`, after the URL standard.
fn form_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                into.push(char::from(byte))
            }
            b' ' => into.push('+'),
            _ => {
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

const FORM: &str = "token_type_hint=access_token&token=";
const FORM_TYPE: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const ACCEPT_PLAIN: HeaderValue = HeaderValue::from_static("application/json");
const ACCEPT_SIGNED: HeaderValue = HeaderValue::from_static("application/token-introspection+jwt");
const KEPT_CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded_before_they_are_joined() {
        let value = basic("a:b c", "p%+ä/*~").unwrap();
        assert!(!format!("{value:?}").contains("Basic"));
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"a%3Ab+c:p%25%2B%C3%A4%2F*%7E");
    }

    #[test]
    fn the_type_of_a_signed_answer_may_have_parameters() {
        let of = |value: &'static str| {
            is_signed_type(&[(header::CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect())
        };
        assert!(of("application/token-introspection+jwt"));
        assert!(of("Application/Token-Introspection+JWT; charset=utf-8"));
        for other in ["application/json", "application/jwt", "token-introspection+jwt", ""] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_signed_type(&HeaderMap::new()));
    }
}
