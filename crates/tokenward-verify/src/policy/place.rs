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

/// What a path is about, by its decoded segments. A reason where a path of our own API names what the organization does not have,
/// or names it in a way in which a policy would not know it again: what is said of it would be said of nothing.
pub(crate) fn place(
    organization: &Organization,
    segments: &[String],
    of_ours: bool,
) -> Result<RequestPlace, &'static str> {
    let mut found = RequestPlace::default();
    for (at, segment) in segments.iter().enumerate() {
        let Some(id) = id(segment, of_ours)? else { continue };
        if let Some(environment) = organization.environments().get(&id) {
            let (project, cluster) = (Some(environment.project), Some(environment.cluster));
            // What stands behind it says no more about the place, and must be known again all the same.
            segments.iter().skip(at + 1).try_for_each(|behind| self::id(behind, of_ours).map(|_| ()))?;
            return Ok(RequestPlace { project, environment: Some(id), cluster });
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
            return Err("The path names what the organization does not have");
        }
    }
    Ok(if found.project.is_some() { RequestPlace { cluster: None, ..found } } else { found })
}

/// An id in any of its forms, as our own API and other services may read it. Where ours would, it must be written as policies have
/// it: in small letters, with its four dashes.
fn id(segment: &str, of_ours: bool) -> Result<Option<Uuid>, &'static str> {
    // The shortest form has 32 characters.
    let Some(id) = (segment.len() >= 32).then(|| Uuid::try_parse(segment).ok()).flatten() else { return Ok(None) };
    let mut buffer = Uuid::encode_buffer();
    if of_ours && *segment != *id.hyphenated().encode_lower(&mut buffer) {
        return Err("An id in the path is not written in small letters with its four dashes");
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_in_all_its_forms_and_taken_in_one() {
        let usual = "3f1c0c1e-0000-7000-8000-00000000000a";
        let other_forms =
            [usual.to_uppercase(), usual.replace('-', ""), format!("{{{usual}}}"), format!("urn:uuid:{usual}")];
        for form in &other_forms {
            assert!(id(form, true).is_err(), "{form}");
            assert_eq!(id(form, false), id(usual, false), "{form}");
        }
        assert_eq!(id(usual, true), Ok(Uuid::try_parse(usual).ok()));
        for none in ["environment", "", "3f1c0c1e-0000-7000-8000-00000000000g"] {
            assert_eq!(id(none, true), Ok(None), "{none}");
        }
    }
}
