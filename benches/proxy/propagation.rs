//! From the publication of an event to the first request that is refused for it: through the whole proxy, over a real
//! bus, while others are served.

use crate::bus::Bus;
use crate::load::connect;
use crate::scene::{Credential, Scene, now};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;

pub(crate) async fn report() {
    println!("from publication to the first refusal, {EVENTS} events, beside {WANTED} requests/s of others");
    for name in ["nats", "redis"] {
        let mut bus = Bus::start(name).await;
        let scene = Rc::new(Scene::start(&bus.config()).await);
        LocalSet::new().run_until(measure(name, &mut bus, scene)).await;
    }
}

async fn measure(name: &str, bus: &mut Bus, scene: Rc<Scene>) {
    let served = Rc::<Cell<u64>>::default();
    let others = (0..CONNECTIONS)
        .map(|_| tokio::task::spawn_local(keep_asking(Rc::clone(&scene), Rc::clone(&served))));
    let others: Vec<_> = others.collect();
    let mut client = open(&scene).await;
    let started = Instant::now();
    let mut times = Vec::new();
    for number in FIRST..FIRST + EVENTS {
        times.push(propagate(&scene, bus, &mut client, number).await);
    }
    let rate = served.get() as f64 / started.elapsed().as_secs_f64();
    others.iter().for_each(tokio::task::JoinHandle::abort);
    times.sort_unstable();
    let at = |thousandths: usize| times[(times.len() - 1) * thousandths / 1000];
    println!(
        "  {name:<6} p50 {} us, p99 {} us (budget 10000), p99.9 {} us, most {} us; {rate:.0} requests/s of others",
        at(500),
        at(990),
        at(999),
        at(1000),
    );
}

/// Publishes one event and asks until it counts; microseconds to the answer that refuses.
async fn propagate(
    scene: &Scene,
    bus: &mut Bus,
    client: &mut SendRequest<Empty<Bytes>>,
    number: usize,
) -> u64 {
    let token = scene.certificate_bound(number);
    assert_eq!(ask(client, request(scene, &token)).await, StatusCode::OK);
    let event = format!(
        r#"{{"id":"{number}","iss":"{}","revoke":{{"jti":"token-{number}"}},"at":{}}}"#,
        scene.issuer,
        now().as_secs()
    );
    let published = Instant::now();
    bus.publish(event).await;
    while ask(client, request(scene, &token)).await != StatusCode::UNAUTHORIZED {
        assert!(published.elapsed() < Duration::from_secs(10), "event {number} never came");
    }
    published.elapsed().as_micros() as u64
}

/// Somebody whom no event is about.
async fn keep_asking(scene: Rc<Scene>, served: Rc<Cell<u64>>) {
    let mut client = open(&scene).await;
    let token = scene.certificate_bound(99);
    let mut pace = tokio::time::interval(Duration::from_secs(1) * CONNECTIONS / WANTED);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        pace.tick().await;
        assert_eq!(ask(&mut client, request(&scene, &token)).await, StatusCode::OK);
        served.set(served.get() + 1);
    }
}

async fn open(scene: &Scene) -> SendRequest<Empty<Bytes>> {
    let tls = TlsConnector::from(Arc::new(scene.client_tls(Credential::Certificate)));
    let (client, connection) = handshake(TokioIo::new(connect(&tls, &scene.clinch).await)).await.unwrap();
    tokio::spawn(connection);
    client
}

fn request(scene: &Scene, token: &str) -> Request<Empty<Bytes>> {
    let mut request = scene.request_with(token);
    *request.uri_mut() = request.uri().path().parse().unwrap();
    request
}

async fn ask(client: &mut SendRequest<Empty<Bytes>>, request: Request<Empty<Bytes>>) -> StatusCode {
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

const EVENTS: usize = 1000;
/// Numbers of tokens that nobody else has.
const FIRST: usize = 1000;
const CONNECTIONS: u32 = 8;
const WANTED: u32 = 2000;
