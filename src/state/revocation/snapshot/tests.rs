//! What is written is read back, and nothing else is.

use super::*;
use crate::state::revocation::event::{Fact, Selector};
use crate::state::revocation::feed::nats::DEFAULT_STREAM;
use crate::state::revocation::measured::{self, Token};
use crate::state::revocation::tests::{Directory, config};
use std::os::unix::fs::PermissionsExt;

const BASIS: [u8; 32] = [7; 32];

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}
fn after(seconds: i64) -> Timestamp {
    Timestamp::from_secs(now().as_secs() + seconds)
}

fn keeper(directory: &Directory) -> Keeper {
    let file = directory.path().join("snapshot");
    Keeper::new(&config::Snapshot { file, every: Duration::from_secs(60) }, BASIS)
}

fn revoke(index: &Index, facts: &[(Fact, &str)], lasts: i64) {
    let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
    let selector = Selector { issuer: measured::ISSUER.to_owned(), facts };
    index.revoke(&selector, now(), after(lasts), now()).unwrap();
}

fn is_revoked(index: &Index, facts: &[(Fact, &str)]) -> bool {
    let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
    index.is_revoked(&Token { issued_at: now(), facts })
}

use Fact::{Session, Subject, TokenId};

/// One of each.
fn sample() -> Index {
    let index = Index::new(100);
    revoke(&index, &[(TokenId, "t")], 3600);
    revoke(&index, &[(Subject, "alice"), (Session, "s")], 3600);
    index
}

fn written(directory: &Directory) -> Vec<u8> {
    keeper(directory).write(&sample(), b"here", now()).unwrap();
    fs::read(directory.path().join("snapshot")).unwrap()
}

#[test]
fn what_is_written_is_read_back_as_it_was() {
    let directory = Directory::new();
    let (index, keeper) = (Index::new(100_000), keeper(&directory));
    for n in 0..30_000 {
        revoke(&index, &[(TokenId, &n.to_string())], 3600);
    }
    revoke(&index, &[(Subject, "alice"), (Session, "s")], 3600);
    revoke(&index, &[(Subject, "short")], 10);
    keeper.write(&index, b"here", now()).unwrap();
    let restored = keeper.load(100_000, after(1000)).unwrap();
    assert_eq!((restored.position.as_slice(), restored.index.len()), (&b"here"[..], 30_003));
    for n in 0..30_000 {
        assert!(is_revoked(&restored.index, &[(TokenId, &n.to_string())]));
    }
    assert!(is_revoked(&restored.index, &[(Session, "s")]));
    assert!(!is_revoked(&restored.index, &[(Session, "other")]));
    assert!(!is_revoked(&restored.index, &[(Subject, "short")]), "it is over");
    // A second generation is the same once more, and grows.
    keeper.write(&restored.index, b"there", after(1000)).unwrap();
    let again = keeper.load(100_000, after(1000)).unwrap();
    revoke(&again.index, &[(TokenId, "0")], 7200);
    assert_eq!(again.index.len(), 30_003, "a known entry is found under the key that was carried");
    assert_eq!(again.position, b"there");
}

#[test]
fn it_is_for_its_owner_alone_and_replaces_the_last_one_whole() {
    let directory = Directory::new();
    fs::write(directory.path().join("snapshot.new"), "left by a crash").unwrap();
    written(&directory);
    written(&directory);
    let mode = fs::metadata(directory.path().join("snapshot")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!directory.path().join("snapshot.new").exists());
}

#[test]
fn a_missing_one_is_no_fault_and_a_refused_one_is_put_aside() {
    let directory = Directory::new();
    assert!(matches!(keeper(&directory).read(100, now()), Err(Refused::Missing)));
    let file = directory.path().join("snapshot");
    fs::write(&file, "something else").unwrap();
    assert!(keeper(&directory).load(100, now()).is_none());
    assert!(!file.exists());
    assert_eq!(fs::read(directory.path().join("snapshot.refused")).unwrap(), b"something else");
}

#[test]
fn each_fault_has_its_name() {
    let directory = Directory::new();
    let bytes = written(&directory);
    let file = directory.path().join("snapshot");
    let read = |max_entries, now| keeper(&directory).read(max_entries, now).unwrap_err();
    assert!(matches!(read(100, after(-1)), Refused::FromTheFuture));
    assert!(matches!(read(3, now()), Refused::Full));
    let other = Keeper { basis: [8; 32], ..keeper(&directory) };
    assert!(matches!(other.read(100, now()).unwrap_err(), Refused::OtherConfig));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(read(100, now()), Refused::OthersMayWrite));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        fs::write(&file, bytes).unwrap();
        read(100, now())
    };
    assert!(matches!(changed(0, b'X'), Refused::NotASnapshot));
    assert!(matches!(changed(8, 2), Refused::Version(2)));
    assert!(matches!(changed(bytes.len() - 1, 0), Refused::Damaged));
}

#[test]
fn a_bit_that_flipped_anywhere_is_refused() {
    let directory = Directory::new();
    let bytes = written(&directory);
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            fs::write(directory.path().join("snapshot"), flipped).unwrap();
            assert!(keeper(&directory).read(100, now()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn one_that_was_cut_anywhere_or_has_more_is_refused() {
    let directory = Directory::new();
    let bytes = written(&directory);
    let file = directory.path().join("snapshot");
    for length in 0..bytes.len() {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(keeper(&directory).read(100, now()).is_err(), "{length} bytes");
    }
    fs::write(&file, [&bytes[..], b"\0"].concat()).unwrap();
    assert!(keeper(&directory).read(100, now()).is_err());
    fs::write(&file, &bytes).unwrap();
    assert!(keeper(&directory).read(100, now()).is_ok());
}

#[test]
fn the_basis_is_what_decides_what_an_event_means() {
    let nats = |subject: &str| {
        let subject = subject.to_owned();
        config::Feed::Nats(config::Nats {
            url: "nats://a".into(),
            stream: DEFAULT_STREAM.into(),
            subject,
            ..config::Nats::default()
        })
    };
    let hour = Duration::from_secs(3600);
    let of = |config: &config::Revocation, issuers: &[(&str, Duration)]| {
        basis(config, &issuers.iter().map(|(issuer, lifetime)| ((*issuer).to_owned(), *lifetime)).collect())
    };
    let base = config(nats("s.>"));
    let plain = of(&base, &[("a", hour), ("b", hour)]);
    assert_eq!(plain, of(&config(nats("s.>")), &[("b", hour), ("a", hour)]));
    let signed = config::Revocation { accept_plain: false, ..config(nats("s.>")) };
    for other in [
        of(&config(nats("s.t")), &[("a", hour), ("b", hour)]),
        of(&base, &[("a", hour)]),
        of(&base, &[("a", hour), ("b", hour * 2)]),
        of(&base, &[("a", hour), ("c", hour)]),
        of(&signed, &[("a", hour), ("b", hour)]),
    ] {
        assert_ne!(plain, other);
    }
}
