//! Who speaks, in the words of OpenTelemetry's resource conventions: the same for spans and metrics of one process.
//!
//! `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` are read as the OpenTelemetry specification has it: what they say
//! goes before what we say of ourselves, and the latter before the former.

use super::ids;
use super::trace_context::write_hex;
use crate::pop::percent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// This process: `service.name`, `service.version`, `service.instance.id` (another one at each start).
pub(super) fn of_this_process() -> Resource {
    let told = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    Resource { attributes: attributes(&told, name), ..Resource::default() }
}

fn attributes(told: &str, name: Option<String>) -> Vec<KeyValue> {
    let mut all = vec![
        ("service.name".to_owned(), "clinch".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), instance()),
    ];
    let named = name.map(|name| ("service.name".to_owned(), name));
    for (key, value) in pairs(told).chain(named) {
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => all.push((key, value)),
        }
    }
    let text = |value| Some(AnyValue { value: Some(Value::StringValue(value)) });
    all.into_iter().map(|(key, value)| KeyValue { key, value: text(value), ..KeyValue::default() }).collect()
}

/// `key=value,key=value`, values percent-encoded, as the specification's environment variables have it.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), decoded(value.trim())))
    })
}

/// What is not encoded as it should be stays as it is.
fn decoded(value: &str) -> String {
    let bytes = percent::decoded(value.as_bytes()).collect();
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

/// A random UUID (RFC 9562 section 5.4).
fn instance() -> String {
    let mut id: [u8; 16] = ids::random();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let mut hex = [0; 32];
    write_hex(&id, &mut hex);
    let hex = String::from_utf8_lossy(&hex);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(told: &str, name: Option<&str>) -> Vec<(String, String)> {
        let text = |value: KeyValue| {
            let Some(Value::StringValue(text)) = value.value.unwrap().value else { panic!("{}", value.key) };
            (value.key, text)
        };
        attributes(told, name.map(str::to_owned)).into_iter().map(text).collect()
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let of = |all: &[(String, String)], key: &str| {
            all.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
        };
        let bare = said("", None);
        assert_eq!(of(&bare, "service.name").as_deref(), Some("clinch"));
        assert_eq!(of(&bare, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let told = said(" service.name = a , deployment.environment.name=pre%20prod,=x,y,z=%zz", Some("b"));
        assert_eq!(of(&told, "service.name").as_deref(), Some("b"));
        assert_eq!(of(&told, "deployment.environment.name").as_deref(), Some("pre prod"));
        assert_eq!(of(&told, "z").as_deref(), Some("%zz"));
        assert_eq!(told.len(), 5);
        assert_eq!(of(&said("service.name=a", None), "service.name").as_deref(), Some("a"));
    }

    #[test]
    fn each_process_is_another_instance() {
        let (one, two) = (instance(), instance());
        assert_ne!(one, two);
        assert_eq!((one.len(), &one[14..15]), (36, "4"), "{one}");
    }
}
