//! `tokenward api`: the routes of the organization's own API.

use std::collections::HashMap;

use clap::Subcommand;
use tokenward_api::apis::{ApiChanges, ApiDetail, ApiItem, RoleReach, RouteBody};
use tokenward_core::path::Reading;
use tokenward_server::limits::DOCUMENT_BYTES;

use super::answer::{ApiAnswer, List};
use super::client::{ChosenOrganization, segment};
use super::output::{self, Result, Table, clean, fields, moment};
use super::{Context, prompt};
use crate::note::note;

/// What can be done with the routes of your own API.
#[derive(Subcommand, Debug)]
pub enum ApiCommand {
    /// Import routes from an OpenAPI 3 or Swagger 2.0 document (JSON or YAML) or a TOML file; they replace those of that name
    Import {
        /// The name to give the API
        name: String,
        /// The document; `-` reads standard input
        #[arg(value_name = "FILE|-")]
        file: String,
        /// What becomes of a request that no route describes [default: what the document says, else deny]
        #[arg(long, value_name = "deny|allow", value_parser = ["deny", "allow"])]
        unknown_route: Option<String>,
        /// How the servers of this API are known to read paths that others read in another way; may be repeated. Each is a
        /// promise: docs/verification.md says of what [default: what the document says, else none]
        #[arg(long = "allow-path", value_name = "WORD", value_parser = Reading::ALL.map(Reading::as_str))]
        allow_paths: Vec<String>,
        /// Show what would be imported and what changes, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the APIs
    #[command(visible_alias = "ls")]
    List,
    /// Show the routes of an API and the permission that each needs
    Show {
        /// Its name
        name: String,
    },
    /// Delete an API: its routes are denied from then on
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub async fn run(command: ApiCommand, context: &Context<'_>) -> Result {
    match command {
        ApiCommand::Import { name, file, unknown_route, allow_paths, dry_run } => {
            let document = prompt::document(&file, DOCUMENT_BYTES.default)?;
            let kind = content_type(&file, &document);
            let organization = context.client.organization(context.global).await?;
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(unknown_route.map(|it| ("unknown_route", it)));
            query.extend_pairs((!allow_paths.is_empty()).then(|| ("allow_paths", allow_paths.join(","))));
            query.extend_pairs(dry_run.then_some(("dry_run", "true")));
            let path = format!("{}?{}", path(&organization, &name)?, query.finish());
            let answer: ApiAnswer<ApiDetail> = context.client.put_document(&path, kind, document, None).await?;
            let count = counted(answer.routes.len());
            let did =
                if dry_run { format!("`{name}` would have {count}.") } else { format!("Imported `{name}`: {count}.") };
            note(clean(&did));
            answer.notes.iter().for_each(|text| note(clean(&format!("- {text}"))));
            match (context.global.json, dry_run) {
                (true, _) => output::json(&answer.raw),
                (false, false) => Ok(()),
                (false, true) => {
                    let none = ApiChanges { routes: Vec::new(), roles: Vec::new() };
                    changes(&answer.routes, answer.changes.as_ref().unwrap_or(&none))
                }
            }
        }
        ApiCommand::List => list(context).await,
        ApiCommand::Show { name } => show(&name, context).await,
        ApiCommand::Delete { name, yes } => {
            let organization = context.client.organization(context.global).await?;
            let path = path(&organization, &name)?;
            let api: ApiAnswer<ApiDetail> = context.client.get(&path).await?;
            prompt::confirm(
                &format!("Delete the API `{name}`? Gateways that ask for it are denied from then on."),
                yes,
            )?;
            context.client.delete(&path).await?;
            note(clean(&format!("Deleted the API `{name}`.")));
            if context.global.json { output::json(&api.raw) } else { Ok(()) }
        }
    }
}

fn counted(routes: usize) -> String {
    if routes == 1 { "1 route".to_owned() } else { format!("{routes} routes") }
}

/// What would be there, a line a route: `+` new, `-` gone, `~` with other permissions, and nothing where it stays. Then
/// what each role would reach.
fn changes(new: &[RouteBody], changes: &ApiChanges) -> Result {
    let different: HashMap<(&str, &str), _> =
        changes.routes.iter().map(|it| ((it.method.as_str(), it.path.as_str()), it)).collect();
    let mut table = Table::new(&["", "METHOD", "PATH", "PERMISSION", "BEFORE"]);
    for route in new {
        let before = different.get(&(route.method.as_str(), route.path.as_str())).map(|it| &it.before);
        let (mark, before) = match before {
            None => ("", String::new()),
            Some(None) => ("+", String::new()),
            Some(Some(before)) => ("~", ways_text(before)),
        };
        table.row([mark.to_owned(), route.method.clone(), route.path.clone(), needs(route), before]);
    }
    for gone in changes.routes.iter().filter(|it| it.after.is_none()) {
        let before = gone.before.as_deref().map(ways_text).unwrap_or_default();
        table.row(["-".to_owned(), gone.method.clone(), gone.path.clone(), String::new(), before]);
    }
    table.print("It has no routes.")?;
    let mut table = Table::new(&["ROLE", "GAINS", "LOSES"]);
    for RoleReach { name, gains, gained, loses, lost, .. } in &changes.roles {
        table.row([name.clone(), reached(*gains, gained), reached(*loses, lost)]);
    }
    output::print("")?;
    table.print("No role reaches more or less than before.")
}

fn reached(count: usize, first: &[String]) -> String {
    match count {
        0 => String::new(),
        _ if count > first.len() => format!("{count}: {}, …", first.join(", ")),
        _ => format!("{count}: {}", first.join(", ")),
    }
}

/// What a route needs, in a line.
fn needs(route: &RouteBody) -> String {
    if route.any_of.is_empty() { route.permissions.join(" + ") } else { ways_text(&route.any_of) }
}

fn ways_text(ways: &[Vec<String>]) -> String {
    ways.iter().map(|way| way.join(" + ")).collect::<Vec<_>>().join(" or ")
}

fn path(organization: &ChosenOrganization, name: &str) -> Result<String> {
    Ok(format!("/organization/{}/api/{}", organization.id, segment(name)?))
}

/// The kind of document, by the file's name; for a pipe by its first character.
pub(super) fn content_type(file: &str, document: &[u8]) -> &'static str {
    let lower = file.to_lowercase();
    let first = document.iter().find(|byte| !byte.is_ascii_whitespace());
    if lower.ends_with(".json") || first == Some(&b'{') {
        "application/json"
    } else if lower.ends_with(".toml") {
        "application/toml"
    } else if lower.ends_with(".yaml") || lower.ends_with(".yml") || !is_toml(document) {
        "application/yaml"
    } else {
        "application/toml"
    }
}

fn is_toml(document: &[u8]) -> bool {
    std::str::from_utf8(document).is_ok_and(|text| toml::from_str::<toml::Table>(text).is_ok())
}

async fn list(context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let answer: ApiAnswer<List<ApiItem>> =
        context.client.get(&format!("/organization/{}/api", organization.id)).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "ROUTES", "UPDATED"]);
    for api in &answer.results {
        table.row([api.name.clone(), api.route_count.to_string(), moment(api.updated_at)]);
    }
    table.print("No API has been imported. Import one with `tokenward api import NAME FILE`.")
}

fn allowed(readings: &[Reading]) -> String {
    let words: Vec<&str> = readings.iter().map(|reading| reading.as_str()).collect();
    if words.is_empty() { "what every program reads alike".to_owned() } else { words.join(", ") }
}

async fn show(name: &str, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let api: ApiAnswer<ApiDetail> = context.client.get(&path(&organization, name)?).await?;
    if context.global.json {
        return output::json(&api.raw);
    }
    fields(&[
        ("Name", api.item.name.clone()),
        ("Updated", moment(api.item.updated_at)),
        ("Unknown routes", api.item.unknown_route.to_string()),
        ("Allowed paths", allowed(&api.item.allow_paths)),
        ("Left out", api.item.left_out.to_string()),
    ])?;
    api.notes.iter().for_each(|text| note(clean(&format!("- {text}"))));
    let mut table = Table::new(&["METHOD", "PATH", "PERMISSION"]);
    for route in &api.routes {
        table.row([route.method.clone(), route.path.clone(), needs(route)]);
    }
    table.print("It has no routes.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_document_follows_from_name_or_content() {
        for (file, document, kind) in [
            ("a.json", "{}", "application/json"),
            ("-", "  {\"openapi\": \"3.0.0\"}", "application/json"),
            ("a.YML", "openapi: 3.0.0", "application/yaml"),
            ("a.toml", "[[route]]", "application/toml"),
            ("-", "openapi: 3.0.0", "application/yaml"),
            ("-", "[[route]]\nmethod = \"GET\"", "application/toml"),
        ] {
            assert_eq!(content_type(file, document.as_bytes()), kind, "{file} {document}");
        }
    }
}
