//! The template as it is written.

use std::collections::BTreeMap;

use yaml_serde::Value;

/// The template, and what the tests ask of it.
pub(crate) struct Template(Value);

impl Template {
    pub(crate) fn read() -> Self {
        // The parser refuses duplicate keys, which CloudFormation would let pass.
        Template(yaml(include_str!("../../template.yaml")))
    }

    /// The value under `path`.
    pub(crate) fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(&self.0, |value, key| {
            value.get(*key).unwrap_or_else(|| panic!("template.yaml has no {}", path.join(".")))
        })
    }

    pub(crate) fn parameter(&self, name: &str) -> &Value {
        self.at(&["Parameters", name])
    }

    pub(crate) fn property(&self, resource: &str, name: &str) -> &Value {
        self.at(&["Resources", resource, "Properties", name])
    }

    /// A property of what connects the queue to the function.
    pub(crate) fn mapping(&self, name: &str) -> &Value {
        self.property("ForwarderMessages", name)
    }

    /// A property that both functions have.
    pub(crate) fn shared(&self, name: &str) -> &Value {
        self.at(&["Globals", "Function", name])
    }

    /// A function's environment: each variable's name and what the template sets it to.
    pub(crate) fn environment_of(&self, function: &str) -> BTreeMap<&str, &Value> {
        let shared = &self.shared("Environment")["Variables"];
        let own = &self.property(function, "Environment")["Variables"];
        let entries =
            [shared, own].into_iter().flat_map(|variables| variables.as_mapping().expect("a mapping"));
        entries.map(|(name, value)| (name.as_str().expect("a name"), value)).collect()
    }

    pub(crate) fn environment(&self) -> BTreeMap<&str, &Value> {
        self.environment_of("Forwarder")
    }

    /// Whether a parameter may have a value, by its pattern.
    pub(crate) fn pattern(&self, parameter: &str) -> impl Fn(&str) -> bool {
        let pattern = text(&self.parameter(parameter)["AllowedPattern"]);
        let pattern =
            jsonschema::validator_for(&serde_json::json!({ "pattern": pattern })).expect("a schema");
        move |value| pattern.is_valid(&value.into())
    }

    /// The values a parameter may have.
    pub(crate) fn allowed(&self, parameter: &str) -> Vec<u64> {
        let allowed = self.parameter(parameter)["AllowedValues"].as_sequence().expect("a list");
        allowed.iter().map(|value| text(value).parse().expect("a number")).collect()
    }

    /// What the visibility timeout is for each pair of function timeout and batching window.
    pub(crate) fn visibility(&self) -> Vec<(u64, u64, u64)> {
        let entries = |value: &Value| -> Vec<(u64, Value)> {
            // Quoted keys, because CloudFormation looks for text.
            let entry = |(key, value): (&Value, &Value)| {
                (key.as_str().expect("a quoted key").parse().expect("a number"), value.clone())
            };
            value.as_mapping().expect("a mapping").iter().map(entry).collect()
        };
        let rows = entries(self.at(&["Mappings", "VisibilityTimeout"]));
        let columns = |(timeout, row): (u64, Value)| {
            entries(&row).into_iter().map(move |(window, visibility)| (timeout, window, number(&visibility)))
        };
        rows.into_iter().flat_map(columns).collect()
    }
}

pub(crate) fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).expect("YAML")
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value:?} is not a whole number"))
}

/// The text of a scalar, as CloudFormation hands it to the function.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => number(other).to_string(),
    }
}

/// The parameter that a value is a plain `!Ref` to.
pub(crate) fn referred(value: &Value) -> Option<&str> {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => tagged.value.as_str(),
        _ => None,
    }
}

/// The condition under which a value is there at all, and the value.
pub(crate) fn conditional(value: &Value) -> (Option<&str>, &Value) {
    match value {
        Value::Tagged(tagged) if tagged.tag == "If" => {
            assert_eq!(tagged.value[2], yaml("!Ref AWS::NoValue"));
            (tagged.value[0].as_str(), &tagged.value[1])
        }
        _ => (None, value),
    }
}
