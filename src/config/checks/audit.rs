//! `audit`: whether there can be a log, and who signs it.

use super::{Checks, pem};
use crate::config::file::{Audit as Written, AuditSync as WrittenSync, OnFull as WrittenOnFull};
use crate::config::load::why_unreadable;
use crate::config::words::quoted;
use crate::config::{Audit, AuditSync, OnFull};
use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The log, if one is kept; the outer `None` if something about it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Option<Audit>> {
    let checkpoint = c.within("audit.checkpoint", written.checkpoint, SECOND, HOUR);
    let rotate_every = c.within("audit.rotate_every", written.rotate_every, MINUTE, LONGEST_FILE);
    let rotate_size = rotate_size(c, written);
    let replica = replica(c, written);
    let key = written.sign_key_file.as_deref().map(|file| key(c, file));
    let Some(file) = &written.file else {
        if key.is_some() && !c.is_unsound(FILE) {
            c.warn(KEY_FILE, "no audit log is kept (`file: null`): this key is not used");
        }
        return Some(None);
    };
    let file = self::file(c, file);
    if key.is_none() && !c.is_unsound(KEY_FILE) {
        c.warn(
            KEY_FILE,
            "without a key nothing is signed: who can write the audit log can also write it anew from its start",
        );
    }
    Some(Some(Audit {
        file: file?,
        key: match key {
            Some(key) => Some(key?),
            None => None,
        },
        checkpoint: checkpoint?,
        sync: match written.sync {
            WrittenSync::Always => AuditSync::Always,
            WrittenSync::Second => AuditSync::Second,
            WrittenSync::Never => AuditSync::Never,
        },
        on_full: match written.on_full {
            WrittenOnFull::Deny => OnFull::Deny,
            WrittenOnFull::DropAndCount => OnFull::DropAndCount,
        },
        rotate_size: rotate_size?,
        rotate_every: rotate_every?,
        replica: replica?,
    }))
}

/// The file may come later, its directory may not. Nothing is made here: a check leaves no traces.
fn file(c: &mut Checks<'_>, written: &str) -> Option<PathBuf> {
    let path = c.resolve(written);
    let other = path.exists() && !path.is_file();
    if path.file_name().is_none()
        || written.ends_with('/')
        || other
        || !path.parent().is_some_and(Path::is_dir)
    {
        c.fault(FILE, "there can't be an audit log")
            .found(quoted(&path.display().to_string()))
            .expected("a file in a directory that exists");
        return None;
    }
    if let Some(error) =
        path.exists().then(|| OpenOptions::new().read(true).append(true).open(&path).err()).flatten()
    {
        c.fault(FILE, format!("this file can't be written: {}", why_unreadable(&error)))
            .found(quoted(&path.display().to_string()))
            .expected("a file that clinch may read and append to, in a directory where it may make others");
        return None;
    }
    Some(path)
}

fn key(c: &mut Checks<'_>, written: &str) -> Option<Arc<Ed25519KeyPair>> {
    let bytes = pem::read(c, KEY_FILE, written)?;
    pem::warn_if_open_to_all(c, KEY_FILE, written);
    let der = PrivatePkcs8KeyDer::from_pem_slice(&bytes).ok();
    let pair = der.and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok());
    if pair.is_none() {
        c.fault(KEY_FILE, "there is no Ed25519 key in this file")
            .found(pem::contents(&bytes))
            .expected(MAKES_ONE);
    }
    pair.map(Arc::new)
}

fn rotate_size(c: &mut Checks<'_>, written: &Written) -> Option<u64> {
    let size = written.rotate_size;
    if size.0 >= LEAST_SIZE {
        return Some(size.0);
    }
    c.fault("audit.rotate_size", "too small").found(quoted(&size.to_string())).expected("1MiB or more");
    None
}

fn replica(c: &mut Checks<'_>, written: &Written) -> Option<Option<String>> {
    let Some(name) = &written.replica else { return Some(None) };
    if (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Some(Some(name.clone()));
    }
    c.fault("audit.replica", "this is not the name of a replica")
        .found(quoted(name))
        .expected(format!("1 to {LONGEST_NAME} bytes, no control characters"));
    None
}

const FILE: &str = "audit.file";
const KEY_FILE: &str = "audit.sign_key_file";
const MAKES_ONE: &str = "an Ed25519 key in PEM (PKCS #8), such as `openssl genpkey -algorithm ed25519` makes";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const LONGEST_FILE: Duration = Duration::from_secs(366 * 86_400);
const LEAST_SIZE: u64 = 1 << 20;
const LONGEST_NAME: usize = 255;
