//! A SPIFFE Workload API, faithful to its protocol as far as X509-SVIDs go, and the authorities of its trust domains. There is no
//! SPIRE agent in any registry that the tests may use, so this stands for one: gRPC over HTTP/2 on a Unix socket, the
//! metadata that every call must have, one stream of full updates for each caller, and federated bundles.

use super::pki::Identity;
use bytes::Bytes;
use h2::server::{SendResponse, handshake};
use http::{HeaderMap, Request, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose as Extended, IsCa,
    KeyPair, KeyUsagePurpose as Usage, SanType, string::Ia5String,
};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A trust domain with its authority.
pub struct Domain {
    /// Its name.
    pub name: String,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// An X509-SVID and its key.
pub struct Svid {
    id: String,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Domain {
    /// A new one.
    pub fn new(name: &str) -> Domain {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![Usage::KeyCertSign, Usage::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{name}"))];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Domain { name: name.to_owned(), ca }
    }

    /// The authority's certificate, DER.
    pub fn bundle(&self) -> &[u8] {
        self.ca.der()
    }

    /// An SVID for this path, good for an hour.
    pub fn issue(&self, path: &str) -> Svid {
        self.issue_with(path, |_| ())
    }

    /// The same, changed before it is signed.
    pub fn issue_with(&self, path: &str, change: impl FnOnce(&mut CertificateParams)) -> Svid {
        let id = format!("spiffe://{}{path}", self.name);
        let mut params = CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap();
        params.subject_alt_names.push(uri(&id));
        params.key_usages = vec![Usage::DigitalSignature];
        params.extended_key_usages = vec![Extended::ServerAuth, Extended::ClientAuth];
        params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(3600)).into();
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Svid { certificate: params.signed_by(&key, &self.ca).unwrap(), id, key }
    }
}

impl Svid {
    /// For a TLS client.
    pub fn identity(&self) -> Identity {
        Identity { certificate: self.certificate.pem(), key: self.key.serialize_pem() }
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }
}

/// A SAN of the kind URI.
pub fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

/// A running API; it ends when it is dropped, and every stream with it.
pub struct WorkloadApi {
    told: watch::Sender<Option<Bytes>>,
    _tasks: JoinSet<()>,
}

impl WorkloadApi {
    /// Serves at this path. Until something is told no identity is issued, and callers are refused, as SPIRE does it.
    pub fn start(socket: &Path) -> WorkloadApi {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let (told, watched) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, watched.clone()));
            }
        });
        WorkloadApi { told, _tasks: tasks }
    }

    /// From now on callers have this identity, and may trust these other domains.
    pub fn tell(&self, svid: &Svid, own: &Domain, federated: &[&Domain]) {
        let one = [
            field(1, svid.id.as_bytes()),
            field(2, svid.der()),
            field(3, &svid.key.serialize_der()),
            field(4, own.bundle()),
        ];
        let mut message = field(1, &one.concat());
        for other in federated {
            let id = format!("spiffe://{}", other.name);
            message.extend(field(3, &[field(1, id.as_bytes()), field(2, other.bundle())].concat()));
        }
        let frame = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
        self.told.send_replace(Some(frame.into()));
    }
}

async fn serve(stream: UnixStream, told: watch::Receiver<Option<Bytes>>) {
    let Ok(mut connection) = handshake(stream).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(answer(request, respond, told.clone()));
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    mut told: watch::Receiver<Option<Bytes>>,
) {
    let marked = request.headers().get("workload.spiffe.io").is_some_and(|value| value == "true");
    let known = request.uri().path() == "/SpiffeWorkloadAPI/FetchX509SVID";
    let head = || Response::builder().header("content-type", "application/grpc");
    let refusal = match (known, marked, told.borrow_and_update().is_some()) {
        (false, ..) => Some("12"),
        (_, false, _) => Some("3"),
        (_, _, false) => Some("7"),
        (true, true, true) => None,
    };
    if let Some(status) = refusal {
        let _ = respond.send_response(head().header("grpc-status", status).body(()).unwrap(), true);
        return;
    }
    let Ok(mut stream) = respond.send_response(head().body(()).unwrap(), false) else { return };
    loop {
        let frame = told.borrow_and_update().clone().unwrap_or_default();
        if stream.send_data(frame, false).is_err() {
            return;
        }
        if told.changed().await.is_err() {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "14".parse().unwrap());
            let _ = stream.send_trailers(trailers);
            return;
        }
    }
}

/// A length-delimited field of Protocol Buffers.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(value);
    bytes
}
