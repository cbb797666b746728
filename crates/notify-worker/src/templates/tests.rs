use contracts::{Extra, OrderNo, UserId};
use serde_json::json;

use super::{Rendered, TemplateError, Templates, Values, builtin};
use crate::store::TemplateRow;

fn params(value: serde_json::Value) -> Extra {
    serde_json::from_value(value).expect("an object")
}

fn render(
    templates: &Templates,
    name: &str,
    locales: &[&str],
    params: &Extra,
) -> Result<Rendered, TemplateError> {
    let order_no = OrderNo::new("A1").expect("valid");
    let values = Values { params, order_no: Some(&order_no), user_id: Some(UserId(7)) };
    templates.render(name, locales, values)
}

fn row(template: &str, locale: &str, subject: &str, body: &str) -> TemplateRow {
    TemplateRow {
        template: template.to_owned(),
        locale: locale.to_owned(),
        subject: subject.to_owned(),
        body: body.to_owned(),
    }
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", self.subject, self.body)
    }
}

#[test]
fn every_built_in_template_is_there_in_both_languages_and_needs_only_the_order_number() {
    let templates = Templates::new("en");
    for name in ["confirmed", "rejected", "cancelled", "expired", "refunded"] {
        let name = format!("order.{name}");
        for locale in ["en", "zh"] {
            assert!(builtin::ALL.iter().any(|known| known.0 == name && known.1 == locale));
            let text = render(&templates, &name, &[locale], &Extra::new()).expect("filled in");
            assert!(text.subject.contains("A1") && text.body.contains("A1"), "{text:?}");
        }
    }
}

#[test]
fn the_closest_language_is_taken_then_the_default_one() {
    let templates = Templates::new("en");
    let subject = |locales: &[&str]| {
        render(&templates, "order.expired", locales, &Extra::new()).expect("filled in").subject
    };
    for chinese in ["zh", "zh-CN", "ZH_hant_TW"] {
        assert!(subject(&[chinese]).starts_with("订单"), "{chinese}");
    }
    assert!(subject(&["fr", "zh"]).starts_with("订单"));
    assert!(subject(&["fr-CH"]).starts_with("Expired"));
    assert!(subject(&[]).starts_with("Expired"));
}

#[test]
fn rows_of_the_table_stand_in_for_the_built_in_ones_and_beside_them() {
    let templates = Templates::new("en");
    templates.replace(vec![
        row("order.expired", "en", "Too late", "{{ name }}: {{seats}} ({{userId}})"),
        row("show.moved", "de", "Verlegt", "{{orderNo}}"),
        row("order.refunded", "en", "broken", "{{name"),
    ]);
    let values = params(json!({ "name": "{{seats}}", "seats": 2 }));
    let text = render(&templates, "order.expired", &["en"], &values).expect("filled in");
    assert_eq!((&*text.subject, &*text.body), ("Too late", "{{seats}}: 2 (7)"));
    assert!(render(&templates, "show.moved", &["en"], &values).is_ok());
    let text = render(&templates, "order.refunded", &["en"], &values).expect("filled in");
    assert!(text.subject.starts_with("Refunded"), "an unreadable row is left out");
}

#[test]
fn an_unknown_template_and_a_missing_value_are_named() {
    let templates = Templates::new("en");
    let unknown = render(&templates, "order.lost", &[], &Extra::new()).expect_err("unknown");
    assert_eq!(unknown.to_string(), "template \"order.lost\" is unknown");
    templates.replace(vec![row("x", "en", "s", "{{name}}")]);
    for value in [json!({}), json!({ "name": null }), json!({ "name": [1] })] {
        let missing = render(&templates, "x", &[], &params(value)).expect_err("missing");
        assert_eq!(missing.to_string(), "template \"x\" needs the parameter \"name\"");
    }
}
