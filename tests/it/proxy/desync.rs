//! HD: requests that two readers could read in two ways, through clinch into node's service and into nginx. Either
//! clinch refuses, and neither sees anything; or both see one request, and the same one.

use super::Scene;
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::services::{Seen, Service};
use crate::support::wire::converse;

const ROUTES: &str = "  - { path: '/x/{*rest}', proof: [dpop] }\n";

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is refused with this status, and no service sees anything.
    Refused(u16),
    /// A service sees it once, with so much content.
    Once(usize),
    /// It breaks off on both sides: no service sees all of it, or anything else.
    Broken,
}
use End::{Broken, Once, Refused};

/// One case: of which attack, what it is, the method that is proved, the bytes (`§` is where the credentials are), and
/// the end.
struct Case(&'static str, &'static str, &'static str, String, End);

fn case(id: &'static str, what: &'static str, rest: &str, end: End) -> Case {
    Case(id, what, "POST", format!("POST /x/case HTTP/1.1\r\nHost: {HOST}\r\n§{rest}"), end)
}

fn whole(id: &'static str, what: &'static str, text: &str, end: End) -> Case {
    Case(id, what, "GET", text.replace("HOST", HOST), end)
}

/// What is hidden behind the end of a request, or within.
const HIDDEN: &str = "GET /x/hidden HTTP/1.1\r\nHost: api.example.com\r\n\r\n";

/// Where does the content end?
fn lengths() -> Vec<Case> {
    let hidden_after = |fields: &str, content: &str| format!("{fields}\r\n\r\n{content}{HIDDEN}");
    let mut cases = vec![
        case("HD-013", "a length", "Content-Length: 5\r\n\r\nhello", Once(5)),
        case("HD-013", "chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Once(5)),
        case(
            "HD-013",
            "chunks with trailers",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
            Once(5),
        ),
        case(
            "HD-013",
            "a length, then a coding",
            &hidden_after("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            Once(0),
        ),
        case(
            "HD-013",
            "a coding, then a length",
            &hidden_after("Transfer-Encoding: chunked\r\nContent-Length: 60", "0\r\n\r\n"),
            Once(0),
        ),
        case(
            "HD-013",
            "a length that hides",
            &format!("Content-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
            Once(HIDDEN.len()),
        ),
        case("HD-034", "something behind it", &hidden_after("Content-Length: 5", "hello"), Once(5)),
        case("HD-017", "one length twice", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Once(5)),
        case("HD-017", "zeros before", "Content-Length: 005\r\n\r\nhello", Once(5)),
        case(
            "HD-009",
            "a length that is hop by hop",
            &hidden_after("Connection: Content-Length\r\nContent-Length: 5", "hello"),
            Once(5),
        ),
        case(
            "HD-009",
            "a coding that is hop by hop",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Once(5),
        ),
        case(
            "HD-003",
            "a length in disguise",
            &hidden_after("Content_Length: 60\r\nContent-Length: 5", "hello"),
            Once(5),
        ),
        case(
            "HD-003",
            "a coding in disguise",
            &hidden_after("Transfer_Encoding: chunked\r\nContent-Length: 5", "hello"),
            Once(5),
        ),
    ];
    for length in ["4\r\nContent-Length: 5", "+5", "5, 5", "0x5", "-5", "5 5", "5,", "\u{b}5"] {
        cases.push(case(
            "HD-017",
            "no length",
            &hidden_after(&format!("Content-Length: {length}"), "hello"),
            Refused(400),
        ));
    }
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "chunked, identity",
        "xchunked",
        "\"chunked\"",
        "chunked;q=1",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "\u{b}chunked",
        "chunked\0",
    ] {
        let rest = hidden_after(&format!("Transfer-Encoding: {coding}"), "0\r\n\r\n");
        cases.push(case("HD-016", "no coding", &rest, Refused(400)));
        let rest = hidden_after(&format!("Content-Length: 5\r\nTransfer-Encoding: {coding}"), "0\r\n\r\n");
        cases.push(case("HD-013", "no coding, and a length", &rest, Refused(400)));
    }
    for size in ["ffffffffffffffff1", "0x5", "-5", "+5", "5 5", "5;a=\n", "", "g"] {
        let rest = format!("Transfer-Encoding: chunked\r\n\r\n{size}\r\nhello\r\n0\r\n\r\n{HIDDEN}");
        cases.push(case("HD-018", "no size of a chunk", &rest, Broken));
    }
    cases.extend([
        case(
            "HD-018",
            "a chunk with an extension",
            "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
            Once(5),
        ),
        case(
            "HD-018",
            "a chunk longer than its size",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
            Broken,
        ),
        case("HD-019", "LF behind a size", "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", Broken),
        case(
            "HD-019",
            "LF behind a chunk",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
            Broken,
        ),
    ]);
    cases
}

/// Where does the head end, and whose is it?
fn heads() -> Vec<Case> {
    let get = |rest: &str| format!("GET /x/case HTTP/1.1\r\nHost: HOST\r\n§{rest}\r\n");
    let line = |start: &str| format!("{start}\r\nHost: HOST\r\n§\r\n");
    vec![
        whole("HD-019", "LF line ends", "GET /x/case HTTP/1.1\nHost: HOST\n§\n", Once(0)),
        whole("HD-021", "a space before the colon", &get("Content-Length : 5\r\n"), Refused(400)),
        whole(
            "HD-021",
            "a space before the first field",
            "GET /x/case HTTP/1.1\r\n X: y\r\nHost: HOST\r\n§\r\n",
            Refused(400),
        ),
        whole("HD-021", "a line that is folded", &get("X: y\r\n Content-Length: 5\r\n"), Refused(400)),
        whole("HD-022", "CR in a value", &get("X: y\rContent-Length: 5\r\n"), Refused(400)),
        whole("HD-022", "NUL in a value", &get("X: y\0\r\n"), Refused(400)),
        whole("HD-023", "no host", "GET /x/case HTTP/1.1\r\n§\r\n", Refused(400)),
        whole("HD-023", "two hosts", &get("Host: evil.example\r\n"), Refused(400)),
        whole("HD-023", "no good host", "GET /x/case HTTP/1.1\r\nHost: a b/c@d\r\n§\r\n", Refused(400)),
        whole("HD-024", "an absolute target", &line("GET https://HOST/x/case HTTP/1.1"), Once(0)),
        whole("HD-024", "another's target", &line("GET https://evil.example/x/case HTTP/1.1"), Refused(421)),
        whole("HD-025", "a target of plain http", &line("GET http://HOST/x/case HTTP/1.1"), Refused(400)),
        whole("HD-026", "an asterisk", &line("GET * HTTP/1.1"), Refused(400)),
        whole("HD-026", "CONNECT", &line("CONNECT HOST:443 HTTP/1.1"), Refused(501)),
        whole("HD-027", "HTTP/1.2", &line("GET /x/case HTTP/1.2"), Refused(400)),
        whole("HD-027", "http/1.1", &line("GET /x/case http/1.1"), Refused(400)),
        whole("HD-027", "a word more", &line("GET /x/case HTTP/1.1 HTTP/1.1"), Refused(400)),
        whole("HD-013", "a GET with a length", &(get("Content-Length: 5\r\n") + "hello"), Once(5)),
        whole(
            "HD-013",
            "a GET with chunks",
            &(get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n"),
            Once(5),
        ),
        whole(
            "HD-016",
            "chunks in HTTP/1.0",
            &("GET /x/case HTTP/1.0\r\nHost: HOST\r\n§Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned()
                + HIDDEN),
            Refused(400),
        ),
        whole(
            "HD-028",
            "an upgrade to HTTP/2",
            &(get(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            ) + HIDDEN),
            Once(0),
        ),
        whole(
            "HD-028",
            "a WebSocket nobody agrees to",
            &(get(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ) + HIDDEN),
            Once(0),
        ),
        whole(
            "HD-033",
            "an expectation nobody knows",
            &(get("Expect: y\r\nContent-Length: 5\r\n") + "hello"),
            Once(5),
        ),
        whole(
            "HD-033",
            "two expectations",
            &(get("Expect: 100-continue, x\r\nContent-Length: 5\r\n") + "hello"),
            Once(5),
        ),
        whole(
            "HD-031",
            "no credentials, and a request for content",
            &("POST /x/case HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n"
                .to_owned()
                + HIDDEN),
            Refused(401),
        ),
        whole(
            "HD-034",
            "no credentials, and a request for content at once",
            &("POST /x/case HTTP/1.1\r\nHost: HOST\r\nContent-Length: 60\r\n\r\n".to_owned() + HIDDEN),
            Refused(401),
        ),
    ]
}

/// Sends a case; how it ended for the client: a status, or nothing.
async fn send(scene: &Scene, Case(_, _, method, text, _): &Case) -> Option<u16> {
    let credentials = scene.credentials(method, "/x/case", &scene.token());
    let end = if text.contains('\r') { "\r\n" } else { "\n" };
    let fields: String = credentials.iter().map(|(name, value)| format!("{name}: {value}{end}")).collect();
    let mut stream = scene.front.caller(None).connect().await;
    converse(&mut stream, text.replace('§', &fields).as_bytes(), false).await.map(|answer| answer.status)
}

/// What the service has seen since it had seen so much. A request behind it tells that there is no more to come; were
/// something left on the connection, it would not be seen as it is.
async fn since(scene: &Scene, service: &Service, before: usize, number: usize) -> Vec<Seen> {
    let path = format!("/x/fence/{number}");
    let token = scene.token();
    let [authorization, dpop] = scene.credentials("GET", &path, &token);
    let fields = [(authorization.0, &*authorization.1), (dpop.0, &*dpop.1)];
    assert_eq!(scene.front.ask("GET", &path, &fields).await.status, 200, "{}", service.name);
    let fence = Seen { method: "GET".to_owned(), target: path, length: 0 };
    let seen = async || {
        let seen = service.seen().split_off(before);
        let at = seen.iter().position(|one| *one == fence)?;
        Some(seen[..at].to_vec())
    };
    eventually("the request behind to be seen as it is", seen).await
}

/// HD-003, HD-009, HD-013, HD-016, HD-017, HD-018, HD-019, HD-021, HD-022, HD-023, HD-024, HD-025, HD-026, HD-027, HD-028,
/// HD-031, HD-033, HD-034
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_or_is_one_and_the_same_to_both_services() {
    let mut wrong = Vec::new();
    for service in [Service::node().await, Service::nginx().await] {
        let scene = Scene::before(service.address, ROUTES, "").await;
        for (number, case) in lengths().into_iter().chain(heads()).enumerate() {
            let before = service.seen().len();
            let status = send(&scene, &case).await;
            let seen = since(&scene, &service, before, number).await;
            let Case(id, what, method, text, end) = &case;
            let one = |length| Seen { method: (*method).to_owned(), target: "/x/case".to_owned(), length };
            let good = match end {
                Refused(expected) => status == Some(*expected) && seen.is_empty(),
                Once(length) => status == Some(200) && seen == [one(*length)],
                Broken => {
                    let at_most_this = seen.len() <= 1 && seen.iter().all(|seen| seen.target == "/x/case");
                    status.is_none_or(|status| status >= 400) && at_most_this
                }
            };
            if !good {
                wrong.push(format!(
                    "{}: {id} {what}: {status:?}, {seen:?}, not {end:?}\n{text:?}",
                    service.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
