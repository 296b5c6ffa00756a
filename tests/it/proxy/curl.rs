//! What curl asks of a service of node's, over HTTP/1.1 and HTTP/2: nothing is lost or changed on the way.

use super::Scene;
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::proof::sha256;
use crate::support::services::Service;
use crate::support::temporary::Folder;
use crate::support::world::url;
use base64::Engine;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const ROUTES: &str = "  - { path: '/x/{*rest}', proof: [dpop] }\n";
/// More than any window, buffer or socket on the way holds.
const LARGE: usize = 20_000_000;
const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

/// clinch before node's service, and curl's folder.
struct Desk {
    scene: Scene,
    service: Service,
    folder: Folder,
}

impl Desk {
    async fn set() -> Desk {
        let service = Service::node().await;
        let scene = Scene::before(service.address, ROUTES, "").await;
        Desk { scene, service, folder: Folder::new() }
    }

    /// curl for a path, with good credentials for this method.
    fn curl(&self, version: &str, method: &str, target: &str, more: &[&str]) -> Command {
        let path = target.split('?').next().unwrap();
        let mut command = self.stranger(version, target, more);
        for (name, value) in self.scene.credentials(method, path, &self.scene.token()) {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        command
    }

    /// curl without credentials.
    fn stranger(&self, version: &str, target: &str, more: &[&str]) -> Command {
        let port = self.scene.front.clinch.address.port();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", version, "--cacert"]);
        command.arg(self.scene.front.config.with_file_name("ca.crt"));
        command.args(["--connect-to", &format!("{HOST}:443:127.0.0.1:{port}"), "--noproxy", "*"]);
        command.args(more).arg(url(target));
        command
    }

    /// A file of so many bytes that differ.
    fn file(&self, size: usize) -> PathBuf {
        let path = self.folder.write("upload", "");
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, content).unwrap();
        path
    }
}

async fn run(mut command: Command) -> Output {
    let ran =
        tokio::task::spawn_blocking(move || command.output().expect("curl starts: run `make test-tools`"));
    let output = ran.await.unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_lowercase()
}

/// SHA-256 in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(sha256(bytes)).unwrap();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A refusal of a HEAD has fields alone, and so is one that can be read (RFC 9110 section 9.3.2).
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_is_read() {
    let desk = Desk::set().await;
    for version in VERSIONS {
        for (command, status) in [
            (desk.stranger(version, "/x/blob", &["--head"]), " 401"),
            (desk.stranger(version, "/nowhere", &["--head"]), " 403"),
            (desk.stranger(version, "/x/../blob", &["--head", "--path-as-is"]), " 400"),
        ] {
            let head = text(&run(command).await.stdout);
            assert!(head.contains(status) && head.contains("clinch-request-id: "), "{version}: {head}");
            assert!(head.contains("content-type: application/problem+json\r\n"), "{version}: {head}");
            assert!(!head.contains("content-length: 0\r\n"), "the length of what a GET would get: {head}");
        }
    }
    assert!(desk.service.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_ranges_are_the_services() {
    let desk = Desk::set().await;
    for version in VERSIONS {
        let head = run(desk.curl(version, "HEAD", "/x/blob?size=5000", &["--head"])).await;
        let head = text(&head.stdout);
        assert!(head.contains(" 200") && head.contains("content-length: 5000\r\n"), "{head}");
        assert!(head.contains("accept-ranges: bytes\r\n"), "{head}");
        let range = ["--range", "100-149", "--include"];
        let part = run(desk.curl(version, "GET", "/x/blob?size=5000", &range)).await;
        let (fields, content) =
            text(&part.stdout).split_once("\r\n\r\n").map(|(f, c)| (f.to_owned(), c.to_owned())).unwrap();
        assert!(fields.contains(" 206") && fields.contains("content-range: bytes 100-149/5000"), "{fields}");
        assert_eq!(content, "every byte counts. ".repeat(10)[5..55], "{version}");
    }
    eventually("all to be told", async || (desk.service.seen().len() >= 4).then_some(())).await;
    let methods: Vec<String> = desk.service.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["HEAD", "GET", "HEAD", "GET"]);
}

/// Both ways at once, with a length and without one.
#[tokio::test(flavor = "multi_thread")]
async fn large_contents_arrive_as_they_were_sent() {
    let desk = Desk::set().await;
    let file = desk.file(LARGE);
    let expected = hex(&std::fs::read(&file).unwrap());
    let upload = format!("@{}", file.display());
    for version in VERSIONS {
        for more in
            [&["--data-binary", &upload][..], &["--data-binary", &upload, "-H", "transfer-encoding: chunked"]]
        {
            // Over HTTP/2 there is no such coding: content without a length is what comes from a pipe.
            let more = if version == "--http2" && more.len() > 2 {
                &["--request", "POST", "--upload-file", "-"]
            } else {
                more
            };
            let mut command = desk.curl(version, "POST", "/x/sum", more);
            command.stdin(std::fs::File::open(&file).unwrap());
            let told: Value = serde_json::from_slice(&run(command).await.stdout).unwrap();
            assert_eq!(told["length"], LARGE, "{version} {more:?}");
            assert_eq!(told["sha256"], expected.as_str(), "{version} {more:?}");
        }
        let target = format!("/x/blob?size={LARGE}");
        let headers = desk.folder.write("headers", "");
        let dump = ["--dump-header", headers.to_str().unwrap()];
        let content = run(desk.curl(version, "GET", &target, &dump)).await.stdout;
        let headers = std::fs::read_to_string(&headers).unwrap().to_lowercase();
        assert_eq!(content.len(), LARGE);
        assert!(headers.contains(&format!("x-sha256: {}\r\n", hex(&content))), "{headers}");
    }
}

/// HD-031, HTTP-14: who waits for a 100 gets one if the request is good, and none if it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_100_is_for_requests_that_pass() {
    let desk = Desk::set().await;
    let file = desk.file(100_000);
    let upload = format!("@{}", file.display());
    let waits =
        ["--verbose", "--data-binary", &upload, "-H", "Expect: 100-continue", "--expect100-timeout", "30"];
    let output = run(desk.curl("--http1.1", "POST", "/x/sum", &waits)).await;
    let said = text(&output.stderr);
    assert!(said.contains("< http/1.1 100 continue"), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["length"], 100_000);
    assert!(!told["fields"].to_string().contains("expect"), "{told}");
    let output = run(desk.stranger("--http1.1", "/x/sum", &waits)).await;
    let said = text(&output.stderr);
    assert!(said.contains("< http/1.1 401") && !said.contains("100 continue"), "{said}");
    assert!(!said.contains("upload completely sent off"), "the content stayed with the client: {said}");
    eventually("the good one to be told", async || (!desk.service.seen().is_empty()).then_some(())).await;
    assert_eq!(desk.service.seen().len(), 1);
}

/// What comes bit by bit is passed on bit by bit; what is waited for is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn events_and_long_polls_pass_when_they_come() {
    let mut desk = Desk::set().await;
    let is = |wanted: &'static str| move |line: &str| (line == wanted).then_some(());
    for version in VERSIONS {
        let mut client = Program::start(&mut desk.curl(version, "GET", "/x/events", &["--no-buffer"]));
        client.hear("the first event, before the second is sent", is("data: first")).await;
        desk.service.program.tell("go");
        client.hear("the second event", is("data: second")).await;
        assert!(client.ended().await.success(), "{}", client.output());

        let count = desk.service.seen().len();
        let mut client = Program::start(&mut desk.curl(version, "GET", "/x/poll", &[]));
        let arrived = async || (desk.service.seen().len() > count).then_some(());
        eventually("the poll to arrive", arrived).await;
        assert!(!client.has_ended());
        desk.service.program.tell("go");
        client.hear("the news", is("news")).await;
        assert!(client.ended().await.success());
    }
}

/// HTTP-13, HD-056: trailers pass as trailers, without the names that are ours.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_answer_pass_without_our_names() {
    let desk = Desk::set().await;
    for version in VERSIONS {
        let headers = desk.folder.write("trailers", "");
        let more = ["--dump-header", headers.to_str().unwrap(), "-H", "TE: trailers"];
        let body = run(desk.curl(version, "GET", "/x/trailers", &more)).await.stdout;
        assert_eq!(body, b"body\n");
        let said = std::fs::read_to_string(&headers).unwrap().to_lowercase();
        let (_, trailers) = said.split_once("\r\n\r\n").expect("a head");
        assert!(trailers.contains("x-checksum: of the body"), "{version}: {said}");
        assert!(!said.contains("root"), "{version}: {said}");
    }
}
