//! What an admitted request looks like to the service, and its answer to the client.

use super::*;
use crate::config::UpstreamAddress;

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// HTTP-02, HTTP-10, HTTP-12, HTTP-30, HTTP-38, H2-01, SBCP-04, HD-001, HD-003
#[tokio::test]
async fn the_service_sees_the_bytes_of_the_target_and_nothing_that_only_we_may_say() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let request = get(version, "/open/a%2Db?q=%7e&q=2")
            .header("clinch-subject", "mallory")
            .header("Clinch_Client", "mallory")
            .header("x-forwarded-for", "1.2.3.4")
            .header("forwarded", "for=1.2.3.4")
            .header("authorization", "DPoP secret")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-own", "kept")
            .body(empty())
            .unwrap();
        let response = sidecar.ask(version, request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.version(), version);
        let seen = text(response).await;
        assert!(seen.starts_with("GET /open/a%2Db?q=%7e&q=2 HTTP/1.1\n"), "{seen}");
        for line in [
            "host: api.example.com",
            "forwarded: for=127.0.0.1;host=api.example.com;proto=https",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: https",
            "x-forwarded-host: api.example.com",
            "cookie: a=1; b=2",
            "x-own: kept",
        ] {
            assert!(seen.contains(&format!("\n{line}\n")), "{line} is not in {seen}");
        }
        let via = if version == Version::HTTP_2 { "\nvia: 2.0 clinch-" } else { "\nvia: 1.1 clinch-" };
        assert!(seen.contains(via), "{seen}");
        for word in ["mallory", "secret", "1.2.3.4"] {
            assert!(!seen.contains(word), "{word} is in {seen}");
        }
    }
}

/// HTTP-07, HTTP-09, HD-007, HD-009
#[tokio::test]
async fn connection_options_do_not_reach_our_own_headers() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let request = get(Version::HTTP_11, "/open/a")
        .header("connection", "close, clinch-subject, x-forwarded-for, forwarded, host, x-hop")
        .header("x-hop", "1")
        .body(empty())
        .unwrap();
    let seen = text(sidecar.ask(Version::HTTP_11, request).await).await;
    for name in ["host: api.example.com", "forwarded: for=", "x-forwarded-for: 127.0.0.1"] {
        assert!(seen.contains(name), "{seen}");
    }
    assert!(!seen.contains("x-hop") && !seen.contains("connection"), "{seen}");
}

/// DPOP-35, HTTP-08, HD-056
#[tokio::test]
async fn the_client_sees_the_services_answer_without_what_is_not_for_it() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let response = sidecar.ask(version, get(version, "/open/a").body(empty()).unwrap()).await;
        let headers = response.headers();
        assert_eq!(headers["x-service"], "kept");
        for name in ["clinch-subject", "dpop-nonce", "x-hop", "connection"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn bodies_go_both_ways_in_pieces() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let (sender, body) = Pieces::new();
        let request = get(version, "/open/stream").method(Method::POST).body(body).unwrap();
        let mut response = sidecar.ask(version, request).await;
        for piece in ["one", "two", "three"] {
            sender.send(Bytes::from(piece)).unwrap();
            let frame = timeout(PATIENCE, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        drop(sender);
        assert_eq!(text(response).await, "");
    }
}

/// HTTP-13
#[tokio::test]
async fn trailers_of_the_service_pass_without_our_names() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let request = get(version, "/open/trailers").header("te", "trailers").body(empty()).unwrap();
        let response = sidecar.ask(version, request).await;
        let collected = response.into_body().collect().await.unwrap();
        if version == Version::HTTP_2 {
            let trailers = collected.trailers().unwrap();
            assert_eq!(trailers["x-checksum"], "c");
            assert!(!trailers.contains_key("clinch-subject"));
        }
        assert_eq!(collected.to_bytes(), "data");
    }
}

/// HTTP-29
#[tokio::test]
async fn head_and_extension_methods_pass() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let head = get(version, "/open/a").method(Method::HEAD).body(empty()).unwrap();
        let response = sidecar.ask(version, head).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("content-length"));
        assert_eq!(text(response).await, "");
        let own = get(version, "/open/a").method("REPORT").body(empty()).unwrap();
        assert!(text(sidecar.ask(version, own).await).await.starts_with("REPORT /open/a HTTP/1.1\n"));
    }
}

/// HTTP-32
#[tokio::test]
async fn options_goes_as_far_as_its_sender_wants() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in BOTH {
        let ask = async |method: Method, hops: &str| {
            let request = get(version, "/open/a").method(method).header("max-forwards", hops);
            let response = sidecar.ask(version, request.body(empty()).unwrap()).await;
            (response.status().as_u16(), text(response).await)
        };
        assert_eq!(ask(Method::OPTIONS, "0").await, (204, String::new()));
        for (method, hops, seen) in [
            (Method::OPTIONS, "5", Some("\nmax-forwards: 4\n")),
            (Method::OPTIONS, "-1", None),
            (Method::GET, "0", Some("\nmax-forwards: 0\n")),
        ] {
            let (status, text) = ask(method, hops).await;
            assert_eq!((status, text.contains("max-forwards")), (200, seen.is_some()), "{text}");
            assert!(seen.is_none_or(|line| text.contains(line)), "{text}");
        }
    }
}

#[tokio::test]
async fn faults_of_the_service_are_told_apart() {
    let service = Service::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let slow = |config: &mut Config| config.upstream.response_timeout = Duration::from_millis(100);
    let gone = move |config: &mut Config| {
        config.upstream.address = UpstreamAddress::Tcp(closed.to_string().parse().unwrap())
    };
    let cases: [(&str, Sidecar, u16, &str); 3] = [
        ("/open/never", Sidecar::with(&service, slow).await, 504, "upstream_timeout"),
        ("/open/break", Sidecar::in_front_of(&service).await, 502, "upstream_broken"),
        ("/open/a", Sidecar::with(&service, gone).await, 502, "upstream_unreachable"),
    ];
    for (path, sidecar, status, reason) in cases {
        for version in BOTH {
            let response = sidecar.ask(version, get(version, path).body(empty()).unwrap()).await;
            assert_eq!(response.status(), status, "{path}");
            let document: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(document["reason"], reason);
        }
    }
}

#[tokio::test]
async fn connections_to_the_service_are_used_again_until_it_closes_them() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for (path, connections) in [("/open/a", 1), ("/open/b", 1), ("/open/close", 1), ("/open/a", 3)] {
        for version in BOTH {
            let closes_each = usize::from(path == "/open/close" && version == Version::HTTP_2);
            let request = get(version, path).body(empty()).unwrap();
            assert!(!text(sidecar.ask(version, request).await).await.is_empty());
            assert_eq!(service.connections(), connections + closes_each, "{path}");
        }
    }
}

#[tokio::test]
async fn a_response_that_nobody_reads_does_not_take_its_connection_back() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let (sender, body) = Pieces::new();
    let request = get(Version::HTTP_11, "/open/stream").method(Method::POST).body(body).unwrap();
    let response = sidecar.ask(Version::HTTP_11, request).await;
    drop((response, sender));
    let next = get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    assert!(text(sidecar.ask(Version::HTTP_11, next).await).await.starts_with("GET /open/a"));
}

/// HTTP-11
#[tokio::test]
async fn a_request_that_comes_back_is_a_loop() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let seen =
        text(sidecar.ask(Version::HTTP_11, get(Version::HTTP_11, "/open/a").body(empty()).unwrap()).await)
            .await;
    let via = seen.lines().find_map(|line| line.strip_prefix("via: ")).unwrap();
    let again = get(Version::HTTP_11, "/open/a").header("via", via).body(empty()).unwrap();
    assert_eq!(sidecar.ask(Version::HTTP_11, again).await.status(), 508);
    assert_eq!(service.requests(), 1);
}

/// A body that is sent piece by piece.
pub(super) struct Pieces(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl Pieces {
    pub(super) fn new() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, Pieces) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (sender, Pieces(receiver))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::convert::Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}
