//! Logs made by the seal itself, and what is done to them.

use super::*;
use crate::state::audit::chain::NOTHING;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::LazyLock;

mod forged;
mod restart;
mod whole;

pub(super) static SIGNER: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// Files by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Writes a log as clinch does.
pub(super) struct Writer {
    pub(super) end: End,
    pub(super) id: &'static str,
    pub(super) signed: bool,
}

impl Writer {
    pub(super) fn new(id: &'static str, signed: bool) -> Writer {
        Writer { end: NOTHING, id, signed }
    }

    /// One record with its line end.
    pub(super) fn record(&mut self, kind: &str, members: &str) -> Vec<u8> {
        let mut line = Vec::new();
        let second = self.end.sequence % 60;
        self.end.begin(&mut line);
        let head = format!(r#","time":"2026-11-21T09:00:{second:02}.000000Z","kind":"{kind}","replica":"r""#);
        line.extend_from_slice(head.as_bytes());
        line.extend_from_slice(members.as_bytes());
        self.seal(&mut line, self.signed && kind == "checkpoint");
        line
    }

    pub(super) fn seal(&mut self, line: &mut Vec<u8>, signed: bool) {
        let sign = |text: &[u8]| <[u8; 64]>::try_from(SIGNER.sign(text).as_ref()).unwrap();
        self.end.seal(line, 0, if signed { Some(&sign) } else { None });
    }

    pub(super) fn start(&mut self) -> Vec<u8> {
        let members = format!(r#","version":"1","generation":1,"log":"{}""#, self.id);
        self.record("start", &members)
    }

    pub(super) fn decision(&mut self) -> Vec<u8> {
        let members = format!(r#","request":"{:016x}","verdict":"granted""#, self.end.sequence);
        self.record("decision", &members)
    }

    pub(super) fn checkpoint(&mut self) -> Vec<u8> {
        let key = format!(r#","records":{},"key":"{}""#, self.end.sequence, key().name());
        self.record("checkpoint", if self.signed { &key } else { r#","records":0"# })
    }
}

/// A log of these many decisions in each file, a checkpoint every fourth record, closed or not. Each is a list of lines.
pub(super) fn log(id: &'static str, signed: bool, sizes: &[usize], closed: bool) -> Vec<Vec<Vec<u8>>> {
    let mut writer = Writer::new(id, signed);
    let mut files = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        let mut lines = Vec::new();
        if at == 0 {
            lines.push(writer.start());
        }
        for _ in 0..*size {
            lines.push(writer.decision());
            if writer.end.sequence % 4 == 3 {
                lines.push(writer.checkpoint());
            }
        }
        if at + 1 < sizes.len() {
            lines.push(writer.record("rotated", r#","next":"x""#));
            lines.push(writer.checkpoint());
        } else if closed {
            lines.push(writer.record("stop", ""));
            lines.push(writer.checkpoint());
        }
        files.push(lines);
    }
    files
}

pub(super) fn key() -> Key {
    Key::new(SIGNER.public_key().as_ref().try_into().unwrap())
}

/// As files, the last being the open one.
pub(super) fn files(log: &[Vec<Vec<u8>>]) -> Files {
    let mut first = 1;
    let named = log.iter().enumerate().map(|(at, lines)| {
        let name =
            if at + 1 == log.len() { "audit.jsonl".to_owned() } else { format!("audit.{first:012}.jsonl") };
        first += lines.len();
        (name, lines.concat())
    });
    named.collect()
}

pub(super) fn demands(keys: Vec<Key>) -> Demands {
    Demands {
        keys,
        anchors: Vec::new(),
        from: Vec::new(),
        partial: false,
        closed: false,
        max_unsigned: Some(Duration::from_secs(3600)),
    }
}

pub(super) fn verified(files: &Files, demands: &Demands) -> Outcome {
    let names: Vec<String> = files.keys().rev().cloned().collect();
    verify(&names, |name| Ok(Cursor::new(files[name].clone())), demands).unwrap()
}
