//! What a shell offers behind a word: besides the options, the names that a server knows. It is asked quickly and in silence;
//! whatever goes wrong, there is just nothing to offer.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use tokenward_api::apis::ApiItem;
use tokenward_api::clusters::Cluster;
use tokenward_api::identities::Identity;
use tokenward_api::members::Member;
use tokenward_api::organizations::Organization;
use tokenward_api::passkeys::Passkey;
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::projects::Project;
use tokenward_api::roles::AvailableRole;
use tokenward_api::tokens::ApiToken;
use tokenward_core::Uuid;

use super::answer::List;
use super::client::Client;
use super::find::Named;
use super::output::Result;
use super::{Global, TypedServer, definition};

/// The variable with which a shell asks this program.
pub const VARIABLE: &str = "_TOKENWARD_COMPLETE";

/// Whoever types does not wait longer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Nobody reads through more.
const OFFERED: usize = 200;

/// Of what names are offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Names {
    Tokens,
    TokensAndRoles,
    PolicyTokens,
    Roles,
    Projects,
    Apis,
    Organizations,
    Members,
    Clusters,
    Passkeys,
    Identities,
}

/// Answers a shell, and ends, where one asks.
pub fn answer_a_shell() {
    CompleteEnv::with_factory(|| with_names(definition(), "")).var(VARIABLE).bin("tokenward").complete();
}

/// The commands, with what is offered for each argument.
fn with_names(command: clap::Command, noun: &str) -> clap::Command {
    let noun = noun.to_owned();
    // Offline, no server is asked; and what is made there has a name of its own.
    let is_offline = matches!(noun.as_str(), "bootstrap" | "new-organization");
    let command = command.mut_args(|arg| match of(&noun, arg.get_id().as_str()).filter(|_| !is_offline) {
        Some(names) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| offered(names, typed))),
        None => arg,
    });
    command.mut_subcommands(|sub| {
        let below = if noun.is_empty() { sub.get_name().to_owned() } else { noun.clone() };
        with_names(sub, &below)
    })
}

/// What an argument of this name is the name of, in the commands of a noun.
fn of(noun: &str, argument: &str) -> Option<Names> {
    Some(match (noun, argument) {
        // Its text, which nobody offers.
        ("verify" | "revoke", "token") => return None,
        ("can", "subject") => Names::TokensAndRoles,
        ("api", "name") | ("verify" | "can", "api") => Names::Apis,
        ("token" | "usage", "token") => Names::Tokens,
        ("policy-token", "token") => Names::PolicyTokens,
        (_, "role" | "move_to") => Names::Roles,
        ("project" | "environment" | "token" | "policy-token" | "can", "project" | "projects") => Names::Projects,
        ("environment" | "cluster" | "can", "cluster") => Names::Clusters,
        (_, "organization") | ("org", "wanted") => Names::Organizations,
        ("member", "end" | "delete" | "keep") => Names::Tokens,
        ("account", "passkey") => Names::Passkeys,
        ("account", "identity") => Names::Identities,
        (_, "member" | "owner" | "successor" | "hand_over_to" | "to" | "made_by") => Names::Members,
        _ => return None,
    })
}

fn offered(names: Names, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let words: Vec<String> = env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let asked = async { tokio::time::timeout(PATIENCE, ask(names, typed, &as_typed(&words))).await };
    let Ok(Ok(known)) = runtime.block_on(asked) else { return Vec::new() };
    let fitting = known.into_iter().filter(|(word, _)| word.starts_with(typed)).take(OFFERED);
    fitting.map(|(word, what)| CompletionCandidate::new(word).help(Some(what.into()))).collect()
}

/// Which server and which organization, as they stand in the line that is being typed, else in the environment.
fn as_typed(words: &[String]) -> Global {
    let line = words.iter().position(|word| word == "--").map_or(words, |at| &words[at..]);
    let said = |option: &str, variable: &str| {
        let behind = |(at, word): (usize, &String)| match word.strip_prefix(option) {
            Some("") => line.get(at + 1).cloned(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        line.iter().enumerate().find_map(behind).or_else(|| env::var(variable).ok())
    };
    Global {
        url: said("--url", "TOKENWARD_URL"),
        organization: said("--organization", "TOKENWARD_ORGANIZATION"),
        ca_cert: said("--ca-cert", "TOKENWARD_CA_CERT"),
        fields: None,
        jq: None,
        quiet: true,
        json: false,
        typed: TypedServer::default(),
        wide: false,
    }
}

async fn ask(names: Names, typed: &str, global: &Global) -> Result<Vec<(String, String)>> {
    let client = Client::with_credential(global)?.never_asking();
    // What is asked of no organization.
    match names {
        Names::Organizations => {
            return listed(&client.get::<List<Organization>>("/organization").await?.results, |_| "organization");
        }
        Names::Passkeys => {
            return listed(&client.get::<List<Passkey>>("/account/passkey").await?.results, |it| &it.rp_id);
        }
        Names::Identities => {
            return listed(&client.get::<List<Identity>>("/account/identity").await?.results, |it| &it.issuer);
        }
        _ => {}
    }
    let organization = client.organization(global).await?.id;
    let path = |what: &str| format!("/organization/{organization}/{what}");
    let tokens = async {
        // The server looks for the beginning too, so that a long list stays where it is.
        let query = [("name", Some(typed).filter(|it| !it.is_empty())), ("state", Some("living"))];
        let all = client.query::<List<ApiToken>>(&path("apiToken"), &query).await?;
        listed(&all.results, |token| &token.role_name)
    };
    let roles = async { listed(&client.get::<List<AvailableRole>>(&path("availableRole")).await?.results, |_| "role") };
    Ok(match names {
        Names::Tokens => tokens.await?,
        Names::TokensAndRoles => [tokens.await?, roles.await?].concat(),
        Names::PolicyTokens => {
            let all = client.get::<List<PolicyApiToken>>(&path("policyApiToken")).await?;
            listed(&all.results, |token| &token.role_name)?
        }
        Names::Roles => roles.await?,
        Names::Projects => listed(&client.get::<List<Project>>(&path("project")).await?.results, |_| "project")?,
        Names::Clusters => listed(&client.get::<List<Cluster>>(&path("cluster")).await?.results, |it| &it.region)?,
        Names::Members => listed(&client.get::<List<Member>>(&path("member")).await?.results, |it| &it.role_name)?,
        Names::Apis => {
            let all = client.get::<List<ApiItem>>(&path("api")).await?;
            all.results.iter().filter(|api| is_plain(&api.name)).map(|api| (api.name.clone(), "API".into())).collect()
        }
        Names::Organizations | Names::Passkeys | Names::Identities => Vec::new(),
    })
}

/// Names with what they are. What a shell would read as more than one word, or as a command, is offered as its id.
fn listed<'a, T: Named>(list: &'a [T], what: impl Fn(&'a T) -> &'a str) -> Result<Vec<(String, String)>> {
    let word = |thing: &'a T| match is_plain(thing.label()) {
        true => (thing.label().to_owned(), super::output::clean(what(thing))),
        false => (id_of(thing.id()), super::output::clean(thing.label())),
    };
    Ok(list.iter().map(word).collect())
}

fn id_of(id: Uuid) -> String {
    id.to_string()
}

/// Is a name one word in every shell?
fn is_plain(name: &str) -> bool {
    !name.starts_with('-')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_offered_for_what_commands_take() {
        for (noun, argument, names) in [
            ("token", "token", Some(Names::Tokens)),
            ("token", "role", Some(Names::Roles)),
            ("token", "owner", Some(Names::Members)),
            ("token", "projects", Some(Names::Projects)),
            ("run", "role", Some(Names::Roles)),
            ("role", "move_to", Some(Names::Roles)),
            ("api", "name", Some(Names::Apis)),
            ("can", "subject", Some(Names::TokensAndRoles)),
            ("can", "api", Some(Names::Apis)),
            ("project", "organization", Some(Names::Organizations)),
            ("account", "passkey", Some(Names::Passkeys)),
            ("verify", "token", None),
            ("token", "name", None),
        ] {
            assert_eq!(of(noun, argument), names, "{noun} {argument}");
        }
    }

    #[test]
    fn every_name_or_id_of_a_command_is_completed() {
        fn missing(command: &clap::Command, noun: &str, path: &str, found: &mut Vec<String>) {
            for arg in command.get_arguments() {
                let value = arg.get_value_names().unwrap_or_default().iter().map(|it| it.as_str()).collect::<String>();
                let named = matches!(value.as_str(), "NAME|ID" | "EMAIL|ID" | "ROLE" | "PROJECT");
                if named && of(noun, arg.get_id().as_str()).is_none() {
                    found.push(format!("{path} {}", arg.get_id()));
                }
            }
            for sub in command.get_subcommands() {
                let noun = if noun.is_empty() { sub.get_name() } else { noun };
                missing(sub, noun, &format!("{path} {}", sub.get_name()), found);
            }
        }
        let mut found = Vec::new();
        missing(&definition(), "", "", &mut found);
        // An environment has a name only in its project, and the organization of a file is found before a server runs.
        found.retain(|it| it != " environment delete environment" && it != " serve apply_to");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_a_shell_would_not_read_as_one_word_is_no_word() {
        assert!(is_plain("ci-deploys") && is_plain("ada@acme.example") && is_plain("本番"));
        for name in ["two words", "$(id)", "a;b", "it's", "-q", "a*", "a\u{202e}b"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn the_line_says_which_server_is_asked() {
        let words: Vec<String> =
            ["x", "--", "tokenward", "--url=http://a", "token", "show", "--organization", "Acme", ""]
                .map(Into::into)
                .into();
        let global = as_typed(&words);
        assert_eq!((global.url.as_deref(), global.organization.as_deref()), (Some("http://a"), Some("Acme")));
    }
}
