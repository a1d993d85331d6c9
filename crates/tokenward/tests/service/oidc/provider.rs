//! A real provider, from its sign-in page to ours.

use std::collections::HashMap;

use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;

use super::Issuer;
use crate::console::Person;
use crate::support::Server;

/// A browser at the provider: keeps cookies, follows redirects that stay there, and posts the forms of its pages.
struct Visitor {
    http: reqwest::Client,
    cookies: HashMap<String, String>,
}

impl Visitor {
    /// Answers where a redirect leads away from the provider, or the page.
    async fn go(
        &mut self,
        issuer: &str,
        mut url: String,
        mut form: Option<Vec<(&str, &str)>>,
    ) -> Result<String, (String, String)> {
        loop {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = match form.take() {
                Some(form) => self.http.post(&url).form(&form),
                None => self.http.get(&url),
            };
            let response = request.header("cookie", cookies.join("; ")).send().await.unwrap();
            for line in response.headers().get_all(SET_COOKIE) {
                let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
            let Some(to) = response.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned()) else {
                return Err((url, response.text().await.unwrap()));
            };
            if to.starts_with('/') {
                url = format!("{issuer}{to}");
            } else if to.starts_with(issuer) {
                url = to;
            } else {
                return Ok(to);
            }
        }
    }
}

/// Signs somebody in at npm's provider, and answers where it sends them back to.
pub async fn signed_in_there(issuer: &Issuer, question: &str, login: &str) -> String {
    let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    let mut visitor = Visitor { http, cookies: HashMap::new() };
    let (at, page) = visitor.go(&issuer.url, question.to_owned(), None).await.unwrap_err();
    assert!(page.contains("login"), "{page}");
    let form = vec![("prompt", "login"), ("login", login), ("password", "anything")];
    let (at, page) = visitor.go(&issuer.url, at, Some(form)).await.unwrap_err();
    assert!(page.contains("consent"), "{page}");
    visitor.go(&issuer.url, at, Some(vec![("prompt", "consent")])).await.unwrap()
}

#[tokio::test]
async fn a_real_provider_signs_its_people_in() {
    // The address of return must be known to the provider before the server that has it is there.
    let url = "http://localhost:8080";
    let issuer = Issuer::run("provider.mjs", &[&format!("{url}/sign-in/with/corp/callback")]);
    let directory = tempfile::tempdir().unwrap();
    let mut config = super::config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    config.public_url = Some(url.to_owned());
    let server = Server::start_with(directory, config).await;
    let mut ada = Person::at(&server);
    let question = ada.get("/sign-in/with/corp").await;
    assert_eq!(question.status, 303, "{}", question.html);
    let back = signed_in_there(&issuer, question.location(), "ada").await;
    ada.get(back.strip_prefix(url).unwrap()).await.leads_to("/sign-in/identity");
    ada.get("/sign-in/identity").await.says(200, "Corp Login knows you as ada@acme.example");
}
