//! What is read of a record besides its seal, without parsing the whole of it: when it was written, and of what kind.

use serde::Deserialize;
use std::time::SystemTime;

/// The kinds of records that mean something to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::audit) enum Kind {
    /// A process began to write.
    Start,
    /// It ended in order.
    Stop,
    /// What was written is vouched for.
    Checkpoint,
    /// The log goes on in another file.
    Rotated,
    /// Records could not be written.
    Lost,
    /// The file before ends within a line.
    Recovered,
    /// The file before was left: whether the disk has all of it is not known.
    Unsynced,
    /// The file before was left because others had changed it, or something of the log was not there.
    Touched,
    /// A request was let through or not.
    Decision,
    /// Another kind that is known.
    Plain,
    /// None that is known: a newer version wrote it.
    Unknown,
}

/// The time of a record as it is written, and its kind. Both stand right after the number, in this order.
pub(in crate::state::audit) fn time_and_kind(line: &[u8]) -> Option<(&[u8], Kind)> {
    let (time, name, _) = frame(line)?;
    Some((time, kind(name)))
}

/// Who wrote a record, as it is written: what is escaped is left so. It stands right after the kind.
pub(super) fn replica(line: &[u8]) -> Option<&[u8]> {
    let (_, _, rest) = frame(line)?;
    let rest = rest.strip_prefix(br#","replica":""#)?;
    let mut escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&rest[..end])
}

/// Time and kind, and what comes after them.
fn frame(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = line.strip_prefix(br#"{"seq":"#)?;
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let (time, rest) = text(rest[comma..].strip_prefix(br#","time":""#)?)?;
    let (name, rest) = text(rest.strip_prefix(br#","kind":""#)?)?;
    Some((time, name, rest))
}

/// The time of a record; nothing if it is none.
pub(in crate::state::audit) fn time(written: &[u8]) -> Option<SystemTime> {
    humantime::parse_rfc3339(std::str::from_utf8(written).ok()?).ok()
}

/// The members of those records of which more is read than their kind. All of them may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::state::audit) struct Members {
    /// Of all: who wrote it.
    pub(in crate::state::audit) replica: Option<String>,
    /// Of `start`: what the log is called that the process writes.
    pub(super) log: Option<String>,
    /// Of `start`: the last record that a signature vouched for when the file was opened, `SEQ:HASH`.
    pub(super) continues: Option<String>,
    /// Of `start`: how many records came after that one.
    pub(super) unsigned: Option<u64>,
    /// Of `checkpoint`: whose signature it is.
    pub(in crate::state::audit) key: Option<String>,
    /// Of `checkpoint`: in how many milliseconds the next one comes at the latest. Older versions do not say.
    pub(super) every_ms: Option<u64>,
    /// Of `lost`: how many.
    pub(super) records: Option<u64>,
    /// Of `recovered`: how much of a record the file before ends with.
    pub(super) bytes: Option<u64>,
}

/// Reads them.
pub(in crate::state::audit) fn members(line: &[u8]) -> Members {
    serde_json::from_slice(line).unwrap_or_default()
}

/// Whether the line may be one JSON object: what a line that was sealed can lack is not looked for.
pub(super) fn is_object(line: &[u8]) -> bool {
    // Without a way out in the middle this is some instructions for many bytes.
    line.iter().fold(true, |all, byte| all & (*byte >= b' ')) && std::str::from_utf8(line).is_ok()
}

/// What stands before the next quotation mark, and what after it.
fn text(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some((&rest[..end], &rest[end + 1..]))
}

fn kind(name: &[u8]) -> Kind {
    match name {
        b"decision" => Kind::Decision,
        b"config" | b"keys" | b"feed" | b"certificate" | b"cut" | b"handshake" => Kind::Plain,
        b"start" => Kind::Start,
        b"stop" => Kind::Stop,
        b"checkpoint" => Kind::Checkpoint,
        b"rotated" => Kind::Rotated,
        b"lost" => Kind::Lost,
        b"recovered" => Kind::Recovered,
        b"unsynced" => Kind::Unsynced,
        b"touched" => Kind::Touched,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_kind_stand_where_they_do() {
        let read = |line: &'static str| time_and_kind(line.as_bytes());
        assert_eq!(read(r#"{"seq":1,"time":"T","kind":"stop","x":"y"}"#), Some((&b"T"[..], Kind::Stop)));
        assert_eq!(read(r#"{"seq":12,"time":"","kind":"news"}"#), Some((&b""[..], Kind::Unknown)));
        for other in [
            r#"{"seq":1,"kind":"stop","time":"T"}"#,
            r#"{"seq":1}"#,
            r#"{"seq":1,"time":"T","kind":"stop"#,
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
