//! A sidecar that stops: nobody who is served loses the end of an answer, and nobody who is not holds it up.

use crate::support::eventually;
use crate::support::frames::{AUTHORITY, METHOD, SCHEME, Wire, frame, literal};
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::wire::{converse, get};
use crate::support::{PATIENCE, clinch::Clinch};
use futures_util::future::join_all;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A busy machine may take its time.
const PATIENT: &str = "response_timeout: 20s";

/// Longer than a connection that closes has for its last words.
const LAST_WORDS: Duration = Duration::from_secs(8);

async fn stage(listen: &str, service: Option<SocketAddr>) -> Stage {
    Stage::set(Setting { tls: VERIFIED, listen: listen.to_owned(), service, ..Setting::default() }).await
}

/// Waits for the end of a sidecar that was told to stop, and of which nothing was cut.
async fn ends_in_time(stage: &mut Stage) {
    let program = &mut stage.clinch.program;
    assert!(program.ended().await.success(), "{}", program.output());
    let output = program.output();
    assert!(!output.contains("are cut"), "nothing was in flight: {output}");
}

/// A limit that was made smaller while more were open is no reason to wait for anybody who has gone.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_too_many_hold_up_no_stop_when_they_have_gone() {
    let mut stage = stage("limits: { connections: 20 }", None).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let request = get("/open/1", &[]).replace("Connection: close\r\n", "");
        assert_eq!(converse(&mut stream, request.as_bytes(), false).await.expect("an answer").status, 200);
        open.push(stream);
    }
    stage.configure(&stage.config().replace("connections: 20", "connections: 4"));
    stage.clinch.program.signal("HUP");
    let applied = "clinch_config_reloads_total{result=\"applied\"}";
    eventually("a reload", async || (stage.metric(applied).await == 1).then_some(())).await;
    stage.clinch.program.terminate();
    drop(open);
    ends_in_time(&mut stage).await;
}

/// Who has connected and says nothing, or does not go on, is not waited for, whatever `header_timeout` is.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_holds_up_no_stop() {
    let header = "PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\r\n";
    for (listen, said) in [("", ["", "\x16"]), ("proxy_protocol_from: [127.0.0.0/8]", ["", header])] {
        let mut stage = stage(&format!("limits: {{ header_timeout: 60s }}\n  {listen}"), None).await;
        let mut silent = Vec::new();
        for said in said {
            let mut stream = TcpStream::connect(stage.clinch.address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            silent.push(stream);
        }
        let accepted = async || (stage.metric("clinch_connections").await == 2).then_some(());
        eventually("both to be accepted", accepted).await;
        stage.clinch.program.terminate();
        ends_in_time(&mut stage).await;
    }
}

/// A service that answers with as many bytes as the path says, and how many answers it has given.
async fn measured() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, given) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&given);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(gives(stream, Arc::clone(&counted)));
        }
    });
    (address, given)
}

async fn gives(stream: TcpStream, given: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut size) = (String::new(), None);
        while stream.read_line(&mut line).await.ok()? > 2 {
            let asked = line.strip_prefix("GET /open/").and_then(|rest| rest.split(' ').next()?.parse().ok());
            size = size.or(asked);
            line.clear();
        }
        let size: usize = size?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        stream.write_all(&[head.into_bytes(), vec![b'x'; size]].concat()).await.ok()?;
        given.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a client takes late comes to its end, while there is time to drain: wherever it waits, in the buffers of the
/// sidecar or of the kernel, and although the service has long given all of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_late_is_whole() {
    let (service, given) = measured().await;
    let mut stage = stage("", Some(service)).await;
    stage.clinch.program.kill();
    // Small buffers of the kernel, inherited by what is accepted: the answers wait in ours.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let socket = socket.listen(64).unwrap().into_std().unwrap();
    let address = socket.local_addr().unwrap();
    let text = stage.config_with_service(PATIENT).replace("drain: 20s", "drain: 60s");
    stage.configure(&text.replacen("address: 127.0.0.1:0", &format!("address: {address}"), 1));
    stage.clinch = handed_over(&stage, socket).await;

    // Some of them end in a buffer of ours, whatever the kernel's take.
    let sizes: Vec<usize> = (1..=24).map(|n| n * (20 << 10)).collect();
    let late = join_all(sizes.iter().map(|size| asks(&stage, address, *size))).await;
    let all_given = async || (given.load(Ordering::Relaxed) == sizes.len()).then_some(());
    eventually("the service to have answered", all_given).await;
    stage.clinch.program.terminate();
    sleep(LAST_WORDS).await;
    for (size, mut stream) in sizes.into_iter().zip(late) {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the rest in time");
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(answer.len() - head, size, "{read:?}");
    }
    ends_in_time(&mut stage).await;
}

/// A sidecar that is started with this socket.
async fn handed_over(stage: &Stage, socket: std::net::TcpListener) -> Clinch {
    let mut shell = Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run --config \"$1\"";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_clinch")]).arg(stage.config_file());
    shell.env("STATE_DIRECTORY", stage.folder()).env("NO_COLOR", "1");
    Clinch::of(Program::start_reading(&mut shell, OwnedFd::from(socket).into())).await
}

/// A client with little room, which asks for so much and reads nothing.
async fn asks(stage: &Stage, address: SocketAddr, size: usize) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let mut stream = TlsConnector::from(Arc::new(stage.anonymous())).connect(name, stream).await.unwrap();
    let request = format!("GET /open/{size} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The same over HTTP/2, where the end of an answer may wait for the client's window.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waits_for_a_window_is_whole() {
    const WINDOW: u32 = 40_000;
    const SIZE: usize = 40_100;
    let (service, given) = measured().await;
    let mut stage = stage("", Some(service)).await;
    // SETTINGS_INITIAL_WINDOW_SIZE
    let mut wire = Wire::with_settings(&stage, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat()).await;
    let fields = [METHOD, SCHEME, AUTHORITY, (":path", "/open/40100")];
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    assert!(wire.send(&frame(1, 5, 1, &block)).await);
    wire.data(1, WINDOW as usize).await;
    assert_eq!(given.load(Ordering::Relaxed), 1);
    stage.clinch.program.terminate();
    sleep(LAST_WORDS).await;
    wire.send(&frame(8, 0, 1, &1_000_000_u32.to_be_bytes())).await;
    timeout(PATIENCE, wire.data(1, SIZE - WINDOW as usize)).await.expect("the rest in time");
    drop(wire);
    ends_in_time(&mut stage).await;
}
