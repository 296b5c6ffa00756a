//! Keys and certificates.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate and its key, PEM. Its Debug shows the certificate only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// In seconds since 1970.
    pub(super) from: i64,
    pub(super) until: i64,
    /// DNS names.
    pub(super) names: Vec<String>,
    /// The subject's common name.
    pub(super) subject: String,
}

/// A new authority.
pub(super) fn authority(now: i64, lifetime: Duration) -> anyhow::Result<Pair> {
    let key = KeyPair::generate()?;
    // Go looks for an issuer by its name first: no two may share one.
    let mark: String = key.public_key_raw().iter().rev().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut params = authority_called(&format!("clinch-injector {mark}"));
    params.not_before = date_time_ymd(1970, 1, 1) + after_1970(now - DATED_BACK);
    params.not_after = date_time_ymd(1970, 1, 1) + after_1970(now.saturating_add(seconds(lifetime)));
    let certificate = params.self_signed(&key)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}

/// A certificate for these DNS names, of an authority that it does not outlive.
pub(super) fn leaf(by: &Pair, names: &[String], now: i64, lifetime: Duration) -> anyhow::Result<Pair> {
    let signer = said(&by.certificate)?;
    let params = authority_called(&signer.subject);
    let issuer = Issuer::from_params(&params, KeyPair::from_pem(&by.key)?);
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "clinch-injector");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(1970, 1, 1) + after_1970((now - DATED_BACK).max(signer.from));
    params.not_after =
        date_time_ymd(1970, 1, 1) + after_1970(now.saturating_add(seconds(lifetime)).min(signer.until));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}

/// What a PEM certificate says.
pub(super) fn said(pem: &str) -> anyhow::Result<Said> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).context("no certificate")?;
    let (_, certificate) = X509Certificate::from_der(&der).context("no certificate")?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.into_iter().flat_map(|names| &names.value.general_names);
    let dns = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
    };
    let names = names.filter_map(dns);
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    Ok(Said {
        from: certificate.validity().not_before.timestamp(),
        until: certificate.validity().not_after.timestamp(),
        names: names.collect(),
        subject: common.unwrap_or_default().to_owned(),
    })
}

/// Everything of an authority but its dates, so that it signs by the name it has.
fn authority_called(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn after_1970(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// For clocks that lag, in seconds.
pub(super) const DATED_BACK: i64 = 3600;
