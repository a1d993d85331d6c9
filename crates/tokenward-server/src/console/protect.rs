//! From the first token to a protected API: what to put in front of it, filled in, and whether a request has come.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};

use super::form::Query;
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{Chip, Choice, FirstRequest, Nav, ProtectPage, Snippet};
use crate::service::decisions::{self, DecisionQuery};
use crate::service::{apis, tokens};

const NGINX: &str = include_str!("../../../../deploy/nginx/tokenward.conf");
const CADDY: &str = include_str!("../../../../deploy/caddy/Caddyfile");
const ENVOY: &str = include_str!("../../../../deploy/envoy/envoy.yaml");
/// The ways that are offered: the word in the address, and the label.
const WAYS: [(&str, &str); 4] =
    [("nginx", "nginx"), ("caddy", "Caddy"), ("envoy", "Envoy"), ("service", "Your service")];
/// Decisions that are looked through for a request to an API.
const LOOKED_AT: usize = 50;

/// `GET …/protect`. `with` is one of the ways, `api` an API, `token` the one that was just made.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    query.understood(&["with", "api", "token", "live"])?;
    let with = query.one_of("with", WAYS.iter().map(|(word, _)| *word))?;
    let with = if with.is_empty() { WAYS[0].0 } else { with };
    let all = match person.may(organization, Management::ApiRead) {
        Ok(grant) => apis::list(&person.app, &grant).await?,
        Err(_) => Vec::new(),
    };
    let wanted = query.line("api");
    let api = match wanted.as_str() {
        "" => all.first().map(|it| it.name.clone()),
        name if all.iter().any(|it| it.name == name) => Some(name.to_owned()),
        _ => return Err(Error::not_found("API").into()),
    };
    let token = match query.read("token", "an id", |text| Uuid::try_parse(text).ok())? {
        Some(id) => Some((id.to_string(), tokens::find(&person.app, &grant, id).await?.name)),
        None => None,
    };
    let first = first_request(&person, organization).await?;
    let shell = person.shell(Some(organization), Nav::Tokens).await?;
    let address = |with: &str, api: Option<&str>| {
        let pairs = [("with", Some(with)), ("api", api), ("token", token.as_ref().map(|(id, _)| id.as_str()))];
        let given = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
        format!("?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish())
    };
    let chosen = Some(wanted.as_str()).filter(|it| !it.is_empty());
    let ways = WAYS.iter().map(|(word, label)| Chip {
        label: (*label).into(),
        href: address(word, chosen),
        count: None,
        current: *word == with,
    });
    let place = RecipeValues { organization, api: api.as_deref(), url: &person.app.public_url };
    let shown = ProtectPage {
        ways: ways.collect(),
        with: with.to_owned(),
        apis: all
            .iter()
            .map(|it| Choice {
                value: it.name.clone(),
                label: it.name.clone(),
                chosen: api.as_deref() == Some(&it.name),
            })
            .collect(),
        snippets: place.snippets(with),
        secure: person.app.public_url.starts_with("https://"),
        public_url: person.app.public_url.clone(),
        token,
        first,
        api,
        may_import: person.can(organization, Management::ApiManage),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The newest request to an API of the organization that was asked about. The outer `None` is for somebody who may not see that.
async fn first_request(person: &SignedIn, organization: Uuid) -> Result<Option<Option<FirstRequest>>> {
    let Ok(grant) = person.may(organization, Management::TokenVerify) else { return Ok(None) };
    let all = decisions::list(&person.app, &grant, &DecisionQuery::default(), LOOKED_AT).await?;
    let newest = all.into_iter().find(|it| !it.decision.of_ours && it.decision.path.is_some());
    Ok(Some(newest.map(|it| FirstRequest {
        asked: decisions::wanted(&it.decision),
        token: it.token_name.unwrap_or_else(|| "no known token".to_owned()),
        allowed: it.decision.denied.is_none(),
        outcome: it.decision.denied.map_or("allowed", |reason| reason.as_str()).replace('_', " "),
        at: person.moment(it.decision.at),
    })))
}

/// What the texts are filled in with.
struct RecipeValues<'a> {
    organization: Uuid,
    api: Option<&'a str>,
    url: &'a str,
}

impl RecipeValues<'_> {
    /// A configuration of a gateway for this organization.
    fn fill(&self, text: &str) -> String {
        let organization = self.organization.to_string();
        // The comment at the top says how to fill it in.
        let text: String =
            text.split_inclusive('\n').skip_while(|line| line.starts_with('#') || line == &"\n").collect();
        // Until routes say what a request takes, every living token with a permission in the API passes.
        let filled = match self.api {
            Some(api) => text.replace("API_NAME", api),
            None => text.replace("&api=API_NAME", "&identity=any").replace("api: API_NAME", "identity: any"),
        };
        let filled = filled.replace("ORGANIZATION_ID", &organization);
        match self.url.strip_prefix("http://") {
            Some(own) => filled.replace("127.0.0.1:8080", own),
            None => filled,
        }
    }

    fn snippets(&self, with: &str) -> Vec<Snippet> {
        let one = |id: &'static str, title: &str, text: String| Snippet { id, title: title.into(), text };
        match with {
            "caddy" => vec![
                one("caddyfile", "Caddyfile", self.fill(CADDY)),
                one("run", "Run it", "caddy run --config Caddyfile".into()),
            ],
            "envoy" => vec![
                one(
                    "serve",
                    "Tokenward with a port for Envoy",
                    "TOKENWARD_ENVOY_LISTEN=127.0.0.1:9191 tokenward serve".into(),
                ),
                one("envoy", "envoy.yaml", self.fill(ENVOY)),
                one("run", "Run it", "envoy -c envoy.yaml".into()),
            ],
            "service" => self.services(),
            _ => vec![
                one("nginx", "tokenward.conf", self.fill(NGINX)),
                one("run", "Run it", "mkdir -p temp && nginx -p \"$PWD\" -c tokenward.conf -g 'daemon off;'".into()),
            ],
        }
    }

    fn services(&self) -> Vec<Snippet> {
        let needs = |by_api: fn(&str) -> String, else_by: &str| self.api.map_or_else(|| else_by.to_owned(), by_api);
        let js = needs(|api| format!("{{ api: '{api}' }}"), "{ permission: 'invoices:read' }");
        let python = needs(|api| format!("Needs(api=\"{api}\")"), "Needs(permission=\"invoices:read\")");
        let go =
            needs(|api| format!("tokenward.Needs{{API: \"{api}\"}}"), "tokenward.Needs{Permission: \"invoices:read\"}");
        let (url, organization) = (self.url, self.organization);
        let one = |id: &'static str, title: &str, text: String| Snippet { id, title: title.into(), text };
        vec![
            one(
                "credential",
                "A token of its own for the service",
                format!(
                    "export TOKENWARD_URL={url}\nexport TOKENWARD_ORGANIZATION={organization}\ntokenward login\n\
                     export TOKENWARD_TOKEN=$(tokenward token create my-service --role verifier --expires 90d)"
                ),
            ),
            one(
                "node",
                "Node.js (Express)",
                format!(
                    "import express from 'express';\nimport {{ Tokenward }} from '@tokenward/verify';\n\
                     import {{ requireToken }} from '@tokenward/verify/express';\n\n\
                     const tokenward = new Tokenward({{ url: process.env.TOKENWARD_URL, credential: process.env.TOKENWARD_TOKEN }});\n\
                     const app = express();\napp.use(requireToken(tokenward, {js}));\n\
                     app.get('/invoices', (req, res) => res.send(`hello ${{req.tokenward.token.name}}`));\napp.listen(3000);"
                ),
            ),
            one(
                "python",
                "Python (FastAPI)",
                format!(
                    "import os\n\nfrom fastapi import Depends, FastAPI\nfrom tokenward_verify import AsyncTokenward, Needs\n\
                     from tokenward_verify.asgi import require_token\n\n\
                     tokenward = AsyncTokenward(os.environ[\"TOKENWARD_URL\"], os.environ[\"TOKENWARD_TOKEN\"])\n\
                     app = FastAPI(dependencies=[Depends(require_token(tokenward, {python}))])"
                ),
            ),
            one(
                "go",
                "Go (net/http)",
                format!(
                    "client, err := tokenward.New(tokenward.Config{{URL: os.Getenv(\"TOKENWARD_URL\"), Credential: os.Getenv(\"TOKENWARD_TOKEN\")}})\n\
                     if err != nil {{\n\tlog.Fatal(err)\n}}\n\
                     guard, err := tokenward.Require(client, {go})\nif err != nil {{\n\tlog.Fatal(err)\n}}\n\
                     log.Fatal(http.ListenAndServe(\"127.0.0.1:3000\", guard(mux)))"
                ),
            ),
            one(
                "rust",
                "Rust (axum), decided in your own process",
                format!(
                    "let embedded = Embedded::open(Config::new(\"tokenward-data\")).await?;\n\
                     let organization: Uuid = \"{organization}\".parse()?;\n\
                     let layer = RequireToken::new(&embedded, Asking::Organization(organization), \"invoices:read\")?;\n\
                     let app = axum::Router::new().route(\"/invoices\", get(invoices).layer(layer));"
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_in_whole() {
        for api in [Some("shop"), None] {
            let place = RecipeValues { organization: Uuid::from_u128(7), api, url: "http://tokens.acme.example:8081" };
            for (with, _) in WAYS {
                let all = place.snippets(with);
                assert!(all.len() > 1, "{with}");
                let mut written = String::new();
                for it in &all {
                    let code = it.text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>();
                    let code = code.join("\n");
                    for left in ["ORGANIZATION_ID", "API_NAME", "127.0.0.1:8080"] {
                        assert!(!code.contains(left), "{with} {}: {left}", it.id);
                    }
                    written.push_str(&code);
                }
                let whole: String = all.iter().map(|it| it.text.as_str()).collect();
                assert!(whole.contains(&Uuid::from_u128(7).to_string()), "{with}");
                assert!(with == "envoy" || whole.contains("tokens.acme.example:8081"), "{with}");
                assert_eq!(written.contains("identity"), api.is_none() && with != "service", "{with}");
            }
        }
    }
}
