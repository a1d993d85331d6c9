//! What the path of a request is about.

use tokenward_core::Uuid;
use tokenward_core::directory::Organization;

/// The resources of the organization that a path names: an environment with its project and cluster, or a project, or a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct RequestPlace {
    pub(crate) project: Option<Uuid>,
    pub(crate) environment: Option<Uuid>,
    pub(crate) cluster: Option<Uuid>,
}

/// What a path is about, by its decoded segments. `None` where a path of our own API names what the organization does not have:
/// what is said of it would be said of nothing.
pub(crate) fn place(organization: &Organization, segments: &[String], of_ours: bool) -> Option<RequestPlace> {
    let ids = segments.iter().enumerate().filter_map(|(at, segment)| Some((at, id(segment)?)));
    let mut found = RequestPlace::default();
    for (at, id) in ids {
        if let Some(environment) = organization.environments().get(&id) {
            let (project, cluster) = (Some(environment.project), Some(environment.cluster));
            return Some(RequestPlace { project, environment: Some(id), cluster });
        }
        let before = at.checked_sub(1).and_then(|at| segments.get(at)).map(String::as_str);
        if organization.projects().contains_key(&id) {
            found = RequestPlace { project: Some(id), ..found };
        } else if organization.clusters().contains_key(&id) {
            found = RequestPlace { cluster: found.cluster.or(Some(id)), ..found };
        } else if of_ours
            && (matches!(before, Some("environment" | "project" | "cluster"))
                || before == Some("organization") && id != organization.id)
        {
            return None;
        }
    }
    Some(if found.project.is_some() { RequestPlace { cluster: None, ..found } } else { found })
}

/// An id as we write it; other programs know more forms.
fn id(segment: &str) -> Option<Uuid> {
    (segment.len() == 36).then(|| Uuid::try_parse(segment).ok()).flatten()
}
