//! Every input has a limit: found by a walk over the OpenAPI document, and then sent one more than it holds.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokenward_server::limits::WORD;

use crate::held_back::{Held, JSON, is_tested};
use crate::support::{Answer, Organization, Server};

/// What an input is bounded by.
#[derive(Clone, PartialEq, Debug)]
enum Bound {
    /// So many characters, entries or bytes, under the name of a limit.
    Named(String, usize),
    /// What it may be at all: a UUID, a time, one of a few words.
    Kind,
}

/// One input: where it is in a body, and what bounds it.
#[derive(Clone, Debug)]
struct Input {
    /// Names of fields; `[]` is an entry of a list, `*` a field of any name.
    path: Vec<String>,
    schema: Value,
    bound: Option<Bound>,
}

struct Document(Value);

impl Document {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(path) => self.resolve(&self.0["components"]["schemas"][path.rsplit('/').next().unwrap()]),
            None => schema,
        }
    }

    /// Every operation: its method, its path, and what is said of it.
    fn operations(&self) -> Vec<(Method, String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(method, operation)| (method.to_uppercase().parse().unwrap(), path.clone(), operation))
            })
            .collect()
    }

    /// The inputs of a schema, lists and objects among them.
    fn walk(&self, schema: &Value, path: &[String], found: &mut Vec<Input>) {
        let schema = self.resolve(schema);
        assert!(path.len() < 12, "{path:?} goes round in circles");
        for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            self.walk(part, path, found);
        }
        let named = |key: &str| {
            let name = schema["x-limit"].as_str()?;
            Some(Bound::Named(name.to_owned(), usize::try_from(schema[key].as_u64()?).unwrap()))
        };
        let mut input = |bound| found.push(Input { path: path.to_vec(), schema: schema.clone(), bound });
        match kind(schema) {
            Some("string") => {
                let format = schema["format"].as_str().unwrap_or_default();
                // What has one length alone needs no limit that an operator would know by its name.
                let is_one_length = schema["minLength"].is_u64() && schema["minLength"] == schema["maxLength"];
                let is_kind = schema["enum"].is_array() || ["uuid", "date-time"].contains(&format) || is_one_length;
                input(if is_kind { Some(Bound::Kind) } else { named("maxLength") });
            }
            Some("array") => {
                input(named("maxItems"));
                self.walk(&schema["items"], &[path, &["[]".to_owned()]].concat(), found);
            }
            Some("object") => {
                let further = &schema["additionalProperties"];
                // An object of which nothing is said may have anything.
                let is_any = schema["properties"].as_object().is_none_or(Map::is_empty) && *further != false;
                if is_any || further.is_object() || *further == true {
                    let path = [path, &["*".to_owned()]].concat();
                    found.push(Input { path, schema: schema.clone(), bound: named("x-max-bytes") });
                }
                for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                    self.walk(field, &[path, std::slice::from_ref(name)].concat(), found);
                }
            }
            Some("integer" | "number" | "boolean" | "null") => {}
            // What is made of parts was walked above; anything else could be anything.
            _ => assert!(
                ["allOf", "oneOf", "anyOf"].iter().any(|key| schema[*key].is_array()),
                "{path:?} has no type: {schema}"
            ),
        }
    }

    /// The media types of an operation's body, and the schema of it.
    fn body<'a>(&self, operation: &'a Value) -> Option<(&'a str, &'a Value)> {
        let content = operation["requestBody"]["content"].as_object()?;
        content.iter().next().map(|(media, it)| (media.as_str(), &it["schema"]))
    }

    /// Something that a schema takes.
    fn sample(&self, schema: &Value, name: &str) -> Value {
        let schema = self.resolve(schema);
        if let Some(parts) = schema["allOf"].as_array() {
            let all = parts.iter().map(|part| self.sample(part, name)).filter_map(|it| it.as_object().cloned());
            return Value::Object(all.flatten().collect());
        }
        if let Some(first) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|it| it["type"] != "null")) {
            return self.sample(first, name);
        }
        if schema["enum"].is_array() {
            return schema["enum"][0].clone();
        }
        match (kind(schema), schema["format"].as_str()) {
            (Some("string"), Some("uuid")) => "0193614c-2a00-7c41-9f3a-000000000001".into(),
            (Some("string"), Some("date-time")) => "2099-01-31T00:00:00Z".into(),
            (Some("string"), _) => word(name).into(),
            (Some("integer" | "number"), _) => 1.into(),
            (Some("boolean"), _) => true.into(),
            (Some("array"), _) => json!([]),
            _ => {
                let required: Vec<&str> =
                    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let fields = schema["properties"].as_object().into_iter().flatten();
                let needed = fields.filter(|(name, _)| required.contains(&name.as_str()));
                Value::Object(needed.map(|(name, field)| (name.clone(), self.sample(field, name))).collect())
            }
        }
    }

    /// A body that is as it should be but for one input, which is `value`.
    fn body_with(&self, schema: &Value, path: &[String], value: Value) -> Value {
        let schema = self.resolve(schema);
        let Some((first, rest)) = path.split_first() else { return value };
        if first == "[]" {
            return json!([self.body_with(&schema["items"], rest, value)]);
        }
        // Of what may be a text or an object, the object.
        let parts = schema["oneOf"].as_array().into_iter().flatten().map(|part| self.resolve(part));
        let mut objects = parts.filter(|part| part["properties"].get(first).is_some());
        let schema = objects.next().unwrap_or(schema);
        let mut body = self.sample(schema, "");
        let Value::Object(fields) = &mut body else { panic!("{path:?} is in no object: {schema}") };
        let name = if first == "*" { "further" } else { first };
        let field = self.field(schema, first);
        fields.insert(name.to_owned(), self.body_with(&field, rest, value));
        body
    }

    /// The schema of a field, also where it stands in one of the parts.
    fn field(&self, schema: &Value, name: &str) -> Value {
        let schema = self.resolve(schema);
        let own = schema["properties"].get(name).cloned();
        let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
        own.or_else(|| parts.map(|part| self.field(part, name)).find(|it| !it.is_null())).unwrap_or(Value::Null)
    }

    /// More than an input holds, if only just.
    fn too_much(&self, input: &Input) -> Value {
        let most = match &input.bound {
            Some(Bound::Named(_, most)) => *most,
            _ => 1_000,
        };
        match kind(&input.schema) {
            Some("array") => {
                let name = input.path.iter().rfind(|it| *it != "[]").map_or("", String::as_str);
                (0..=most).map(|_| self.sample(&input.schema["items"], name)).collect()
            }
            _ => "a".repeat(most + 1).into(),
        }
    }
}

/// The type of a schema; null does not count beside another.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        one => one.as_str(),
    }
}

/// A text that such a field takes.
fn word(name: &str) -> &'static str {
    match name {
        "email" | "communication_email" | "admin_emails" => "a@acme.example",
        "password" => "correct horse battery",
        "cloud_provider" => "AWS",
        "environment_type" => "PRODUCTION",
        "permission" => "VIEWER",
        "permissions" | "any_of" => "a:b",
        "network" | "networks" => "10.0.0.0/8",
        "opa_policy" => "allow := true",
        "method" => "GET",
        "path" | "mount_path" => "/a",
        _ => "a",
    }
}

async fn document(server: &Server) -> Document {
    Document(server.get("/openapi.json", "").await.expect(200))
}

/// A walk that passes something over would find every document good.
#[test]
fn a_field_without_a_limit_is_found_wherever_it_is() {
    let document = Document(json!({ "components": { "schemas": { "Free": { "type": "object" } } } }));
    let bare = |field: Value| {
        let schema = json!({ "type": "object", "properties": { "a": field } });
        let mut found = Vec::new();
        document.walk(&schema, &[], &mut found);
        found.into_iter().filter(|input| input.bound.is_none()).map(|input| input.path.join(".")).collect::<Vec<_>>()
    };
    let text = json!({ "type": "string" });
    let bound = json!({ "type": "string", "maxLength": 3, "x-limit": "name_characters" });
    for (field, expected) in [
        (text.clone(), "a"),
        (json!({ "type": ["string", "null"] }), "a"),
        (json!({ "type": "string", "maxLength": 3 }), "a"),
        (json!({ "type": "array", "maxItems": 3, "x-limit": "batch", "items": text }), "a.[]"),
        (json!({ "type": "array", "items": bound }), "a"),
        (json!({ "oneOf": [{ "type": "null" }, text] }), "a"),
        (json!({ "type": "object" }), "a.*"),
        (json!({ "$ref": "#/components/schemas/Free" }), "a.*"),
        (json!({ "type": "object", "additionalProperties": text }), "a.*"),
        (json!({ "type": "object", "properties": { "b": text } }), "a.b"),
    ] {
        assert_eq!(bare(field.clone()), [expected], "{field}");
    }
    for field in [bound.clone(), json!({ "type": "string", "format": "uuid" }), json!({ "type": "boolean" })] {
        assert!(bare(field.clone()).is_empty(), "{field}");
    }
}

#[tokio::test]
async fn every_input_of_the_openapi_document_has_a_limit() {
    let server = Server::start().await;
    let document = document(&server).await;
    let (mut without, mut seen) = (Vec::new(), 0);
    for (method, path, operation) in document.operations() {
        let mut found = Vec::new();
        for parameter in operation["parameters"].as_array().unwrap() {
            document.walk(&parameter["schema"], &[parameter["name"].as_str().unwrap().to_owned()], &mut found);
        }
        if let Some((_, schema)) = document.body(operation) {
            document.walk(schema, &[], &mut found);
        }
        seen += found.len();
        let bare = found.into_iter().filter(|input| input.bound.is_none());
        without.extend(bare.map(|input| format!("{method} {path}: {}", input.path.join("."))));
    }
    assert!(without.is_empty(), "inputs without a limit:\n{}", without.join("\n"));
    assert!(seen > 150, "{seen}");
}

const LINES: &str = "Content-Type: application/x-ndjson\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A request, as it is sent.
struct Sent {
    method: Method,
    path: String,
    headers: &'static str,
    body: String,
}

/// Does it need no credential?
fn is_public(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(Vec::is_empty)
}

/// An organization with one of everything, and what paths call it.
struct World {
    server: Server,
    acme: Organization,
    named: Map<String, Value>,
}

impl World {
    async fn new() -> Self {
        let (server, acme) = Server::with_owner().await;
        let owner = acme.owner.clone();
        let made = async |path: String, body: Value| {
            let answer = server.post(&path, &owner, body).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.text);
            answer.str("id")
        };
        let mut named = Map::new();
        named.insert("organizationId".into(), acme.id.clone().into());
        named.insert("name".into(), "shop".into());
        named.insert("key".into(), "corp".into());
        named.insert("decisionId".into(), "x".into());
        for absent in ["passkeyId", "identityId", "sessionId"] {
            named.insert(absent.into(), "0193614c-2a00-7c41-9f3a-000000000001".into());
        }
        let project = made(acme.path("project"), json!({ "name": "p" })).await;
        let cluster = json!({ "name": "c", "region": "r", "cloud_provider": "AWS" });
        named.insert("clusterId".into(), made(acme.path("cluster"), cluster).await.into());
        let environment = made(format!("/project/{project}/environment"), json!({ "name": "e" })).await;
        for (owner, id, path) in [("project", &project, "project"), ("environment", &environment, "environment")] {
            for (kind, parameter) in [("environmentVariable", "environmentVariableId"), ("secret", "secretId")] {
                let body = json!({ "key": format!("{kind}_{owner}"), "value": "v" });
                let id = made(format!("/{path}/{id}/{kind}"), body).await;
                // The first is a variable of the project, which can be overridden in the environment.
                named.entry("variableId").or_insert_with(|| id.clone().into());
                named.insert(format!("{owner}/{parameter}"), id.into());
            }
        }
        named.insert("customRoleId".into(), made(acme.path("customRole"), json!({ "name": "r" })).await.into());
        let token = server.new_token(&acme, json!({ "name": "t", "role_id": null })).await;
        named.insert("apiTokenId".into(), token.0.into());
        let policy = json!({ "name": "t", "opa_policy": "allow := true" });
        named.insert("policyApiTokenId".into(), made(acme.path("policyApiToken"), policy).await.into());
        named.insert("version".into(), "1".into());
        let events = server.get(&acme.path("events"), &acme.owner).await.expect(200);
        named.insert("eventId".into(), events["events"][0]["id"].clone());
        named.insert("incarnation".into(), server.running.app.verifier.incarnation().to_string().into());
        named.insert("number".into(), "1".into());
        let role = server.role(&acme, "viewer").await;
        let invitation = made(acme.path("inviteMember"), json!({ "email": "b@acme.example", "role_id": role })).await;
        named.insert("inviteId".into(), invitation.into());
        named.insert("memberId".into(), server.get("/account", &acme.owner).await.expect(200)["id"].clone());
        named.insert("projectId".into(), project.into());
        named.insert("environmentId".into(), environment.into());
        Self { server, acme, named }
    }

    /// A path with what it names filled in; one name may be another.
    fn path(&self, path: &str, instead: Option<(&str, &str)>) -> String {
        let owner = path.trim_start_matches('/').split('/').next().unwrap();
        let fill = |part: &str| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part.to_owned();
            };
            if let Some((other, value)) = instead.filter(|(other, _)| *other == name) {
                assert_eq!(other, name);
                return value.to_owned();
            }
            let found = self.named.get(&format!("{owner}/{name}")).or_else(|| self.named.get(name));
            found.unwrap_or_else(|| panic!("nothing is called {name}")).as_str().unwrap().to_owned()
        };
        path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// Puts the environment where a body says for which place it is.
    fn place(&self, body: &mut Value) {
        for kind in ["variable", "alias", "override"] {
            if body.get(format!("{kind}_parent_id")).is_some() {
                body[format!("{kind}_parent_id")] = self.named["environmentId"].clone();
                if body[format!("{kind}_scope")] == "PROJECT" {
                    body[format!("{kind}_scope")] = "ENVIRONMENT".into();
                }
            }
        }
    }

    /// The end of the log: whatever is changed moves it.
    async fn head(&self) -> i64 {
        let mut reader = self.server.running.app.store.read().await.unwrap();
        tokenward_store::log::head(reader.conn()).await.unwrap().number
    }

    /// Every request that needs a credential and may change something, with a body that fits: where nothing can be said, that says
    /// nothing.
    fn requests(&self, document: &Document) -> Vec<Sent> {
        let mut all = Vec::new();
        for (method, path, operation) in document.operations() {
            if is_public(operation) || method == Method::GET {
                continue;
            }
            let (headers, body) = match document.body(operation) {
                None => (JSON, "{}".to_owned()),
                Some(("application/json", schema)) => {
                    let mut body = document.sample(schema, "");
                    self.place(&mut body);
                    (JSON, body.to_string())
                }
                Some(("application/jsonl" | "application/x-ndjson", schema)) => {
                    let mut line = document.sample(schema, "");
                    line["sha256"] = "ab".repeat(32).into();
                    (LINES, line.to_string())
                }
                Some(("application/x-www-form-urlencoded", _)) => (FORM, "token=x&".to_owned()),
                Some((other, _)) => panic!("{method} {path}: nothing is known of {other}"),
            };
            all.push(Sent { method, path: self.path(&path, None), headers, body });
        }
        all
    }

    async fn send(&self, method: &Method, path: &str, media: &str, body: &Value, public: bool) -> Answer {
        let mut request = self.server.request(method.as_str(), path).header("content-type", media);
        if !public {
            request = request.header("authorization", format!("Bearer {}", self.acme.owner));
        }
        let text = match media {
            "application/x-www-form-urlencoded" => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in body.as_object().unwrap() {
                    form.append_pair(name, value.as_str().unwrap());
                }
                form.finish()
            }
            _ => body.to_string(),
        };
        self.server.send(request.body(text)).await
    }
}

#[tokio::test]
async fn one_more_than_each_limit_is_refused_by_its_name() {
    let world = World::new().await;
    let document = document(&world.server).await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (method, path, operation) in document.operations() {
        let public = is_public(operation);
        let Some((media, schema)) = document.body(operation) else { continue };
        let mut found = Vec::new();
        document.walk(schema, &[], &mut found);
        for input in found {
            let mut body = document.body_with(schema, &input.path, document.too_much(&input));
            if !input.path[0].ends_with("_parent_id") {
                world.place(&mut body);
            }
            let answer = world.send(&method, &world.path(&path, None), media, &body, public).await;
            let refused = [400, 413].contains(&answer.status.as_u16());
            // A word that is none of those that are known is refused as such.
            let told = match &input.bound {
                Some(Bound::Named(name, _)) if name != WORD.name => answer.text.contains(&format!("`{name}`")),
                _ => true,
            };
            // What nobody reads is not looked at: a hint (RFC 7009 §2.1), and the name of a client that has shown its secret.
            let ignored = input.path == ["token_type_hint"] || input.path == ["client_id"];
            if !(ignored || refused && told) {
                let said: String = answer.text.chars().take(200).collect();
                wrong.push(format!("{method} {path} {}: {} {said}", input.path.join("."), answer.status));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "taken, or refused without the name of the limit:\n{}", wrong.join("\n"));
    assert!(tried > 100, "{tried}");
}

#[tokio::test]
async fn a_query_and_a_path_hold_no_long_texts() {
    let world = World::new().await;
    let document = document(&world.server).await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (method, path, operation) in document.operations() {
        let public = is_public(operation);
        for parameter in operation["parameters"].as_array().unwrap() {
            let mut found = Vec::new();
            document.walk(&parameter["schema"], &[], &mut found);
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let (Some(input), false) = (found.first(), public || place == "header") else { continue };
            let long = document.too_much(input);
            let long = long.as_str().unwrap();
            let asked = match place {
                "query" => format!("{}?{name}={long}", world.path(&path, None)),
                _ => world.path(&path, Some((name, long))),
            };
            let answer = world.send(&method, &asked, "application/json", &json!({}), false).await;
            let told = match &input.bound {
                Some(Bound::Named(limit, _)) => answer.status == 400 && answer.text.contains(&format!("`{limit}`")),
                // Nothing is called so.
                _ => [400, 404].contains(&answer.status.as_u16()),
            };
            if !told {
                wrong.push(format!("{method} {path} {name}: {} {}", answer.status, answer.text));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 80, "{tried}");
}

/// What gateways ask with each of their requests is answered by what is in memory, for whoever had the right when it began.
const DIRECT: [&str; 2] = ["/verify", "/introspect"];

/// Begins all of these requests, does `meanwhile`, and lets them go: none may change anything then.
async fn none_changes(world: &World, some: &[Sent], credential: &str, meanwhile: impl AsyncFnOnce()) -> Vec<String> {
    let begin = |sent: &Sent| {
        let (method, path, body, headers) =
            (sent.method.to_string(), sent.path.clone(), sent.body.clone(), sent.headers);
        async move { Held::begin(&world.server, &method, &path, credential, headers, &body).await }
    };
    let held = join_all(some.iter().map(begin)).await;
    meanwhile().await;
    let head = world.head().await;
    let mut wrong = Vec::new();
    for (Sent { method, path, .. }, held) in some.iter().zip(held) {
        let ended = held.end().await;
        let done = ended.as_ref().is_some_and(|(status, _)| (200..300).contains(status));
        let direct = DIRECT.iter().any(|part| path.starts_with(part));
        assert_eq!(world.head().await, head, "{method} {path}: something was changed: {ended:?}");
        if done && !direct {
            wrong.push(format!("{method} {path}: {ended:?}"));
        }
    }
    wrong
}

#[tokio::test]
async fn no_request_changes_anything_whose_session_or_token_ended_while_its_body_came() {
    let world = World::new().await;
    let document = document(&world.server).await;
    let all = world.requests(&document);
    assert!(all.len() > 90, "{}", all.len());
    let account = world.named["memberId"].as_str().unwrap().parse().unwrap();
    let mut wrong = Vec::new();
    for (n, some) in all.chunks(12).enumerate() {
        let session = world.server.session(account, false).await;
        let end = async || {
            world.server.delete("/session", &session).await.expect(204);
        };
        wrong.extend(none_changes(&world, some, &session, end).await);
        let body = json!({ "name": format!("late {n}"), "role_id": null });
        let (id, token) = world.server.new_token(&world.acme, body).await;
        let path = world.acme.path(&format!("apiToken/{id}"));
        let delete = async || {
            world.server.delete(&path, &world.acme.owner).await.expect(204);
        };
        wrong.extend(none_changes(&world, some, &token, delete).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_request_in_an_organization_changes_anything_whose_member_was_demoted_while_its_body_came() {
    let world = World::new().await;
    let document = document(&world.server).await;
    // What is one's own, and the one question that a viewer may ask, too.
    let own = ["/account", "/session"];
    let is_left = |path: &str| own.iter().any(|start| path.starts_with(start)) || path.ends_with("/decide");
    let all: Vec<_> = world.requests(&document).into_iter().filter(|sent| !is_left(&sent.path)).collect();
    assert!(all.len() > 60, "{}", all.len());
    let (user, session) = world.server.member(&world.acme, "late@acme.example", "admin").await;
    let viewer = world.server.role(&world.acme, "viewer").await;
    let admin = world.server.role(&world.acme, "admin").await;
    let set = async |role: &str| {
        let body = json!({ "user_id": user, "role_id": role });
        world.server.put(&world.acme.path("member"), &world.acme.owner, body).await.expect(200);
    };
    let mut wrong = Vec::new();
    for some in all.chunks(12) {
        wrong.extend(none_changes(&world, some, &session, async || set(viewer.as_str()).await).await);
        set(admin.as_str()).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a request without a credential rests on comes with it, or is a secret in its path: the test that takes it away while the
/// last byte is held back; or why nothing can be taken away.
const PUBLIC: [(&str, Result<&str, &str>); 12] = [
    ("POST /session", Ok("a_password_that_was_changed_while_it_came_signs_nobody_in")),
    ("POST /session/passkey", Ok("a_passkey_that_was_removed_while_its_answer_came_signs_nobody_in")),
    ("POST /session/passkey/challenge", Err("it asks for a question, which is for everybody")),
    ("POST /account/password/reset", Err("everybody may ask for a mail")),
    (
        "PUT /account/password/reset",
        Ok("the_form_of_a_mailed_link_that_was_used_or_replaced_while_it_came_sets_no_password"),
    ),
    ("POST /account/email/confirm", Ok("a_mailed_link_that_was_used_while_it_came_changes_no_address")),
    ("POST /account/email/undo", Ok("a_mailed_link_that_was_used_while_it_came_changes_no_address")),
    (
        "POST /organization/{organizationId}/inviteMember/{inviteId}",
        Ok("an_invitation_that_was_accepted_taken_back_or_ended_meanwhile_makes_no_member"),
    ),
    ("POST /device_authorization", Err("every machine may ask")),
    ("POST /token", Ok("a_code_whose_session_ended_while_it_came_makes_no_session")),
    ("POST /revoke", Err("it takes back the token that it brings, which is once")),
    ("POST /console/oidc/{key}/logout", Err("what a provider has signed is looked at when it is there")),
];

#[tokio::test]
async fn every_request_without_a_credential_is_held_back_by_a_test() {
    let server = Server::start().await;
    let document = document(&server).await;
    let mut told: Vec<&str> = PUBLIC.iter().map(|(request, _)| *request).collect();
    let public = document.operations().into_iter().filter(|(_, _, operation)| is_public(operation));
    let mut all: Vec<String> = public
        .filter(|(method, ..)| *method != Method::GET)
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    told.sort_unstable();
    all.sort_unstable();
    assert_eq!(told, all);
    for test in PUBLIC.iter().filter_map(|(_, test)| test.ok()) {
        assert!(is_tested(test), "there is no `{test}`");
    }
}
