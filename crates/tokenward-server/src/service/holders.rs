//! Who has a name that somebody else wanted. A client that lost the answer to its create finds its thing again so.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::directory::Resource;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::secret::Kind;
use tokenward_core::{Code, Result, Uuid};
use tokenward_store::{environments, projects, roles, tokens, variables};

use super::{App, Written};

/// A name that was wanted.
pub(super) enum WantedName<'a> {
    /// Of a project.
    Project(&'a str),
    /// Of an environment of a project.
    Environment(Uuid, &'a str),
    /// Of a role.
    Role(&'a str),
    /// Of an API token.
    Token(&'a str),
    /// Of a policy token.
    PolicyToken(&'a str),
    /// Of a variable of this owner.
    Variable(variables::Owner, &'a str),
}

/// The same result. Where it is that the name is taken, it says by what, if the caller may see that.
pub(super) async fn naming_holder<T>(
    app: &Arc<App>,
    grant: &Grant,
    wanted: WantedName<'_>,
    written: Result<Written<T>>,
) -> Result<Written<T>> {
    match written {
        // The refusal counts more than what is said beside it.
        Err(error) if error.code == Code::NameTaken => {
            Err(error.held_by(holder(app, grant, wanted).await.unwrap_or_default()))
        }
        other => other,
    }
}

async fn holder(app: &Arc<App>, grant: &Grant, wanted: WantedName<'_>) -> Result<Option<Uuid>> {
    let mut reader = app.read_for(grant).await?;
    let conn = reader.conn();
    let (found, read, resource): (_, _, fn(Uuid) -> Resource) = match wanted {
        WantedName::Project(name) => {
            (projects::holder(conn, grant, name).await?, Management::ProjectRead, Resource::project)
        }
        WantedName::Environment(project, name) => (
            environments::holder(conn, grant, project, name).await?,
            Management::EnvironmentRead,
            Resource::environment,
        ),
        WantedName::Role(name) => {
            (roles::holder(conn, grant, name).await?, Management::RoleRead, |_| Resource::default())
        }
        WantedName::Token(name) => {
            (tokens::holder(conn, grant, Kind::Token, name).await?, Management::TokenRead, |_| Resource::default())
        }
        WantedName::PolicyToken(name) => {
            (tokens::holder(conn, grant, Kind::PolicyToken, name).await?, Management::PolicyManage, |_| {
                Resource::default()
            })
        }
        // Whoever writes a variable reads those beside it.
        WantedName::Variable(owner, key) => return variables::holder(conn, grant, owner, key).await,
    };
    let Some(id) = found else { return Ok(None) };
    let directory = app.verifier.directory();
    let Some(organization) = directory.organization(grant.organization()) else { return Ok(None) };
    let sees = grant.role().allows(Permission::Management(read), organization.target(&resource(id)));
    Ok(sees.then_some(id))
}
