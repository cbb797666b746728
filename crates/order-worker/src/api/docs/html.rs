//! The OpenAPI document as one page of HTML: no script, nothing loaded from elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#1a1a1a;background:#fff}\
    h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}\
    code{font-family:ui-monospace,monospace;font-size:.9em;background:#f4f4f4;padding:.1em .3em}\
    .method{display:inline-block;min-width:3.5em;font-weight:700}\
    table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}\
    td,th{border:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}\
    @media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}\
    code{background:#2a2a2a}td,th,h2{border-color:#444}a{color:#8ab4ff}}";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><p>{}</p>\
         <p><a href=\"/openapi.json\">OpenAPI document</a></p>",
        marked(&document["info"]["description"])
    );
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            operation_section(&mut html, path, method, operation);
        }
    }
    push(&mut html, format_args!("<h2>Types</h2>"));
    for (name, schema) in members(&document["components"]["schemas"]) {
        type_section(&mut html, name, schema);
    }
    html.push_str("</body></html>");
    html
}

fn operation_section(html: &mut String, path: &str, method: &str, operation: &Value) {
    let method = method.to_uppercase();
    push(
        html,
        format_args!(
            "<h2><span class=\"method\">{method}</span> <code>{}</code></h2><p>{}</p><p>{}</p>",
            escape(path),
            marked(&operation["summary"]),
            marked(&operation["description"])
        ),
    );
    if let Some(scope) = operation.pointer("/security/0/token/0") {
        push(html, format_args!("<p>Bearer token with <code>{}</code>.</p>", text(scope)));
    }
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        html.push_str("<table><tr><th>Parameter</th><th>In</th><th></th></tr>");
        for parameter in parameters {
            push(
                html,
                format_args!(
                    "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                    text(&parameter["name"]),
                    text(&parameter["in"]),
                    marked(&parameter["description"])
                ),
            );
        }
        html.push_str("</table>");
    }
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        push(html, format_args!("<p>Body: {}</p>", kind(schema)));
    }
    html.push_str("<table><tr><th>Status</th><th></th><th>Body</th></tr>");
    for (status, response) in members(&operation["responses"]) {
        let body = response.pointer("/content/application~1json/schema");
        push(
            html,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(status),
                marked(&response["description"]),
                body.map(kind).unwrap_or_default()
            ),
        );
    }
    html.push_str("</table>");
}

fn type_section(html: &mut String, name: &str, schema: &Value) {
    let name = escape(name);
    push(
        html,
        format_args!("<h3 id=\"{name}\">{name}</h3><p>{}</p>", marked(&schema["description"])),
    );
    html.push_str("<table><tr><th>Field</th><th>Type</th><th></th></tr>");
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (field, schema) in members(&schema["properties"]) {
        let needed = if required.contains(&field.as_str()) { "" } else { " (optional)" };
        push(
            html,
            format_args!(
                "<tr><td><code>{}</code>{needed}</td><td>{}</td><td>{}</td></tr>",
                escape(field),
                kind(schema),
                marked(&schema["description"])
            ),
        );
    }
    html.push_str("</table>");
}

/// A schema's type, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        let named: Vec<String> =
            variants.iter().filter(|variant| variant["type"] != "null").map(kind).collect();
        return named.join(" or ");
    }
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().find(|name| *name != "null").unwrap_or(&Value::Null),
        name => name,
    };
    match named.as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some(name) => match schema["format"].as_str() {
            Some(format) => format!("{} ({})", escape(name), escape(format)),
            None => escape(name),
        },
        None => "any".to_owned(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

/// Text in which `` ` `` marks code.
fn marked(value: &Value) -> String {
    let escaped = text(value);
    let mut html = String::with_capacity(escaped.len());
    for (index, part) in escaped.split('`').enumerate() {
        if index % 2 == 1 {
            push(&mut html, format_args!("<code>{part}</code>"));
        } else {
            html.push_str(part);
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn push(html: &mut String, part: std::fmt::Arguments<'_>) {
    html.write_fmt(part).expect("a String takes everything");
}
