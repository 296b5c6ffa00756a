//! Whatever comes, there is an answer below 500, and the process lives.

use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, pod, review};
use crate::support::temporary::Folder;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// WH-002
#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_and_spoilt_reviews_never_give_a_5xx() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let mut injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    let stream = connect(injector.address, pki.ca_pem.as_bytes(), None, true).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut runner = TestRunner::deterministic();
    let (mut refused, mut unreadable) = (0, 0);
    for _ in 0..1500 {
        let (path, body) = (path(), body()).new_tree(&mut runner).unwrap().current();
        let request = Request::post(format!("https://x{path}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.clone())))
            .unwrap();
        sender.ready().await.expect("the connection lives");
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status().as_u16();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(matches!(status, 200 | 400), "{status} {}", String::from_utf8_lossy(&body));
        if status == 200 {
            assert_eq!(answer["kind"], "AdmissionReview");
            assert!(answer["response"]["allowed"].is_boolean() && answer["response"]["uid"].is_string());
            refused += usize::from(answer["response"]["allowed"] == false);
        } else {
            assert!(answer["error"].is_string());
            unreadable += 1;
        }
    }
    assert!(refused > 100 && unreadable > 100, "{refused} refused, {unreadable} unreadable");
    assert!(!injector.program.has_ended());
    assert!(!injector.program.output().contains("panic"), "{}", injector.program.output());
}

fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("/inject/namespace"),
        Just("/inject/pod"),
        Just("/validate/namespace"),
        Just("/validate/pod")
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let bitten = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(|(at, byte, cut)| {
        let mut bytes = review("shop", &pod()).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        bytes
    });
    let spoilt = prop::collection::vec((any::<prop::sample::Index>(), anything(), any::<bool>()), 1..4);
    let spoilt = spoilt.prop_map(|changes| {
        let mut review = review("shop", &pod());
        for (at, value, remove) in changes {
            spoil(&mut review, &at, value, remove);
        }
        review.to_string().into_bytes()
    });
    prop_oneof![1 => noise, 2 => bitten, 6 => spoilt]
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1.5e300)),
        Just(json!(u64::MAX)),
        Just(json!("")),
        Just(json!("enabled")),
        Just(json!("\u{0}\u{202e}/~01")),
        Just(json!("x".repeat(5000))),
        Just(json!([])),
        Just(json!([null, {}, "a"])),
        Just(json!({})),
        Just(json!({ "clinch.dev/inject": "enabled", "clinch.dev/port": "all", "clinch.dev/injected": {} })),
        Just(json!([{ "name": "clinch", "image": "evil" }])),
    ]
}

/// Puts something else at one place, or takes that away.
fn spoil(review: &mut Value, at: &prop::sample::Index, value: Value, remove: bool) {
    let mut places = Vec::new();
    walk(review, String::new(), &mut places);
    // Version and kind decide on everything else: they are left alone most of the time.
    let place = &places[at.index(places.len())];
    let Some((parent, key)) = place.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match review.pointer_mut(parent) {
        Some(Value::Object(members)) if remove => drop(members.remove(&key)),
        Some(Value::Object(members)) => drop(members.insert(key, value)),
        Some(Value::Array(items)) => items[key.parse::<usize>().unwrap()] = value,
        _ => {}
    }
}

fn walk(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, below) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(below, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, below)| walk(below, format!("{at}/{index}"), places));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(at);
}
