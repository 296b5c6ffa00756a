//! What can be done to a log, and that it is always seen, at the first record that it was done to.

use super::*;
use proptest::prelude::*;

/// Every line, and which file it is in.
type Lines = Vec<(usize, Vec<u8>)>;

/// A log as it lies in its files, line by line.
#[derive(Clone, Debug)]
struct Lying {
    lines: Lines,
    files: usize,
    signed: bool,
}

impl Lying {
    fn of(id: &'static str, signed: bool, sizes: &[usize], closed: bool) -> Lying {
        let log = log(id, signed, sizes, closed);
        let files = log.len();
        let lines =
            log.into_iter().enumerate().flat_map(|(at, file)| file.into_iter().map(move |line| (at, line)));
        Lying { lines: lines.collect(), files, signed }
    }

    /// With names that were given when it was whole: nobody renames files because of a change.
    fn files(&self, whole: &Lying) -> Files {
        let mut files = Files::new();
        for at in 0..self.files {
            let first = 1 + whole.lines.iter().filter(|(file, _)| *file < at).count();
            let open = at + 1 == self.files;
            let name = if open { "audit.jsonl".to_owned() } else { format!("audit.{first:012}.jsonl") };
            let lines = self.lines.iter().filter(|(file, _)| *file == at).map(|(_, line)| line.as_slice());
            files.insert(name, lines.collect::<Vec<_>>().concat());
        }
        files
    }

    fn verified(&self, whole: &Lying, demands: &Demands) -> Outcome {
        verified(&self.files(whole), demands)
    }

    fn keys(&self) -> Vec<Key> {
        if self.signed { vec![key()] } else { Vec::new() }
    }

    fn end(&self) -> End {
        verified(&self.files(self), &demands(Vec::new())).logs[0].last
    }

    /// Seals everything from here on again, without the key: as an adversary would who can write the file.
    fn seal_again(&mut self, from: usize, stripped: bool) {
        let seal =
            |line: &[u8]| super::super::super::chain::unseal(line.strip_suffix(b"\n").unwrap()).unwrap().hash;
        let before = if from == 0 {
            NOTHING
        } else {
            End { sequence: from as u64, hash: seal(&self.lines[from - 1].1) }
        };
        let mut writer = Writer { end: before, id: "a", signed: false };
        for (_, line) in &mut self.lines[from..] {
            let text = String::from_utf8(line.clone()).unwrap();
            let body = text.split(r#","prev":""#).next().unwrap();
            let old = text.split(r#","signature":""#).nth(1).map(|rest| rest[..86].to_owned());
            *line = body.as_bytes().to_vec();
            match old {
                Some(old) if !stripped => {
                    let old = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, old)
                        .unwrap();
                    let old: [u8; 64] = old.try_into().unwrap();
                    writer.end.seal(line, 0, Some(&|_| old));
                }
                Some(_) | None => writer.seal(line, false),
            }
        }
    }
}

/// The records among which the outcome says the first bad one is.
fn named(found: &Outcome) -> Vec<std::ops::RangeInclusive<u64>> {
    let log = |log: &Log| match (&log.fault, log.beginning) {
        (_, Beginning::Unknown) => Some(1..=log.first - 1),
        (Some(Fault { what: What::NothingSigned, record, .. }), _) => Some(*record..=u64::MAX),
        (Some(fault), Beginning::First | Beginning::From) => Some(fault.record..=fault.to()),
        (None, _) => match log.ending {
            Ending::Incomplete { .. } => Some(log.last.sequence + 1..=log.last.sequence + 1),
            Ending::Closed | Ending::Open | Ending::Rotated => None,
        },
    };
    let anchors = found.anchors.iter().map(|fault| fault.record..=fault.to());
    found.logs.iter().filter_map(log).chain(anchors).collect()
}

fn names(found: &Outcome, record: usize) -> Result<(), TestCaseError> {
    let named = named(found);
    prop_assert!(
        named.iter().any(|range| range.contains(&(record as u64))),
        "{record} in {named:?}: {found:#?}"
    );
    Ok(())
}

fn a_log() -> impl Strategy<Value = Lying> {
    let sizes = prop::collection::vec(1..7_usize, 1..4);
    (sizes, any::<bool>(), any::<bool>())
        .prop_map(|(sizes, signed, closed)| Lying::of("a", signed, &sizes, closed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_as_written_is_fine(whole in a_log()) {
        let found = whole.verified(&whole, &demands(Vec::new()));
        prop_assert!(found.fine && named(&found).is_empty(), "{found:#?}");
    }

    #[test]
    fn a_flipped_bit(whole in a_log(), at: prop::sample::Index, byte: prop::sample::Index, bit in 0..8_u32) {
        let mut changed = whole.clone();
        let record = at.index(whole.lines.len());
        let line = &mut changed.lines[record].1;
        let byte = byte.index(line.len());
        line[byte] ^= 1 << bit;
        let found = changed.verified(&whole, &demands(whole.keys()));
        names(&found, record + 1)?;
    }

    #[test]
    fn a_flipped_line_end(whole in a_log(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut changed = whole.clone();
        let record = at.index(whole.lines.len());
        *changed.lines[record].1.last_mut().unwrap() ^= 1 << bit;
        names(&changed.verified(&whole, &demands(Vec::new())), record + 1)?;
    }

    #[test]
    fn a_dropped_record(whole in a_log(), at: prop::sample::Index, count in 1..4_usize) {
        let record = at.index(whole.lines.len());
        let mut changed = whole.clone();
        changed.lines.drain(record..(record + count).min(whole.lines.len()));
        let anchored = Demands { anchors: vec![whole.end()], ..demands(Vec::new()) };
        names(&changed.verified(&whole, &anchored), record + 1)?;
        let closed = Demands { closed: true, ..demands(Vec::new()) };
        names(&changed.verified(&whole, &closed), record + 1)?;
        if record + count < whole.lines.len() {
            let found = changed.verified(&whole, &demands(Vec::new()));
            names(&found, record + 1)?;
            prop_assert!(!found.fine);
        }
    }

    #[test]
    fn two_swapped_records(whole in a_log(), one: prop::sample::Index, other: prop::sample::Index) {
        let (one, other) = (one.index(whole.lines.len()), other.index(whole.lines.len()));
        prop_assume!(one != other);
        let (one, other) = (one.min(other), one.max(other));
        let mut changed = whole.clone();
        let line = std::mem::take(&mut changed.lines[one].1);
        changed.lines[one].1 = std::mem::replace(&mut changed.lines[other].1, line);
        let found = changed.verified(&whole, &demands(Vec::new()));
        // Of two short files whose first records were swapped, each is taken for the other; and of a file of two
        // records nobody can say which one was put there.
        let short = |at: usize| whole.lines.iter().filter(|(of, _)| *of == whole.lines[at].0).count() < 3;
        let first = |at: usize| at == 0 || whole.lines[at].0 != whole.lines[at - 1].0;
        let told = short(one) || short(other) || first(one) && first(other) && names(&found, one + 2).is_ok();
        if !told {
            names(&found, one + 1)?;
        }
        prop_assert!(!found.fine);
    }

    #[test]
    fn a_record_twice(whole in a_log(), what: prop::sample::Index, to: prop::sample::Index) {
        let (what, to) = (what.index(whole.lines.len()), to.index(whole.lines.len() + 1));
        let mut changed = whole.clone();
        let file = whole.lines.get(to).map_or(whole.files - 1, |(file, _)| *file);
        changed.lines.insert(to, (file, whole.lines[what].1.clone()));
        let found = changed.verified(&whole, &demands(Vec::new()));
        // Of a file of two records nobody can say which one was put there.
        let short = changed.lines.iter().filter(|(of, _)| *of == file).count() < 3;
        if !(short && changed.lines[to - usize::from(to > 0)].0 != file) {
            names(&found, if to == what { to + 2 } else { to + 1 })?;
        }
        prop_assert!(!found.fine);
    }

    #[test]
    fn cut_within_a_record(whole in a_log(), at: prop::sample::Index, bytes: prop::sample::Index) {
        let record = at.index(whole.lines.len());
        let mut changed = whole.clone();
        let (file, line) = changed.lines[record].clone();
        changed.lines[record].1 = line[..1 + bytes.index(line.len() - 1)].to_vec();
        let mut at = 0;
        changed.lines.retain(|(of, _)| { at += 1; at <= record + 1 || *of != file });
        names(&changed.verified(&whole, &demands(whole.keys())), record + 1)?;
    }

    #[test]
    fn a_record_of_another_log(sizes in prop::collection::vec(1..7_usize, 1..4), signed: bool, at: prop::sample::Index) {
        let (whole, other) = (Lying::of("a", signed, &sizes, true), Lying::of("b", signed, &sizes, true));
        let record = at.index(whole.lines.len());
        let mut changed = whole.clone();
        changed.lines[record] = other.lines[record].clone();
        let found = changed.verified(&whole, &demands(whole.keys()));
        if record == 0 && whole.lines.len() == 1 {
            return Ok(());
        }
        names(&found, record + 1)?;
        prop_assert!(!found.fine);
    }

    #[test]
    fn the_rest_of_another_log(sizes in prop::collection::vec(1..7_usize, 1..4), signed: bool, at: prop::sample::Index) {
        let (whole, other) = (Lying::of("a", signed, &sizes, true), Lying::of("b", signed, &sizes, true));
        let record = 1 + at.index(whole.lines.len() - 1);
        let mut changed = whole.clone();
        changed.lines[record..].clone_from_slice(&other.lines[record..]);
        let found = changed.verified(&whole, &demands(whole.keys()));
        names(&found, record + 1)?;
        prop_assert!(!found.fine);
    }

    #[test]
    fn a_changed_record_sealed_again_with_all_after_it(whole in a_log(), at: prop::sample::Index, stripped: bool) {
        let record = at.index(whole.lines.len());
        let mut changed = whole.clone();
        let text = String::from_utf8(changed.lines[record].1.clone()).unwrap();
        changed.lines[record].1 = text.replace(r#""replica":"r""#, r#""replica":"s""#).into_bytes();
        changed.seal_again(record, stripped);
        let anchored = Demands { anchors: vec![whole.end()], ..demands(Vec::new()) };
        names(&changed.verified(&whole, &anchored), record + 1)?;
        let signed_after = whole.lines[record..].iter().any(|(_, line)| line.windows(9).any(|part| part == b"signature"));
        if signed_after {
            let found = changed.verified(&whole, &demands(whole.keys()));
            names(&found, record + 1)?;
            prop_assert!(!found.fine);
        }
    }
}

#[test]
fn another_key_is_told_from_a_wrong_signature() {
    let whole = Lying::of("a", true, &[6], true);
    let stranger = Ed25519KeyPair::generate().unwrap();
    let stranger = Key::new(stranger.public_key().as_ref().try_into().unwrap());
    let found = whole.verified(&whole, &demands(vec![stranger.clone()]));
    let fault = found.logs[0].fault.as_ref().unwrap();
    assert_eq!(fault.what, What::OtherKey { checkpoint: 4, key: Some(key().name().to_owned()) });
    assert!(whole.verified(&whole, &demands(vec![stranger, key()])).fine, "keys are exchanged");
    let mut changed = whole.clone();
    changed.seal_again(1, false);
    changed.lines[1].1 = changed.lines[1].1.clone();
    let text = String::from_utf8(whole.lines[2].1.clone()).unwrap();
    changed.lines[2].1 = text.replace("granted", "refused").into_bytes();
    changed.seal_again(2, false);
    let fault = changed.verified(&whole, &demands(vec![key()])).logs[0].fault.clone().unwrap();
    assert_eq!((fault.record, &fault.what), (1, &What::Signature { checkpoint: 4 }));
    assert_eq!(
        fault.to_string(),
        "the signature of record 4 is wrong: one of the records 1 to 4 was changed and sealed again"
    );
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let whole = Lying::of("a", true, &[20], true);
    let said = |change: fn(&mut Lines)| {
        let mut changed = whole.clone();
        change(&mut changed.lines);
        let fault = changed.verified(&whole, &demands(vec![key()])).logs[0].fault.clone().unwrap();
        format!("{}:{}: {fault}", fault.file, fault.line)
    };
    assert_eq!(said(|lines| lines[16].1[40] ^= 1), "audit.jsonl:17: record 17 was changed");
    assert_eq!(said(|lines| drop(lines.drain(17..20))), "audit.jsonl:18: records 18 to 20 are missing");
    assert_eq!(said(|lines| drop(lines.remove(17))), "audit.jsonl:18: record 18 is missing");
    assert_eq!(said(|lines| lines.swap(18, 20)), "audit.jsonl:19: record 21 stands where 19 should");
    assert_eq!(
        said(|lines| lines.insert(5, (0, b"hello\n".to_vec()))),
        "audit.jsonl:6: a line that is no record was put before record 6"
    );
}
