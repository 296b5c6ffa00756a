//! Whose certificate a request comes with.
//!
//! The peer's own, from the handshake; unless the peer is a TLS terminator that the operator trusts: then its
//! word on the caller, and never its own (RFC 9440, [`client_cert`]). What a terminator says is the same for many
//! requests in a row, so the last certificate of a connection is remembered by the bytes of its header.

use super::proxy_protocol::Source;
use crate::pop::client_cert::{self, Terminators};
use crate::pop::mtls::ClientCertificate;
use crate::pop::{Denial, Timestamp};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Caller {
    /// The peer's own certificate, unless the configuration has come to refuse it.
    own: Result<Option<Arc<ClientCertificate>>, Denial>,
    /// The trusted terminators, if the peer is one of them.
    terminator: Option<Terminator>,
}

#[derive(Debug)]
struct Terminator {
    address: IpAddr,
    trusted: Arc<Terminators>,
    last: Mutex<Option<(HeaderValue, Arc<ClientCertificate>)>>,
}

impl Caller {
    /// A peer that has just connected with this certificate. A terminator is known by the connection's own address,
    /// never by one that a load balancer tells; behind a balancer it is known by its certificate or not at all.
    pub(super) fn new(
        source: Source,
        own: Option<Arc<ClientCertificate>>,
        trusted: &Arc<Terminators>,
        now: Timestamp,
    ) -> Caller {
        let address = source.peer.ip();
        // Whose TLS a balancer passes on can't be told from where it connects from.
        let is_known = !source.relayed || !trusted.certificates.is_empty();
        let is_trusted = is_known && trusted.include(address, own.as_deref(), now);
        let terminator =
            is_trusted.then(|| Terminator { address, trusted: Arc::clone(trusted), last: Mutex::new(None) });
        Caller { own: Ok(own), terminator }
    }

    /// A peer whose certificate was welcome when it connected, and is no longer.
    pub(super) fn unwelcome() -> Caller {
        Caller { own: Err(Denial::CertificateUnwelcome), terminator: None }
    }

    /// Whether the connection is a client's own: a terminator's is that of many.
    pub(super) fn is_client(&self) -> bool {
        self.terminator.is_none()
    }

    /// Whether the connection is of no more use.
    pub(super) fn is_unwelcome(&self) -> bool {
        self.own.is_err()
    }

    /// The certificate that counts for a request with these fields: of the TLS connection (MTLS-02), or in
    /// the word of a terminator (MTLS-09, CC-06).
    pub(super) fn certificate(
        &self,
        headers: &HeaderMap,
        clock: impl Fn() -> Timestamp,
    ) -> Result<Option<Arc<ClientCertificate>>, Denial> {
        let Some(terminator) = &self.terminator else { return self.own.clone() };
        // A connection may outlive the certificate by which the terminator was known.
        let own = self.own.as_ref().ok().and_then(Option::as_deref);
        if !terminator.trusted.include(terminator.address, own, clock()) {
            return Ok(None);
        }
        client_cert::shown(headers)?.map(|value| terminator.read(value)).transpose()
    }
}

impl Terminator {
    fn read(&self, value: &HeaderValue) -> Result<Arc<ClientCertificate>, Denial> {
        if let Some((known, certificate)) = &*self.last.lock()
            && known == value
        {
            return Ok(Arc::clone(certificate));
        }
        let certificate = Arc::new(client_cert::read(value)?);
        *self.last.lock() = Some((value.clone(), Arc::clone(&certificate)));
        Ok(certificate)
    }
}
