//! For tests: an introspection endpoint that says what it is told to say, and remembers what it was asked;
//! and a sidecar that asks it.

use super::Introspection;
use crate::config::{self, Secret};
use crate::pop::Denial;
use crate::pop::access_token::AccessToken;
use crate::pop::forge::{self, NOW};
use crate::pop::introspection::MissingAudience;
use crate::state::issuers::Issuers;
use crate::state::issuers::published::{Behaviour, Hanging, Published, eventually};
use crate::state::tokens::Tokens;
use crate::telemetry::{Steps, Telemetry};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// What the endpoint does.
#[derive(Clone)]
pub(in crate::state) enum Says {
    Json(Value),
    /// A JWT of these header and claims by the key of this seed.
    Signed(u8, Value, Value),
    Status(u16),
    /// This type and this body.
    Body(&'static str, String),
    /// One byte, and then nothing for ever.
    Nothing,
}

/// The endpoint.
pub(in crate::state) struct Script {
    says: Mutex<Says>,
    asked: Mutex<Vec<(HeaderMap, String)>>,
}

impl Default for Script {
    fn default() -> Script {
        Script { says: Mutex::new(Says::Json(json!({ "active": false }))), asked: Mutex::default() }
    }
}

impl Script {
    pub(in crate::state) fn says(&self, says: Says) {
        *self.says.lock() = says;
    }
    /// How many questions came.
    pub(in crate::state) fn count(&self) -> usize {
        self.asked.lock().len()
    }
    /// Header fields and form of the last one.
    pub(in crate::state) fn last(&self) -> (HeaderMap, String) {
        self.asked.lock().last().cloned().unwrap()
    }

    pub(in crate::state) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Response<BoxBody<Bytes, Infallible>> {
        let (head, body) = request.into_parts();
        assert_eq!(head.method, http::Method::POST);
        let form = body.collect().await.unwrap().to_bytes();
        self.asked.lock().push((head.headers, String::from_utf8(form.to_vec()).unwrap()));
        let full = |status: u16, kind: &str, text: String| {
            let body = BoxBody::new(Full::new(Bytes::from(text)));
            let response = Response::builder().status(status).header("content-type", kind);
            response.header("location", "/tenant/introspect").body(body).unwrap()
        };
        let says = self.says.lock().clone();
        match says {
            Says::Json(answer) => full(200, "application/json", answer.to_string()),
            Says::Signed(seed, header, claims) => {
                let jwt = forge::Key::seeded(seed).jws(&header, &claims);
                full(200, "application/token-introspection+jwt; charset=utf-8", jwt)
            }
            Says::Status(status) => full(status, "application/json", r#"{"active":true}"#.to_owned()),
            Says::Body(kind, text) => full(200, kind, text),
            Says::Nothing => Response::new(BoxBody::new(Hanging(Some(Bytes::from_static(b"{"))))),
        }
    }
}

/// Authorization servers with keys, and the tokens of a sidecar that trusts them.
pub(super) struct Setup {
    pub(super) servers: Vec<Arc<Published>>,
    pub(super) tokens: Tokens,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Setup {
    pub(super) async fn new(change: impl Fn(&mut config::Introspection)) -> Setup {
        Setup::with_servers(1, change).await
    }

    pub(super) async fn with_servers(count: usize, change: impl Fn(&mut config::Introspection)) -> Setup {
        let (mut servers, mut configs) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let server = Published::start(Behaviour::Keys(vec![(1, "k1")])).await;
            let mut introspection = config::Introspection {
                endpoint: None,
                client_id: "clinch".to_owned(),
                client_secret: Secret::new("a/secret".to_owned()),
                always: false,
                cache: Duration::from_secs(60),
                timeout: Duration::from_secs(5),
                signed_answers: false,
                missing_audience: MissingAudience::Refuse,
            };
            change(&mut introspection);
            configs.push(config::Issuer { introspection: Some(introspection), ..server.config() });
            servers.push(server);
        }
        let telemetry = Telemetry::off();
        let issuers = Issuers::start(&configs, &telemetry.metrics).unwrap();
        eventually("ready", || issuers.unready().is_empty()).await;
        let introspection = Introspection::new(&configs, &issuers, &telemetry.metrics).unwrap();
        let tokens = Tokens::new(issuers, introspection, telemetry.metrics.clone());
        Setup { servers, tokens, telemetry }
    }

    pub(super) fn server(&self) -> &Published {
        &self.servers[0]
    }
    pub(super) fn says(&self, says: Says) {
        self.server().introspection.says(says);
    }
    pub(super) fn asked(&self) -> usize {
        self.server().introspection.count()
    }
    pub(super) async fn establish(&self, token: &str) -> Result<Arc<AccessToken>, Denial> {
        self.tokens.establish(token, false, || Ok(()), NOW, Steps::NONE).await
    }
    /// The same while nobody else vouches for it.
    pub(super) async fn establish_asking(&self, token: &str) -> Result<Arc<AccessToken>, Denial> {
        self.tokens.establish(token, true, || Ok(()), NOW, Steps::NONE).await
    }
    pub(super) async fn denial(&self, token: &str) -> Denial {
        self.establish(token).await.unwrap_err()
    }
    pub(super) fn metric(&self, line: &str) -> bool {
        self.telemetry.render().lines().any(|l| l.starts_with("clinch_introspection") && l.ends_with(line))
    }
}

/// An active answer for a DPoP-bound token.
pub(super) fn active(server: &Published) -> Value {
    let now = NOW.as_secs();
    json!({
        "active": true, "iss": server.name, "client_id": "app", "aud": "https://api.example.com",
        "iat": now - 10, "exp": now + 300, "scope": "orders.read", "cnf": { "jkt": forge::client().jkt() },
        "token_type": "DPoP",
    })
}

pub(super) fn jwt(server: &Published) -> String {
    forge::token(|_, claims| claims["iss"] = json!(server.name))
}
