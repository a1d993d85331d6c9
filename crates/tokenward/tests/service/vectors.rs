//! The table that all clients run (`clients/testing/vectors.py`), run by `tokenward-verify`: a service that decides in its own
//! process says the same as one that asks a server.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::http::{Request, Response, header};
use serde_json::Value;
use tokenward_verify::credential::{CredentialHeader, challenge, credential};
use tokenward_verify::{
    Ask, Asking, Config, Embedded, Presenter, Question, Reason, Request as Asked, RequireToken, Uuid,
};
use tower::{Layer, ServiceExt, service_fn};

/// A real server with a token in each state, as `clients/testing/world.py` makes it for the clients. It lives until this is dropped.
struct World {
    running: Child,
    said: Value,
}

impl World {
    fn new() -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/testing/world.py");
        let mut command = Command::new("python3");
        command.arg(clients).arg(env!("CARGO_BIN_EXE_tokenward")).args(["--", "sh", "-c"]);
        // It ends when its standard input does, however this process ends.
        command.arg("echo \"$TOKENWARD_WORLD\"; read _").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = command.spawn().expect("run python3");
        let mut file = String::new();
        BufReader::new(running.stdout.take().unwrap()).read_line(&mut file).unwrap();
        let said = std::fs::read_to_string(file.trim()).expect("what the world says of itself");
        Self { running, said: serde_json::from_str(&said).unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap()
    }

    fn token(&self, state: &str) -> Option<&str> {
        self.said["tokens"][state].as_str().or_else(|| self.said["bounded"][state].as_str())
    }

    fn rows(&self, table: &str) -> &[Value] {
        let rows = self.said["vectors"][table].as_array().unwrap();
        assert!(!rows.is_empty(), "{table}");
        rows
    }

    fn asking(&self) -> Asking {
        Asking::Organization(self.text("organization").parse::<Uuid>().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.running.stdin.take());
        let _ = self.running.wait();
    }
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

async fn ask(layer: &RequireToken, token: &str) -> Response<String> {
    let request = Request::post("/invoices").header(header::AUTHORIZATION, format!("Token {token}")).body(()).unwrap();
    let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("passed".to_owned())) });
    layer.layer(service).oneshot(request).await.unwrap()
}

#[test]
fn the_reasons_are_those_of_the_table() {
    let world = World::new();
    let told: Vec<_> = world
        .rows("reasons")
        .iter()
        .map(|row| (text(row, "code"), text(row, "sentence"), row["refuses_credential"] == true))
        .collect();
    assert_eq!(told, Reason::ALL.map(|it| (it.as_str(), it.sentence(), it.refuses_credential())));
}

#[test]
fn the_credential_of_a_request_is_that_of_the_table() {
    let world = World::new();
    for row in world.rows("credentials") {
        let headers: Vec<(String, String)> = serde_json::from_value(row["headers"].clone()).unwrap();
        // One header after the other, as the layer reads them.
        let sent = |wanted: &'static str, place| {
            let of_name = headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
            of_name.map(move |(_, value)| (place, value.as_bytes()))
        };
        let all =
            sent("authorization", CredentialHeader::Authorization).chain(sent("x-api-key", CredentialHeader::Key));
        match credential(all) {
            Ok(found) => assert_eq!(found.text(), text(row, "token"), "{row}"),
            Err(refused) => {
                assert_eq!(refused.code.as_str(), text(row, "code"), "{row}");
                assert_eq!(challenge(refused.code), text(row, "www_authenticate"), "{row}");
            }
        }
    }
}

#[tokio::test]
async fn each_answer_is_that_of_the_table() {
    let world = World::new();
    let embedded = Embedded::open(Config::new(world.text("data_dir"))).await.unwrap();
    let layer = RequireToken::new(&embedded, world.asking(), "invoices:write").unwrap();
    let spent = ["rate_limited", "quota_exceeded"];
    for text in spent.iter().filter_map(|state| world.token(state)) {
        assert_eq!(ask(&layer, text).await.status(), 200);
    }
    // What a request's route says is asked without a layer.
    let routes = [
        ("api_unknown", "nothing", "/invoices"),
        ("route_unknown", "shop", "/elsewhere"),
        ("path_ambiguous", "shop", "//invoices"),
    ];
    let mut elsewhere = Vec::new();
    for row in world.rows("answers") {
        let code = text(&row["verdict"], "code");
        // What a server of another version says, and what answers in its place, is nothing that this process would say.
        if code != text(row, "name") || row["status"] != 200 {
            continue;
        }
        let respond = &row["respond"];
        if let Some((_, api, path)) = routes.iter().find(|(of_route, ..)| *of_route == code) {
            let question = Question::new(world.asking(), Ask::Identity)
                .request(Asked { api: Some(api), method: "GET", path })
                .from(Presenter { address: Some([192, 0, 2, 7].into()), agent: None });
            let refused = embedded.check(world.token("living").unwrap(), &question).unwrap().require().unwrap_err();
            assert_eq!((refused.code.as_str(), &*refused.detail), (code, text(respond, "detail")));
            continue;
        }
        // The states by their reasons; a well-formed text of nobody is unknown.
        let token = match code {
            "valid" => world.token("living"),
            "permission_denied" => world.token("weak"),
            "unknown" => Some("twd_000000000000000000000000000000003RY5Xt"),
            code => world.token(code),
        };
        let Some(token) = token else {
            elsewhere.push(code.to_owned());
            continue;
        };
        let said = ask(&layer, token).await;
        assert_eq!(said.status().as_u16(), respond["status"], "{code}: {}", said.body());
        if code == "valid" {
            continue;
        }
        let header = |name: &str| said.headers().get(name).map_or("", |it| it.to_str().unwrap());
        assert_eq!(header("www-authenticate"), text(respond, "www_authenticate"), "{code}");
        // The seconds are those of the limit; that there are some is what counts.
        assert_eq!(header("retry-after").parse::<u32>().is_ok(), respond.get("retry_after").is_some(), "{code}");
        assert_eq!(header("ratelimit").is_empty(), !spent.contains(&code), "{code}");
        let body: Value = serde_json::from_str(said.body()).unwrap();
        for field in ["code", "detail", "missing_permission"] {
            assert_eq!(text(&body, field), text(respond, field), "{code}: {field}");
        }
        let question = Question::new(world.asking(), Ask::permission("invoices:write").unwrap())
            .request(Asked { api: None, method: "POST", path: "/invoices" })
            .from(Presenter { address: Some([192, 0, 2, 7].into()), agent: None });
        let verdict = embedded.check(token, &question).unwrap();
        assert_eq!((verdict.code(), verdict.is_allowed()), (code, false));
        assert_eq!(verdict.missing_permission.as_deref().unwrap_or_default(), text(respond, "missing_permission"));
        assert_eq!(verdict.retry_after.is_some(), row["verdict"].get("retry_after").is_some(), "{code}");
        assert_eq!(verdict.holder.is_some(), row["verdict"].get("token").is_some(), "{code}");
    }
    // A brownout begins an interval after it was asked for; what stands in a query only a gateway looks for: the crate is given
    // the token and no query.
    assert_eq!(elsewhere, ["brownout", "token_in_query"]);
    embedded.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_question_is_none_here_either() {
    let world = World::new();
    let embedded = Embedded::open(Config::new(world.text("data_dir"))).await.unwrap();
    let (mut asked, mut refused, mut malformed) = (0, 0, 0);
    for row in world.rows("questions") {
        let question = &row["ask"];
        let permission = question["permission"].as_str();
        if row["malformed"] == true {
            let any = Question::new(world.asking(), Ask::Identity);
            assert_eq!(embedded.check(text(question, "token"), &any).unwrap().code(), "malformed", "{row}");
            malformed += 1;
        } else if let Some(permission) = permission {
            let is_refused = row["refused"] == true;
            assert_eq!(Ask::permission(permission).is_err(), is_refused, "{row}");
            if is_refused { refused += 1 } else { asked += 1 }
        }
    }
    assert!(asked > 0 && refused > 2 && malformed > 5, "{asked} {refused} {malformed}");
    embedded.close().await.unwrap();
}
