//! Another real provider: Debian's `glewlwyd`, set up by its own API, from its sign-in to ours.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::config;
use super::rules::{members, ruled};
use crate::console::Person;
use crate::support::Server;

/// It takes a secret out of the header as it stands there, and does not read escapes as RFC 6749 §2.3.1 asks: so one without any.
const SECRET: &str = "the-secret-of-the-client";
const PASSWORD: &str = "four quiet lamps";
/// Its tables, as the package has them, for a file that is made of them.
const TABLES: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";
const MAKE: &str = "import sqlite3, sys; sqlite3.connect(sys.argv[2]).executescript(open(sys.argv[1]).read())";
const MODULES: &str = "/usr/lib/glewlwyd";

/// The provider, ended when dropped.
struct Glewlwyd {
    process: Child,
    _files: TempDir,
    url: String,
    http: reqwest::Client,
}

impl Drop for Glewlwyd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let out = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Glewlwyd {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (files, url) = (tempfile::tempdir().unwrap(), format!("http://127.0.0.1:{port}"));
        let at = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
        run("python3", &["-c", MAKE, TABLES, &at("data.db")]);
        run("openssl", &["genrsa", "-out", &at("key"), "2048"]);
        run("openssl", &["rsa", "-in", &at("key"), "-pubout", "-out", &at("public")]);
        let settings = format!(
            "port={port}\nbind_address=\"127.0.0.1\"\nexternal_url=\"{url}\"\nlogin_url=\"login.html\"\napi_prefix=\"api\"\n\
             log_mode=\"console\"\nlog_level=\"ERROR\"\ncookie_secure=0\nsession_key=\"session\"\nlogin_api_enabled=true\n\
             admin_session_authentication=\"cookie\"\nprofile_session_authentication=\"cookie\"\nadmin_scope=\"g_admin\"\n\
             profile_scope=\"g_profile\"\nuse_secure_connection=false\nsecure_connection_key_file=\"\"\n\
             secure_connection_pem_file=\"\"\nhash_algorithm=\"SHA512\"\nuser_module_path=\"{MODULES}/user\"\n\
             client_module_path=\"{MODULES}/client\"\nuser_auth_scheme_module_path=\"{MODULES}/scheme\"\n\
             plugin_module_path=\"{MODULES}/plugin\"\ndatabase = {{ type = \"sqlite3\"; path = \"{}\"; }}\n",
            at("data.db")
        );
        std::fs::write(at("settings"), settings).unwrap();
        let process = Command::new("/usr/bin/glewlwyd")
            .arg(format!("--config-file={}", at("settings")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("run `glewlwyd`");
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        let key = [at("key"), at("public")].map(|path| std::fs::read_to_string(path).unwrap());
        let it = Self { process, _files: files, url, http };
        let begun = Instant::now();
        while it.http.get(format!("{}/api/config", it.url)).send().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        it.set_up(&key).await;
        it
    }

    async fn send(&self, method: Method, path: &str, session: &str, body: Value) -> Response {
        let request = self.http.request(method, format!("{}/api/{path}", self.url)).header(COOKIE, session).json(&body);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
        response
    }

    /// The cookie of somebody who signs in there.
    async fn sign_in(&self, name: &str, password: &str) -> String {
        let body = json!({ "username": name, "password": password });
        let response = self.send(Method::POST, "auth/", "", body).await;
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A provider that says address and groups, and one person.
    async fn set_up(&self, [private, public]: &[String; 2]) {
        // That is how the package's tables come.
        let admin = self.sign_in("admin", "password").await;
        let kinds = json!({
            "groups": { "multiple": true, "read": true, "write": true },
            "email_verified": { "multiple": false, "read": true, "write": true },
        });
        let people = json!({
            "module": "database", "name": "database", "display_name": "people", "order_rank": 0, "enabled": true, "readonly": false,
            "parameters": { "use-glewlwyd-connection": true, "data-format": kinds },
        });
        self.send(Method::PUT, "mod/user/database", &admin, people).await;
        self.send(Method::PUT, "mod/user/database/reset/", &admin, json!({})).await;
        let truth = json!({
            "name": "email_verified", "user-property": "email_verified", "type": "boolean", "boolean-value-true": "1",
            "boolean-value-false": "0", "mandatory": true, "scope": [],
        });
        let groups =
            json!({ "name": "groups", "user-property": "groups", "type": "string", "mandatory": true, "scope": [] });
        let parameters = json!({
            "iss": self.issuer(), "jwt-type": "rsa", "jwt-key-size": "256", "key": private, "cert": public,
            "access-token-duration": 3600, "refresh-token-duration": 3600, "code-duration": 600, "refresh-token-rolling": false,
            "allow-non-oidc": false, "auth-type-code-enabled": true, "auth-type-token-enabled": false,
            "auth-type-id-token-enabled": true, "pkce-allowed": true, "pkce-required": true, "pkce-method-plain-allowed": false,
            "subject-type": "public", "jwks-show": true, "name-claim": "mandatory", "email-claim": "mandatory",
            "claims": [groups, truth],
        });
        let plugin = json!({
            "module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": true, "parameters": parameters,
        });
        self.send(Method::POST, "mod/plugin/", &admin, plugin).await;
        let ada = json!({
            "username": "ada", "name": "Ada", "email": "ada@acme.example", "enabled": true, "password": PASSWORD,
            "scope": ["openid"], "groups": ["staff", "engineers"], "email_verified": "1",
        });
        self.send(Method::POST, "user/", &admin, ada).await;
    }

    fn issuer(&self) -> String {
        format!("{}/api/oidc", self.url)
    }

    /// Lets a server have its people sent back to this address.
    async fn register(&self, redirect: &str) {
        let admin = self.sign_in("admin", "password").await;
        let client = json!({
            "client_id": "tokenward", "name": "Tokenward", "enabled": true, "confidential": true, "password": SECRET,
            "redirect_uri": [redirect], "authorization_type": ["code"], "scope": [],
            "token_endpoint_auth_method": ["client_secret_basic"],
        });
        self.send(Method::POST, "client/", &admin, client).await;
    }

    /// Where it sends somebody to who was sent there with this question.
    async fn leads_to(&self, question: &str, session: &str) -> String {
        let response = self.http.get(question).header(COOKIE, session).send().await.unwrap();
        let status = response.status();
        let to = response.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
        to.unwrap_or_else(|| panic!("{question}: {status}"))
    }
}

#[tokio::test]
async fn a_provider_of_debians_signs_its_people_in_and_says_their_groups() {
    let provider = Glewlwyd::start().await;
    let directory = tempfile::tempdir().unwrap();
    let further = [
        ("EMAIL_DOMAINS", "acme.example"),
        ("GROUPS_CLAIM", "groups"),
        ("SCOPES", "openid"),
        ("CLIENT_SECRET", SECRET),
    ];
    let settings = config(directory.path(), &provider.issuer(), &further);
    let (server, acme) = Server::with_owner_and(directory, settings).await;
    let public = server.url.clone();
    provider.register(&format!("{public}/sign-in/with/corp/callback")).await;
    ruled(&server, &acme, &[("engineers", "devops"), ("staff", "viewer")]).await.expect(200);

    let mut ada = Person::at(&server);
    let question = ada.get("/sign-in/with/corp").await;
    assert_eq!(question.status, 303, "{}", question.html);
    let question = question.location().to_owned();
    // Somebody whom it does not know is shown its own page.
    let page = provider.leads_to(&question, "").await;
    assert!(page.starts_with(&format!("{}/login.html?", provider.url)), "{page}");
    let session = provider.sign_in("ada", PASSWORD).await;
    provider.send(Method::PUT, "auth/grant/tokenward", &session, json!({ "scope": "openid" })).await;
    let back = provider.leads_to(&format!("{question}&g_continue"), &session).await;
    ada.get(back.strip_prefix(public.as_str()).unwrap_or_else(|| panic!("{back}"))).await.leads_to("/");
    assert_eq!(members(&server, &acme).await, ["ada@acme.example devops corp:engineers"]);
    let account = ada.get("/console/account").await.says(200, "signed in with corp");
    assert!(!account.html.contains("Nobody has proved"), "it proves the address");
    // What has come back once does not come back again.
    ada.get(back.strip_prefix(public.as_str()).unwrap()).await.says(401, "not begun in this browser");
}
