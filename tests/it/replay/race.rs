//! The race: many connections, all replicas, one proof; exactly one request gets through (RP-002, RP-003).

use super::replicas::{PATH, Replicas, Store};
use crate::support::nats::Nats;
use crate::support::oauth_client::HOST;
use crate::support::redis::Redis;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::time::{Duration, Instant};

/// Requests at once, spread over the replicas.
const RACERS: usize = 8;
/// Well within the life of a token.
const TOKEN_LIFE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_passes_with_the_memory_of_one_process() {
    race(Store::Memory, 1, Nonces::None).await;
}

/// Without a store a proof is good at the one replica whose nonce it carries.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_passes_at_two_replicas_with_nonces_of_their_own() {
    race(Store::Memory, 2, Nonces::OfEach).await;
}

/// DPOP-41, FAPI-10
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_passes_at_two_replicas_with_redis() {
    race(Store::Redis(Redis::start().await), 2, Nonces::None).await;
}

/// DPOP-41, FAPI-10
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_passes_at_two_replicas_with_nats() {
    race(Store::Nats(Nats::start().await), 2, Nonces::None).await;
}

/// What proofs carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nonces {
    None,
    /// One of a replica, of another one each round; none of them knows the nonces of the others.
    OfEach,
}

/// `CLINCH_RACE_ROUNDS` says how often; a few dozen times without it.
#[allow(clippy::print_stdout, reason = "the figures of a long run")]
async fn race(store: Store, replicas: usize, nonces: Nonces) {
    let rounds = std::env::var("CLINCH_RACE_ROUNDS").map_or(30, |n| n.parse().expect("a number of rounds"));
    let mode = if nonces == Nonces::OfEach { "required" } else { "off" };
    let keys = format!("{} }}\n  nonce: {{ mode: {mode}", store.keys());
    let mut replicas = Replicas::start(replicas, &keys).await;
    let before = replicas.service.count();
    let mut connections = connect(&replicas).await;
    let (mut won, begun, mut renewed) = (vec![0; replicas.clinches.len()], Instant::now(), Instant::now());
    for round in 0..rounds {
        if renewed.elapsed() > TOKEN_LIFE {
            replicas.renew_token().await;
            renewed = Instant::now();
        }
        let nonce = match nonces {
            Nonces::None => None,
            Nonces::OfEach => replicas.nonce(round % replicas.clinches.len()).await,
        };
        let proof = replicas.proof_with(nonce.as_deref());
        won[run(&replicas, &mut connections, round, &proof).await] += 1;
    }
    assert_eq!(replicas.service.count() - before, rounds);
    println!("{} rounds of {RACERS}: won by {won:?} in {:.1?}", rounds, begun.elapsed());
}

/// One round: which replica let the one request through.
async fn run(
    replicas: &Replicas,
    connections: &mut [SendRequest<Empty<bytes::Bytes>>],
    round: usize,
    proof: &str,
) -> usize {
    let authorization = format!("DPoP {}", replicas.token);
    // Another one is the first to be written each time.
    connections.rotate_left(1);
    for connection in connections.iter_mut() {
        connection.ready().await.expect("the connection stays open");
    }
    let asked = connections.iter_mut().map(|connection| {
        let request = Request::get(PATH)
            .header("host", HOST)
            .header("authorization", &authorization)
            .header("dpop", proof)
            .body(Empty::new())
            .unwrap();
        let answered = connection.send_request(request);
        async move {
            let (head, body) = answered.await.unwrap().into_parts();
            (head.status, body.collect().await.unwrap().to_bytes())
        }
    });
    let answers = join_all(asked).await;
    let mut admitted = None;
    for (at, (status, body)) in answers.into_iter().enumerate() {
        if status == StatusCode::OK {
            assert!(admitted.is_none(), "round {round}: the proof passed twice");
            admitted = Some(at);
        } else {
            let body = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}: {body}");
            let expected = ["proof_replayed", "nonce_unknown"].iter().any(|reason| body.contains(reason));
            assert!(expected, "round {round}: {body}");
        }
    }
    let admitted = admitted.unwrap_or_else(|| panic!("round {round}: nobody passed"));
    (admitted + round + 1) % RACERS % replicas.clinches.len()
}

/// Connections that stay open, to the replicas in turn.
async fn connect(replicas: &Replicas) -> Vec<SendRequest<Empty<bytes::Bytes>>> {
    let mut connections = Vec::new();
    for at in 0..RACERS {
        let clinch = &replicas.clinches[at % replicas.clinches.len()];
        let stream = TokioIo::new(replicas.caller(clinch).connect().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        connections.push(sender);
    }
    connections
}
