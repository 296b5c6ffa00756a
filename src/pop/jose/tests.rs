use super::*;

fn parses(text: &str) -> bool {
    Json::parse(text.as_bytes()).is_some()
}

/// JWS-01, JWS-02, PF-035, PF-037
#[test]
fn duplicates_are_refused_at_any_depth_and_in_any_spelling() {
    assert!(parses(r#"{"a":1,"b":1}"#));
    assert!(!parses(r#"{"a":1,"a":1}"#));
    assert!(!parses(r#"{"alg":"ES256","\u0061lg":"none"}"#));
    assert!(!parses(r#"{"jwk":{"x":"1","x":"2"}}"#));
    assert!(!parses(r#"[{"x":{"y":[{"z":1,"z":2}]}}]"#));
}

/// BCP-06
#[test]
fn only_one_value_in_utf8_without_bom_and_of_bounded_size() {
    assert!(!parses("{} {}"));
    assert!(!parses("\u{feff}{}"));
    assert!(Json::parse(b"\"\xff\"").is_none());
    assert!(!parses("{\"a\":NaN}"));
    assert!(!parses("{\"a\":1e999}"));
    assert!(parses(&format!("{}{}", "[".repeat(16), "]".repeat(16))));
    assert!(!parses(&format!("{}{}", "[".repeat(17), "]".repeat(17))));
    let members = |n| format!("{{{}}}", (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","));
    assert!(parses(&members(MAX_MEMBERS)));
    assert!(!parses(&members(MAX_MEMBERS + 1)));
    assert!(!parses(&members(MAX_MEMBERS - 1).replacen('{', "{\"500\":0,", 1)));
}

/// AT-12, CL-039, CL-040
#[test]
fn numeric_dates_are_finite_numbers_of_seconds() {
    let date = |text: &str| Json::parse(text.as_bytes()).unwrap().as_numeric_date().map(Timestamp::as_millis);
    assert_eq!(date("1700000000"), Some(1_700_000_000_000));
    assert_eq!(date("1700000000.5"), Some(1_700_000_000_500));
    assert_eq!(date("1.7e9"), Some(1_700_000_000_000));
    assert_eq!(date("253402300799"), Some(253_402_300_799_000));
    for wrong in
        ["-1", "1e308", "99999999999999999999", "\"1700000000\"", "null", "true", "[1]", "253402300800"]
    {
        assert_eq!(date(wrong), None, "{wrong}");
    }
}

#[test]
fn null_and_arrays_keep_their_kind() {
    let object = Json::parse_object(br#"{"cnf":null,"aud":["a"]}"#).unwrap();
    assert_eq!(object.get("cnf"), Some(&Json::Null));
    assert!(object.has("cnf") && !object.has("jkt"));
    assert!(object.get("aud").unwrap().as_object().is_none());
    assert!(Json::parse_object(b"[]").is_none());
}

/// DPOP-03, PF-041, PF-043
#[test]
fn a_compact_jws_has_three_parts() {
    assert_eq!(Compact::split("aa.bb.cc").unwrap().signing_input, "aa.bb");
    for wrong in
        ["", "aa", "aa.bb", "aa.bb.", ".bb.cc", "aa..cc", "aa.bb.cc.dd", "a.b.c.d.e", &".".repeat(100_000)]
    {
        assert!(Compact::split(wrong).is_none());
    }
}

/// JWS-04, PF-017
#[test]
fn base64url_is_canonical() {
    assert_eq!(base64url_decode("AQ"), Some(vec![1]));
    for wrong in ["AQ==", "AR", "A", "A Q", "+/+/", "AQ\n"] {
        assert_eq!(base64url_decode(wrong), None, "{wrong}");
    }
}

#[test]
fn display_writes_json_that_reads_back() {
    let text = r#"{"a":[1,2.5,"x\"y",null,true,{}],"b":{},"c":[]}"#;
    assert_eq!(Json::parse(text.as_bytes()).unwrap().to_string(), text);
}
