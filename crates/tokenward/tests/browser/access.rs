//! Members, roles and resources in the console.

use crate::browser::with_browser;
use crate::support::{PASSWORD, Server};
use crate::tokens::sign_in;

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_invited_joins_gets_another_role_and_is_removed() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    let url = server.url.clone();
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.open(&format!("{base}/members")).await;
        browser.sees("You are alone here.").await;
        browser.press("Invite").await;
        browser.fill("email", "dev@acme.example").await;
        browser.press("DevOps").await;
        browser.picture("invite", 1280, false).await;
        browser.press("Make the link").await;
        browser.sees("dev@acme.example is invited").await;
        browser.picture("invitation-created", 1280, false).await;
        let link = browser.text("#link").await;
        assert!(link.starts_with(&format!("{url}/invitation/")), "{link}");
        browser.press("Done").await;
        browser.sees("Invited").await;
        browser.pictures("members").await;
        browser.click("#menu .me button").await;
        browser.sees("You are signed out.").await;

        browser.open(&link).await;
        browser.sees("Join Acme").await;
        browser.pictures("invitation").await;
        browser.fill("name", "Dev of Acme").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create the account and join").await;
        browser.sees("Welcome. You are a member now.").await;
        browser.press("Add the first token").await;
        browser.sees("More than you can do yourself").await;
        browser.picture("token-new-devops", 1280, false).await;
        browser.fill("name", "devs-own").await;
        browser.press("Viewer").await;
        browser.press("Create token").await;
        browser.sees("“devs-own” is ready").await;
        browser.open(&format!("{base}/members")).await;
        assert_eq!(browser.count("main a[href$='/invite']").await, 0, "DevOps invites nobody");
        browser.open(&link).await;
        browser.sees("This invitation is not valid").await;
        browser.open(&base).await;
        browser.click("#menu .me button").await;
        browser.sees("You are signed out.").await;

        sign_in(&browser).await;
        browser.open(&format!("{base}/members")).await;
        browser.press("Change role").await;
        browser.press("Viewer").await;
        browser.press("Save role").await;
        browser.sees("The member has another role").await;
        browser.press("Remove").await;
        browser.sees("One token is theirs").await;
        browser.click("main select[name=fate] option[value$='.delete']").await;
        browser.picture("member-remove", 1280, false).await;
        browser.press("Remove Dev of Acme").await;
        browser.sees("The member is removed").await;
        browser.open(&format!("{base}/tokens")).await;
        browser.sees("No token yet").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_role_is_made_over_projects_and_clusters_and_previewed() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.open(&format!("{base}/clusters")).await;
        browser.sees("No cluster yet").await;
        browser.press("New cluster").await;
        browser.fill("name", "eu-prod").await;
        browser.fill("region", "eu-west-3").await;
        browser.click("[name=production]").await;
        browser.press("Create cluster").await;
        browser.sees("The cluster is saved.").await;
        browser.pictures("clusters").await;

        browser.open(&format!("{base}/projects")).await;
        browser.press("New project").await;
        browser.fill("name", "web-shop").await;
        browser.press("Create project").await;
        browser.sees("The project is saved.").await;
        browser.press("New environment").await;
        browser.fill("name", "staging").await;
        browser.click("select[name=mode] option[value=STAGING]").await;
        browser.press("Create environment").await;
        browser.sees("The environment is saved.").await;
        browser.pictures("project").await;

        browser.open(&format!("{base}/roles")).await;
        browser.press("New role").await;
        browser.fill("name", "Deployer (staging)").await;
        browser.fill("permissions", "invoices:read\ntoken:manage").await;
        browser.click("details.add summary").await;
        browser.click("select[name$='.STAGING'] option[value=DEPLOYER]").await;
        browser.click("label:has([name^='cluster.'][value=ENV_CREATOR])").await;
        browser.press("Create role").await;
        browser.sees("1 thing to put right").await;
        browser.sees("may not hold “token:manage”").await;
        browser.pictures("role-refused").await;
        browser.fill("permissions", "invoices:read\norders:*").await;
        browser.press("Preview changes").await;
        browser.sees("web-shop, Staging").await;
        browser.pictures("role-preview").await;
        browser.press("Create role").await;
        browser.sees("The role is saved.").await;
        browser.pictures("roles").await;
        browser.press("Deployer (staging)").await;
        browser.sees("What it may do").await;
        browser.pictures("role").await;
        browser.press("Edit").await;
        browser.sees("Nobody has it yet.").await;
        assert!(browser.find("select[name$='.STAGING'] option[value=DEPLOYER]").await.is_selected().await.unwrap());

        browser.open(&format!("{base}/tokens/new")).await;
        browser.fill("name", "deploys").await;
        browser.press("Deployer (staging)").await;
        browser.sees("web-shop: Deploy in Staging").await;
        browser.picture("token-new-custom", 1280, false).await;
        browser.press("Create token").await;
        browser.sees("“deploys” is ready").await;

        browser.open(&format!("{base}/roles")).await;
        browser.press("Deployer (staging)").await;
        browser.sees("Held by").await;
        browser.sees("deploys").await;
        browser.press("Delete").await;
        browser.sees("It is held by 1 token: token “deploys”. They get the role that you choose here, at once.").await;
        browser.picture("role-in-use", 1280, false).await;
        browser.open(&format!("{base}/roles")).await;
        browser.press("Viewer").await;
        browser.sees("Every permission of your API that ends in :read.").await;
        browser.picture("role-built-in", 1280, false).await;

        browser.open(&format!("{base}/projects")).await;
        browser.press("web-shop").await;
        browser.press("Delete project").await;
        browser.fill("confirm", "another").await;
        browser.press("Delete the project").await;
        browser.sees("This is not the name. Type web-shop.").await;
        browser.picture("project-delete", 1280, false).await;
        browser.fill("confirm", "web-shop").await;
        browser.press("Delete the project").await;
        browser.sees("No project yet").await;
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_added_handed_over_and_deleted() {
    let (server, organization) = Server::with_owner().await;
    server.member(&organization, "next@acme.example", "admin").await;
    let base = format!("/console/{}", organization.id);
    with_browser(&server.url, true, |browser| async move {
        sign_in(&browser).await;
        browser.click("#menu .switch summary").await;
        browser.picture("switcher", 1280, false).await;
        browser.click("#menu .switch .new").await;
        browser.fill("name", "Acme").await;
        browser.press("Create organization").await;
        browser.sees("is taken by another organization").await;
        browser.fill("name", "Acme Labs").await;
        browser.press("Create organization").await;
        browser.sees("The organization is ready.").await;
        browser.click("#menu .switch summary").await;
        browser.click(&format!("#menu .switch a[href='{base}']")).await;
        browser.open(&format!("{base}/settings")).await;

        browser.press("Hand over…").await;
        browser.press("next@acme.example").await;
        browser.fill("confirm", "Acme").await;
        browser.picture("transfer", 1280, false).await;
        browser.press("Hand over").await;
        browser.sees("The organization has another owner.").await;
        browser.open(&format!("{base}/settings")).await;
        assert_eq!(browser.count("main .danger").await, 0, "an admin neither hands over nor deletes");
        browser.open(&format!("{base}/settings/delete")).await;
        browser.sees("Your role does not allow this").await;
        browser.picture("not-allowed", 1280, false).await;

        browser.click("#menu .switch summary").await;
        browser.click("#menu .switch li:nth-child(2) a").await;
        browser.sees("Acme Labs").await;
        browser.click("#menu a[href$='/settings']").await;
        browser.press("Delete…").await;
        browser.fill("confirm", "Acme Labs").await;
        browser.press("Delete the organization").await;
        browser.sees("The organization is deleted.").await;
        assert!(browser.path().await.starts_with(&base));
    })
    .await;
    server.stop().await;
}
