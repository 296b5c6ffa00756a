//! Logs that are in order, and ends that tell little.

use super::*;

#[test]
fn a_log_of_several_files_in_any_order_is_fine() {
    let log = log("a", true, &[5, 3, 7], true);
    let count: usize = log.iter().map(Vec::len).sum();
    let found = verified(&files(&log), &Demands { closed: true, ..demands(vec![key()]) });
    assert!(found.fine, "{found:?}");
    let [log] = &found.logs[..] else { panic!("{found:?}") };
    assert_eq!((log.first, log.last.sequence, log.records), (1, count as u64, count as u64));
    assert_eq!((log.unsigned, log.ending, log.id.as_deref()), (0, Ending::Closed, Some("a")));
    assert_eq!(log.files, ["audit.000000000001.jsonl", "audit.000000000011.jsonl", "audit.jsonl"]);
    assert_eq!(log.keys, [key().name()]);
}

#[test]
fn chains_are_kept_apart() {
    let (one, other) = (log("a", true, &[5, 3], false), log("b", true, &[2, 9], true));
    let mut both = files(&one);
    for (name, bytes) in files(&other) {
        both.insert(name.replace("audit", "audit.77"), bytes);
    }
    let found = verified(&both, &demands(vec![key()]));
    assert!(found.fine, "{found:?}");
    let ids: Vec<_> = found.logs.iter().map(|log| (log.id.clone().unwrap(), log.ending)).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&("a".to_owned(), Ending::Open)) && ids.contains(&("b".to_owned(), Ending::Closed)));
}

#[test]
fn a_log_may_begin_later_only_if_that_is_said() {
    let log = log("a", true, &[5, 3], true);
    let first = log[0].len() as u64;
    let mut kept = files(&log);
    kept.remove("audit.000000000001.jsonl");
    let found = verified(&kept, &demands(vec![key()]));
    assert!(!found.fine && found.logs[0].fault.is_none() && found.logs[0].beginning == Beginning::Unknown);
    assert_eq!(found.logs[0].first, first + 1);
    assert!(verified(&kept, &Demands { partial: true, ..demands(vec![key()]) }).fine);
    let archived = verified(&files(&log[..1]), &demands(vec![key()])).logs[0].last;
    let from = Demands { from: vec![archived], ..demands(vec![key()]) };
    assert!(verified(&kept, &from).fine);
    assert!(verified(&files(&log), &from).fine, "it is an anchor, too");
    let wrong = Demands { from: vec![End { hash: [b'B'; 43], ..archived }], ..demands(vec![key()]) };
    assert!(!verified(&kept, &wrong).fine);
}

#[test]
fn the_end_may_be_cut_anywhere_and_what_is_whole_verifies() {
    let log = log("a", true, &[6], true);
    let whole = log[0].concat();
    let mut ends = vec![0];
    for line in &log[0] {
        ends.push(ends[ends.len() - 1] + line.len());
    }
    for length in 0..=whole.len() {
        let cut = Files::from([("audit.jsonl".to_owned(), whole[..length].to_vec())]);
        let found = verified(&cut, &Demands { keys: Vec::new(), ..demands(Vec::new()) });
        assert!(found.fine, "{length}: {found:?}");
        let records = ends.iter().filter(|end| **end > 0 && **end <= length).count();
        let log = &found.logs[0];
        assert_eq!(log.records, records as u64, "{length}");
        let bytes = (length - ends[records]) as u64;
        assert_eq!(
            matches!(log.ending, Ending::Incomplete { bytes: told } if told == bytes),
            bytes > 0,
            "{length}"
        );
        let closed = verified(&cut, &Demands { closed: true, ..demands(Vec::new()) });
        assert_eq!(closed.fine, length == whole.len(), "{length}");
    }
}

#[test]
fn what_was_recovered_after_a_crash_goes_on() {
    let mut writer = Writer::new("a", true);
    let whole = [writer.start(), writer.decision(), writer.checkpoint()].concat();
    let end = writer.end;
    let cut = [&whole[..], &writer.decision()[..40]].concat();
    let after = |next: Vec<u8>| {
        Files::from([("audit.000000000001.jsonl".to_owned(), cut.clone()), ("audit.jsonl".to_owned(), next)])
    };
    let as_if_whole = [writer.start(), writer.checkpoint()].concat();
    writer.end = end;
    let silent = [writer.start(), writer.checkpoint()].concat();
    writer.end = end;
    let mut again = Writer { end, ..writer };
    let recovered =
        [writer.record("recovered", r#","bytes":40"#), writer.start(), writer.checkpoint()].concat();

    let found = verified(&after(recovered.clone()), &demands(vec![key()]));
    assert_eq!((found.logs[0].recovered, found.logs[0].crashes), (1, 1));
    let fault = |next| {
        let log = verified(&after(next), &demands(vec![key()])).logs.remove(0);
        log.fault.map(|fault| (fault.record, fault.what))
    };
    assert_eq!(fault(recovered), None);
    assert_eq!(fault(silent), Some((4, What::CutShort)));
    assert_eq!(fault(as_if_whole), Some((4, What::Missing { to: 4 })));
    let short = [again.record("recovered", r#","bytes":39"#), again.start(), again.checkpoint()].concat();
    assert_eq!(fault(short), Some((4, What::CutShort)));
}

#[test]
fn blocks_that_were_never_written_are_no_record_unless_the_next_file_says_so() {
    let mut writer = Writer::new("a", false);
    let whole = [writer.start(), writer.decision()].concat();
    for rubbish in [
        vec![0; 30],
        b"\n\0\0\nx".to_vec(),
        vec![0; 3 * LONGEST],
        [vec![b'x'; LONGEST], vec![b'\n']].concat(),
    ] {
        let one = ("audit.000000000001.jsonl".to_owned(), [&whole[..], &rubbish].concat());
        let found = verified(&Files::from([one.clone()]), &demands(Vec::new()));
        assert_eq!(
            found.logs[0].fault.as_ref().map(|fault| (fault.record, fault.line)),
            Some((3, 3)),
            "{found:?}"
        );
        for (bytes, fine) in [(rubbish.len(), true), (rubbish.len() - 1, false)] {
            let mut writer = Writer { ..writer };
            let next = writer.record("recovered", &format!(r#","bytes":{bytes}"#));
            let both = Files::from([one.clone(), ("audit.jsonl".to_owned(), next)]);
            assert_eq!(verified(&both, &demands(Vec::new())).fine, fine, "{} bytes", rubbish.len());
        }
    }
}

#[test]
fn the_longest_line_is_bounded() {
    let mut writer = Writer::new("a", false);
    let (start, long) = (writer.start(), format!(r#","found":"{}""#, "x".repeat(LONGEST)));
    let text = [start, writer.record("decision", &long), writer.decision()].concat();
    let found = verified(&Files::from([("audit.jsonl".to_owned(), text)]), &demands(Vec::new()));
    let fault = found.logs[0].fault.as_ref().unwrap();
    assert_eq!((fault.record, fault.line, &fault.what), (2, 2, &What::TooLong));
}

#[test]
fn what_has_no_signature_is_told_and_not_for_too_long() {
    let mut writer = Writer::new("a", true);
    let lines =
        [writer.start(), writer.checkpoint(), writer.decision(), writer.decision(), writer.decision()]
            .concat();
    let file = Files::from([("audit.jsonl".to_owned(), lines)]);
    let found = verified(&file, &demands(vec![key()]));
    assert!(found.fine && found.logs[0].unsigned == 3, "{found:?}");
    let soon = Demands { max_unsigned: Some(Duration::from_secs(1)), ..demands(vec![key()]) };
    let fault = verified(&file, &soon).logs[0].fault.clone().unwrap();
    assert_eq!((fault.record, fault.what), (3, What::SignedTooLongAgo { seconds: 2 }));
    let unsigned = files(&log("a", false, &[6], true));
    assert!(verified(&unsigned, &demands(Vec::new())).fine);
    assert!(!verified(&unsigned, &demands(vec![key()])).fine, "a key demands signatures");
}

/// What makes way for another file says so, and that file begins with a record.
#[test]
fn a_log_that_goes_on_elsewhere_is_not_all_there() {
    let log = log("a", true, &[5, 3], false);
    let mut first = files(&log);
    let open = first.remove("audit.jsonl").unwrap();
    let end = verified(&first, &demands(vec![key()])).logs[0].last;
    let fault = |files: &Files, demands: &Demands| {
        verified(files, demands).logs[0].fault.clone().map(|fault| (fault.file, fault.record, fault.what))
    };
    let closed = "audit.000000000001.jsonl".to_owned();
    let next = end.sequence + 1;
    assert_eq!(fault(&first, &demands(Vec::new())), Some((closed, next, What::GoesOn { empty: false })));
    assert_eq!(fault(&first, &Demands { partial: true, ..demands(Vec::new()) }), None);
    assert_eq!(
        fault(&first, &Demands { anchors: vec![end], ..demands(Vec::new()) }),
        None,
        "so far it is known"
    );
    first.insert("audit.jsonl".to_owned(), Vec::new());
    let empty = Some(("audit.jsonl".to_owned(), next, What::GoesOn { empty: true }));
    assert_eq!(fault(&first, &demands(Vec::new())), empty);
    first.insert("audit.jsonl".to_owned(), open);
    assert_eq!(fault(&first, &demands(Vec::new())), None);
}

#[test]
fn a_file_that_was_changed_as_a_whole_is_named_and_not_the_one_after_it() {
    let log = log("a", true, &[5, 6, 3], false);
    let whole = files(&log);
    let (middle, first) = ("audit.000000000011.jsonl".to_owned(), log[0].len() as u64 + 1);
    assert!(whole.contains_key(&middle), "{:?}", whole.keys());
    let text = String::from_utf8(whole[&middle].clone()).unwrap();
    let upper = text.to_uppercase();
    for changed in [text.replace('\n', "\r\n"), upper, "x\n".repeat(7), "x".to_owned()] {
        let mut files = whole.clone();
        files.insert(middle.clone(), changed.clone().into_bytes());
        let fault = verified(&files, &demands(Vec::new())).logs[0].fault.clone().unwrap();
        assert_eq!(fault.record, first, "{fault:?}");
        assert_eq!((fault.file.as_str(), fault.line), (&*middle, 1), "{fault:?}");
    }
}
