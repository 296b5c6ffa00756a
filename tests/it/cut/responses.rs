//! Revocation: responses that come, responses that nobody takes, responses that have not begun.

use super::{ROUNDS, Scene, Times, broken_off, reset};
use crate::support::eventually;
use crate::support::proof::claims;
use http_body_util::BodyExt;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// RV-039
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_http_1_is_cut_by_a_line_in_the_journal() {
    let scene = Scene::start().await;
    let mut times = Vec::new();
    for path in ["/events", "/silent"].into_iter().cycle().take(ROUNDS) {
        let token = scene.token();
        let mut stream = scene.open(path, &token).await;
        let published = scene.revoke_token(&token).await;
        let (_, ended) = broken_off(&mut stream).await;
        times.push(ended - published);
        scene.service_is_rid_of_all().await;
    }
    assert_eq!(scene.cuts("revoked").await, ROUNDS as u64);
    Times("HTTP/1.1, journal", times).within_a_moment();
}

/// RV-039
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_http_2_is_reset_by_an_event_on_nats() {
    let scene = Scene::with_nats().await;
    let mut client = scene.front.caller(None).connect_h2().await;
    let spared = scene.token();
    let mut spared = scene.open_h2(&mut client, "/events", &spared).await.into_body();
    let mut times = Vec::new();
    for path in ["/events", "/silent"].into_iter().cycle().take(ROUNDS) {
        let token = scene.token();
        let mut body = scene.open_h2(&mut client, path, &token).await.into_body();
        body.frame().await.unwrap().unwrap();
        let published = scene.revoke_token(&token).await;
        assert_eq!(reset(&mut body).await, h2::Reason::INTERNAL_ERROR);
        times.push(published.elapsed());
    }
    // The connection is well, and so is whoever else is on it.
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        spared.frame().await.unwrap().unwrap();
    }
    eventually("one to be left", async || (scene.service.open() == 1).then_some(())).await;
    Times("HTTP/2, NATS", times).within_a_moment();
}

/// RV-039: the service's stream is reset, too, and only that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_http_2_service_is_reset_on_both_sides() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("url: 'http://{}', protocol: http2", listener.local_addr().unwrap());
    let scene = Scene::over(&upstream).await;
    let mut client = scene.front.caller(None).connect_h2().await;
    let service = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut stream = respond.send_response(hyper::Response::new(()), false).unwrap();
            stream.send_data(bytes::Bytes::from("still here"), false).unwrap();
            streams.push(stream);
        }
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        streams
    };
    let token = scene.token();
    let asked = async {
        let spared = scene.open_h2(&mut client, "/events", &scene.token()).await.into_body();
        (spared, scene.open_h2(&mut client, "/events", &token).await.into_body())
    };
    let (mut streams, (mut spared, mut body)) = tokio::join!(service, asked);
    body.frame().await.unwrap().unwrap();
    scene.revoke_token(&token).await;
    assert_eq!(reset(&mut body).await, h2::Reason::INTERNAL_ERROR);
    let mut cut = streams.pop().unwrap();
    let seen = std::future::poll_fn(|cx| cut.poll_reset(cx));
    let seen = tokio::time::timeout(crate::support::PATIENCE, seen).await.expect("the service is told");
    assert_eq!(seen.unwrap(), h2::Reason::CANCEL);
    spared.frame().await.unwrap().unwrap();
    streams[0].send_data(bytes::Bytes::from("and here"), false).unwrap();
    assert_eq!(spared.frame().await.unwrap().unwrap().into_data().unwrap(), "and here");
}

/// Whatever an event says of the token, it ends the stream; and the line in the log says which.
#[tokio::test(flavor = "multi_thread")]
async fn every_fact_cuts() {
    let scene = Scene::start().await;
    let key = scene.front.client.thumbprint();
    let facts = [json!({ "sub": "u0" }), json!({ "sid": "s1" }), json!({ "jkt": key })];
    for (number, fact) in facts.iter().enumerate() {
        let (sub, sid, jti) = (format!("u{number}"), format!("s{number}"), format!("t{number}"));
        let token = scene.front.token(&json!({ "sub": sub, "sid": sid, "jti": jti }));
        let mut stream = scene.open("/events", &token).await;
        scene.revoke(fact.clone()).await;
        broken_off(&mut stream).await;
        let told = eventually("the cut to be told", async || scene.told().get(number).cloned()).await;
        assert_eq!(told["reason"], "revoked");
        assert_eq!(told["route"], "/{*rest}");
        assert_eq!(told["token_id"], claims(&token)["jti"]);
        assert_eq!(told["issuer"], json!(scene.front.issuer.name));
        assert_eq!((&told["client"], &told["subject"]), (&json!("app"), &json!(sub)), "{told}");
        assert!(told["event"].is_string(), "{told}");
        assert_eq!(told["request"].as_str().map(str::len), Some(16), "{told}");
        assert_eq!(told["trace_id"].as_str().map(str::len), Some(32), "{told}");
        assert!(told["open_ms"].is_u64(), "{told}");
    }
}

/// What the client does not take is not even asked for: the service's side ends all the same, and over HTTP/1.1 the
/// connection does.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_nobody_reads_is_cut_too() {
    let scene = Scene::start().await;
    let token = scene.token();
    let mut stream = scene.send("/flood", &token).await;
    let mut client = scene.front.caller(None).connect_h2().await;
    let mut body = scene.open_h2(&mut client, "/flood", &token).await.into_body();
    eventually("both to be under way", async || (scene.service.open() == 2).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await; // until every buffer on the way is full
    assert_eq!(scene.service.open(), 2);
    let published = scene.revoke_token(&token).await;
    scene.service_is_rid_of_all().await;
    println!("not read: the service was let go {:.1?} after publication", published.elapsed());
    let left = async || (scene.metric("clinch_connections").await == 1).then_some(());
    eventually("the connection of HTTP/2 to be left", left).await;
    eventually("both to be counted", async || (scene.cuts("revoked").await == 2).then_some(())).await;
    broken_off(&mut stream).await;
    assert_eq!(reset(&mut body).await, h2::Reason::INTERNAL_ERROR);
}

/// A2: who waits for an answer is refused, as the next request would be.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_its_answer_is_refused() {
    let scene = Scene::start().await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let token = scene.token();
        let mut stream = scene.send("/wait", &token).await;
        eventually("the service to have it", async || (scene.service.open() == 1).then_some(())).await;
        let published = scene.revoke_token(&token).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        times.push(published.elapsed());
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("www-authenticate: DPoP error=\"invalid_token\""), "{answer}");
        assert!(answer.contains("token_revoked"), "{answer}");
        scene.service_is_rid_of_all().await;
    }
    Times("a long poll, journal", times).within_a_moment();
    let mut client = scene.front.caller(None).connect_h2().await;
    let token = scene.token();
    let answer = async { scene.open_h2(&mut client, "/wait", &token).await.status() };
    let revoked = async {
        eventually("the service to have it", async || (scene.service.open() == 1).then_some(())).await;
        scene.revoke_token(&token).await;
    };
    assert_eq!(tokio::join!(answer, revoked).0, 401);
    scene.service_is_rid_of_all().await;
    let none = async || (scene.metric("clinch_in_flight").await == 0).then_some(());
    eventually("nothing to be in flight", none).await;
    let refused = async || {
        (scene.metric("clinch_responses_total{code=\"4xx\"}").await == ROUNDS as u64 + 1).then_some(())
    };
    eventually("all to be counted", refused).await;
}
