//! The types that the published contract gives to the optional fields of a cluster.
//!
//! They are kept and given back as they came. A client that reads them with these types refuses the whole list for one that
//! does not fit, so whoever sends one is told. Fields that the contract does not know stay what they are.

use serde_json::{Map, Value};
use tokenward_core::error::Faults;

/// What a value must be. Null stands for absent everywhere but in a list.
enum Type {
    Text,
    /// A number without a fraction, of 32 bits.
    Whole,
    /// The same of 64 bits.
    Long,
    Number,
    Truth,
    /// One of these words.
    Words(&'static [&'static str]),
    TextOrTruth,
    List(&'static Self),
    /// Texts by name.
    Texts,
    Object(&'static [Field]),
    /// Only a server says this.
    Answer,
    /// There is none here, so that the list is empty.
    None,
}

use Type::{Answer, List, Long, Number, Object, Text, TextOrTruth, Texts, Truth, Whole, Words};

struct Field {
    name: &'static str,
    of: Type,
    is_required: bool,
}

const fn may(name: &'static str, of: Type) -> Field {
    Field { name, of, is_required: false }
}

const fn must(name: &'static str, of: Type) -> Field {
    Field { name, of, is_required: true }
}

const ENABLED: &[Field] = &[must("enabled", Truth)];

const CLUSTER: &[Field] = &[
    may("description", Text),
    may("min_running_nodes", Whole),
    may("max_running_nodes", Whole),
    may("disk_size", Whole),
    may("disk_iops", Whole),
    may("disk_throughput", Whole),
    may("instance_type", Text),
    may("kubernetes", Words(&["MANAGED", "SELF_MANAGED", "PARTIALLY_MANAGED"])),
    may("cpu", Whole),
    may("memory", Whole),
    may("estimated_cloud_provider_cost", Whole),
    may("has_access", Truth),
    may("version", Text),
    may("is_default", Truth),
    may("is_demo", Truth),
    may("production", Truth),
    may("ssh_keys", List(&Text)),
    may("features", List(&Object(FEATURE))),
    may("deployment_status", Words(&["NEVER_DEPLOYED", "OUT_OF_DATE", "UP_TO_DATE"])),
    may("metrics_parameters", Object(METRICS)),
    may("infrastructure_outputs", Answer),
    may("infrastructure_charts_parameters", Object(CHARTS)),
    may("keda", Object(ENABLED)),
    may("labels_groups", List(&Object(&[may("id", Text)]))),
    may("secret_manager_accesses", Type::None),
    may("cloud_provider_credentials", Object(CREDENTIALS)),
];

const FEATURE: &[Field] = &[
    may("id", Text),
    may("title", Text),
    may("description", Text),
    may("cost_per_month_in_cents", Whole),
    may("cost_per_month", Number),
    may("currency_code", Text),
    may("is_cloud_provider_paying_feature", Truth),
    may("cloud_provider_feature_documentation", Text),
    may("is_qovery_paying_feature", Truth),
    may("qovery_feature_documentation", Text),
    may("value_type", Text),
    may("value_object", Answer),
    may("is_value_updatable", Truth),
    may("accepted_values", List(&TextOrTruth)),
];

const METRICS: &[Field] = &[
    may("enabled", Truth),
    may(
        "configuration",
        Object(&[
            may("kind", Words(&["MANAGED_BY_QOVERY"])),
            may("resource_profile", Words(&["LOW", "NORMAL", "HIGH"])),
            may("cloud_watch_export_config", Object(ENABLED)),
            may("high_availability", Truth),
            may("internal_network_monitoring", Object(ENABLED)),
            may(
                "alerting",
                Object(&[
                    must("enabled", Truth),
                    may("default_rule_labels", Texts),
                    may("spec_config_secret", Text),
                    may("spec_external_url", Text),
                    may("config_name", Text),
                ]),
            ),
        ]),
    ),
];

const CHARTS: &[Field] = &[
    may(
        "nginx_parameters",
        Object(&[
            may("replica_count", Whole),
            may("default_ssl_certificate", Text),
            may("publish_status_address", Text),
            may("annotation_metal_lb_load_balancer_ips", Text),
            may("annotation_external_dns_kubernetes_target", Text),
        ]),
    ),
    may("cert_manager_parameters", Object(&[may("kubernetes_namespace", Text)])),
    may("metal_lb_parameters", Object(&[may("ip_address_pools", List(&Text))])),
    may(
        "eks_anywhere_parameters",
        Object(&[
            must(
                "git_repository",
                Object(&[
                    must("url", Text),
                    may("branch", Text),
                    may("commit_id", Text),
                    must("git_token_id", Text),
                    may("provider", Words(&["BITBUCKET", "GITHUB", "GITLAB"])),
                ]),
            ),
            must("yaml_file_path", Text),
            may(
                "cluster_backup",
                Object(&[
                    may("enabled", Truth),
                    may("timeout_seconds", Long),
                    may("certs_secret_name", Text),
                    must(
                        "s3",
                        Object(&[
                            must("bucket", Text),
                            must("region", Text),
                            must("role_arn", Text),
                            may("key_prefix", Text),
                        ]),
                    ),
                ]),
            ),
        ]),
    ),
];

/// The words for a provider that has credentials; a cluster can be with more of them.
pub const WITH_CREDENTIALS: [&str; 5] = ["AWS", "SCW", "GCP", "ON_PREMISE", "AZURE"];

const CREDENTIALS: &[Field] = &[
    may("cloud_provider", Words(&WITH_CREDENTIALS)),
    may("credentials", Object(&[may("id", Text), may("name", Text)])),
    may("region", Text),
];

/// Tells every field of a cluster that is not of its type.
pub(super) fn check(body: &Map<String, Value>, faults: &mut Faults) {
    fields(CLUSTER, body, "", faults);
}

fn fields(known: &[Field], body: &Map<String, Value>, path: &str, faults: &mut Faults) {
    for field in known {
        let path = format!("{path}{}", field.name);
        match body.get(field.name) {
            None if field.is_required => faults.push(path, "is missing"),
            None => {}
            Some(Value::Null) if !field.is_required => {}
            Some(value) => check_value(&field.of, value, &path, faults),
        }
    }
}

fn check_value(of: &Type, value: &Value, path: &str, faults: &mut Faults) {
    let fits = match (of, value) {
        (Text, Value::String(_)) | (Truth, Value::Bool(_)) | (Number, Value::Number(_)) => true,
        (TextOrTruth, value) => value.is_string() || value.is_boolean(),
        (Whole, value) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        (Long, value) => value.is_i64(),
        (Words(words), Value::String(word)) => words.contains(&word.as_str()),
        (Texts, Value::Object(all)) => all.values().all(Value::is_string),
        (Type::None, Value::Array(all)) => all.is_empty(),
        (List(of), Value::Array(all)) => {
            for (at, entry) in all.iter().enumerate() {
                check_value(of, entry, &format!("{path}[{at}]"), faults);
            }
            true
        }
        (Object(known), Value::Object(body)) => {
            fields(known, body, &format!("{path}."), faults);
            true
        }
        _ => false,
    };
    if !fits {
        faults.push(path, wanted(of));
    }
}

fn wanted(of: &Type) -> String {
    match of {
        Text => "must be a text".into(),
        Whole => "must be a whole number of 32 bits".into(),
        Long => "must be a whole number".into(),
        Number => "must be a number".into(),
        Truth => "must be true or false".into(),
        TextOrTruth => "must be a text, true or false".into(),
        Words(words) => format!("is not one of {}", words.join(", ")),
        List(_) => "must be a list".into(),
        Texts => "must be an object of texts".into(),
        Object(_) => "must be an object".into(),
        Answer => "is told by the server; leave it out".into(),
        Type::None => "must be empty: this server has no other secret managers".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(body: Value) -> Vec<String> {
        let Value::Object(body) = body else { panic!("no object: {body}") };
        let mut faults = Faults::default();
        check(&body, &mut faults);
        let told = |error: tokenward_core::Error| error.faults.iter().map(|fault| fault.field.clone()).collect();
        faults.finish().err().map(told).unwrap_or_default()
    }

    /// A value that does not fit, for each type.
    fn wrong(of: &Type) -> Value {
        match of {
            Text | Words(_) | Texts | Object(_) | List(_) | TextOrTruth => json!(7),
            Whole => json!(4_294_967_296_u64),
            Long => json!(1.5),
            Number | Truth => json!("BOGUS"),
            Answer => json!({ "kind": "EKS" }),
            Type::None => json!([{ "id": "x" }]),
        }
    }

    #[test]
    fn every_published_field_is_told_when_it_has_another_type() {
        let body: Map<String, Value> = CLUSTER.iter().map(|field| (field.name.to_owned(), wrong(&field.of))).collect();
        let names: Vec<&str> = CLUSTER.iter().map(|field| field.name).collect();
        assert_eq!(faults(Value::Object(body)), names);
    }

    #[test]
    fn what_fits_and_what_nobody_knows_is_taken() {
        let fits = json!({
            "kubernetes": "SELF_MANAGED", "min_running_nodes": 3, "production": true, "description": null,
            "features": [{ "id": "STATIC_IP", "value": { "anything": [1] } }, { "accepted_values": [true, "a"] }],
            "keda": { "enabled": false }, "ssh_keys": ["ssh-ed25519 AAAA"], "secret_manager_accesses": [],
            "metrics_parameters": { "enabled": true, "configuration": { "kind": "MANAGED_BY_QOVERY" } },
            "our own": { "kubernetes": 1 },
        });
        assert_eq!(faults(fits), Vec::<String>::new());
    }

    #[test]
    fn faults_inside_are_told_by_their_path() {
        let body = json!({
            "ssh_keys": ["a", null],
            "features": [{ "id": 1 }, "b"],
            "keda": {},
            "infrastructure_charts_parameters": { "eks_anywhere_parameters": { "yaml_file_path": "a", "git_repository": { "url": "b" } } },
        });
        let told = [
            "ssh_keys[1]",
            "features[0].id",
            "features[1]",
            "infrastructure_charts_parameters.eks_anywhere_parameters.git_repository.git_token_id",
            "keda.enabled",
        ];
        assert_eq!(faults(body), told);
    }
}
