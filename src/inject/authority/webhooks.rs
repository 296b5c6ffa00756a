//! The `caBundle` of the webhook configurations.
//!
//! Only entries that name our own Service are touched, each with a test of its name and of the configuration's
//! `resourceVersion`. The configurations are read before the Secret and written after it: whoever has an older bundle in
//! hand finds the configuration changed, and writes nothing.

use crate::inject::api::{Api, Trouble};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The configurations, as they were a moment ago.
#[derive(Debug)]
pub(super) struct Configurations(Vec<(String, Value)>);

impl Configurations {
    /// Reads both kinds of each name; what is not there will have the bundle later.
    pub(super) async fn read(api: &Api, names: &[String]) -> Result<Configurations, Trouble> {
        let mut read = Vec::new();
        for name in names {
            for kind in KINDS {
                let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}");
                match api.get(&path).await {
                    Ok(configuration) => read.push((path, configuration)),
                    Err(Trouble::NotFound) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        Ok(Configurations(read))
    }

    /// Puts the bundle where it is missing. Returns at how many entries it was.
    pub(super) async fn put(&self, api: &Api, service: (&str, &str), bundle: &str) -> Result<usize, Trouble> {
        let mut put = 0;
        for (path, configuration) in &self.0 {
            let operations = operations(configuration, service, &STANDARD.encode(bundle));
            if let Some((entries, operations)) = operations {
                api.patch(path, &operations).await?;
                put += entries;
            }
        }
        Ok(put)
    }
}

/// The patch that puts a configuration right, if it is not, and of how many entries.
fn operations(
    configuration: &Value,
    (name, namespace): (&str, &str),
    bundle: &str,
) -> Option<(usize, Value)> {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array)?;
    let version = configuration.pointer("/metadata/resourceVersion")?;
    let mut operations = vec![json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version })];
    let text =
        |webhook: &Value, pointer: &str| webhook.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut entries = 0;
    for (at, webhook) in webhooks.iter().enumerate() {
        let of = |key: &str| text(webhook, &format!("/clientConfig/service/{key}"));
        let ours = of("name").as_deref() == Some(name) && of("namespace").as_deref() == Some(namespace);
        if !ours || text(webhook, "/clientConfig/caBundle").as_deref() == Some(bundle) {
            continue;
        }
        let name = webhook.get("name")?;
        operations.push(json!({ "op": "test", "path": format!("/webhooks/{at}/name"), "value": name }));
        let path = format!("/webhooks/{at}/clientConfig/caBundle");
        operations.push(json!({ "op": "add", "path": path, "value": bundle }));
        entries += 1;
    }
    (entries > 0).then_some((entries, Value::Array(operations)))
}

const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_entries_are_touched_and_only_when_they_differ() {
        let entry = |name: &str, service: &str, bundle: &str| {
            json!({ "name": name, "clientConfig": {
                "service": { "name": service, "namespace": "us" }, "caBundle": bundle } })
        };
        let of = |webhooks: Value| json!({ "metadata": { "resourceVersion": "7" }, "webhooks": webhooks });
        let mixed = of(json!([entry("a", "we", "new"), entry("b", "others", "x"), entry("c", "we", "")]));
        let (entries, patch) = operations(&mixed, ("we", "us"), "new").unwrap();
        assert_eq!(entries, 1);
        assert_eq!(
            patch,
            json!([
                { "op": "test", "path": "/metadata/resourceVersion", "value": "7" },
                { "op": "test", "path": "/webhooks/2/name", "value": "c" },
                { "op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "new" },
            ])
        );
        assert!(operations(&of(json!([entry("a", "we", "new")])), ("we", "us"), "new").is_none());
        assert!(operations(&of(json!([entry("a", "we", "")])), ("we", "them"), "new").is_none());
    }
}
