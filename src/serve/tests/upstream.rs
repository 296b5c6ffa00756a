//! The way to the service: a bound on what it gets at a time, and a look at whether it is there.

use super::forwarding::Pieces;
use super::*;
use crate::config::Readiness;
use tokio::net::TcpListener;

pub(super) const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// The upstream of this version.
pub(super) fn speaking(version: Version) -> impl FnOnce(&mut Config) {
    move |config| config.upstream.http2 = version == Version::HTTP_2
}

/// HTTP-29, HTTP-32
#[tokio::test]
async fn every_kind_of_message_passes_over_http2() {
    let service = Service::speaking(Version::HTTP_2).await;
    let sidecar = Sidecar::with(&service, speaking(Version::HTTP_2)).await;
    for version in BOTH {
        let ask = async |method: &str, path: &str| {
            let request = get(version, path).method(method).body(empty()).unwrap();
            sidecar.ask(version, request).await
        };
        let head = ask("HEAD", "/open/a").await;
        assert!(head.headers().contains_key("content-length"), "{version:?}");
        assert_eq!(text(head).await, "");
        let nothing = ask("GET", "/open/nothing").await;
        assert_eq!((nothing.status().as_u16(), text(nothing).await), (204, String::new()));
        assert!(text(ask("REPORT", "/open/a").await).await.starts_with("REPORT "));
        let upload = Full::new(Bytes::from(vec![b'x'; 1 << 20]));
        let upload = get(version, "/open/stream").method("POST").body(upload).unwrap();
        assert_eq!(text(sidecar.ask(version, upload).await).await.len(), 1 << 20);
    }
}

#[tokio::test]
async fn both_directions_stream_at_once() {
    for to in BOTH {
        let service = Service::speaking(to).await;
        let sidecar = Sidecar::with(&service, speaking(to)).await;
        let (sender, body) = Pieces::new();
        sender.send(Bytes::from("one")).unwrap();
        let request = get(Version::HTTP_2, "/open/stream").method(Method::POST).body(body).unwrap();
        let mut answer = sidecar.ask(Version::HTTP_2, request).await.into_body();
        for piece in ["one", "two", "three"] {
            let frame = timeout(PATIENCE, answer.frame()).await.unwrap().unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece, "{to:?}");
            let more = if piece == "one" { "two" } else { "three" };
            if piece != "three" {
                sender.send(Bytes::from(more)).unwrap();
            }
        }
        drop(sender);
        let rest = timeout(PATIENCE, answer.collect()).await.unwrap().unwrap();
        assert_eq!(rest.to_bytes(), "");
    }
}

#[tokio::test]
async fn a_service_that_is_back_in_a_moment_loses_nothing() {
    for version in BOTH {
        let service = Service::speaking(version).await;
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::with(&service, |config| {
            config.upstream.http2 = version == Version::HTTP_2;
            config.upstream.address = config::UpstreamAddress::Tcp(gone.to_string().parse().unwrap());
        })
        .await;
        let back = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let listener = TcpListener::bind(gone).await.unwrap();
            let (mut client, _) = listener.accept().await.unwrap();
            let mut service = TcpStream::connect(service.address()).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
        };
        let asked = sidecar.ask(Version::HTTP_11, get(Version::HTTP_11, "/open/a").body(empty()).unwrap());
        let response = tokio::select! {
            response = asked => response,
            () = back => panic!("the connection ended"),
        };
        assert_eq!(response.status(), 200, "{version:?}");
    }
}

#[tokio::test]
async fn the_service_gets_so_many_requests_at_a_time_and_the_next_ones_wait_their_turn() {
    for to in BOTH {
        let service = Service::speaking(to).await;
        let sidecar = Sidecar::with(&service, |config| {
            speaking(to)(config);
            config.upstream.in_flight = Some(1);
            config.upstream.queue = 1;
            config.upstream.queue_timeout = PATIENCE;
        })
        .await;
        let sidecar = &sidecar;
        let ask = |path: &str| {
            let request = get(Version::HTTP_11, path).body(empty()).unwrap();
            async move { sidecar.ask(Version::HTTP_11, request).await }
        };
        let waits = async {
            service.arrived().await;
            let (waiting, busy) = tokio::join!(ask("/open/b"), async {
                while sidecar.server.current.proxy().upstream.load().1 == 0 {
                    tokio::task::yield_now().await;
                }
                let busy = ask("/open/c").await;
                service.release();
                busy
            });
            (waiting, busy)
        };
        let first = async { text(ask("/open/wait").await).await };
        let (_, (waiting, busy)) = tokio::join!(first, waits);
        assert_eq!(busy.status(), 503);
        assert!(busy.headers().contains_key("retry-after"));
        assert!(text(busy).await.contains("upstream_busy"));
        assert_eq!(waiting.status(), 200);
        text(waiting).await;
        assert_eq!(service.requests(), 2);
    }
}

#[tokio::test]
async fn who_waits_too_long_for_the_service_is_told_to_come_again() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| {
        config.upstream.in_flight = Some(1);
        config.upstream.queue = 5;
        config.upstream.queue_timeout = Duration::from_millis(100);
    })
    .await;
    let ask = |path: &str| {
        let request = get(Version::HTTP_11, path).body(empty()).unwrap();
        sidecar.ask(Version::HTTP_11, request)
    };
    let late = async {
        service.arrived().await;
        let late = ask("/open/b").await;
        service.release();
        late.status().as_u16()
    };
    let (first, late) = tokio::join!(ask("/open/wait"), late);
    assert_eq!((first.status().as_u16(), late), (200, 503));
}

/// A place is kept until the content has ended, and given back by a client that went away.
#[tokio::test]
async fn a_place_is_held_to_the_end_of_the_answer() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.upstream.in_flight = Some(1)).await;
    let (sender, body) = Pieces::new();
    let request = get(Version::HTTP_2, "/open/stream").method(Method::POST).body(body).unwrap();
    let streaming = sidecar.ask(Version::HTTP_2, request).await;
    let plain = || get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    assert_eq!(sidecar.ask(Version::HTTP_11, plain()).await.status(), 503);
    drop((streaming, sender));
    let free = async { while sidecar.ask(Version::HTTP_11, plain()).await.status() == 503 {} };
    timeout(PATIENCE, free).await.expect("the place comes free");
}

#[tokio::test]
async fn ready_is_who_has_a_service_that_answers() {
    for to in BOTH {
        for path in [None, Some("/open/a"), Some("/open/break")] {
            let service = Service::speaking(to).await;
            let interval = Duration::from_millis(100);
            let sidecar = Sidecar::with(&service, |config| {
                speaking(to)(config);
                let path = path.map(|path| path.parse().unwrap());
                config.upstream.readiness = Some(Readiness { path, interval });
            })
            .await;
            if path == Some("/open/break") {
                while service.requests() < 2 {
                    tokio::task::yield_now().await;
                }
                assert!(!sidecar.server.admin.is_ready(), "{to:?}");
                continue;
            }
            timeout(PATIENCE, sidecar.server.ready()).await.expect("ready");
            drop(service);
            let unready = async {
                while sidecar.server.admin.is_ready() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, unready).await.expect("not ready any more");
            assert_eq!(sidecar.server.missing(), ["the service"]);
        }
    }
}
