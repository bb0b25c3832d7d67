//! The OpenAPI document, made of the table of endpoints.

use serde_json::{Map, Value, json};

use super::access::Role;
use super::routes::{Form, ROUTES, Route, Verb};

/// The document (OpenAPI 3.1).
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.as_str().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Banyan administration",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reads and changes a running proxy. What changes something needs the \
                            unix socket, this machine, or a token.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if route.gives == Form::Json("Outcome") {
        parameters.extend(terms());
    }
    let mut operation = json!({
        "summary": route.says,
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done.", "content": content(route.gives) },
            "default": {
                "description": "Refused: nothing has changed.",
                "content": match route.gives {
                    Form::Json(_) => content(Form::Json("Error")),
                    _ => content(Form::Text),
                },
            },
        },
    });
    if route.takes != Form::Nothing {
        operation["requestBody"] =
            json!({ "required": route.takes != Form::Text, "content": content(route.takes) });
    }
    if route.role == Role::Write {
        operation["security"] = json!([{ "token": [] }, {}]);
    }
    if route.verb == Verb::Get && route.path == "/readyz" {
        operation["responses"]["503"] =
            json!({ "description": "Not ready.", "content": content(Form::Text) });
    }
    operation
}

/// On which terms a change is to be made.
fn terms() -> [Value; 3] {
    [
        json!({ "name": "dry_run", "in": "query", "schema": { "type": "boolean" },
            "description": "Only say what it would change." }),
        json!({ "name": "version", "in": "query", "schema": { "type": "integer" },
            "description": "Only when this version runs." }),
        json!({ "name": "confirm_within", "in": "query", "schema": { "type": "string" },
            "description": "Roll back by itself unless confirmed within this duration, as 30s." }),
    ]
}

fn content(form: Form) -> Value {
    match form {
        Form::Nothing => json!({}),
        Form::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Form::Json(name) => {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
            json!({ "application/json": { "schema": schema } })
        }
    }
}

fn schemas() -> Value {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let number = json!({ "type": "integer", "minimum": 0 });
    let time = json!({ "type": ["string", "null"] });
    let findings = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Finding" } });
    let object = |members: Value| {
        let required: Vec<_> = members
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect();
        json!({ "type": "object", "required": required, "properties": members, "additionalProperties": false })
    };
    let level = object(json!({ "output": { "type": "string" }, "level": { "type": "string" } }));
    json!({
        "Any": { "type": "object" },
        "Objects": { "type": "array", "items": { "type": "object" } },
        "Edits": object(json!({ "edits": { "type": "array", "items": {
            "type": "object", "minProperties": 1, "maxProperties": 1 } } })),
        "Configuration": object(json!({ "version": number, "configuration": { "type": ["object", "null"] } })),
        "Version": object(json!({ "version": number })),
        "Outcome": object(json!({
            "version": number, "dry_run": { "type": "boolean" }, "changes": texts,
            "connections_affected": number, "warnings": findings, "confirm_until": time,
        })),
        "Drift": object(json!({ "drift": { "type": "boolean" }, "changes": texts, "findings": findings })),
        "History": { "type": "array", "items": object(json!({
            "version": number, "at": { "type": "string" }, "by": { "type": "string" }, "changes": texts })) },
        "LogLevel": level.clone(),
        "LogLevels": { "type": "array", "items": level },
        "Status": object(json!({
            "pid": number, "state": number, "version": number, "since": { "type": "string" },
            "confirm_until": time, "listeners": { "$ref": "#/components/schemas/Objects" },
            "clusters": { "$ref": "#/components/schemas/Objects" },
        })),
        "Node": { "type": "object" },
        "Finding": {
            "type": "object", "required": ["severity", "code", "path", "message"],
            "properties": { "severity": { "enum": ["error", "warning", "note"] }, "code": { "type": "string" },
                "path": { "type": "string" }, "message": { "type": "string" }, "found": { "type": "string" },
                "accepted": { "type": "string" }, "suggestion": { "type": "string" },
                "file": { "type": "string" }, "line": number, "column": number },
            "additionalProperties": false,
        },
        "Error": object(json!({ "error": object(json!({
            "code": { "type": "string" }, "message": { "type": "string" }, "findings": findings })) })),
    })
}
