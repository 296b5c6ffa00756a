//! A service that speaks HTTP/2 by prior knowledge, and what its frames mean for the client (RFC 9113).

use super::forwarding::Pieces;
use super::upstream::{BOTH, speaking};
use super::*;
use h2::Reason;
use http::HeaderMap;
use tokio::net::TcpListener;

type Accepted = h2::server::Connection<TcpStream, Bytes>;

/// A service that does with the frames of HTTP/2 what a test says, on connection after connection.
struct Raw {
    listener: TcpListener,
}

impl Raw {
    async fn start() -> (Raw, Sidecar) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::start().await;
        let sidecar = Sidecar::with(&service, |config| {
            config.upstream.http2 = true;
            config.upstream.address = config::UpstreamAddress::Tcp(address.to_string().parse().unwrap());
        })
        .await;
        (Raw { listener }, sidecar)
    }
    async fn accept(&self) -> Accepted {
        let (stream, _) = self.listener.accept().await.unwrap();
        h2::server::handshake(stream).await.unwrap()
    }
}

type Asked = (Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

async fn next(connection: &mut Accepted) -> Asked {
    timeout(PATIENCE, connection.accept()).await.unwrap().unwrap().unwrap()
}

/// Moves a connection on, so that what was said on it goes out.
fn moving(mut connection: Accepted) -> Moving {
    Moving(tokio::spawn(async move {
        let mut requests = 0;
        while connection.accept().await.is_some_and(|asked| asked.is_ok()) {
            requests += 1;
        }
        requests
    }))
}

/// Until the connection ends; how many requests came on it.
struct Moving(tokio::task::JoinHandle<usize>);

impl Moving {
    async fn ended(self) -> usize {
        timeout(PATIENCE, self.0).await.expect("it ends").unwrap()
    }
}

fn ok() -> Response<()> {
    Response::new(())
}

/// H2-01, H2-04, HTTP-12
#[tokio::test]
async fn an_http2_service_sees_the_same_request_in_its_own_form() {
    let service = Service::speaking(Version::HTTP_2).await;
    let sidecar = Sidecar::with(&service, speaking(Version::HTTP_2)).await;
    for version in BOTH {
        let request = get(version, "/open/a%2Db?q=%7e&q=2")
            .header("clinch-subject", "mallory")
            .header("te", "trailers")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(empty())
            .unwrap();
        let response = sidecar.ask(version, request).await;
        assert_eq!((response.status(), response.version()), (http::StatusCode::OK, version));
        assert!(!response.headers().contains_key("clinch-subject"));
        let seen = text(response).await;
        let first = "GET http://api.example.com/open/a%2Db?q=%7e&q=2 HTTP/2.0\n";
        assert!(seen.starts_with(first), "{seen}");
        for line in ["te: trailers", "cookie: a=1; b=2", "x-forwarded-for: 127.0.0.1"] {
            assert!(seen.contains(&format!("\n{line}\n")), "{line} is not in {seen}");
        }
        for word in ["\nhost:", "\nconnection:", "mallory"] {
            assert!(!seen.contains(word), "{word} is in {seen}");
        }
    }
    assert_eq!(service.connections(), 1);
}

/// HD-055
#[tokio::test]
async fn a_reset_in_the_midst_of_an_answer_is_never_its_end() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        for version in BOTH {
            let (raw, sidecar) = Raw::start().await;
            let serves = async {
                let mut connection = raw.accept().await;
                let (_request, mut respond) = next(&mut connection).await;
                let mut stream = respond.send_response(ok(), false).unwrap();
                stream.send_data(Bytes::from("half"), false).unwrap();
                let carried = moving(connection);
                (stream, carried)
            };
            let asked = sidecar.ask(version, get(version, "/open/a").body(empty()).unwrap());
            let (response, (mut stream, _carried)) = tokio::join!(asked, serves);
            let mut body = response.into_body();
            let half = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
            assert_eq!(half.into_data().unwrap(), "half");
            stream.send_reset(reason);
            let ended = timeout(PATIENCE, body.frame()).await.unwrap();
            assert!(matches!(ended, Some(Err(_))), "{reason:?} to {version:?}: {ended:?}");
        }
    }
}

/// RFC 9113 section 8.1: as gRPC services do that have seen enough.
#[tokio::test]
async fn an_answer_may_end_before_the_upload_does() {
    for version in BOTH {
        let (raw, sidecar) = Raw::start().await;
        let serves = async {
            let mut connection = raw.accept().await;
            let (request, mut respond) = next(&mut connection).await;
            let mut stream = respond.send_response(ok(), false).unwrap();
            stream.send_data(Bytes::from("enough"), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
            // What is not read any more is reset with NO_ERROR.
            drop((request, respond, stream));
            moving(connection)
        };
        let (sender, body) = Pieces::new();
        sender.send(Bytes::from("the first of many")).unwrap();
        let request = get(version, "/open/a").method(Method::POST).body(body).unwrap();
        let (response, _carried) = tokio::join!(sidecar.ask(version, request), serves);
        let collected = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
        if version == Version::HTTP_2 {
            assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        }
        assert_eq!(collected.to_bytes(), "enough");
        drop(sender);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_resets_its_stream_with_the_service() {
    // hyper takes the second for a clean end.
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        goes_away(reason).await;
    }
}

async fn goes_away(reason: Reason) {
    let (raw, sidecar) = Raw::start().await;
    let sidecar = &sidecar;
    let (mut client, carried) = h2::client::handshake(sidecar.tls(b"h2").await).await.unwrap();
    tokio::spawn(carried);
    let request = get(Version::HTTP_2, "/open/a").method(Method::POST).body(()).unwrap();
    let (answer, mut upload) = client.send_request(request, false).unwrap();
    upload.send_data(Bytes::from("x"), false).unwrap();
    let mut connection = raw.accept().await;
    let (mut request, mut respond) = next(&mut connection).await;
    let mut stream = respond.send_response(ok(), false).unwrap();
    stream.send_data(Bytes::from("y"), false).unwrap();
    let _carried = moving(connection);
    let mut answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.body_mut().data().await.unwrap().unwrap(), "y");
    upload.send_reset(reason);
    let seen = async { std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap() };
    assert_eq!(timeout(PATIENCE, seen).await.expect("reset"), Reason::CANCEL);
    while let Some(Ok(_)) = request.body_mut().data().await {}
    assert!(!request.body().is_end_stream(), "the upload has not ended as if it were complete");
}

/// RFC 9113 section 8.7
#[tokio::test]
async fn what_the_service_did_nothing_with_goes_out_again() {
    let (raw, sidecar) = Raw::start().await;
    let upload = || get(Version::HTTP_11, "/open/a").method(Method::POST).body(empty()).unwrap();
    let serves = async {
        let mut connection = raw.accept().await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_reset(Reason::REFUSED_STREAM);
        let (_, mut respond) = next(&mut connection).await;
        respond.send_response(ok(), true).unwrap();
        moving(connection)
    };
    let (response, _carried) = tokio::join!(sidecar.ask(Version::HTTP_11, upload()), serves);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_stream_that_was_reset_for_another_reason_is_not_repeated() {
    let (raw, sidecar) = Raw::start().await;
    let serves = async {
        let mut connection = raw.accept().await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_reset(Reason::INTERNAL_ERROR);
        moving(connection)
    };
    let request = get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    let (response, connection) = tokio::join!(sidecar.ask(Version::HTTP_11, request), serves);
    assert_eq!(response.status(), 502);
    drop((response, sidecar));
    assert_eq!(connection.ended().await, 0, "and its connection ends with the sidecar");
}

#[tokio::test]
async fn a_connection_that_says_farewell_drains_and_gets_nothing_new() {
    let (raw, sidecar) = Raw::start().await;
    let sidecar = &sidecar;
    let plain = |path: &str| {
        let request = get(Version::HTTP_11, path).body(empty()).unwrap();
        async move { sidecar.ask(Version::HTTP_11, request).await.status().as_u16() }
    };
    let heard = tokio::sync::Notify::new();
    let serves = async {
        let mut old = raw.accept().await;
        let (_, mut first) = next(&mut old).await;
        old.graceful_shutdown();
        let mut ping = old.ping_pong().unwrap();
        let old = moving(old);
        timeout(PATIENCE, ping.ping(h2::Ping::opaque())).await.unwrap().unwrap();
        heard.notify_one();
        let mut new = raw.accept().await;
        let (_, mut second) = next(&mut new).await;
        second.send_response(ok(), true).unwrap();
        let new = moving(new);
        first.send_response(ok(), true).unwrap();
        assert_eq!(old.ended().await, 0);
        new
    };
    let first = plain("/open/first");
    let second = async {
        heard.notified().await;
        plain("/open/second").await
    };
    let (first, second, _new) = tokio::join!(first, second, serves);
    assert_eq!((first, second), (200, 200));
}

#[tokio::test]
async fn another_connection_is_opened_when_the_first_is_full() {
    let (raw, sidecar) = Raw::start().await;
    let sidecar = &sidecar;
    let accept = async || {
        let (stream, _) = raw.listener.accept().await.unwrap();
        h2::server::Builder::new().max_concurrent_streams(1).handshake::<_, Bytes>(stream).await.unwrap()
    };
    let ask = |path: &'static str| {
        let request = get(Version::HTTP_11, path).body(empty()).unwrap();
        async move { sidecar.ask(Version::HTTP_11, request).await.status().as_u16() }
    };
    // The service's limit is known once it has answered.
    let serves = async {
        let mut connection = accept().await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_response(ok(), true).unwrap();
        connection
    };
    let (status, first) = tokio::join!(ask("/open/a"), async {
        let connection = serves.await;
        let (seen, arrived) = tokio::sync::oneshot::channel();
        let carried = tokio::spawn(async move {
            let mut connection = connection;
            let held = connection.accept().await;
            let _ = seen.send(held);
            while connection.accept().await.is_some() {}
            1
        });
        (arrived, Moving(carried))
    });
    assert_eq!(status, 200);
    let (arrived, _carried) = first;
    let second = async {
        let held = timeout(PATIENCE, arrived).await.unwrap().unwrap();
        let mut connection = accept().await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_response(ok(), true).unwrap();
        let carried = moving(connection);
        let (_, mut respond) = held.unwrap().unwrap();
        respond.send_response(ok(), true).unwrap();
        carried
    };
    let both = async { tokio::join!(ask("/open/b"), ask("/open/c")) };
    let (both, _second) = tokio::join!(both, second);
    assert_eq!(both, (200, 200));
}
