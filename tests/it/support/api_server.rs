//! As much of Kubernetes' API server as an injector meets: objects with `resourceVersion`, JSON Patch, lists in pages, over TLS
//! with a bearer token. How it calls a webhook is in [`reviewer`](super::reviewer).

use super::issuer::acceptor;
use super::pki::Pki;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What the injector shows it.
pub const TOKEN: &str = "of-the-service-account";
/// Where the injector runs.
pub const NAMESPACE: &str = "clinch-system";
/// The injector's Service.
pub const SERVICE: &str = "clinch-injector";
/// The Secret with its certificates.
pub const SECRET: &str = "/api/v1/namespaces/clinch-system/secrets/clinch-injector-tls";
/// The webhooks that patch.
pub const MUTATING: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/clinch-injector";
/// The webhooks that verify.
pub const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/clinch-injector";

/// A running API server; it ends with the test's runtime.
#[derive(Clone)]
pub struct ApiServer {
    /// `https://localhost:PORT`
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By path, each version with when it was written; the last one may be gone (null).
    objects: BTreeMap<String, Vec<(Instant, Value)>>,
    version: u64,
    down: bool,
    /// How many continued lists are told that the rest is not kept any longer.
    forgetful: u32,
    asked: Vec<(Method, String)>,
}

impl ApiServer {
    /// Starts one whose certificate `pki` signed.
    pub async fn start(pki: &Pki) -> ApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let server = ApiServer { url, state: Arc::default() };
        let (acceptor, serving) = (acceptor(pki), server.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| respond(server.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        server
    }

    /// Has both webhook configurations, each with a webhook of somebody else's beside ours, without a bundle.
    pub fn with_webhooks(self) -> ApiServer {
        let webhook = |name: &str, service: &str, path: &str| {
            json!({
                "name": name,
                "clientConfig": { "service": { "name": service, "namespace": NAMESPACE, "path": path, "port": 443 } },
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            })
        };
        for (path, what) in [(MUTATING, "inject"), (VALIDATING, "validate")] {
            let webhooks = ["namespace", "pod"]
                .map(|by| webhook(&format!("{by}.{what}.clinch.dev"), SERVICE, &format!("/{what}/{by}")));
            let mut webhooks = Vec::from(webhooks);
            webhooks.insert(1, webhook("other.example", "other", "/"));
            self.put(path, json!({ "metadata": { "name": SERVICE }, "webhooks": webhooks }));
        }
        self
    }

    /// Puts an object there, as somebody else would.
    pub fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().write(path, object);
    }

    /// Takes an object away.
    pub fn remove(&self, path: &str) {
        self.put(path, Value::Null);
    }

    /// An object as it is.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().read(path)
    }

    /// An object as whoever is so late believes it to be.
    pub fn as_of(&self, path: &str, lag: Duration) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let versions = state.objects.get(path)?;
        let known = versions.iter().rev().find(|(since, _)| since.elapsed() >= lag);
        Some(known.unwrap_or(versions.first()?).1.clone())
    }

    /// Answers nobody (503) from now on, or everybody again.
    pub fn is_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// Says to so many who continue a list that the rest is gone (410).
    pub fn forgets(&self, times: u32) {
        self.state.lock().unwrap().forgetful = times;
    }

    /// What was asked with this method, in order.
    pub fn asked(&self, method: &Method) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(m, _)| m == method).map(|(_, path)| path.clone()).collect()
    }
}

impl State {
    fn read(&self, path: &str) -> Option<Value> {
        let (_, object) = self.objects.get(path)?.last()?;
        (!object.is_null()).then(|| object.clone())
    }

    fn write(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        if !object.is_null() {
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        self.objects.entry(path.to_owned()).or_default().push((Instant::now(), object.clone()));
        object
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> (StatusCode, Value) {
        let there = self.read(path);
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), there) {
            ("GET", _) if matches!(path, "/api/v1/namespaces" | "/api/v1/pods") => self.list(path, query),
            ("GET", Some(object)) => (StatusCode::OK, object),
            ("POST", _) => {
                let path = format!("{path}/{}", document["metadata"]["name"].as_str().unwrap());
                if self.read(&path).is_some() {
                    return (StatusCode::CONFLICT, json!({ "reason": "AlreadyExists" }));
                }
                (StatusCode::CREATED, self.write(&path, document))
            }
            ("PUT", Some(object)) => {
                let versions = [&object, &document].map(|object| &object["metadata"]["resourceVersion"]);
                if versions[0] != versions[1] {
                    return (StatusCode::CONFLICT, json!({ "reason": "Conflict" }));
                }
                (StatusCode::OK, self.write(path, document))
            }
            ("PATCH", Some(mut object)) => {
                let patch: json_patch::Patch = serde_json::from_value(document).unwrap();
                if json_patch::patch(&mut object, &patch).is_err() {
                    return (StatusCode::UNPROCESSABLE_ENTITY, json!({ "reason": "Invalid" }));
                }
                (StatusCode::OK, self.write(path, object))
            }
            _ => (StatusCode::NOT_FOUND, json!({ "reason": "NotFound" })),
        }
    }

    /// Pages of two, whatever is asked for, so that there are several.
    fn list(&mut self, path: &str, query: &str) -> (StatusCode, Value) {
        assert!(query.contains("limit="), "a list that is not bounded: {query}");
        let from = query.split('&').find_map(|pair| pair.strip_prefix("continue=")).unwrap_or("0%3D");
        if from != "0%3D" && self.forgetful > 0 {
            self.forgetful -= 1;
            return (StatusCode::GONE, json!({ "reason": "Expired" }));
        }
        let from: usize = from.strip_suffix("%3D").expect("encoded").parse().unwrap();
        let labelled = query.contains("labelSelector=clinch.dev%2Finject&");
        let unfinished =
            query.contains("fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed");
        let below = format!("{path}/");
        let all: Vec<Value> =
            self.objects.keys().filter(|at| at.starts_with(&below)).filter_map(|at| self.read(at)).collect();
        let asked_for = |object: &&Value| {
            let label = &object["metadata"]["labels"]["clinch.dev/inject"];
            let over = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            (!labelled || label.is_string()) && !(unfinished && over)
        };
        let all: Vec<&Value> = all.iter().filter(asked_for).collect();
        let next = if from + 2 < all.len() { format!("{}=", from + 2) } else { String::new() };
        let items: Vec<&Value> = all.into_iter().skip(from).take(2).collect();
        // Go writes no empty list.
        let items = if items.is_empty() { Value::Null } else { json!(items) };
        (StatusCode::OK, json!({ "kind": "List", "metadata": { "continue": next }, "items": items }))
    }
}

async fn respond(server: ApiServer, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let known = head.headers.get("authorization").is_some_and(|shown| *shown == format!("Bearer {TOKEN}"));
    let (status, document) = {
        let mut state = server.state.lock().unwrap();
        state.asked.push((head.method.clone(), path.clone()));
        if state.down {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "message": "down" }))
        } else if known {
            state.answer(&head.method, &path, &query, &body)
        } else {
            (StatusCode::UNAUTHORIZED, json!({ "message": "Unauthorized" }))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    Ok(response)
}
