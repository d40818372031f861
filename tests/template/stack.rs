//! The template as CloudFormation makes a stack of it.

use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::Value;

use crate::document::{Template, number, text};

/// A queue of one's own.
pub(crate) const EXISTING: (&str, &str) = ("ExistingQueueArn", "arn:aws:sqs:eu-west-1:123456789012:orders");

/// What CloudFormation makes of the template for a stack with these parameters, as far as the tests ask for it.
pub(crate) struct Stack<'a> {
    pub(crate) template: &'a Template,
    pub(crate) given: &'a [(&'a str, &'a str)],
}

impl Stack<'_> {
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let given = self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| self.template.at(&["Parameters"]).get(name)?.get("Default").map(text))
    }

    /// The value of a reference; a resource's is its own name, an attribute's `Resource.Attribute`.
    pub(crate) fn reference(&self, name: &str) -> String {
        match name {
            "AWS::AccountId" => "123456789012".to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => "eu-west-1".to_owned(),
            "AWS::StackName" => "stack".to_owned(),
            _ => self.parameter(name).unwrap_or_else(|| {
                let resource = name.split('.').next().unwrap_or_default();
                assert!(self.template.at(&["Resources"]).get(resource).is_some(), "there is no {name}");
                name.to_owned()
            }),
        }
    }

    pub(crate) fn holds(&self, condition: &Value) -> bool {
        let Value::Tagged(tagged) = condition else {
            return self.holds(self.template.at(&["Conditions", condition.as_str().expect("a condition")]));
        };
        let mut operands = tagged.value.as_sequence().into_iter().flatten();
        match tagged.tag.to_string().trim_start_matches('!') {
            "Condition" => self.holds(&tagged.value),
            "Not" => !self.holds(&tagged.value[0]),
            "And" => operands.all(|operand| self.holds(operand)),
            "Or" => operands.any(|operand| self.holds(operand)),
            "Equals" => self.text(&tagged.value[0]) == self.text(&tagged.value[1]),
            other => panic!("!{other} as a condition"),
        }
    }

    /// A value without functions; none if it comes to nothing.
    pub(crate) fn resolve(&self, value: &Value) -> Option<Value> {
        let of = |value: &Value| self.resolve(value).expect("a value");
        let list = |value: &Value| -> Vec<String> {
            of(value).as_sequence().expect("a list").iter().map(text).collect()
        };
        let Value::Tagged(tagged) = value else {
            return Some(match value {
                Value::Sequence(items) => items.iter().filter_map(|item| self.resolve(item)).collect(),
                Value::Mapping(entries) => Value::Mapping(
                    entries
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), self.resolve(value)?)))
                        .collect(),
                ),
                plain => plain.clone(),
            });
        };
        let value = &tagged.value;
        Some(match tagged.tag.to_string().trim_start_matches('!') {
            "Ref" if value == "AWS::NoValue" => return None,
            "Ref" | "GetAtt" => self.reference(value.as_str().expect("a name")).into(),
            "If" => return self.resolve(&value[if self.holds(&value[0]) { 1 } else { 2 }]),
            "Select" => of(&value[1])[usize::try_from(number(&value[0])).expect("an index")].clone(),
            "Split" => {
                let separator = text(&value[0]);
                self.text(&value[1]).split(&separator).map(Value::from).collect()
            }
            "FindInMap" => {
                let keys: Vec<_> = (0..3).map(|place| self.text(&value[place])).collect();
                let default = value.get(3).map(|last| &last["DefaultValue"]);
                let row = self.template.at(&["Mappings", &keys[0]]).get(&keys[1]);
                row.and_then(|row| row.get(&keys[2])).or(default).expect("an entry").clone()
            }
            "Join" => list(&value[1]).join(&text(&value[0])).into(),
            "Sub" => match value.as_sequence() {
                Some(pair) => self.substitute(&text(&pair[0]), &of(&pair[1])),
                None => self.substitute(&text(value), &Value::Null),
            }
            .into(),
            other => panic!("!{other}"),
        })
    }

    pub(crate) fn text(&self, value: &Value) -> String {
        text(&self.resolve(value).expect("a value"))
    }

    pub(crate) fn substitute(&self, template: &str, own: &Value) -> String {
        let mut pieces = template.split("${");
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').expect("a closing brace");
            whole += &own.get(name).map_or_else(|| self.reference(name), text);
            whole += rest;
        }
        whole
    }

    /// The resources of this type that the stack has, by name.
    pub(crate) fn resources(&self, of_type: &str) -> Vec<(String, Value)> {
        let resources = self.template.at(&["Resources"]).as_mapping().expect("a mapping");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == of_type)
            .filter(|(_, resource)| resource.get("Condition").is_none_or(|condition| self.holds(condition)))
            .map(|(name, resource)| (text(name), self.resolve(&resource["Properties"]).expect("properties")))
            .collect()
    }

    /// What a role allows, as `action on resource`.
    pub(crate) fn allowed_to(&self, role: &str) -> BTreeSet<String> {
        let inline = self.resolve(self.template.property(role, "Policies")).expect("policies");
        let inline = inline.as_sequence().expect("a list").clone();
        let attached = self.resources("AWS::IAM::RolePolicy").into_iter().map(|(_, policy)| policy);
        let policies = inline.into_iter().chain(attached.filter(|policy| policy["RoleName"] == role));
        let statements = policies
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().expect("a list").clone());
        statements
            .filter(|statement| statement["Effect"] == "Allow")
            .flat_map(|statement| {
                let actions = statement["Action"].as_sequence().cloned();
                let resource = text(&statement["Resource"]);
                actions
                    .unwrap_or_else(|| vec![statement["Action"].clone()])
                    .into_iter()
                    .map(move |action| format!("{} on {resource}", text(&action)))
            })
            .collect()
    }
}

/// The alarms of a stack, by the name that the run-book has them under.
pub(crate) fn alarms(template: &Template, given: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let stack = Stack { template, given };
    let kinds = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];
    let alarms = kinds.iter().flat_map(|kind| stack.resources(kind));
    let name = |alarm: &Value| text(&alarm["AlarmName"]).strip_prefix("stack-").expect("a name").to_owned();
    alarms.map(|(_, alarm)| (name(&alarm), alarm)).collect()
}

/// What an alarm watches: a metric, or those in its expression.
pub(crate) fn metrics_of(alarm: &Value) -> Vec<Value> {
    let Some(terms) = alarm.get("Metrics").and_then(Value::as_sequence) else { return vec![alarm.clone()] };
    let expression = text(&terms[0]["Expression"]);
    let statistics = &terms[1..];
    let is_used = |term: &Value| expression.contains(&text(&term["Id"])) && term["ReturnData"] == false;
    assert!(statistics.iter().all(is_used), "{expression}");
    statistics.iter().map(|term| term["MetricStat"]["Metric"].clone()).collect()
}
